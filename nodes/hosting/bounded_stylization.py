"""Stylization in bounded memory: any number of pictures of any size.

Small ones go as many at a time as the device takes, large ones and those with a brush one by
one in strips, between which the user can stop.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...metastyle_core.base import Base
from ...metastyle_core.borders import Seamless
from ...metastyle_core.checks import require_unit_range
from ...metastyle_core.colour import Colour, Colouring
from ...metastyle_core.drawing import USUAL_SUPERSAMPLING, Drawing, Size, drawn_size, largest_size
from ...metastyle_core.errors import MetaStyleError
from ...metastyle_core.grain import USUAL_GRAIN
from ...metastyle_core.large_pictures import PictureRows, goes_by_rows, stylize_rows
from ...metastyle_core.masks import fitted_mask, require_mask
from ...metastyle_core.mixing import StyleSchedule
from ...metastyle_core.network import MIN_SIDE_PX
from ...metastyle_core.precision import Precision
from ...metastyle_core.rows import Rows, resampled, rows_of, strips_of
from ...metastyle_core.style import AdaptedStyle, check_style
from ...metastyle_core.stylization import pictures_per_pass, stylize
from ...metastyle_core.tiling import Strips, needed_bytes, rows_of_strip, strip_bytes
from ...metastyle_core.touches import USUAL_ABSTRACTION
from . import host
from .model import MetaStyleModel, style_patchers
from .pictures import alpha_to_core, mask_to_core, require_images, to_core, to_core_over_white
from .sockets import StyleValue

_LOG = logging.getLogger(__name__)
# 610 are alive at the widest layer in float32; the rest is for the workspace of convolutions.
BYTES_PER_PIXEL = 1536
_KEPT_BYTES_PER_PIXEL = 12  # of a large drawing, until all of it has told its colours
_MOVES_PER_PICTURE = 100  # of the progress bar, where pictures go by rows


@dataclass(frozen=True)
class StylizationSettings:
    """How to stylize.

    Attributes:
        strength: 0 gives the pictures back, 1 is the full style.
        precision: of the convolutions.
        grain: strength of the strokes along the forms, 0 to 1.
        seed: of the grain.
        colouring: whose colours the result has.
        seamless: axes along which the pictures wrap.
        mask: MASK (M, H, W), where the style goes, one for all pictures or one each; None
            for everywhere.
        brush: size of the strokes in the picture, 1 as adapted; 0 as the network draws them.
        abstraction: how far pictures are painted over first, 0 to 1.
        supersampling: how many times as large they are drawn before they are reduced, 1 to 2.
    """

    strength: float
    precision: Precision
    grain: float = USUAL_GRAIN
    seed: int = 0
    colouring: Colouring = field(default_factory=Colouring)
    seamless: Seamless = "none"
    mask: Tensor | None = None
    brush: float = 0.0
    abstraction: float = USUAL_ABSTRACTION
    supersampling: float = USUAL_SUPERSAMPLING

    def drawing(self, strips: Strips) -> Drawing:
        """How one picture goes through the network."""
        return Drawing(
            precision=self.precision,
            grain=self.grain,
            seed=self.seed,
            seamless=self.seamless,
            brush=self.brush or None,
            strips=strips,
            abstraction=self.abstraction,
            supersampling=self.supersampling,
        )


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
    """Stylize the host's pictures, small ones a few at a time, large ones in strips.

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
    result = torch.empty(
        (*images.shape[:3], max(3, images.shape[-1])),
        device=host.result_device(),
        dtype=host.result_dtype(),
    )
    drawing = settings.drawing(Strips())
    _, height, width, _ = images.shape
    in_strips = goes_by_rows(height, width, host.work_device(), drawing)
    base = _load(model, style, images, settings, in_strips=in_strips)
    if settings.strength > 0 and in_strips:
        _draw_in_strips(base, style, images, settings, result, Strips())
    else:
        _draw_in_batches(base, style, images, settings, result)
    return result


