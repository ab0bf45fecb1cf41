"""The dependency rule of the house, read off the source."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = ROOT / "metastyle_core"
FORBIDDEN = {
    "network": {"adaptation", "base", "encoder", "losses", "style", "stylization", "training"},
    "encoder": {"adaptation", "base", "losses", "network", "style", "stylization", "training"},
    "losses": {"adaptation", "base", "encoder", "network", "style", "stylization", "training"},
    "images": {"adaptation", "base", "encoder", "losses", "network", "style", "training"},
    "style": {"adaptation", "losses", "stylization", "training"},
    "stylization": {"adaptation", "losses", "training"},
    "style_statistics": {"adaptation", "losses", "style", "stylization", "training"},
    "picture_loss": {"adaptation", "network", "refinement", "style", "stylization", "training"},
    "adaptation": {"refinement", "stylization", "training"},
    "refinement": {"stylization", "training"},
}


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


def test_core_modules_know_only_what_lies_below_them():
    for module, forbidden in FORBIDDEN.items():
        for name in imported_modules(CORE / f"{module}.py"):
            if name.startswith("."):
                assert name.lstrip(".").split(".")[0] not in forbidden, f"{module} imports {name}"


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


def test_importing_the_core_loads_no_heavy_library():
    code = (
        "import sys, metastyle_core.adaptation, metastyle_core.stylization;"
        "print([m for m in ('torchvision', 'skimage', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
