"""Stylization in bounded memory: any number of pictures, as many at a time as the device takes."""

import logging
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...metastyle_core.base import Base
from ...metastyle_core.borders import Seamless
from ...metastyle_core.colour import Colour, Colouring
from ...metastyle_core.errors import MetaStyleError
from ...metastyle_core.masks import fitted_mask, require_mask
from ...metastyle_core.mixing import StyleSchedule
from ...metastyle_core.network import MIN_SIDE_PX
from ...metastyle_core.precision import Precision
from ...metastyle_core.style import AdaptedStyle, check_style
from ...metastyle_core.stylization import pictures_per_pass, stylize
from . import host
from .model import MetaStyleModel, style_patchers
from .pictures import alpha_to_core, mask_to_core, require_images, to_core, to_core_over_white
from .sockets import StyleValue

_LOG = logging.getLogger(__name__)
# 405 are alive at the widest layer in float32; the rest is for the workspace of convolutions.
BYTES_PER_PIXEL = 1024


@dataclass(frozen=True)
class StylizationSettings:
    """How to stylize.

    Attributes:
        strength: 0 gives the pictures back, 1 is the full style.
        precision: of the convolutions.
        grain: strength of the relief that the network reads with the pictures, 0 to 1.
        seed: of the grain.
        colouring: whose colours the result has.
        seamless: axes along which the pictures wrap.
        mask: MASK (M, H, W), where the style goes, one for all pictures or one each; None
            for everywhere.
    """

    strength: float
    precision: Precision
    grain: float = 0.0
    seed: int = 0
    colouring: Colouring = field(default_factory=Colouring)
    seamless: Seamless = "none"
    mask: Tensor | None = None


def colouring_of(colour: Colour, amount: float, palette: Tensor | None) -> Colouring:
    """What the node's inputs say about colours.

    Args:
        colour: whose.
        amount: how far, 0 to 1.
        palette: IMAGE whose colours `match` takes; it is read for nothing else.

    Raises:
        MetaStyleError: a palette is missing or no picture.
    """
    if colour != "match" or palette is None:
        return Colouring(colour, amount)
    return Colouring(colour, amount, to_core_over_white(palette, "palette"))


def stylize_images(
    model: MetaStyleModel, style: StyleValue, images: Tensor, settings: StylizationSettings
) -> Tensor:
    """Stylize the host's pictures a few at a time.

    Args:
        model: not changed.
        style: one for all pictures, or a blend over them.
        images: IMAGE (B, H, W, C); an alpha channel passes through, and what it hides is
            filled before drawing.
        settings: how.

    Returns:
        IMAGE of the same shape, where the host keeps results.

    Raises:
        MetaStyleError: bad input, or too little memory for even one picture at a time.
    """
    require_images(images, "images", MIN_SIDE_PX)
    if settings.mask is not None:
        require_mask(mask_to_core(settings.mask), *images.shape[:3])
    base = _load(model, style, images)
    size = _first_size(base, style, images)
    result = torch.empty(
        (*images.shape[:3], max(3, images.shape[-1])),
        device=host.result_device(),
        dtype=host.result_dtype(),
    )
    progress, done = host.Progress(len(images)), 0
    while done < len(images):
        host.stop_if_interrupted()
        rows = slice(done, done + size)
        try:
            result[rows] = _stylize_rows(base, style, images, rows, settings)
        except RuntimeError as error:
            host.recover(error)
            size = _half(size, images, error)
            continue
        done += size
        progress.show(min(done, len(images)))
    return result


def _load(model: MetaStyleModel, style: StyleValue, images: Tensor) -> Base:
    """Check the styles, then have the host load them with the model."""
    styles = style.styles if isinstance(style, StyleSchedule) else (style,)
    for each in styles:
        check_style(each, model.base())
    _, height, width, _ = images.shape
    size = pictures_per_pass(height, width, host.work_device())
    pixels = min(size, len(images)) * height * width
    host.load([model.patcher, *style_patchers(*styles)], pixels * BYTES_PER_PIXEL)
    return model.base()


def _first_size(base: Base, style: StyleValue, images: Tensor) -> int:
    if isinstance(style, StyleSchedule) and any(each.mode != "norm" for each in style.styles):
        return 1
    return pictures_per_pass(images.shape[1], images.shape[2], base.device)


def _stylize_rows(
    base: Base, style: StyleValue, images: Tensor, rows: slice, settings: StylizationSettings
) -> Tensor:
    chosen = images[rows]
    colour = to_core(chosen, "images").to(base.device)
    stylized = stylize(
        base,
        _styles_of(style, rows, len(images)),
        colour,
        precision=settings.precision,
        strength=settings.strength,
        grain=settings.grain,
        seed=settings.seed,
        alpha=alpha_to_core(chosen.to(base.device)),
        colouring=settings.colouring,
        seamless=settings.seamless,
        mask=_mask_rows(settings.mask, rows, colour),
        batch=len(colour),
    ).movedim(1, -1)
    return torch.cat([stylized, chosen[..., 3:].to(stylized)], dim=-1)


def _mask_rows(mask: Tensor | None, rows: slice, colour: Tensor) -> Tensor | None:
    """The masks of some of the pictures, at their size and on their device."""
    if mask is None:
        return None
    masks = mask_to_core(mask)
    chosen = masks if len(masks) == 1 else masks[rows]
    return fitted_mask(chosen.to(colour.device), *colour.shape[-2:])


def _styles_of(style: StyleValue, rows: slice, frames: int) -> AdaptedStyle | list[AdaptedStyle]:
    if isinstance(style, AdaptedStyle):
        return style
    styles = [style.at_frame(frame, frames) for frame in range(*rows.indices(frames))]
    return styles[0] if len(styles) == 1 else styles


def _half(size: int, images: Tensor, error: Exception) -> int:
    if size == 1:
        _, height, width, _ = images.shape
        raise MetaStyleError(
            f"There is not enough device memory for one picture of {width}x{height} px. "
            "Make the input 'images' smaller, or set precision to bf16."
        ) from error
    _LOG.warning("Out of memory at %d pictures per pass; trying %d.", size, size // 2)
    return size // 2
