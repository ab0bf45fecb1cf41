"""The page of `docs/browser` in a real Chromium: a photograph, a camera, and what goes wrong.

Needs, beside what the fixtures of this folder look for, `ONNXRUNTIME_WEB`: the folder `dist` of
an unpacked `onnxruntime-web` package.
"""

import base64
import functools
import http.server
import io
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from samples import picture

from metastyle_core.base import load_base
from metastyle_core.images import load_image, save_image
from metastyle_core.presets import load_preset, preset_paths
from metastyle_core.stylization import stylize

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "browser" / "index.html"
LIMIT_S = 300


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The page with a style, a photograph and the runtime beside it, served."""
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    from metastyle_core.export import export_onnx

    runtime = os.environ.get("ONNXRUNTIME_WEB")
    if not runtime:
        pytest.skip(
            "ONNXRUNTIME_WEB is not set: the page was not tried. Run `npm pack onnxruntime-web`, "
            "unpack it, and name its folder dist."
        )
    folder = tmp_path / "site"
    folder.mkdir()
    shutil.copy(PAGE, folder)
    (folder / "ort").symlink_to(Path(runtime).resolve(), target_is_directory=True)
    save_image(picture(96, 131, seed=4)[0], folder / "photo.png")
    style = load_preset(min(preset_paths()))
    export_onnx(load_base(), style, folder / "style.onnx", strength=True, half=True)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def pixels_of(address: str) -> np.ndarray:
    """The pixels (H, W, 3) of a picture that is an address."""
    data = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def quantised(images: torch.Tensor) -> np.ndarray:
    return images[0].movedim(0, -1).mul(255).round().numpy().astype(int)


def test_a_photograph_and_a_camera(
    site: str, node: str, playwright: str, chromium: str, tmp_path: Path
):
    shots = Path(os.environ.get("BROWSER_SHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    task = {"url": site, "chromium": chromium, "playwright": playwright, "shots": str(shots)}
    done = subprocess.run(
        [node, str(HERE / "page.mjs"), json.dumps(task)],
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    photo = load_image(tmp_path / "site" / "photo.png").pixels[None]
    ours = stylize(load_base(), load_preset(min(preset_paths())), photo, precision="fp32")
    assert np.abs(pixels_of(seen["photo"]) - quantised(ours)).max() <= 1
    assert np.abs(pixels_of(seen["asItWas"]) - quantised(photo)).max() == 0
    assert seen["status"].startswith("131x96 px in ")
    assert min(seen["camera"]) == 96
    assert "torn.png cannot be read" in seen["torn"]
    assert "onnxruntime-web cannot be loaded" in seen["noRuntime"]
    assert seen["problems"] == []
