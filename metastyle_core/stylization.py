"""Stylization: pictures in, stylized pictures out, one pass each.

This file owns batches, chunks and number formats. It never changes the base or the
style. Where pictures come from and go to is the business of others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from .base import Base
from .borders import Seamless, wraps
from .checks import require_finite_result, require_pictures, require_unit_range
from .colour import Colouring, recolour
from .errors import SettingsError, ShapeError
from .grain import grain_relief
from .mixing import scale_style
from .network import MIN_SIDE_PX, STRIDE_PX, FastWeights, NormStatistics, stylize_with
from .precision import Precision, autocast, compute_dtype
from .style import AdaptedStyle, check_style
from .transparency import fill_hidden

_CHUNK_PIXELS = 4 * 1024 * 1024
_AS_DRAWN = Colouring()


def stylize(
    base: Base,
    style: AdaptedStyle | Sequence[AdaptedStyle],
    images: Tensor,
    *,
    precision: Precision = "auto",
    batch: int | None = None,
    strength: float = 1.0,
    grain: float = 0.0,
    seed: int = 0,
    statistics: NormStatistics | None = None,
    alpha: Tensor | None = None,
    colouring: Colouring = _AS_DRAWN,
    seamless: Seamless = "none",
    mask: Tensor | None = None,
) -> Tensor:
    """Stylize a batch of pictures of one size.

    Strength mixes the stylized picture into the content, pixel by pixel, and at the
    same time draws it in a lighter form of the style, half way back to the base at
    strength 0. Mixing alone lays hard strokes half transparent over the photograph;
    fading the style alone ends at the base, which is a style of its own. Together the
    strokes soften as the photograph returns, and equal moves of strength change the
    picture about equally.

    Args:
        base: the base of the style.
        style: one for all pictures, or one per picture (instance-norm styles only).
        images: (B, 3, H, W), [0, 1], any device; both sides at least 16 px. What sharp
            filters leave a little beyond the ends is clamped.
        precision: of the convolutions.
        batch: pictures per pass; None takes as many as 4 megapixels on an
            accelerator and one at a time on the CPU, where more gain nothing.
        strength: 0 gives the content back exactly, 1 is the full style.
        grain: strength, from 0 to 1, of a faint relief that the network reads with the
            picture (see `grain`): flat areas get strokes in place of a repeated pattern.
        seed: of the grain.
        statistics: what instance norms normalise all pictures by, which `shots` holds over
            the frames of a film; None takes each picture's own.
        alpha: (B, 1, H, W), [0, 1], of pictures with transparency: colour that it hides is
            filled from its neighbours before the network reads it (see `transparency`).
        colouring: whose colours the result has.
        seamless: axes along which the pictures wrap, for textures and panoramas: copies of a
            result join there as pixels do inside. Those sides are drawn at the nearest
            multiple of 4 px and scaled back.
        mask: (1, 1, H, W) or (B, 1, H, W), [0, 1]: the style goes where it is 1, and where
            it is 0 the content stays exactly (see `masks`).

    Returns:
        (B, 3, H, W), float32, [0, 1], on the device of `images`. No gradients. Every
        picture is the same whatever the batch, up to rounding on an accelerator.

    Raises:
        ShapeError: not a batch of RGB pictures, too small, or `alpha` or `mask` does not fit.
        SettingsError: the number of styles does not fit, `batch` is not positive, or
            `strength` or `grain` lies outside [0, 1], or `images` hold whole numbers, NaN or
            another range, such as 0..255.
        BaseMismatchError: a style belongs to another base.
        ResultError: a picture comes out with NaN or infinity.
    """
    require_pictures(images)
    require_unit_range(images, "Batch of pictures")
    _require_fitting(mask, images)
    if batch is not None and batch < 1:
        raise SettingsError(f"batch is {batch}; a whole number from 1 up is needed.")
    for name, share in {"strength": strength, "grain": grain}.items():
        if not 0 <= share <= 1:
            raise SettingsError(f"{name} is {share}; a number from 0 to 1 is needed.")
    chosen = _per_picture(base, style, len(images))
    size = batch or pictures_per_pass(images.shape[-2], images.shape[-1], base.device)
    with torch.inference_mode():
        content = images.float().clamp(0, 1)
        if strength == 0:
            return content
        if strength < 1:
            chosen = [scale_style(base, each, (1 + strength) / 2) for each in chosen]
        read = content if alpha is None else fill_hidden(content, alpha)
        how = _Drawing(size, precision, grain, seed, statistics, seamless)
        drawn = _draw(base, chosen, read, how)
        require_finite_result(drawn, chosen[0].name if chosen else "", precision)
        return finish(
            content, drawn, strength=strength, colouring=colouring, alpha=alpha, mask=mask
        )


@dataclass(frozen=True)
class _Drawing:
    """How pictures go through the network, `size` of them at a time; see `stylize`."""

    size: int
    precision: Precision
    grain: float
    seed: int
    statistics: NormStatistics | None
    seamless: Seamless


def _draw(base: Base, styles: Sequence[AdaptedStyle], pictures: Tensor, how: _Drawing) -> Tensor:
    """Pictures (B, 3, H, W) through the network, on their device."""
    if not len(pictures):
        return pictures
    own_height, own_width = pictures.shape[-2:]
    height = _side_to_draw(own_height, wraps(how.seamless, "y"))
    width = _side_to_draw(own_width, wraps(how.seamless, "x"))
    read = _interpolate(pictures, height, width)
    relief = None
    if how.grain:
        wrapping = how.seamless != "none"
        relief = how.grain * grain_relief(height, width, how.seed, wrapping=wrapping)
    chunks = [
        _draw_chunk(base, styles, read, relief, slice(first, first + how.size), how)
        for first in range(0, len(read), how.size)
    ]
    return _interpolate(torch.cat(chunks), own_height, own_width)


def _require_fitting(mask: Tensor | None, images: Tensor) -> None:
    count, _, height, width = images.shape
    if mask is not None and mask.shape not in {(1, 1, height, width), (count, 1, height, width)}:
        raise ShapeError(
            f"Got a mask of shape {tuple(mask.shape)}; (1, 1, {height}, {width}) is needed, or "
            f"({count}, 1, {height}, {width})."
        )


def finish(
    photographs: Tensor,
    drawn: Tensor,
    *,
    strength: float = 1.0,
    colouring: Colouring = _AS_DRAWN,
    alpha: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """What is done to pixels after drawing: colours, then the photograph is mixed in.

    Args:
        photographs: (B, 3, H, W), [0, 1].
        drawn: what was made of them, of the same shape.
        strength: 0 gives the photographs exactly, 1 the drawing.
        colouring: whose colours the drawing gets.
        alpha: (B, 1, H, W), [0, 1], of photographs with transparency.
        mask: (1 or B, 1, H, W), [0, 1]: strength is multiplied by it, pixel by pixel.
    """
    coloured = recolour(drawn, photographs, colouring, alpha)
    if mask is not None:
        return torch.lerp(photographs, coloured, strength * mask.to(coloured))
    return coloured if strength == 1 else torch.lerp(photographs, coloured, strength)


def _per_picture(
    base: Base, style: AdaptedStyle | Sequence[AdaptedStyle], count: int
) -> list[AdaptedStyle]:
    styles = [style] if isinstance(style, AdaptedStyle) else list(style)
    for each in styles:
        check_style(each, base)
    moved = [each.to(base.device) for each in styles]
    if isinstance(style, AdaptedStyle):
        return moved
    if len(moved) != count:
        raise SettingsError(f"Got {len(moved)} styles for {count} images; one each is needed.")
    if any(each.mode != "norm" for each in moved):
        raise SettingsError(
            "A batch of several styles needs styles of mode norm; run others apart."
        )
    return moved


def pictures_per_pass(height: int, width: int, device: torch.device) -> int:
    """How many pictures of a size `stylize` takes at once when it is not told."""
    if device.type == "cpu":
        return 1
    return max(1, _CHUNK_PIXELS // (height * width))


def _draw_chunk(
    base: Base,
    styles: Sequence[AdaptedStyle],
    images: Tensor,
    relief: Tensor | None,
    rows: slice,
    how: _Drawing,
) -> Tensor:
    weights = styles[0].fast_weights if len(styles) == 1 else _rows(styles[rows])
    chunk = images[rows].to(base.device)
    if relief is not None:
        chunk = chunk + relief.to(base.device)
    if base.device.type == "cpu" and compute_dtype(how.precision, base.device) == torch.float32:
        # All layers keep the layout, and convolutions need not change it each.
        chunk = chunk.contiguous(memory_format=torch.channels_last)
    with autocast(how.precision, base.device):
        drawn = stylize_with(base.network, weights, chunk, how.statistics, how.seamless)
    return drawn.to(images.device).contiguous()


def _side_to_draw(side_px: int, wrapping: bool) -> int:
    """The side itself, or where it wraps the nearest that the network can join."""
    if not wrapping:
        return side_px
    return max(MIN_SIDE_PX, STRIDE_PX * round(side_px / STRIDE_PX))


def _interpolate(images: Tensor, height: int, width: int) -> Tensor:
    """Scale (B, 3, H, W) by a few pixels and keep it sharp."""
    if images.shape[-2:] == (height, width):
        return images
    scaled = F.interpolate(images, (height, width), mode="bicubic", align_corners=False)
    return scaled.clamp(0, 1)


def _rows(styles: Sequence[AdaptedStyle]) -> FastWeights:
    return {
        name: torch.stack([style.fast_weights[name] for style in styles])
        for name in styles[0].fast_weights
    }
