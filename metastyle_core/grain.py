"""Grain: what the touches of a brush are made from (see `touches`), a relief of four channels.

Two are noises, for which touch lies on which and for their tones; two are the way touches go where
the picture has no forms, as cosine and sine of twice its angle. That way sways to both sides of one
direction, as strokes in a sky do; level lines of noise would close around its hills and look like
fingerprints.

How strong their tones are is what is called grain. In a flat area the network has nothing to start
from and repeats one pattern; faint aperiodic strokes give it something to paint. Training draws
with them too, so that faces stay clean and skies do not.
"""

import math
from functools import lru_cache

import torch
from torch import Generator, Tensor

from .precision import autocast
from .rows import Rows, resampled, rows_of, strips_of

# Strength 1: the standard deviation of the tones that training goes up to.
FULL_GRAIN = 20 / 255
# Of stills, where nobody says otherwise: skies get strokes, faces stay.
USUAL_GRAIN = 0.5
# Where touches lead by themselves, as those of a right hand do; level ones look like bricks. The
# angle, in radians downwards, sways over cells of a third of the short side by this deviation.
_LEAN, _SWAY_CELLS, _SWAY = -0.45, 3, 0.5
_STRIP_ROWS = 64  # of which the noises are drawn and the deviation of the angle is found
_MOST_KEPT_PX = 2**21  # of a relief that waits for the next frame: Full HD, 34 MB


def smooth_noise(
    height: int,
    width: int,
    cell_px: float,
    generator: Generator,
    device: torch.device | None = None,
) -> Tensor:
    """Noise of zero mean and unit deviation, smooth below a size.

    Args:
        height: in pixels.
        width: in pixels.
        cell_px: the distance of the random values that are interpolated, 1 up.
        generator: on the CPU, the only source of chance.
        device: where to interpolate; the CPU when left out.

    Returns:
        (1, 1, height, width), float32, on that device.
    """
    rows, columns = (math.ceil(side / cell_px) + 3 for side in (height, width))
    values = torch.randn(rows, columns, generator=generator).to(device)
    down, across = (
        _cubic(side, count, cell_px, values.device)
        for side, count in ((height, rows), (width, columns))
    )
    with autocast("fp32", values.device):
        field = down @ values @ across.mT
    return (field / field.std())[None, None]


def _cubic(side_px: int, count: int, cell_px: float, device: torch.device) -> Tensor:
    """A matrix (side_px, count) from so many values at a distance of a cell to pixels.

    Pixels lie around the middle, so that none misses a neighbour; the kernel is that of
    bicubic enlargement.
    """
    before = (round(count * cell_px) - side_px) // 2
    places = torch.arange(side_px, device=device)[:, None] + 0.5 + before
    away = (places / cell_px - 0.5 - torch.arange(count, device=device)).abs()
    near = (1.25 * away - 2.25) * away.square() + 1
    far = -0.75 * (((away - 5) * away + 8) * away - 4)
    return torch.where(away <= 1, near, torch.where(away < 2, far, 0.0))


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
        (1, 4, height, width), float32, on that device.
    """
    noises = torch.randn(1, 2, height, width, generator=generator).to(device)
    sway = smooth_noise(height, width, _sway_cell(height, width), generator, device)
    return _relief(noises, sway)


def turned_relief(relief: Tensor, turns: Tensor) -> Tensor:
    """Let strokes sway about other directions.

    A network that is to learn from strokes is not to learn from which way they lie.

    Args:
        relief: (B, 4, H, W), as `drawn_relief` gives it.
        turns: (B,), of the direction of each, in radians, clockwise.

    Returns:
        (B, 4, H, W): the same noises.
    """
    noises, cosine, sine = relief.split([2, 1, 1], dim=1)
    across, down = ((2 * turns).cos().view(-1, 1, 1, 1), (2 * turns).sin().view(-1, 1, 1, 1))
    return torch.cat([noises, across * cosine - down * sine, across * sine + down * cosine], dim=1)


def _sway_cell(height: int, width: int) -> float:
    """Of the noise of the angle, in pixels."""
    return min(height, width) / _SWAY_CELLS


def _relief(noises: Tensor, sway: Tensor) -> Tensor:
    """The relief (1, 4, H, W) of noises (1, 2, H, W) and that of the angle, of unit deviation."""
    twice = 2 * (_LEAN + _SWAY * sway)
    return torch.cat([FULL_GRAIN * noises, twice.cos(), twice.sin()], dim=1)


def relief_rows(height: int, width: int, seed: int, *, wrapping: bool = False) -> Rows:
    """The rows of `grain_relief`, made as they are read."""
    generator = Generator().manual_seed(seed)
    make = _wrapping_noise if wrapping else _noise
    sway = make(height, width, _sway_cell(height, width), generator)
    noises = _white_noises(height, width, generator)

    def read(first: int, last: int) -> Tensor:
        return _relief(noises.read(first, last), sway.read(first, last))

    return Rows(height, read)


def _white_noises(height: int, width: int, generator: Generator) -> Rows:
    """The rows of two noises of unit deviation, strip by strip from a seed of its own."""
    seeds = torch.randint(2**62, (math.ceil(height / _STRIP_ROWS),), generator=generator).tolist()

    def read(first: int, last: int) -> Tensor:
        top = first - first % _STRIP_ROWS
        strips = [
            torch.randn(1, 2, _STRIP_ROWS, width, generator=Generator().manual_seed(seed))
            for seed in seeds[first // _STRIP_ROWS : math.ceil(last / _STRIP_ROWS)]
        ]
        return torch.cat(strips, dim=2)[..., first - top : last - top, :]

    return Rows(height, read)


def _noise(height: int, width: int, cell_px: float, generator: Generator) -> Rows:
    """The rows of `smooth_noise`."""
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
    """The relief that the touches of a picture are made from, with tones of strength 1.

    It depends on the size and the seed alone, so that all frames of a clip have the same.

    Args:
        height: in pixels.
        width: in pixels.
        seed: 0 up.
        wrapping: whether opposite edges join.

    Returns:
        (1, 4, height, width), float32, on the CPU, for `in_touches`. One of
        up to two megapixels is kept for the next call: do not change it in place.
    """
    make = _kept_relief if height * width <= _MOST_KEPT_PX else _whole_relief
    return make(height, width, seed, wrapping)


def _whole_relief(height: int, width: int, seed: int, wrapping: bool) -> Tensor:
    return relief_rows(height, width, seed, wrapping=wrapping).read(0, height)


_kept_relief = lru_cache(maxsize=1)(_whole_relief)  # pictures of one size follow one another
