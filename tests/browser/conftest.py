"""Tests of this folder run with a browser, most of them before a real host.

They need `PLAYWRIGHT_CORE`, the folder of an installed `playwright-core` package; Chromium,
found by `CHROMIUM` or on the PATH; and Node.
"""

import os
import shutil
from pathlib import Path

import pytest
from host.fixtures import base_folder, comfyui, host_python, server
from host.server import HostServer

__all__ = ["base_folder", "comfyui", "host_python", "server"]


@pytest.fixture(scope="session")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node is not installed: nothing of the browser side was tried.")
    return found


@pytest.fixture(scope="session")
def playwright() -> str:
    named = os.environ.get("PLAYWRIGHT_CORE")
    if not named:
        pytest.skip(
            "PLAYWRIGHT_CORE is not set: nothing was tried in a browser. Run `npm install "
            "playwright-core` somewhere and name its folder in node_modules."
        )
    assert (Path(named) / "index.mjs").is_file(), f"{named} is no playwright-core package."
    return named


@pytest.fixture(scope="session")
def chromium() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("Chromium was not found: install it, or name it in CHROMIUM.")
    return found


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where pictures of the page go: `BROWSER_SHOTS`, or a temporary folder."""
    folder = Path(os.environ.get("BROWSER_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(params=["classic", "vue"])
def renderer(request: pytest.FixtureRequest, server: HostServer) -> str:
    """Either of the host's renderers; the new one where it is more than an early trial."""
    version = server.ask("/system_stats").json["system"]["comfyui_version"]
    if request.param == "vue" and tuple(int(part) for part in version.split(".")[:2]) < (0, 14):
        pytest.skip("This host's frontend has the new renderer only as an early trial.")
    return request.param
