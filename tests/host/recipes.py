"""What users do, as workflows in API form."""

import itertools
from typing import Any

from host.server import HostServer, Run, Workflow
from host.workflow import node

_seeds = itertools.count(1)


def adapt_workflow(server: HostServer, steps: int = 3, **adapt: Any) -> Workflow:
    """Load, adapt, stylize, show; a fresh seed, so that nothing comes from the cache."""
    adapt = {"seed": next(_seeds), "steps": steps, "style_images": ["2", 0]} | adapt
    return {
        "1": node(server, "LoadMetaStyle"),
        "2": node(server, "LoadImage", image="painting.png"),
        "3": node(server, "LoadImage", image="photo.png"),
        "4": node(server, "MetaStyleAdaptToStyle", model=["1", 0], **adapt),
        "5": node(server, "MetaStyleStylize", model=["1", 0], style=["4", 0], images=["3", 0]),
        "6": node(server, "PreviewImage", images=["5", 0]),
    }


def with_save(server: HostServer, name: str) -> Workflow:
    """An instant style, written under a name; an older file of that name is replaced."""
    save = node(server, "MetaStyleSaveStyle", style=["4", 0], name=name, overwrite=True)
    return adapt_workflow(server, steps=0) | {"7": save}


def blend_workflow(server: HostServer, name: str) -> Workflow:
    """Two instant styles, mixed, drawn and saved under a name."""
    styles = {"styles.style_1": ["4", 0], "styles.style_2": ["8", 0]}
    blended = with_save(server, name)
    blended["8"] = {**blended["4"], "inputs": {**blended["4"]["inputs"], "style_images": ["3", 0]}}
    blended["9"] = node(server, "MetaStyleBlendStyles", weight_1=1.5, weight_2=0.5, **styles)
    for consumer in ("5", "7"):
        blended[consumer]["inputs"]["style"] = ["9", 0]
    return blended


def load_workflow_of(server: HostServer, style: str) -> Workflow:
    return adapt_workflow(server) | {"4": node(server, "MetaStyleLoadStyle", style=style)}


def succeeded(run: Run) -> bool:
    assert run.error is None, run.error
    assert not run.refused, run.refused
    return bool(run.of_kind("execution_success"))


def styles_of(server: HostServer) -> dict[str, Any]:
    return {style["name"]: style for style in server.ask("/metastyle/styles").json["styles"]}
