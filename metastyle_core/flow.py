"""Flow: touches of a brush along the forms of a picture.

A painter's strokes follow outlines, hair and folds, and sweep where there is nothing to follow. A
network of small kernels sees too little at once to know where a line goes on, so what it reads as
grain are strokes already: touches of one tone each, along the edges of the photograph, and where it
has none along ways that come with it. Where touches overlap, one lies on top.

Source: the orientation in double angles of Bigun and Granlund 1987; touches as the dead leaves of
Matheron 1968, of which the topmost has the highest of random orders within its reach: a maximum,
found in a few passes, each of which reaches further than those before.
"""

from functools import reduce

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from .borders import Seamless, wraps
from .images import luminance
from .precision import autocast

# What lies further from a place than this does not change what is drawn there. It is even, as
# first rows and columns must be for the same blocks.
REACH_PX = 40
# Of broad and of fine touches: their share, the radius of the brush, and how far each pass along
# the forms reaches to both sides.
_TOUCHES = ((0.8, 4, (1.0, 2.0, 4.0, 8.0)), (0.6, 2, (1.0, 2.0, 4.0)))
# Rims of touches as soft as this; hard ones look like tiles.
_SOFT = (0.25, 0.5, 0.25)
# What is left of the deviation of the noises.
_LEFT = 0.92
# More would leave the caches of a processor.
_PIXELS_AT_ONCE = 2**19
# Forms are sought at half the size. Twice a mean over so many pixels there is about a Gaussian of
# 5.7 px.
_SHRINK, _FORM_PX = 2, 7
# The squared slope of the luminance, per pixel, at which edges and free ways count alike: 2.5
# levels of 255. Hair and folds have more. The soft shapes of a blurred background, which strokes
# would follow like the grain of wood, and what compression leaves in a sky have less.
_FAINT = 1e-4
_TINY = 1e-20


