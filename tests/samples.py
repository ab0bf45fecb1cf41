"""Small made-up things that many tests use."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Generator, Tensor

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import Base, load_base, save_base
from metastyle_core.encoder import EncoderSpec
from metastyle_core.network import StylizationNetwork
from metastyle_core.style import AdaptedStyle, save_style

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


def low_rank_style(base: Base, seed: int, *, rank: int = 2) -> AdaptedStyle:
    """A style of mode low_rank whose updates change something."""
    settings = AdaptationSettings(steps=0, style_size_px=64, mode="low_rank", rank=rank)
    style = adapt_to_style(base, None, [picture(64, 64, seed=seed)], settings=settings)
    generator = Generator().manual_seed(seed)
    weights = {
        name: 0.1 * torch.randn(tensor.shape, generator=generator)
        if name.endswith(".up")
        else tensor
        for name, tensor in style.fast_weights.items()
    }
    return replace(style, fast_weights=weights)


def save_small_base_and_style(folder: Path) -> None:
    """Write base.safetensors, small and untrained, and style.safetensors, a style of it."""
    save_base(folder / "base.safetensors", StylizationNetwork(channels=8, blocks=1), None, {})
    base = load_base(folder / "base.safetensors")
    settings = AdaptationSettings(steps=0, style_size_px=64, initialisation="fixed")
    style = adapt_to_style(base, None, [picture(64, 64)], settings=settings)
    save_style(style, folder / "style.safetensors")
