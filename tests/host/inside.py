"""Cases that need the host's own process; test_host_inside.py runs them.

    PYTHON_OF_THE_HOST inside.py CASE COMFYUI PACK BASE

The last line printed is JSON.
"""

import argparse
import asyncio
import gc
import importlib
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

Nodes = dict[str, Any]


def open_host(comfyui: Path, base: Path) -> None:
    """Be the host, on the CPU, with its folders in `base`; its modules replace this folder's."""
    sys.argv = ["main.py", "--cpu", "--base-directory", str(base)]
    sys.path[0] = str(comfyui)
    options = importlib.import_module("comfy.options")
    options.enable_args_parsing()
    for name in ("utils.extra_config", "torch", "nodes", "server", "comfy_api.latest"):
        importlib.import_module(name)


def load_pack(pack: Path) -> tuple[Nodes, float]:
    """Load the pack as the host does, under a name made from its path; nodes by id, and seconds."""
    name = str(pack).replace(".", "_x_")
    began_s = time.perf_counter()
    spec = importlib.util.spec_from_file_location(name, pack / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    elapsed_s = time.perf_counter() - began_s
    extension = asyncio.run(module.comfy_entrypoint())
    classes = asyncio.run(extension.get_node_list())
    return {each.GET_SCHEMA().node_id: each for each in classes}, elapsed_s


def run_node(nodes: Nodes, node_id: str, **inputs: Any) -> tuple[Any, ...]:
    """Run a node as the host does: a locked clone, within inference mode."""
    import torch

    with torch.inference_mode():
        return nodes[node_id].PREPARE_CLASS_CLONE(None).execute(**inputs).result


def defaults(nodes: Nodes, node_id: str) -> dict[str, Any]:
    inputs = nodes[node_id].GET_SCHEMA().inputs
    return {each.id: each.default for each in inputs if getattr(each, "default", None) is not None}


def load_model(nodes: Nodes) -> Any:
    schema = nodes["LoadMetaStyle"].GET_SCHEMA()
    choice = schema.inputs[0]
    return run_node(nodes, "LoadMetaStyle", **{choice.id: choice.options[0]})[0]


def adapt(nodes: Nodes, model: Any, **settings: Any) -> Any:
    import torch

    with torch.inference_mode():
        picture = torch.rand(1, 96, 96, 3, generator=torch.Generator().manual_seed(1))
    inputs = defaults(nodes, "MetaStyleAdaptToStyle") | {"steps": 2, "seed": 0} | settings
    given = {"model": model, "style_images": picture, **inputs}
    (style,), *_ = run_node(nodes, "MetaStyleAdaptToStyle", **given)
    return style


def remember_nothing() -> None:
    """Let the pack learn every style, also those that it has learned before."""
    made = next(name for name in sys.modules if name.endswith("hosting.made_styles"))
    sys.modules[made]._MADE.most_bytes = 0


def distance(first: Any, second: Any) -> float:
    """Largest difference of two styles' numbers."""
    pairs = ((first.fast_weights[key], second.fast_weights[key]) for key in first.fast_weights)
    return max(float((one - two).abs().max()) for one, two in pairs)


def case_import(_nodes: Nodes, seconds: float) -> dict[str, Any]:
    return {"import_s": round(seconds, 3)}


def case_moved(nodes: Nodes, _seconds: float) -> dict[str, Any]:
    """Adapt, let the host move the model within inference mode, adapt again."""
    import torch

    remember_nothing()
    model = load_model(nodes)
    first = adapt(nodes, model)
    with torch.inference_mode():
        model.patcher.model.to(torch.float64).to(torch.float32)
    parameter = next(model.patcher.model.parameters())
    second = adapt(nodes, model)
    assert second is not first, "the second time nothing was learned"
    return {"was_inference": parameter.is_inference(), "distance": distance(first, second)}


def case_untouched(nodes: Nodes, _seconds: float) -> dict[str, Any]:
    """Adapting changes neither the base nor a style that it resumes, nor torch's own state."""
    import torch

    model = load_model(nodes)
    before = {key: value.clone() for key, value in model.patcher.model.state_dict().items()}
    first = adapt(nodes, model)
    kept = {key: value.clone() for key, value in first.fast_weights.items()}
    state = torch.get_rng_state()
    adapt(nodes, model, resume=first)
    after = model.patcher.model.state_dict()
    return {
        "base_same": all(torch.equal(before[key], after[key]) for key in before),
        "style_same": all(torch.equal(kept[key], first.fast_weights[key]) for key in kept),
        "random_state_same": torch.equal(state, torch.get_rng_state()),
        "gradients_left": sum(p.grad is not None for p in model.patcher.model.parameters()),
    }


def case_leftovers(nodes: Nodes, _seconds: float) -> dict[str, Any]:
    """Modules and megabytes of tensors alive after one adaptation and after four.

    What the pack remembers on purpose, up to a limit, is left out: it gets no room.
    """
    import torch

    remember_nothing()

    def alive() -> tuple[int, float]:
        gc.collect()
        found = gc.get_objects()
        modules = sum(isinstance(each, torch.nn.Module) for each in found)
        tensors = (each for each in found if isinstance(each, torch.Tensor))
        return modules, sum(each.numel() * each.element_size() for each in tensors) / 2**20

    model = load_model(nodes)
    adapt(nodes, model)
    once = alive()
    for seed in (1, 2, 3):
        adapt(nodes, model, seed=seed)
    return {"once": once, "four_times": alive()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=("import", "moved", "untouched", "leftovers"))
    parser.add_argument("paths", nargs=3, type=Path, metavar=("COMFYUI", "PACK", "BASE"))
    arguments = parser.parse_args()
    comfyui, pack, base = arguments.paths
    open_host(comfyui, base)
    nodes, seconds = load_pack(pack)
    cases = {
        "import": case_import,
        "moved": case_moved,
        "untouched": case_untouched,
        "leftovers": case_leftovers,
    }
    sys.stdout.write("\n" + json.dumps(cases[arguments.case](nodes, seconds)) + "\n")


if __name__ == "__main__":
    main()
