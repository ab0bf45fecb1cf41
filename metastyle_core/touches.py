"""Touches: a photograph painted over with touches of a brush, before the network reads it.

A painter lays broad touches, goes over them with finer ones where too much is lost, and leaves out
the rest. A network of small kernels keeps pores, grass and noise in other colours, and sees too
little at once to draw a long stroke. So it is given a painting to begin with: touches along the
forms, each of one colour of the photograph. And it is given their strokes by themselves: one faint
tone for each touch, so that skies, where the colours of touches are alike, have some too.

Where touches overlap, one lies on top: that with the highest of random orders within its reach, a
maximum that is found in a few passes, each of which reaches further than those before.

Source: from broad to fine, by what is lost: Hertzmann 1998, *Painterly Rendering with Curved Brush
Strokes of Multiple Sizes*; a touch of one colour: Haeberli 1990, *Paint by Numbers*; the topmost of
touches: the dead leaves of Matheron 1968.
"""

import math
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from .borders import Seamless, wraps
from .checks import require_shares
from .flow import averaged, directions
from .precision import autocast


@dataclass(frozen=True)
class _Brush:
    """One size of touches.

    Attributes:
        radius: of the octagon that is drawn along the forms, in pixels.
        reaches: how far each pass goes along the forms to both sides, in pixels.
        soft: how often what it paints is averaged with neighbours: hard rims look like tiles.
        tone: of its strokes, relative to the noise; 0 for none.
        seen_px: odd: twice a mean over so many pixels of half the size says what is lost.
    """

    radius: int
    reaches: tuple[int, ...]
    soft: int
    tone: float
    seen_px: int


# Of pictures, where nobody says otherwise: grass and hair in touches under painters of strokes, and
# faces stay.
USUAL_ABSTRACTION = 0.25
# What lies further from a place than this does not change what is drawn there. It is even, as
# first rows and columns must be for the same blocks of forms.
REACH_PX = 60
_BRUSHES = (
    _Brush(6, (2, 4, 8, 10), 3, 1.0, 7),
    _Brush(4, (1, 2, 4, 8), 2, 1.0, 5),
    _Brush(2, (1, 2, 4), 1, 0.85, 3),
    _Brush(1, (1, 2), 1, 0.0, 3),
)
# A touch has the mean colour of about so many pixels across.
_COLOUR_PX = 5
# Touches deviate from the photograph by less than this, in levels of 1: those that are painted, for
# an amount of 1, and those whose strokes are seen, whatever the amount. From a third of it on finer
# ones show through.
_TOLERANCE, _STROKE_TOLERANCE, _FIRM = 0.4, 0.17, 1 / 3
# What is laid at once, besides its surroundings: a pixel of it takes some 350 bytes meanwhile.
_ROWS, _COLUMNS = 768, 1024
# Orders are compared as whole numbers, above the number of the place.
_ORDERS, _PLACES = 2**26, 2**32
_TINY = 1e-6


