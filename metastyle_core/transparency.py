"""Transparency: straight alpha, and what stands in for colour that nobody sees.

Colour beside an alpha channel is straight: what a pixel looks like where it is opaque, not
mixed with any background. Under full transparency it can be anything, often black, and
would be drawn into the edges of what is visible.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from .errors import ShapeError
from .rows import Rows, gathered, resampled, rows_of

# Below it colours of 8 bits that were once multiplied by alpha are too coarse to be believed.
_TRUSTED_ALPHA = 1 / 8
# What hidden colour counts: nothing beside visible one, all where a picture has no other.
_LEAST_WEIGHT = 1e-12


def over_white(colour: Tensor, alpha: Tensor) -> Tensor:
    """Lay straight colour (…, 3, H, W) with alpha (…, 1, H, W) over white."""
    return colour * alpha + (1 - alpha)


def fill_hidden(images: Tensor, alpha: Tensor) -> Tensor:
    """Replace hidden colour by that of its visible neighbours, smoothly.

    Means over 2, 4, 8, ... pixels, in which visible colour alone counts, lie under one
    another until each place has colour ("pull-push").

    Args:
        images: (B, 3, H, W), float32, straight colour.
        alpha: (B, 1, H, W), [0, 1], on the same device.

    Returns:
        (B, 3, H, W); where alpha is 1/8 or more, exactly `images`, below that gradually
        less of it, at 0 nothing. A picture without visible colour becomes its own mean.

    Raises:
        ShapeError: the shapes do not fit.

    Source:
        Gortler et al. 1996, section 3.4.
    """
    count, _, height, width = images.shape
    if alpha.shape != (count, 1, height, width):
        raise ShapeError(
            f"Got alpha of shape {tuple(alpha.shape)}; {(count, 1, height, width)} is needed."
        )
    trust = _trust(alpha.to(images))
    filled = _spread(images, trust.clamp(min=_LEAST_WEIGHT))
    return torch.where(trust < 1, filled, images)


def filled_rows(colour: Rows, alpha: Rows, width: int, strip_rows: int) -> Rows:
    """As `fill_hidden`, of one picture whose rows are filled as they are read.

    Means over 2 pixels and more are kept: at half of the sides, 4 numbers a pixel.

    Args:
        colour: rows of (1, 3, H, W), straight.
        alpha: rows of (1, 1, H, W).
        width: W.
        strip_rows: how many are read at a time for the means.
    """
    height = colour.height
    half = ((height + 1) // 2, (width + 1) // 2)
    weights = alpha.map(lambda rows: _trust(rows).clamp(min=_LEAST_WEIGHT))

    def weighted(first: int, last: int) -> Tensor:
        shares = weights.read(first, last)
        return torch.cat([colour.read(first, last) * shares, shares], dim=1)

    halved = resampled(Rows(height, weighted), width, half, "area")
    means = gathered(halved, strip_rows).read(0, half[0])
    shares = means[:, 3:]
    coarser = _spread(means[:, :3] / shares, (4 * shares).clamp(max=1))
    enlarged = resampled(rows_of(coarser), half[1], (height, width), "triangle")

    def read(first: int, last: int) -> Tensor:
        own, trust = colour.read(first, last), _trust(alpha.read(first, last))
        filled = torch.lerp(enlarged.read(first, last), own, trust.clamp(min=_LEAST_WEIGHT))
        return torch.where(trust < 1, filled, own)

    return Rows(height, read)


def _trust(alpha: Tensor) -> Tensor:
    """How far colour beside this alpha is believed."""
    return (alpha / _TRUSTED_ALPHA).clamp(0, 1)


def _spread(colour: Tensor, weights: Tensor) -> Tensor:
    """Colour (B, 3, H, W) of little weight (B, 1, H, W) taken from means over 2x2 pixels."""
    height, width = colour.shape[-2:]
    if height == width == 1:
        return colour
    half = ((height + 1) // 2, (width + 1) // 2)
    shares = F.interpolate(weights, half, mode="area")
    means = F.interpolate(colour * weights, half, mode="area") / shares
    # One visible pixel of four is enough to stand for all.
    coarser = _spread(means, (4 * shares).clamp(max=1))
    enlarged = F.interpolate(coarser, (height, width), mode="bilinear", align_corners=False)
    return torch.lerp(enlarged, colour, weights)
