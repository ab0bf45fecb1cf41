"""Flow: which way the forms of a picture lead.

A painter's strokes follow outlines, hair and folds, and sweep where there is nothing to follow.

Source: the orientation in double angles of Bigun and Granlund 1987.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from .images import luminance

# Forms are sought at half the size. Twice a mean over so many pixels there is about a Gaussian of
# 5.7 px.
_SHRINK, _FORM_PX = 2, 7
# The squared slope of the luminance, per pixel, at which edges and free ways count alike: 2.5
# levels of 255. Hair and folds have more. The soft shapes of a blurred background, which strokes
# would follow like the grain of wood, and what compression leaves in a sky have less.
_FAINT = 1e-4
_TINY = 1e-20


def directions(pictures: Tensor, ways: Tensor) -> tuple[Tensor, Tensor]:
    """Where the forms of pictures lead.

    Args:
        pictures: (B, 3, H, W), [0, 1].
        ways: (B, 2, H, W) or (1, 2, H, W), where nothing leads: cosine and sine of twice an angle
            from the horizontal, downwards.

    Returns:
        Unit vectors along the forms, across and down, each (B, 1, H, W); either of both ways.
    """
    edges, free = _level_lines(_shrunk(luminance(pictures))), _shrunk(ways)
    # Twice the angle: opposite ways are one, and what crosses cancels out.
    forms = averaged(edges, _FORM_PX) + _FAINT * free / (_length(free) + _TINY)
    forms = F.interpolate(forms / (_length(forms) + _TINY), scale_factor=_SHRINK, mode="bilinear")
    forms = forms[..., : pictures.shape[-2], : pictures.shape[-1]]
    return _half_of_the_angle(*(forms / (_length(forms) + _TINY)).split(1, dim=1))


def _half_of_the_angle(cosine: Tensor, sine: Tensor) -> tuple[Tensor, Tensor]:
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