def in_touches(
    pictures: Tensor, relief: Tensor, amount: float | Tensor, seamless: Seamless = "none"
) -> tuple[Tensor, Tensor]:
    """Paint pictures over, and find the strokes of that.

    Args:
        pictures: (B, 3, H, W), [0, 1], any device.
        relief: (B, 4, H, W) or (1, 4, H, W), on their device: two noises of zero mean, and the way
            touches go where there are no edges: cosine and sine of twice its angle from the
            horizontal, downwards. The noises say which touch lies on which, and their tones.
        amount: of the painting: 0 leaves the pictures as they are, exactly, 1 paints all but the
            greatest contrasts broadly. One for all, or, on their device, (B,) or one for each
            place, (1 or B, 1, H, W), where a 0 among others gives pixels back but for rounding.
        seamless: axes along which pictures and relief wrap; those sides must be even.

    Returns:
        The paintings (B, 3, H, W), [0, 1], and the strokes, (B, 1, H, W), of at most about the
        deviation of the noises. Both float32, without gradients.

    Raises:
        SettingsError: one amount for all lies outside [0, 1].
    """
    height, width = pictures.shape[-2:]
    if isinstance(amount, Tensor):
        each = amount.view(-1, 1, 1, 1) if amount.ndim == 1 else amount
        amount = each.expand(-1, 1, height, width)
    else:
        require_shares(abstraction=amount)
    top, left = (REACH_PX if wraps(seamless, axis) else 0 for axis in ("y", "x"))
    with torch.no_grad(), autocast("fp32", pictures.device):
        seen, wide = (_wrapped_round(v.float(), top, left) for v in (pictures, relief))
        if isinstance(amount, Tensor):
            amount = _wrapped_round(amount, top, left)
        laid = seen.new_empty(len(seen), 4, *seen.shape[-2:])
        for row, column in product(
            range(0, seen.shape[-2], _ROWS), range(0, seen.shape[-1], _COLUMNS)
        ):
            above, before = max(0, row - REACH_PX), max(0, column - REACH_PX)
            part = (
                ...,
                slice(above, row + _ROWS + REACH_PX),
                slice(before, column + _COLUMNS + REACH_PX),
            )
            block = laid[..., row : row + _ROWS, column : column + _COLUMNS]
            asked = amount[part] if isinstance(amount, Tensor) else amount
            touched = _touched(seen[part], wide[part], asked)
            inner = touched[..., row - above :, column - before :]
            block.copy_(inner[..., : block.shape[-2], : block.shape[-1]])
        whole = laid[..., top : top + height, left : left + width]
    painted = pictures.float() if _is_zero(amount) else whole[:, :3].clamp(0, 1)
    return painted, whole[:, 3:]


def content_of(pictures: Tensor, painted: Tensor, strokes: Tensor) -> Tensor:
    """What a network that reads touches is to keep when it learns.

    Half photograph, half touches: keeping them costs what leaving them out does, and the style
    decides.

    Args:
        pictures: (B, 3, H, W), [0, 1].
        painted: as many, of `in_touches`.
        strokes: (B, 1, H, W), of `in_touches`, times their strength.

    Returns:
        (B, 3, H, W), about [0, 1].
    """
    return 0.5 * (pictures + painted + strokes)


def _wrapped_round(values: Tensor, top: int, left: int) -> Tensor:
    """(B, C, H, W) with so many rows and columns of the other edge on each side."""
    for axis, border in ((2, top), (3, left)):
        if border:
            side = values.shape[axis]
            places = torch.arange(-border, side + border, device=values.device) % side
            values = values.index_select(axis, places)
    return values


def _is_zero(amount: float | Tensor) -> bool:
    return not isinstance(amount, Tensor) and amount == 0


def _touched(pictures: Tensor, relief: Tensor, amount: float | Tensor) -> Tensor:
    """Paintings and strokes, (B, 4, H, W), of pictures that do not wrap, all at once."""
    one, other, *_ = relief.split(1, dim=1)
    sum_of_both, difference = (one + other) / math.sqrt(2), (one - other) / math.sqrt(2)
    # Of each brush the orders, and tones that hang on them no more than by chance.
    noises = ((one, other), (other, one), (sum_of_both, difference), (difference, sum_of_both))
    ways = _Ways(*directions(pictures, relief[:, 2:]))
    calm, colours = averaged(pictures, 3), averaged(pictures, _COLOUR_PX)
    painted = torch.zeros_like(pictures)
    strokes = torch.zeros_like(pictures[:, :1])
    # How much of each pixel finer touches are to show.
    open_painting, open_strokes = torch.ones_like(strokes), torch.ones_like(strokes)
    for brush, (orders, tones) in zip(_BRUSHES, noises, strict=True):
        if not brush.tone and _is_zero(amount):
            break
        places = _topmost(orders, ways, brush)
        touches = _softened(_picked(colours, places), brush.soft)
        lost = _lost(touches, calm, brush.seen_px)
        share = open_painting * _kept(lost, _TOLERANCE * amount)
        painted += share * touches
        open_painting = open_painting - share
        if brush.tone:
            share = open_strokes * _kept(lost, _STROKE_TOLERANCE)
            strokes += brush.tone * share * _softened(_picked(tones, places), brush.soft)
            open_strokes = open_strokes - share
    return torch.cat([painted + open_painting * pictures, strokes], dim=1)


def _kept(lost: Tensor, tolerance: float | Tensor) -> Tensor:
    """How much of touches stays that lose so much, (B, 1, H, W), [0, 1]."""
    if isinstance(tolerance, Tensor):
        tolerance = tolerance.clamp_min(_TINY)
    else:
        tolerance = max(tolerance, _TINY)
    return ((1 - lost / tolerance) / (1 - _FIRM)).clamp(0, 1)


