"""Abstraction: a photograph painted over along its forms before the network reads it.

A painter leaves out. Pores, grass and grain stay in what a network draws of a photograph, however
it colours them, and give it away. Abstraction smooths along the forms and sharpens across them,
over and over: texture flows together into strokes with an edge, outlines stay.

Source: coherence-enhancing filtering (Kyprianidis and Kang 2011, *Image and Video Abstraction by
Coherence-Enhancing Filtering*), with the orientation of Bigun and Granlund 1987 and the shock
filter of Osher and Rudin 1990; here smoothing along the forms is a few passes of three taps,
shorter where there is no single way, so that eyes and corners stay.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from .borders import Seamless, wraps
from .checks import require_shares
from .flow import averaged, half_of_the_angle, sampling_places, wrapped_round
from .images import luminance
from .precision import autocast

# Of pictures, where nobody says otherwise: strokes, and faces stay.
USUAL_ABSTRACTION = 0.25
# What lies further from a place than this does not change what becomes of it. Even, as first
# columns must be for the same blocks of forms.
REACH_PX = 40
# So many columns are painted at once, which takes some 300 bytes for each of their pixels.
_COLUMNS = 1024
_ROUNDS = 2
# How far the passes of a round reach to both sides at an amount of 1. Each samples between pixels,
# which pales slanted lines: few of them.
_PASSES_PX = (3.0, 8.0)
# Forms are sought at half the size: twice a mean over so many pixels there is about a Gaussian
# of 4 px. Smaller ones follow each blade of grass, and turn it into worms.
_SHRINK, _FORM_PX = 2, 5
# Towards the brighter or darker side of an edge, in a round, from this amount on.
_SHARPENING, _SHARP_FROM = 0.5, 0.5
# The second difference of luminance that is half of an edge: below it is noise.
_EDGE = 1.5 / 255
# The difference that makes a neighbour count by half.
_FAINT = 0.5 / 255
_TINY = 1e-6


def abstracted(pictures: Tensor, amount: float | Tensor, seamless: Seamless = "none") -> Tensor:
    """Paint pictures over along their forms.

    Args:
        pictures: (B, 3, H, W), [0, 1], any device.
        amount: 0 gives the pictures back exactly, 1 smooths along the forms over up to 11 px to
            both sides, twice, and leaves few details. One for all, or (B,) on their device, in
            which a 0 among others gives a picture back but for rounding.
        seamless: axes along which they wrap.

    Returns:
        (B, 3, H, W), float32, [0, 1], without gradients; for 0 the pictures themselves.

    Raises:
        SettingsError: one amount for all lies outside [0, 1].
    """
    if isinstance(amount, Tensor):
        amount = amount.view(-1, 1, 1, 1)
    else:
        require_shares(abstraction=amount)
        if amount == 0:
            return pictures
        amount = torch.tensor(amount, device=pictures.device)
    height, width = pictures.shape[-2:]
    top, left = (REACH_PX if wraps(seamless, axis) else 0 for axis in ("y", "x"))
    with torch.no_grad(), autocast("fp32", pictures.device):
        wide = wrapped_round(pictures.float(), top, left)
        painted: list[Tensor] = []
        for first in range(0, wide.shape[-1], _COLUMNS):
            before = max(0, first - REACH_PX)
            part = wide[..., before : first + _COLUMNS + REACH_PX]
            for _ in range(_ROUNDS):
                part = _painted_over(part, amount)
            painted.append(part[..., first - before :][..., :_COLUMNS])
        return torch.cat(painted, dim=-1)[..., top : top + height, left : left + width]


def _painted_over(pictures: Tensor, amount: Tensor) -> Tensor:
    """One round on pictures (B, 3, H, W); the amount is (B, 1, 1, 1), or () for all."""
    across, down, single = _forms(pictures)
    here, along = sampling_places(across, down)
    _, normal = sampling_places(-down, across)
    way: Tensor = amount * single.sqrt() * along
    for reach in _PASSES_PX:
        pictures = _smoothed(pictures, here, reach * way)
    return _sharpened(pictures, here, normal, _SHARPENING * (amount / _SHARP_FROM).clamp_max(1))


def _forms(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Unit vectors along the forms, across and down, (B, 1, H, W), and how single that way is.

    The last, (B, H, W, 1), [0, 1], is 1 where all slopes around are along one line, and 0 where
    they are alike in all directions.
    """
    down, across = torch.gradient(pictures, dim=(2, 3))
    products = (across * across, across * down, down * down)
    slopes = torch.stack([each.sum(1) for each in products], dim=1)
    slopes = averaged(F.avg_pool2d(slopes, _SHRINK, ceil_mode=True), _FORM_PX)
    slopes = F.interpolate(slopes, scale_factor=_SHRINK, mode="bilinear")
    xx, xy, yy = slopes[..., : pictures.shape[-2], : pictures.shape[-1]].split(1, dim=1)
    # Of twice the angle of the level lines.
    cosine, sine = yy - xx, -2 * xy
    length = torch.hypot(cosine, sine)
    single = length / (xx + yy + _TINY)
    ways = half_of_the_angle(cosine / length.clamp_min(_TINY**2), sine)
    return *ways, single[:, 0, ..., None]


def _smoothed(pictures: Tensor, here: Tensor, way: Tensor) -> Tensor:
    """Half of each pixel, a quarter of what lies a way (B, H, W, 2) ahead and behind."""
    first, last = here[0, 0], here[-1, -1]
    ahead, behind = (
        F.grid_sample(pictures, (here + step).clamp(first, last), align_corners=False)
        for step in (way, -way)
    )
    return 0.5 * pictures + 0.25 * (ahead + behind)


def _sharpened(pictures: Tensor, here: Tensor, normal: Tensor, share: Tensor) -> Tensor:
    """Make dark sides of edges darker and bright ones brighter, by what lies across the forms.

    A pixel takes after a neighbour that is further on its side; thin lines, which have none, stay
    where they are upright or level; slanted ones, which lie between pixels, pale.

    Args:
        pictures: (B, 3, H, W).
        here: their places.
        normal: a pixel's way across the forms, (B, H, W, 2).
        share: of the way to that neighbour, (B, 1, 1, 1) or ().
    """
    first, last = here[0, 0], here[-1, -1]
    ahead, behind = (
        F.grid_sample(pictures, (here + step).clamp(first, last), align_corners=False)
        for step in (normal, -normal)
    )
    light, light_ahead, light_behind = map(luminance, (pictures, ahead, behind))
    side = ((light_ahead + light_behind - 2 * light) / _EDGE).tanh()
    # In a valley towards what is darker, on a hill towards what is brighter.
    further_ahead = (side.sign() * (light - light_ahead)).clamp_min(0)
    further_behind = (side.sign() * (light - light_behind)).clamp_min(0)
    moves = further_ahead * (ahead - pictures) + further_behind * (behind - pictures)
    return pictures + share * side.abs() * moves / (further_ahead + further_behind + _FAINT)
