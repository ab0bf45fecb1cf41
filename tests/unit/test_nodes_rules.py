"""Rules of the house for the skin: thin nodes, imports in their places, a quick door."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODES = ROOT / "nodes"
LONGEST_EXECUTE = 12
HOST_ONLY = {"comfy", "folder_paths", "server"}
EXECUTES = [
    (path, node)
    for path in sorted(NODES.glob("*.py"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.FunctionDef) and node.name == "execute"
]


def imports(path: Path) -> list[tuple[int, str]]:
    """Level and top-level name of everything a file imports."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, (node.module or "").split(".")[0]))
    return found


def test_every_node_has_an_execute():
    assert len(EXECUTES) == 8


@pytest.mark.parametrize(("path", "execute"), EXECUTES, ids=[p.stem for p, _ in EXECUTES])
def test_execute_is_thin(path, execute):
    body = execute.body[1:]  # without the docstring
    assert isinstance(execute.body[0], ast.Expr), "it has a docstring"
    statements = [node for part in body for node in ast.walk(part) if isinstance(node, ast.stmt)]
    assert len(statements) <= LONGEST_EXECUTE
    heavy = (ast.For, ast.While, ast.Try, ast.With, ast.BinOp, ast.AugAssign, ast.Global)
    assert not [node for part in body for node in ast.walk(part) if isinstance(node, heavy)]


def test_each_part_of_the_host_is_imported_in_one_file_only():
    for path in NODES.glob("*.py"):
        names = {name for level, name in imports(path) if level == 0}
        assert path.name == "host.py" or not names & HOST_ONLY, path
        assert path.name == "sockets.py" or "comfy_api" not in names, path


def test_the_pack_imports_itself_relatively():
    for path in (ROOT / "__init__.py", *NODES.glob("*.py")):
        own = {name for level, name in imports(path) if level == 0}
        assert not own & {"metastyle_core", "nodes"}, path


def test_node_classes_keep_no_state():
    for path in NODES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                assert getattr(node.value, "id", "") != "cls", path


def test_the_door_registers_nodes_in_one_way_only():
    text = (ROOT / "__init__.py").read_text(encoding="utf-8")
    assert "comfy_entrypoint" in text
    assert "NODE_CLASS_MAPPINGS" not in text


def test_loading_the_pack_imports_no_heavy_library():
    code = (
        "import sys, pathlib; sys.path.insert(0, 'tests')\n"
        "from unit.fake_host import FakeHost, loaded_pack\n"
        "with loaded_pack(FakeHost(pathlib.Path('nowhere'))):\n"
        "    print([m for m in ('torchvision', 'skimage', 'scipy') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
