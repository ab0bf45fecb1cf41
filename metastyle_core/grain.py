"""Grain: smooth noise that the network reads with a picture, and makes strokes from.

In a flat area the network has nothing to start from and repeats one pattern; a faint
aperiodic relief, drawn out along the forms of the picture (see `flow`), gives it strokes to
paint. Training draws with it too, so that faces stay clean and skies do not.

A relief has three channels: the noise, and the way it is drawn out along where the picture has
no forms, as cosine and sine of twice its angle. That way sways to both sides of one direction, as
strokes in a sky do; level lines of noise would close around its hills and look like fingerprints.
"""

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Generator, Tensor

from .precision import autocast
from .rows import Rows, resampled, rows_of, strips_of

# Strength 1: the standard deviation of the noise that training goes up to.
FULL_GRAIN = 20 / 255
# Of stills, where nobody says otherwise: skies get strokes, faces stay.
USUAL_GRAIN = 0.5
# How much of the strokes that a network reads counts as content when it learns: keeping them
# costs what leaving them out does, and the style decides.
FREE_STROKES = 0.5
_CELLS_PX = (1.0, 2.0, 4.0, 8.0)
# The angle sways over cells of a third of the short side, by this deviation in radians.
_SWAY_CELLS, _SWAY = 3, 0.5
# Of the noise of each cell: broad touches, for fine ones that are drawn out look like combed hair.
# Their sum, drawn out, has about this deviation, whatever the photograph.
_WEIGHTS = (0.15, 0.3, 0.35, 0.3)
_DRAWN_OUT = 0.23
_STRIP_ROWS = 64  # of which the deviation is found
_MOST_KEPT_PX = 2**21  # of a relief that waits for the next frame: Full HD, 25 MB


def smooth_noise(
    height: int,
    width: int,
    cells_px: Sequence[float],
    generator: Generator,
    device: torch.device | None = None,
) -> Tensor:
    """Noises of zero mean and unit deviation, each smooth below a size, made all at once.

    Args:
        height: in pixels.
        width: in pixels.
        cells_px: of each, the distance of the random values that are interpolated, 1 up.
        generator: on the CPU, the only source of chance.
        device: where to interpolate; the CPU when left out.

    Returns:
        (len(cells_px), 1, height, width), float32, on that device.
    """
    grids = [[math.ceil(side / cell) + 3 for side in (height, width)] for cell in cells_px]
    counts = [rows * columns for rows, columns in grids]
    values = torch.randn(sum(counts), generator=generator)
    starts = [end - count for end, count in zip(itertools.accumulate(counts), counts, strict=True)]
    table = torch.tensor([[*grid, start] for grid, start in zip(grids, starts, strict=True)])
    rows, columns, first = table.to(device)[..., None, None].unbind(1)
    cells = torch.tensor(cells_px).to(device)[:, None, None]
    down, across = (
        _cubic(side, n, cells, max(grid[axis] for grid in grids))
        for axis, (side, n) in enumerate(((height, rows), (width, columns)))
    )
    row = torch.arange(down.shape[-1], device=device)[:, None].minimum(rows - 1)
    column = torch.arange(across.shape[-1], device=device).minimum(columns - 1)
    with autocast("fp32", rows.device):
        fields = down @ values.to(device)[first + row * columns + column] @ across.mT
    return (fields / fields.std((1, 2), keepdim=True))[:, None]


def _cubic(side_px: int, counts: Tensor, cells: Tensor, most: int) -> Tensor:
    """Matrices (B, side_px, most) from so many values at a distance of a cell to pixels.

    Pixels lie around the middle, so that none misses a neighbour; the kernel is that of
    bicubic enlargement.
    """
    before = ((counts * cells).round() - side_px).div(2, rounding_mode="floor")
    places = torch.arange(side_px, device=counts.device)[:, None] + 0.5 + before
    position = places / cells - 0.5
    away = (position - torch.arange(most, device=counts.device)).abs()
    near = (1.25 * away - 2.25) * away.square() + 1
    far = -0.75 * (((away - 5) * away + 8) * away - 4)
    weights = torch.where(away <= 1, near, torch.where(away < 2, far, 0.0))
    return weights * (torch.arange(most, device=counts.device) < counts)


def drawn_relief(
    height: int, width: int, generator: Generator, device: torch.device | None = None
) -> Tensor:
    """A relief such as `grain_relief` gives, made on a device for training.

    Args:
        height: in pixels.
        width: in pixels.
        generator: on the CPU, the only source of chance.
        device: where to make it; the CPU when left out.

    Returns:
        (1, 3, height, width), float32, on that device.
    """
    fields = smooth_noise(height, width, _cells(height, width), generator, device)
    return _relief(fields)


