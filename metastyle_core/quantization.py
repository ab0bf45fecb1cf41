"""Graphs whose convolutions compute in 8-bit integers, for CPUs: quicker, and small files.

ONNX Runtime does it: the range of what each convolution reads is noted while crops of the
photographs that ship are drawn, and kernels are scaled channel by channel. The first
convolution, which sees the picture, and the last, which draws it, stay in float32: they cost
little, and rounding them makes a third of the error.

Source: Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference.
"""

import logging
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from .content import shipped_contents
from .errors import MetaStyleError

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime.quantization import CalibrationDataReader

_PICTURES, _PICTURE_PX = 24, 256


class _Pictures:
    """Feeds of a graph, one after the other, as ONNX Runtime asks for them."""

    def __init__(self, images: Tensor) -> None:
        self._left: Iterator[Tensor] = iter(images.split(1))

    def get_next(self) -> dict[str, Any] | None:
        """The next picture, or None behind the last."""
        image = next(self._left, None)
        return None if image is None else {"image": image.numpy()}


def calibration_pictures() -> Tensor:
    """Crops of the photographs that ship, the same every time: (24, 3, 256, 256), [0, 1]."""
    return shipped_contents(_PICTURES, _PICTURE_PX, torch.Generator().manual_seed(0))


def quantized(model: "ModelProto") -> "ModelProto":
    """A graph with its convolutions in 8-bit integers.

    Args:
        model: kernels in float32; its only input is `image`, as in `export_onnx`.

    Raises:
        MetaStyleError: the package onnxruntime is not installed.
    """
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_static
    except ImportError as error:
        raise MetaStyleError(
            '8-bit integers need ONNX Runtime; install it with: pip install "metastyle[onnx]"'
        ) from error
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        plain, done = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, plain)
        quantize_static(
            plain,
            done,
            cast("CalibrationDataReader", _Pictures(calibration_pictures())),
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_ends(model),
        )
        return onnx.load(done)


def _ends(model: "ModelProto") -> list[str]:
    """Names of the first and the last convolution of a graph."""
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    return [convolutions[0], convolutions[-1]]


@contextmanager
def _without_advice() -> Generator[None]:
    """Keeps to itself what ONNX Runtime would advise to do to a graph of somebody else's."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
