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


def wrapping_noise(height: int, width: int, cell_px: float, generator: Generator) -> Tensor:
    """As `smooth_noise`, but what leaves at one edge comes in at the other, on the CPU.

    Cells are as near to `cell_px` as a whole number of them allows, two at least.
    """
    rows, columns = (max(2, round(side / cell_px)) for side in (height, width))
    values = torch.randn(1, 1, rows, columns, generator=generator)
    field = _stretch_round(_stretch_round(values, height).mT, width).mT
    return field / field.std()


def _stretch_round(values: Tensor, length: int) -> Tensor:
    """Interpolate the rows of (1, 1, H, W) to so many, as a circle: the middle of three turns."""
    turns = values.repeat(1, 1, 3, 1)
    size = (3 * length, values.shape[-1])
    field = F.interpolate(turns, size, mode="bicubic", align_corners=False)
    return field[:, :, length : 2 * length]


def grain_relief(height: int, width: int, seed: int, *, wrapping: bool = False) -> Tensor:
    """The grain of a picture at strength 1: noise of cells of 4, 8 and 16 px, added up.

    It depends on the size and the seed alone, so that all frames of a clip have the same.

    Args:
        height: in pixels.
        width: in pixels.
        seed: 0 up.
        wrapping: whether opposite edges join.

    Returns:
        (1, 1, height, width), float32, on the CPU, to be added to pictures in [0, 1].
    """
    generator = Generator().manual_seed(seed)
    noise = wrapping_noise if wrapping else smooth_noise
    layers = [noise(height, width, cell, generator) for cell in _CELLS_PX]
    return torch.stack(layers).sum(0) * (FULL_GRAIN / len(layers) ** 0.5)
