"""The dependency rule of the house, read off the source."""

import ast
import subprocess
import sys
from fnmatch import fnmatch
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "metastyle_core"
# From the bottom up; `core` is metastyle_core and `door` the pack's own `__init__`. A module may
# import what lies in lower layers and nothing beside it; only modules that one pattern names
# together may know one another as well, without a circle.
LAYERS = (
    "core core.borders core.errors core.growth core.rows core.seeding",
    "core.precision core.sharding core.steady core.transparency",
    "core.checks core.colour_profiles core.files core.picture_metadata core.style_distance",
    "core.decoding core.deep_files core.grain",
    "core.checkpoint core.images core.low_rank",
    "core.colour core.content core.encoder core.flow core.levels core.masks core.sheets",
    "core.network core.touches",
    "core.film core.film.frames core.film.webp core.losses core.shots",
    "core.film.reading",
    "core.film.coding core.film.sequences",
    "core.film.writing",
    "core.encoder_tiles core.initialisation core.measures core.style_pictures"
    " core.style_statistics",
    "core.picture_loss",
    "core.base core.finishing core.large_files core.tiling",
    "core.brushwork core.style",
    "core.drawing core.mixing",
    "core.adaptation core.large_pictures core.presets core.quantization",
    "core.stylization",
    "core.evaluation core.export core.film.drawing core.quality core.refinement core.regions"
    " core.speed core.sweep core.thumbnails",
    "core.training core.training.average core.training.data core.training.optimizer"
    " core.training.patterns core.training.recipe",
    "core.training.judged_pictures core.training.state core.training.tasks",
    "core.training.meta_learning core.training.trainer",
    "core.training.distillation core.training.meta_training",
    "core.cli.failures core.cli.options core.cli.progress core.cli.stopping core.cli.streams",
    "core.cli.inputs",
    "core.cli.controls core.cli.image_styles core.cli.outputs core.cli.refining"
    " core.cli.training_run",
    "core.cli.parts core.cli.large core.cli.reading core.cli.regions",
    "core.cli.drawers core.cli.films",
    "core.cli.drawing",
    "core.cli.ray_run core.cli.telling",
    "core.cli.adapt core.cli.bench core.cli.demo core.cli.distill core.cli.evaluate"
    " core.cli.export core.cli.info core.cli.stylize core.cli.sweep core.cli.train",
    "core.cli",
    "core.__main__",
    "nodes.hosting nodes.hosting.*",
    "nodes.*",
    "nodes",
    "tools.*",
    "benchmarks benchmarks.*",
    "door",
)


def module_name(path: Path) -> str:
    """Its dotted name as in `LAYERS`; a package has the name of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts == ("__init__",):
        return "door"
    name = ".".join(parts).removesuffix(".__init__")
    return "core" + name.removeprefix("metastyle_core") if path.is_relative_to(CORE) else name


FOLDERS = ("metastyle_core", "nodes", "tools", "benchmarks")
MODULES = {
    module_name(path): path
    for path in [ROOT / "__init__.py", *(p for f in FOLDERS for p in (ROOT / f).rglob("*.py"))]
}


def layer_of(module: str) -> int | None:
    """Position of its layer from the bottom up: the first that names it."""
    for position, layer in enumerate(LAYERS):
        if any(fnmatch(module, pattern) for pattern in layer.split()):
            return position
    return None


def modules_known_to(source: str, package: str) -> set[str]:
    """The modules of the house that a file imports, also those of `from . import x`.

    Args:
        source: its text.
        package: dotted path of the folder that it lies in, empty for the pack's own.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            origin = ".".join(part for part in (*above, node.module) if part)
            inside = {f"{origin}.{alias.name}".lstrip(".") for alias in node.names}
            modules = {name for name in inside if _house_name(name) in MODULES}
            found |= modules if len(modules) == len(inside) else modules | {origin}
    return {_house_name(name) for name in found} & MODULES.keys()


