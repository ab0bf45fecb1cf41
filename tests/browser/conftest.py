"""Tests of this folder run with a browser, most of them before a real host.

They need `PLAYWRIGHT_CORE`, the folder of an installed `playwright-core` package; Chromium,
found by `CHROMIUM` or on the PATH; and Node.
"""

import os
import shutil
from pathlib import Path

import pytest
from host.fixtures import base_folder, comfyui, host_python, server

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