def along_forms(pictures: Tensor, relief: Tensor, seamless: Seamless = "none") -> Tensor:
    """Lay touches of a brush along the forms of pictures.

    Args:
        pictures: (B, 3, H, W), [0, 1].
        relief: (B, 4, H, W) or (1, 4, H, W), on their device: two noises of zero mean, and the way
            touches go where there are no edges: cosine and sine of twice its angle from the
            horizontal, downwards. The first noise says which broad touch lies on which and has the
            tones of the fine ones, the second the reverse.
        seamless: axes along which both wrap; those sides must be even.

    Returns:
        (B, 1, H, W), float32, as strong as the noises and of about their deviation. No gradients.
    """
    height, width = pictures.shape[-2:]
    top, left = (REACH_PX if wraps(seamless, axis) else 0 for axis in ("y", "x"))
    with torch.no_grad(), autocast("fp32", pictures.device):
        seen, wide = (wrapped_round(v.float(), top, left) for v in (pictures, relief))
        rows = max(8 * REACH_PX, _PIXELS_AT_ONCE // (2 * seen.shape[-1]) * 2)
        laid: list[Tensor] = []
        for first in range(0, seen.shape[-2], rows):
            before = max(0, first - REACH_PX)
            part = (..., slice(before, first + rows + REACH_PX), slice(None))
            laid.append(_laid(seen[part], wide[part])[..., first - before :, :][..., :rows, :])
        return torch.cat(laid, dim=-2)[..., top : top + height, left : left + width]


def _laid(pictures: Tensor, relief: Tensor) -> Tensor:
    """`along_forms` of pictures that do not wrap, all at once."""
    noises, ways = relief.split(2, dim=1)
    way = torch.cat(_directions(pictures, ways), dim=1)
    laid = torch.zeros_like(pictures[:, :1])
    for leaves, (share, radius, reaches) in zip((noises, noises.flip(1)), _TOUCHES, strict=True):
        drawn = _tips(leaves, radius).expand(len(pictures), -1, -1, -1)
        for reach in reaches:
            drawn = _drawn(drawn, (reach * way).round())
        laid += share / _LEFT * drawn[:, 1:]
    return _softened(laid)


def _tips(leaves: Tensor, radius: int) -> Tensor:
    """Orders and tones (B, 2, H, W) of what is topmost within an octagon, square and diamond."""
    for step in range(radius):
        windows = [(3, 3)] if step % 2 == 0 else [(3, 1), (1, 3)]
        leaves = reduce(_on_top, [_highest(leaves, window) for window in windows])
    return leaves


def _highest(leaves: Tensor, window: tuple[int, int]) -> Tensor:
    """Orders and tones (B, 2, H, W) of the highest order within so many rows and columns."""
    order, tones = leaves.split(1, dim=1)
    border = (window[0] // 2, window[1] // 2)
    order, places = F.max_pool2d(order, window, 1, border, return_indices=True)
    tones = tones.flatten(2).gather(2, places.flatten(2)).view_as(tones)
    return torch.cat([order, tones], dim=1)


def _on_top(leaves: Tensor, others: Tensor) -> Tensor:
    """The orders and tones (B, 2, H, W) of which the order is higher."""
    return torch.where(others[:, :1] > leaves[:, :1], others, leaves)


def _drawn(leaves: Tensor, way: Tensor) -> Tensor:
    """What is topmost here, ahead and behind.

    Args:
        leaves: (B, 2, H, W), orders and tones.
        way: (B, 2, H, W), to what lies ahead, across and down, whole pixels.
    """
    here, step = sampling_places(*way.split(1, dim=1))
    # Some devices sample with no other padding than zeros, which no place is to meet.
    first, last = here[0, 0], here[-1, -1]
    found = leaves
    for side in (1, -1):
        places = (here + side * step).clamp(first, last)
        other = F.grid_sample(leaves, places, mode="nearest", align_corners=False)
        found = _on_top(found, other)
    return found


def _softened(values: Tensor) -> Tensor:
    """(B, 1, H, W) averaged with neighbours."""
    kernel = torch.tensor(_SOFT, device=values.device)
    border = len(_SOFT) // 2
    for shape, sides in (((-1, 1), (0, 0, border, border)), ((1, -1), (border, border, 0, 0))):
        wide = F.pad(values, sides, mode="replicate")
        values = F.conv2d(wide, kernel.view(1, 1, *shape))
    return values


def wrapped_round(values: Tensor, top: int, left: int) -> Tensor:
    """(B, C, H, W) with so many rows and columns of the other edge on each side."""
    for axis, border in ((2, top), (3, left)):
        if border:
            side = values.shape[axis]
            places = torch.arange(-border, side + border, device=values.device) % side
            values = values.index_select(axis, places)
    return values


def _directions(pictures: Tensor, ways: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors along the forms, across and down, each (B, 1, H, W); either of both ways."""
    edges, free = _level_lines(_shrunk(luminance(pictures))), _shrunk(ways)
    # Twice the angle: opposite ways are one, and what crosses cancels out.
    forms = averaged(edges, _FORM_PX) + _FAINT * free / (_length(free) + _TINY)
    forms = F.interpolate(forms / (_length(forms) + _TINY), scale_factor=_SHRINK, mode="bilinear")
    forms = forms[..., : pictures.shape[-2], : pictures.shape[-1]]
    return half_of_the_angle(*(forms / (_length(forms) + _TINY)).split(1, dim=1))


def half_of_the_angle(cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vectors, across and down, of cosine and sine of twice their angle, of any shape."""
    across = (0.5 * (1 + cosine)).clamp_min(0).sqrt()
    down = (0.5 * (1 - cosine)).clamp_min(0).sqrt()
    return across, torch.where(sine < 0, -down, down)


def _level_lines(values: Tensor) -> Tensor:
    """Level lines of (B, 1, H, W) as squared slope times cosine and sine of twice their angle.

    Slopes are those at the full size, per pixel.
    """
    down, across = (slope / _SHRINK for slope in torch.gradient(values, dim=(2, 3)))
    return torch.cat([down.square() - across.square(), -2 * across * down], dim=1)


def _shrunk(values: Tensor) -> Tensor:
    """Means of (B, C, H, W) over blocks of pixels, as many as there are at the last edges."""
    return F.avg_pool2d(values, _SHRINK, ceil_mode=True)


def _length(vectors: Tensor) -> Tensor:
    """Of (B, 2, H, W), as (B, 1, H, W)."""
    return torch.hypot(*vectors.split(1, dim=1))


def averaged(values: Tensor, width_px: int) -> Tensor:
    """Means over the surroundings, twice: next to a Gaussian, in a third of the time.

    Args:
        values: (B, C, H, W).
        width_px: odd, of what each mean covers; what lies beyond the border does not count.
    """
    border = width_px // 2
    for _ in range(2):
        for kernel, padding in (((width_px, 1), (border, 0)), ((1, width_px), (0, border))):
            values = F.avg_pool2d(values, kernel, 1, padding, count_include_pad=False)
    return values


def sampling_places(across: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """All places of a picture and the ways from them, as `grid_sample` counts them.

    It counts from -1 to 1 over each side.

    Args:
        across: (B, 1, H, W), of each way, in pixels.
        down: as many.

    Returns:
        Places (H, W, 2) and ways (B, H, W, 2).
    """
    height, width = across.shape[-2:]
    rows, columns = (
        (2 * torch.arange(n, device=across.device) + 1) / n - 1 for n in (height, width)
    )
    here = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    return here, torch.stack([2 / width * across[:, 0], 2 / height * down[:, 0]], dim=-1)