def _house_name(name: str) -> str:
    first, _, rest = name.partition(".")
    return f"core.{rest}".rstrip(".") if first == "metastyle_core" else name


def imports_of(module: str) -> set[str]:
    path = MODULES[module]
    package = ".".join(path.parent.relative_to(ROOT).parts)
    return modules_known_to(path.read_text(encoding="utf-8"), package) - {module}


@pytest.mark.parametrize(
    ("source", "package", "wanted"),
    [
        ("from . import images", "metastyle_core", {"core.images"}),
        ("from . import __version__, images", "metastyle_core", {"core", "core.images"}),
        ("from ..images import resize", "metastyle_core.cli", {"core.images"}),
        ("from .. import __version__", "metastyle_core.cli", {"core"}),
        ("def f():\n    from .cli import adapt, demo", "metastyle_core", {"core.cli.adapt",
                                                                          "core.cli.demo"}),
        ("from .nodes import NODES", "", {"nodes"}),
        ("from ..metastyle_core.images import resize", "nodes", {"core.images"}),
        ("import metastyle_core.images, torch", "tools", {"core.images"}),
        ("from metastyle_core import images", "tools", {"core.images"}),
    ],
)  # fmt: skip
def test_imports_are_read_off_every_way_of_writing_them(source, package, wanted):
    assert modules_known_to(source, package) == wanted


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_descend_the_layers(module):
    own = layer_of(module)
    assert own is not None, f"{module} is in no layer; name it in LAYERS"
    for known in imports_of(module):
        below = layer_of(known)
        assert below is not None, f"{known} is in no layer; name it in LAYERS"
        together = below == own and "*" in LAYERS[own]
        assert below < own or together, f"{module} imports {known}, which is not below it"


def test_no_imports_go_in_a_circle():
    TopologicalSorter({module: imports_of(module) for module in MODULES}).prepare()


def test_every_name_in_the_layers_is_a_module():
    named = [name for layer in LAYERS for name in layer.split() if "*" not in name]
    assert set(named) - MODULES.keys() <= {"nodes.hosting"}
    assert len(named) == len(set(named))


def test_nodes_need_neither_training_nor_the_command_line():
    for module in MODULES:
        if module == "door" or module.split(".")[0] == "nodes":
            reached = imports_of(module)
            assert not {m for m in reached if m.startswith(("core.training", "core.cli"))}, module


def imported_modules(path: Path) -> set[str]:
    """Names a file imports; those of its own package begin with a dot."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def test_core_never_imports_the_host_or_the_nodes():
    for path in CORE.rglob("*.py"):
        for name in imported_modules(path):
            top = name.lstrip(".").split(".")[0]
            assert top not in {"comfy", "comfy_api", "folder_paths", "nodes", "server"}, path


def test_the_core_imports_itself_relatively_so_that_a_host_can_load_it_under_any_name():
    for path in CORE.rglob("*.py"):
        assert not any(name.startswith("metastyle_core") for name in imported_modules(path)), path


def test_only_the_command_line_reads_the_environment_or_arguments():
    for path in CORE.rglob("*.py"):
        if "cli" in path.parts or path.name == "__main__.py":
            continue
        text = path.read_text(encoding="utf-8")
        assert "os.environ" not in text, path
        assert "sys.argv" not in text, path


def test_only_the_command_line_prints():
    for path in CORE.rglob("*.py"):
        calls = [
            node.func.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        assert "print" not in calls, path


LOADING = """
import pathlib, sys
sys.path.insert(0, "tests")
import metastyle_core.adaptation, metastyle_core.cli, metastyle_core.film.drawing
from unit.fake_host import FakeHost, loaded_pack
with loaded_pack(FakeHost(pathlib.Path("nowhere"))):
    print([m for m in ("torchvision", "skimage", "scipy", "av", "ray") if m in sys.modules])
"""


def test_neither_core_nor_command_nor_pack_loads_a_heavy_library():
    done = subprocess.run(
        [sys.executable, "-c", LOADING], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
