"""Rules of the house for the skin: thin nodes, imports in their places, a quick door."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODES = ROOT / "nodes"
SCHEMAS = sorted(path for path in NODES.glob("*.py") if path.name != "__init__.py")
PARTS = sorted(NODES.rglob("*.py"))
LONGEST_FUNCTION = 12
HOST_ONLY = {"comfy", "folder_paths", "server"}
BLOCKS = (ast.For, ast.While, ast.Try, ast.With, ast.AugAssign, ast.Global)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(parse(path)) if isinstance(node, ast.FunctionDef)]


def below(function: ast.FunctionDef) -> list[ast.AST]:
    """All that a function holds but its docstring."""
    return [node for part in function.body[1:] for node in ast.walk(part)]


def imports(path: Path) -> list[tuple[int, str]]:
    """Level and top-level name of everything a file imports."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name.split(".")[0]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, (node.module or "").split(".")[0]))
    return found


def test_each_schema_is_a_file_of_its_own():
    assert len(SCHEMAS) == 12
    for path in SCHEMAS:
        classes = [node for node in parse(path).body if isinstance(node, ast.ClassDef)]
        assert [ast.unparse(base) for each in classes for base in each.bases] == ["io.ComfyNode"]
        names = {function.name for function in functions(path)}
        assert {"define_schema", "execute"} <= names, path


def test_what_serves_the_schemas_knows_none_of_them():
    for path in (NODES / "hosting").glob("*.py"):
        assert "ComfyNode" not in path.read_text(encoding="utf-8"), path
        assert not [name for level, name in imports(path) if level == 2], path


@pytest.mark.parametrize("path", SCHEMAS, ids=[path.stem for path in SCHEMAS])
def test_a_schema_is_thin(path):
    for function in functions(path):
        assert isinstance(function.body[0], ast.Expr), f"{function.name} has a docstring"
        inside = below(function)
        statements = [node for node in inside if isinstance(node, ast.stmt)]
        assert len(statements) <= LONGEST_FUNCTION, function.name
        assert not [node for node in inside if isinstance(node, BLOCKS)], function.name


@pytest.mark.parametrize("path", SCHEMAS, ids=[path.stem for path in SCHEMAS])
def test_execute_computes_nothing_itself(path):
    (execute,) = (function for function in functions(path) if function.name == "execute")
    assert not [node for node in below(execute) if isinstance(node, ast.BinOp)]


def test_each_part_of_the_host_is_imported_in_one_file_only():
    for path in PARTS:
        names = {name for level, name in imports(path) if level == 0}
        place = path.relative_to(NODES).as_posix()
        assert place == "hosting/host.py" or not names & HOST_ONLY, path
        assert place == "hosting/sockets.py" or "comfy_api" not in names, path


def test_the_pack_imports_itself_relatively():
    for path in (ROOT / "__init__.py", *PARTS):
        own = {name for level, name in imports(path) if level == 0}
        assert not own & {"metastyle_core", "nodes"}, path


def test_node_classes_keep_no_state():
    for path in PARTS:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                assert getattr(node.value, "id", "") != "cls", path


def test_the_door_registers_nodes_in_one_way_only():
    text = (ROOT / "__init__.py").read_text(encoding="utf-8")
    assert "comfy_entrypoint" in text
    assert "NODE_CLASS_MAPPINGS" not in text
