"""The browser side on a real host in a real Chromium, and what of it runs in Node alone.

Needs, beside what `tests/host` needs, what the fixtures of this folder look for.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from host.server import HostServer

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_workflows"
ARTWORK = HERE.parents[1] / "metastyle_core" / "artwork"
STEPS = 20
LIMIT_S = 420


def test_the_scripts_without_a_browser(node: str):
    done = subprocess.run(
        [node, "--test", *map(str, HERE.glob("*.test.mjs"))],
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.browser
def test_a_first_hour(
    server: HostServer, node: str, playwright: str, chromium: str, shots: Path, renderer: str
):
    """Adapt, watch, save, find it in the gallery, use it, reload: everything is still there."""
    task = {
        "url": f"http://127.0.0.1:{server.port}/",
        "chromium": chromium,
        "playwright": playwright,
        "workflow": str(min(EXAMPLES.glob("*.json"))),
        "pictures": _provided_pictures(server),
        "renderer": renderer,
        "shots": str(shots),
    }
    done = subprocess.run(
        [node, str(HERE / "flow.mjs"), json.dumps(task)],
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["curve"] == STEPS
    assert seen["curveAfterReload"] == seen["curve"]
    assert seen["loadersAdded"] == 2
    assert seen["loaded"] == [f"browser/{renderer}_second"] * 2
    assert seen["nodesAfterReload"] == seen["nodesBeforeReload"]
    assert seen["problems"] == []


def _provided_pictures(server: HostServer) -> dict[str, str]:
    """Our own painting and scene in the host's input folder; input of a node to file."""
    pictures = {
        "MetaStyleAdaptToStyle.style_images": "style.webp",
        "MetaStyleStylize.images": "scene.webp",
    }
    for name in pictures.values():
        shutil.copy(ARTWORK / name, server.base / "input" / name)
    shutil.copy(ARTWORK / "scene.webp", server.base / "input" / "example.png")
    return pictures
