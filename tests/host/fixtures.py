"""A real host for tests, started once per folder. Without one they skip and say so."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from host.server import HostServer
from samples import picture

from metastyle_core.images import save_image

SIDE_PX = 128
MEASURED = pytest.StashKey[dict[str, str]]()


@pytest.fixture(scope="session")
def comfyui() -> Path:
    named = os.environ.get("COMFYUI_PATH")
    if not named:
        pytest.skip(
            "COMFYUI_PATH is not set: nothing was tried on a real host. Name a ComfyUI checkout, "
            "and with COMFYUI_PYTHON the interpreter that has its requirements."
        )
    path = Path(named)
    assert (path / "main.py").is_file(), f"COMFYUI_PATH is {path}, which is no ComfyUI checkout."
    return path


@pytest.fixture(scope="session")
def host_python() -> str:
    return os.environ.get("COMFYUI_PYTHON", sys.executable)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, input and output of the host, with a few small pictures in input."""
    base = tmp_path_factory.mktemp("host")
    for seed, name in enumerate(("painting.png", "photo.png")):
        save_image(picture(SIDE_PX, SIDE_PX, seed=seed), base / "input" / name)
    return base


@pytest.fixture(scope="session")
def server(comfyui: Path, host_python: str, base_folder: Path) -> Iterator[HostServer]:
    running = HostServer(comfyui, host_python, base_folder).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def measured(pytestconfig: pytest.Config) -> dict[str, str]:
    """Numbers worth telling; they are printed when the tests have ended."""
    return pytestconfig.stash.setdefault(MEASURED, {})
