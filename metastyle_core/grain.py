"""Grain: smooth noise added to what the network reads, from which it makes strokes.

In a flat area the network has nothing to start from and repeats one pattern; a faint
aperiodic relief gives it places to put strokes at. Training draws with it too, so that
faces stay clean and skies do not.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Generator, Tensor

# Strength 1: the standard deviation of the noise that training goes up to.
FULL_GRAIN = 20 / 255
_CELLS_PX = (4.0, 8.0, 16.0)


def smooth_noise(
    height: int,
    width: int,
    cell_px: float,
    generator: Generator,
    device: torch.device | None = None,
) -> Tensor:
    """Noise of zero mean and unit deviation that is smooth below a size.

    Args:
        height: in pixels.
        width: in pixels.
        cell_px: distance of the random values that are interpolated, 1 up.
        generator: on the CPU, the only source of chance.
        device: where to interpolate; the CPU when left out.

    Returns:
        (1, 1, height, width), float32, on that device.
    """
    rows, columns = (math.ceil(side / cell_px) + 3 for side in (height, width))
    values = torch.randn(1, 1, rows, columns, generator=generator).to(device)
    size = (round(rows * cell_px), round(columns * cell_px))
    field = F.interpolate(values, size, mode="bicubic", align_corners=False)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return (field / field.std())[..., top : top + height, left : left + width]


def grain_relief(height: int, width: int, seed: int) -> Tensor:
    """The grain of a picture at strength 1: noise of cells of 4, 8 and 16 px, added up.

    It depends on the size and the seed alone, so that all frames of a clip have the same.

    Args:
        height: in pixels.
        width: in pixels.
        seed: 0 up.

    Returns:
        (1, 1, height, width), float32, on the CPU, to be added to pictures in [0, 1].
    """
    generator = Generator().manual_seed(seed)
    layers = [smooth_noise(height, width, cell, generator) for cell in _CELLS_PX]
    return torch.stack(layers).sum(0) * (FULL_GRAIN / len(layers) ** 0.5)
