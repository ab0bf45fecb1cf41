"""Change one module in all small ways, one at a time, and say which changes no test noticed.

    make mutate MODULE=metastyle_core/low_rank.py

The tests that run are the files that import the module, or those named behind it. mutmut does
the work: it forks for every change, so that PyTorch is imported once, where cosmic-ray starts an
interpreter for each. It works on a copy of the checkout under output/. It leaves decorated
functions, defaults of dataclasses and constants as they are: change those by hand.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_COPIED = ("metastyle_core", "nodes", "tools", "benchmarks", "tests", "typings", "__init__.py")
_BESIDE = ("pyproject.toml", "README.md", "LICENSE")
_SURVIVED = re.compile(r"^\s*(\S+): (survived|no tests|timeout|suspicious)$", re.MULTILINE)


def main() -> None:
    """Mutate the module that the command line names."""
    parser = argparse.ArgumentParser(description="Mutation-test one module of the core.")
    parser.add_argument("module", type=Path, help="such as metastyle_core/low_rank.py")
    parser.add_argument("tests", type=Path, nargs="*", help="files to run, found when left out")
    arguments = parser.parse_args()
    tests = [str(path) for path in arguments.tests] or tests_of(arguments.module)
    if not tests:
        parser.error(f"no test imports {arguments.module}; name test files behind it")
    copy = _copy_of_the_checkout(arguments.module, tests)
    mutmut = [sys.executable, "-m", "mutmut"]
    code = subprocess.run([*mutmut, "run"], cwd=copy, check=False).returncode  # noqa: S603
    found = subprocess.run(  # noqa: S603
        [*mutmut, "results"], cwd=copy, check=True, capture_output=True, text=True
    ).stdout
    for name, fate in _SURVIVED.findall(found):
        change = subprocess.run(  # noqa: S603
            [*mutmut, "show", name], cwd=copy, check=True, capture_output=True, text=True
        ).stdout
        sys.stdout.write(f"\n{fate}\n{change}")
    sys.exit(code)


def tests_of(module: Path) -> list[str]:
    """Test files, without those that need a host or a browser, that import a module by name."""
    dotted = ".".join(module.with_suffix("").parts)
    package, _, name = dotted.rpartition(".")
    wanted = re.compile(
        rf"(from|import) {re.escape(dotted)}\b|from {re.escape(package)} import .*\b{name}\b"
    )
    files = sorted(p for part in ("numerics", "unit") for p in _ROOT.glob(f"tests/{part}/*.py"))
    return [str(p.relative_to(_ROOT)) for p in files if wanted.search(p.read_text("utf-8"))]


def _copy_of_the_checkout(module: Path, tests: list[str]) -> Path:
    copy = _ROOT / "output" / "mutation"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in (*_COPIED, *_BESIDE):
        source = _ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    with (copy / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(_settings(module, tests))
    return copy


def _settings(module: Path, tests: list[str]) -> str:
    lines = {
        "source_paths": ["metastyle_core"],
        "only_mutate": [module.as_posix()],
        "pytest_add_cli_args_test_selection": tests,
        "pytest_add_cli_args": ["-x", "-q", "-p", "no:cacheprovider"],
        "also_copy": [name for name in _COPIED if name != "metastyle_core"],
    }
    return "\n[tool.mutmut]\n" + "".join(f"{key} = {value!r}\n" for key, value in lines.items())


if __name__ == "__main__":
    main()