def _draw_in_batches(
    base: Base, style: StyleValue, images: Tensor, settings: StylizationSettings, result: Tensor
) -> None:
    size = _first_size(base, style, images, settings)
    progress, done = host.Progress(len(images)), 0
    while done < len(images):
        host.stop_if_interrupted()
        rows = slice(done, done + size)
        try:
            result[rows] = _stylize_batch(base, style, images, rows, settings)
        except RuntimeError as error:
            host.recover(error)
            if size == 1:
                _LOG.warning("Out of memory for a whole picture; trying strips of it.")
                strips = Strips(above_px=0)
                _draw_in_strips(base, style, images, settings, result, strips, done)
                return
            _LOG.warning("Out of memory at %d pictures per pass; trying %d.", size, size // 2)
            size //= 2
            continue
        done += size
        progress.show(min(done, len(images)))


def _draw_in_strips(
    base: Base,
    style: StyleValue,
    images: Tensor,
    settings: StylizationSettings,
    result: Tensor,
    strips: Strips,
    start: int = 0,
) -> None:
    """Draw the pictures from one on, one by one."""
    progress = host.Progress(_MOVES_PER_PICTURE * len(images))
    for place in range(start, len(images)):
        host.stop_if_interrupted()
        how = settings.drawing(replace(strips, on_strip=_mover(progress, place)))
        picture = _picture_rows(images, settings.mask, place, strips.strip_px)
        chosen = _styles_of(style, slice(place, place + 1), len(images))
        single = chosen if isinstance(chosen, AdaptedStyle) else chosen[0]
        target = result[place]
        try:
            for first, strip in stylize_rows(
                base,
                single,
                picture,
                how,
                strength=settings.strength,
                colouring=settings.colouring,
            ):
                host.stop_if_interrupted()
                target[first : first + strip.shape[2], :, :3] = strip[0].movedim(0, -1)
        except RuntimeError as error:
            host.recover(error)
            raise _too_little_memory(images) from error
        target[..., 3:] = images[place, ..., 3:]
        progress.show(_MOVES_PER_PICTURE * (place + 1))


def _mover(progress: host.Progress, place: int) -> Callable[[float], None]:
    """Moves the bar at each strip of a picture, unless the user pressed Cancel."""

    def move(share: float) -> None:
        host.stop_if_interrupted()
        progress.show(int(_MOVES_PER_PICTURE * (place + share)))

    return move


def _picture_rows(images: Tensor, mask: Tensor | None, place: int, strip_px: int) -> PictureRows:
    """One of the host's pictures by its rows."""
    _, height, width, channels = images.shape
    raw = rows_of(images[place : place + 1].movedim(-1, 1))
    for strip in strips_of(height, rows_of_strip(width, strip_px)):
        require_unit_range(raw.read(*strip)[:, :3].float(), "Input 'images'")
    colour = raw.map(lambda rows: rows[:, :3].float().expand(-1, 3, -1, -1).clamp(0, 1))
    alpha = raw.map(lambda rows: rows[:, 3:].float().clamp(0, 1)) if channels == 4 else None
    return PictureRows(width, colour, alpha, _rows_of_mask(mask, place, (height, width)))


def _rows_of_mask(mask: Tensor | None, place: int, size: tuple[int, int]) -> Rows | None:
    if mask is None:
        return None
    masks = mask_to_core(mask)
    own = masks if len(masks) == 1 else masks[place : place + 1]
    rows = rows_of(own).map(lambda part: part.float().clamp(0, 1))
    if own.shape[-2:] == size:
        return rows
    return resampled(rows, own.shape[-1], size, "triangle")


def _load(
    model: MetaStyleModel,
    style: StyleValue,
    images: Tensor,
    settings: StylizationSettings,
    *,
    in_strips: bool,
) -> Base:
    """Check the styles, then have the host load them with the model."""
    styles = style.styles if isinstance(style, StyleSchedule) else (style,)
    for each in styles:
        check_style(each, model.base())
    _, height, width, _ = images.shape
    if in_strips:
        drawn = _largest_size(styles, height, width, settings)
        room = needed_bytes(*drawn) + strip_bytes(drawn[1], Strips().strip_px)
        room += _KEPT_BYTES_PER_PIXEL * math.prod(drawn)
    else:
        drawn = _largest_size(styles, height, width, settings)
        size = pictures_per_pass(*drawn, host.work_device())
        room = min(size, len(images)) * math.prod(drawn) * BYTES_PER_PIXEL
    host.load([model.patcher, *style_patchers(*styles)], room)
    return model.base()


def _largest_size(
    styles: Sequence[AdaptedStyle], height: int, width: int, settings: StylizationSettings
) -> Size:
    """The largest at which pictures of a size are drawn; fine strokes ask for more than it."""
    if settings.strength == 0:
        return height, width
    how = settings.drawing(Strips())
    sizes = [largest_size(height, width, each, how) for each in styles]
    return max(sizes, key=math.prod)


def _first_size(
    base: Base, style: StyleValue, images: Tensor, settings: StylizationSettings
) -> int:
    if isinstance(style, StyleSchedule) and any(each.mode != "norm" for each in style.styles):
        return 1
    _, height, width, _ = images.shape
    drawn = drawn_size(height, width, settings.drawing(Strips()))
    return pictures_per_pass(*drawn, base.device)


def _stylize_batch(
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
        abstraction=settings.abstraction,
        supersampling=settings.supersampling,
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


def _too_little_memory(images: Tensor) -> MetaStyleError:
    _, height, width, _ = images.shape
    return MetaStyleError(
        f"There is not enough device memory for one picture of {width}x{height} px. "
        "Make the input 'images' smaller, or set supersampling to 1 or precision to bf16."
    )
