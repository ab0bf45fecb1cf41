"""Run the tests of the host on ComfyUI as it was, as it is, or as it is tonight.

    make host COMFYUI_PATH=/path/to/ComfyUI COMFYUI_PYTHON=/path/to/its/python REFS="v0.14.0 HEAD"

Each commit is tried in a copy of its own; the checkout stays as it is. Without any, the checkout
itself is tried, with what is not committed in it.
"""

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try each commit that the command line names; 1 when the tests failed on any."""
    parser = argparse.ArgumentParser(description="Run the tests of the host on several ComfyUIs.")
    parser.add_argument("comfyui", type=Path, help="a checkout")
    parser.add_argument("refs", nargs="*", help="tags, branches or commits of it")
    parser.add_argument("--fetch", action="store_true", help="ask its remotes for news first")
    parser.add_argument("--tests", default="tests/host", help="what to run")
    given = parser.parse_args(arguments)
    if given.fetch:
        _git(given.comfyui, "fetch", "--all", "--tags", "--quiet")
    passed = {ref: _passes_at(given.comfyui, ref, given.tests) for ref in given.refs}
    if not given.refs:
        passed["as it is"] = _passes(given.comfyui, given.tests)
    for ref, good in passed.items():
        sys.stdout.write(f"{'passed' if good else 'FAILED'}: {given.comfyui} {ref}\n")
    return 0 if all(passed.values()) else 1


def _passes_at(comfyui: Path, ref: str, tests: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        copy_commit(comfyui, ref, Path(folder))
        return _passes(Path(folder), tests)


def _passes(comfyui: Path, tests: str) -> bool:
    environment = os.environ | {"COMFYUI_PATH": str(comfyui)}
    command = [sys.executable, "-m", "pytest", tests]
    return subprocess.run(command, cwd=_ROOT, env=environment, check=False).returncode == 0  # noqa: S603


def copy_commit(checkout: Path, ref: str, folder: Path) -> None:
    """Put the files of one commit of a checkout into a folder.

    Raises:
        CalledProcessError: there is no such commit.
    """
    with tarfile.open(fileobj=io.BytesIO(_git(checkout, "archive", ref))) as archive:
        archive.extractall(folder, filter="data")


def _git(checkout: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
