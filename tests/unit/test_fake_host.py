"""The fake host offers what `typings/` says of the real one, no name or argument more or less."""

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest
from unit.fake_host import ROOT, FakeHost

STUBS = {
    path.relative_to(ROOT / "typings").with_suffix("").as_posix().removesuffix("/__init__"): path
    for path in sorted((ROOT / "typings").rglob("*.pyi"))
    if path.stat().st_size
}
MODULES = FakeHost(Path("nowhere")).modules(old=False)


def module_of(stub: str) -> ModuleType:
    return MODULES[stub.replace("/", ".")]


def parse(stub: str) -> ast.Module:
    return ast.parse(STUBS[stub].read_text(encoding="utf-8"))


def names_of(node: ast.stmt) -> list[str]:
    """What a statement of a stub defines or hands on."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return [node.name]
    if isinstance(node, ast.AnnAssign | ast.Assign):
        targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
        return [target.id for target in targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname for alias in node.names if alias.asname]
    return []


def functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Dotted name and definition of every public function of a stub."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from functions(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node


def signature_of(node: ast.FunctionDef) -> inspect.Signature:
    """A stub's signature without annotations, and without `cls`, as it is called."""
    places, free = node.args.args, node.args.kwonlyargs
    defaults = [None] * (len(places) - len(node.args.defaults)) + node.args.defaults
    rows = [
        *((each, inspect.Parameter.POSITIONAL_OR_KEYWORD, d)
          for each, d in zip(places, defaults, strict=True)),
        *([(node.args.vararg, inspect.Parameter.VAR_POSITIONAL, None)] if node.args.vararg else []),
        *((each, inspect.Parameter.KEYWORD_ONLY, d)
          for each, d in zip(free, node.args.kw_defaults, strict=True)),
    ]  # fmt: skip
    empty = inspect.Parameter.empty
    return inspect.Signature(
        inspect.Parameter(each.arg, kind, default=ast.literal_eval(d) if d else empty)
        for each, kind, d in rows
        if each.arg != "cls" or kind is inspect.Parameter.KEYWORD_ONLY
    )


FUNCTIONS = [
    pytest.param(stub, name, node, id=f"{stub}:{name}")
    for stub in STUBS
    for name, node in functions(parse(stub).body)
]


@pytest.mark.parametrize("stub", STUBS)
def test_names_are_the_same(stub):
    described = {name for node in parse(stub).body for name in names_of(node)}
    offered = {name for name in vars(module_of(stub)) if not name.startswith("_")}
    assert {name for name in described if not name.startswith("_")} == offered


@pytest.mark.parametrize(("stub", "name", "node"), FUNCTIONS)
def test_arguments_are_the_same(stub, name, node):
    """Each argument has its place, its kind and, where it may be left out, its default."""
    described = signature_of(node)
    offered = inspect.signature(attrgetter(name)(module_of(stub)))
    takes_any = any(p.kind is p.VAR_KEYWORD for p in offered.parameters.values())
    for given in offered.parameters.values():
        if given.kind is not given.VAR_KEYWORD:
            wanted = described.parameters[given.name]
            assert (given.kind, given.default) == (wanted.kind, wanted.default), given.name
    assert takes_any or list(offered.parameters) == list(described.parameters)


def test_a_schema_has_the_same_fields():
    schema = next(
        node for node in parse("comfy_api/latest/io").body if names_of(node) == ["Schema"]
    )
    fields = dataclasses.fields(MODULES["comfy_api.latest.io"].Schema)
    assert [name for node in schema.body for name in names_of(node)] == [f.name for f in fields]