def _lost(touches: Tensor, pictures: Tensor, seen_px: int) -> Tensor:
    """The deviation (B, 1, H, W) of touches from pictures around each pixel."""
    height, width = pictures.shape[-2:]
    squares = (touches - pictures).square().mean(1, keepdim=True)
    around = averaged(F.avg_pool2d(squares, 2, ceil_mode=True), seen_px)
    whole = F.interpolate(around, scale_factor=2, mode="bilinear")
    return whole[..., :height, :width].clamp_min(0).sqrt()


class _Ways:
    """Where a place leads along the forms."""

    def __init__(self, across: Tensor, down: Tensor) -> None:
        """Of unit vectors, each (B, 1, H, W)."""
        self._across, self._down = across, down
        self._kept: dict[int, Tensor] = {}

    def places(self, reach_px: int) -> Tensor:
        """The number (B, 1, H * W) of the pixel that lies so far ahead, or behind where below 0."""
        if reach_px not in self._kept:
            height, width = self._across.shape[-2:]
            rows, columns = (
                torch.arange(side, device=self._across.device) for side in (height, width)
            )
            down, across = ((reach_px * way).round() for way in (self._down, self._across))
            row = (rows[:, None] + down).clamp(0, height - 1).long()
            column = (columns + across).clamp(0, width - 1).long()
            self._kept[reach_px] = (row * width + column).flatten(2)
        return self._kept[reach_px]


def _topmost(orders: Tensor, ways: _Ways, brush: _Brush) -> Tensor:
    """The number (B, 1, H * W) of the place whose touch lies on top of each pixel.

    Args:
        orders: (B, 1, H, W) or (1, 1, H, W); the highest lies on top.
        ways: of B pictures.
        brush: how far touches reach.
    """
    height, width = orders.shape[-2:]
    numbers = torch.arange(height * width, device=orders.device).view(height, width)
    leaves = (_ORDERS * orders).long() * _PLACES + numbers
    for step in range(brush.radius):
        # Squares and diamonds in turn make an octagon.
        if step % 2 == 0:
            leaves = _highest(_highest(leaves, 2), 3)
        else:
            leaves = torch.maximum(_highest(leaves, 2), _highest(leaves, 3))
    leaves = leaves.flatten(2)
    for reach in brush.reaches:
        found = leaves
        for side in (1, -1):
            found = torch.maximum(found, _at(leaves, ways.places(side * reach)))
        leaves = found
    return leaves % _PLACES


def _highest(values: Tensor, dim: int) -> Tensor:
    """The highest of each value and its two neighbours along an axis."""
    count = values.shape[dim] - 1
    pairs = torch.maximum(values.narrow(dim, 0, count), values.narrow(dim, 1, count))
    first, last = pairs.narrow(dim, 0, 1), pairs.narrow(dim, count - 1, 1)
    within = torch.maximum(pairs.narrow(dim, 0, count - 1), pairs.narrow(dim, 1, count - 1))
    return torch.cat([first, within, last], dim)


def _at(values: Tensor, places: Tensor) -> Tensor:
    """Values (B or 1, C, H * W) at places (B, 1, H * W)."""
    count, channels = len(places), values.shape[1]
    return values.expand(count, -1, -1).gather(2, places.expand(-1, channels, -1))


def _picked(pictures: Tensor, places: Tensor) -> Tensor:
    """Pixels of pictures (B or 1, C, H, W) at places (B, 1, H * W), as (B, C, H, W)."""
    return _at(pictures.flatten(2), places).unflatten(2, pictures.shape[-2:])


def _softened(values: Tensor, times: int) -> Tensor:
    """(B, C, H, W), each pixel half of its own and half of its neighbours, so often."""
    for dim in times * (2, 3):
        count = values.shape[dim]
        before = torch.cat([values.narrow(dim, 0, 1), values.narrow(dim, 0, count - 1)], dim)
        after = torch.cat([values.narrow(dim, 1, count - 1), values.narrow(dim, count - 1, 1)], dim)
        values = 0.5 * values + 0.25 * (before + after)
    return values
