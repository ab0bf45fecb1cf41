"""Small made-up things that many tests use."""

import torch
from torch import Generator, Tensor

from metastyle_core.encoder import EncoderSpec

TOLERANCES = {
    torch.float64: {"rtol": 1e-9, "atol": 1e-11},
    torch.float32: {"rtol": 1e-4, "atol": 1e-5},
    torch.bfloat16: {"rtol": 0.0, "atol": 0.05},
}

TINY_SPEC = EncoderSpec(
    "tiny", ((6,), (8,)), content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1")
)


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """A smooth random picture (1, 3, height, width) in [0, 1]."""
    generator = Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 6, 6, generator=generator)
    return torch.nn.functional.interpolate(
        coarse, size=(height, width), mode="bicubic", align_corners=False
    ).clamp(0, 1)
