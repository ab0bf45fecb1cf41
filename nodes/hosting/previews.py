"""Pictures in which people judge a new style: as large as device memory allows.

A style that was found is never lost for want of memory to show it.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...metastyle_core.adaptation import MIN_STYLE_SIDE_PX
from ...metastyle_core.base import Base
from ...metastyle_core.images import limit_long_side, load_image, resize
from ...metastyle_core.network import MIN_SIDE_PX
from ...metastyle_core.style import AdaptedStyle
from ...metastyle_core.stylization import stylize_as_usual
from ...metastyle_core.thumbnails import SCENE, draw_thumbnail
from . import host
from .pictures import to_core_over_white

_LOG = logging.getLogger(__name__)
_SIZES_PX = (768, 384, 192, 96)
_MOST_PICTURES = 4


@dataclass(frozen=True)
class Preview:
    """Pictures in which people judge a style.

    Attributes:
        pictures: (B, 3, H, W), [0, 1].
        is_whole: whether memory allowed them in the style, and as large as previews are.
    """

    pictures: Tensor
    is_whole: bool


def pictures_to_show(contents: Sequence[Tensor]) -> Tensor:
    """The user's first few contents, or our own scene: (B, 3, H, W), [0, 1].

    Args:
        contents: batches IMAGE; pictures of another size than the first are scaled to cover
            it, and their middle is shown.

    Raises:
        MetaStyleError: `contents` are no pictures, or too small.
    """
    if not contents:
        return load_image(SCENE).pixels[None]
    first = [picture for batch in contents for picture in batch.split(1)][:_MOST_PICTURES]
    pictures = [to_core_over_white(each, "content_images", MIN_STYLE_SIDE_PX) for each in first]
    shown = [shrink(each, _SIZES_PX[0]) for each in pictures]
    return torch.cat([_covering(each, *shown[0].shape[-2:]) for each in shown])


def _covering(picture: Tensor, height: int, width: int) -> Tensor:
    """The middle of a picture at a size, scaled so that none of it stays empty."""
    factor = max(height / picture.shape[-2], width / picture.shape[-1])
    sides = (round(side * factor) for side in picture.shape[-2:])
    scaled = resize(picture, *sides)
    top, left = (scaled.shape[-2] - height) // 2, (scaled.shape[-1] - width) // 2
    return scaled[..., top : top + height, left : left + width]


def shrink(pictures: Tensor, long_side_px: int) -> Tensor:
    """Limit the long side, but keep on the short one what the network needs."""
    height, width = pictures.shape[-2:]
    least = math.ceil(MIN_SIDE_PX * max(height, width) / min(height, width))
    return limit_long_side(pictures, max(least, long_side_px))


def draw_preview(base: Base, style: AdaptedStyle, pictures: Tensor, abstraction: float) -> Preview:
    """Pictures in a style, smaller where memory is short; at last as they are.

    Args:
        base: of the style.
        style: as it was learned.
        pictures: (B, 3, H, W), [0, 1].
        abstraction: of what the style was learned on.

    Returns:
        What was drawn, on the device of the pictures.
    """
    smaller = pictures
    for size_px in _SIZES_PX:
        smaller = shrink(pictures, size_px)
        try:
            drawn = stylize_as_usual(base, style, smaller, batch=1, abstraction=abstraction)
            return Preview(drawn, is_whole=size_px == _SIZES_PX[0])
        except RuntimeError as error:
            host.recover(error)
        _LOG.warning("Out of memory for a preview of %d px.", size_px)
    _LOG.warning("The preview shows its pictures without the style; the style itself is whole.")
    return Preview(smaller, is_whole=False)


def with_picture(base: Base, style: AdaptedStyle) -> AdaptedStyle:
    """The style with our own scene as its thumbnail, or without one where memory is short."""
    try:
        return style.with_thumbnail(draw_thumbnail(base, style))
    except RuntimeError as error:
        host.recover(error)
    _LOG.warning("Out of memory for a thumbnail; the style has none.")
    return style
