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


def load_workflow_of(server: HostServer, style: str) -> Workflow:
    return adapt_workflow(server) | {"4": node(server, "MetaStyleLoadStyle", style=style)}


def succeeded(run: Run) -> bool:
    assert run.error is None, run.error
    assert not run.refused, run.refused
    return bool(run.of_kind("execution_success"))


def styles_of(server: HostServer) -> dict[str, Any]:
    return {style["name"]: style for style in server.ask("/metastyle/styles").json["styles"]}