def turned_relief(relief: Tensor, turns: Tensor) -> Tensor:
    """Let strokes sway about other directions than the horizontal.

    A network that is to learn from strokes is not to learn from which way they lie.

    Args:
        relief: (B, 3, H, W), as `drawn_relief` gives it.
        turns: (B,), of the direction of each, in radians, clockwise.

    Returns:
        (B, 3, H, W): the same noise.
    """
    noise, cosine, sine = relief.split(1, dim=1)
    across, down = ((2 * turns).cos().view(-1, 1, 1, 1), (2 * turns).sin().view(-1, 1, 1, 1))
    return torch.cat([noise, across * cosine - down * sine, across * sine + down * cosine], dim=1)


def _cells(height: int, width: int) -> tuple[float, ...]:
    """Of the noises of a relief, and last of its angle, in pixels."""
    return (*_CELLS_PX, min(height, width) / _SWAY_CELLS)


def _relief(fields: Tensor) -> Tensor:
    """The relief (1, 3, H, W) of noises of unit deviation (N, 1, H, W), the last of the angle."""
    weights = torch.tensor(_WEIGHTS).to(fields)[:, None, None, None]
    noise = FULL_GRAIN / _DRAWN_OUT * (weights * fields[:-1]).sum(0)
    twice = 2 * _SWAY * fields[-1]
    return torch.stack([noise, twice.cos(), twice.sin()], dim=1)


def relief_rows(height: int, width: int, seed: int, *, wrapping: bool = False) -> Rows:
    """The rows of `grain_relief`, made as they are read."""
    generator = Generator().manual_seed(seed)
    noise = _wrapping_noise if wrapping else _noise
    layers = [noise(height, width, cell, generator) for cell in _cells(height, width)]

    def read(first: int, last: int) -> Tensor:
        return _relief(torch.cat([layer.read(first, last) for layer in layers]))

    return Rows(height, read)


def _noise(height: int, width: int, cell_px: float, generator: Generator) -> Rows:
    """The rows of one `smooth_noise`."""
    rows, columns = (math.ceil(side / cell_px) + 3 for side in (height, width))
    values = torch.randn(1, 1, rows, columns, generator=generator)
    size = (round(rows * cell_px), round(columns * cell_px))
    field = _of_unit_deviation(resampled(rows_of(values), columns, size, "cubic"))
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return Rows(height, lambda a, b: field.read(top + a, top + b)[..., left : left + width])


def _wrapping_noise(height: int, width: int, cell_px: float, generator: Generator) -> Rows:
    """As `_noise`, but what leaves at one edge comes in at the other.

    Cells are as near to `cell_px` as a whole number of them allows, two at least.
    """
    rows, columns = (max(2, round(side / cell_px)) for side in (height, width))
    values = torch.randn(1, 1, rows, columns, generator=generator)
    field = resampled(rows_of(values), columns, (height, width), "cubic", (True, True))
    return _of_unit_deviation(field)


def _of_unit_deviation(field: Rows) -> Rows:
    count, total, squares = 0, 0.0, 0.0
    for first, last in strips_of(field.height, _STRIP_ROWS):
        strip = field.read(first, last).double()
        count += strip.numel()
        total += float(strip.sum())
        squares += float(strip.square().sum())
    deviation = math.sqrt((squares - total**2 / count) / (count - 1))
    return field.map(lambda rows: rows / deviation)


def grain_relief(height: int, width: int, seed: int, *, wrapping: bool = False) -> Tensor:
    """The grain of a picture at strength 1: noise of cells of 1 to 8 px, and its ways.

    It depends on the size and the seed alone, so that all frames of a clip have the same.

    Args:
        height: in pixels.
        width: in pixels.
        seed: 0 up.
        wrapping: whether opposite edges join.

    Returns:
        (1, 3, height, width), float32, on the CPU, for `StylizationNetwork.with_grain`. One of
        up to two megapixels is kept for the next call: do not change it in place.
    """
    make = _kept_relief if height * width <= _MOST_KEPT_PX else _whole_relief
    return make(height, width, seed, wrapping)


def _whole_relief(height: int, width: int, seed: int, wrapping: bool) -> Tensor:
    return relief_rows(height, width, seed, wrapping=wrapping).read(0, height)


_kept_relief = lru_cache(maxsize=1)(_whole_relief)  # pictures of one size follow one another
