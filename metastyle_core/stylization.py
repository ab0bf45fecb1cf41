"""Stylization: pictures in, stylized pictures out, one pass each.

This file owns batches, chunks and number formats. Small pictures go through the network in
batches, large ones and those with a brush one by one (see `large_pictures`). It never
changes the base or the style. Where pictures come from and go to is the business of others.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from .base import Base
from .borders import Seamless
from .brushwork import brushwork_at, in_brushwork
from .checks import (
    require_finite_result,
    require_pictures,
    require_shares,
    require_sides,
    require_unit_range,
)
from .colour import Colouring
from .drawing import (
    USUAL_SUPERSAMPLING,
    Drawing,
    drawn_size,
    require_brush,
    require_supersampling,
    scaled,
    statistics_to_wrap_by,
)
from .errors import SettingsError, ShapeError
from .finishing import IN_STYLE, finish
from .grain import USUAL_GRAIN, grain_relief
from .large_pictures import PictureRows, goes_by_rows, stylize_rows
from .mixing import scale_style
from .network import MIN_SIDE_PX, FastWeights, NormStatistics, stylize_with
from .precision import Precision, autocast
from .rows import rows_of
from .steady import Steady, require_steady, steady_mean
from .style import AdaptedStyle, check_style
from .tiling import Strips
from .touches import USUAL_ABSTRACTION, in_touches
from .transparency import fill_hidden

_CHUNK_PIXELS = 4 * 1024 * 1024


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
    colouring: Colouring = IN_STYLE,
    seamless: Seamless = "none",
    mask: Tensor | None = None,
    brush: float | None = None,
    strips: Strips | None = None,
    steady: Steady = 1,
    abstraction: float = 0.0,
    supersampling: float = 1.0,
) -> Tensor:
    """Stylize a batch of pictures of one size.

    Strength mixes the stylized picture into the content, pixel by pixel, and at the
    same time draws it in a lighter form of the style, half way back to the base at
    strength 0, with less abstraction. Mixing alone lays hard strokes half transparent over
    the photograph; fading the style alone ends at the base, which is a style of its own.
    Together the strokes soften as the photograph returns, and equal moves of strength
    change the picture about equally.

    Args:
        base: the base of the style.
        style: one for all pictures, or one per picture (instance-norm styles only).
        images: (B, 3, H, W), [0, 1], any device; both sides at least 16 px. What sharp
            filters leave a little beyond the ends is clamped.
        precision: of the convolutions.
        batch: pictures per pass; None takes as many as 4 megapixels on an
            accelerator and one at a time on the CPU, where more gain nothing.
        strength: 0 gives the content back exactly, 1 is the full style.
        grain: strength, from 0 to 1, of the strokes along the forms that the network reads
            with the picture (see `grain` and `touches`), less in styles without brushwork.
        seed: of the grain.
        statistics: what instance norms normalise all pictures by, which `shots` holds over
            the frames of a film; None takes each picture's own.
        alpha: (B, 1, H, W), [0, 1], any device, of pictures with transparency: colour that it
            hides is filled from its neighbours before the network reads it (see `transparency`).
        colouring: whose colours the result has.
        seamless: axes along which the pictures wrap, for textures and panoramas: copies of a
            result join there as pixels do inside. Those sides are drawn at the nearest
            multiple of 4 px and scaled back.
        mask: (1, 1, H, W) or (B, 1, H, W), [0, 1]: the style goes where it is 1, and where
            it is 0 the content stays exactly (see `masks`).
        brush: size of the strokes in the finished picture, whatever its size in pixels: 1
            makes them as large, beside the short side, as they were adapted, 0.5 half of that
            (see `drawing`). None draws at the size of the pictures, where strokes have a size
            in pixels.
        strips: how large pictures are cut, and word of each strip; None is the default.
        steady: the mean of 2 or 4 drawings, each shifted within the network's stride, swims less
            when a picture pans (see `steady`); as many times the work. For pictures that are
            drawn whole.
        abstraction: from 0 to 1, how far the photograph is painted over along its forms before
            the network reads it (see `touches`), less in styles without brushwork.
        supersampling: from 1 to 2, how many times as large the pictures are drawn before they are
            reduced (see `drawing`): 1.5 is twice the work, and strokes get as much finer. From a
            short side of 512 px on it is less.

    Returns:
        (B, 3, H, W), float32, [0, 1], on the device of `images`. No gradients. Every
        picture is the same whatever the batch, up to rounding on an accelerator.

    Raises:
        ShapeError: not a batch of RGB pictures, too small, or `alpha` or `mask` does not fit.
        SettingsError: the number of styles does not fit, `batch` is not positive, or
            `strength`, `grain` or `abstraction` lies outside [0, 1] or `supersampling` outside
            [1, 2], or `images` hold whole numbers, NaN or another range, such as 0..255, or no
            picture can be drawn with such a brush.
        BaseMismatchError: a style belongs to another base.
        ResultError: a picture comes out with NaN or infinity.
    """
    require_pictures(images)
    require_sides("Image", images.shape[-2], images.shape[-1], MIN_SIDE_PX)
    require_unit_range(images, "Batch of pictures")
    _require_fitting(mask, alpha, images)
    if batch is not None and batch < 1:
        raise SettingsError(f"batch is {batch}; a whole number from 1 up is needed.")
    strips = strips or Strips()
    require_shares(strength=strength, grain=grain, abstraction=abstraction)
    how = Drawing(
        precision, grain, seed, statistics, seamless, brush, strips, steady, abstraction,
        supersampling,
    )  # fmt: skip
    require_brush(brush)
    require_supersampling(supersampling)
    require_steady(steady)
    chosen = _per_picture(base, style, len(images))
    height, width = images.shape[-2:]
    size = batch or pictures_per_pass(*drawn_size(height, width, how), base.device)
    with torch.inference_mode():
        if strength > 0 and goes_by_rows(images.shape[-2], images.shape[-1], base.device, how):
            _refuse_steady(steady)
            return _stylize_each(base, chosen, images, alpha, mask, strength, colouring, how)
        content = images.float().clamp(0, 1)
        if strength == 0:
            return content
        colourings = [colouring.on(each.palette) for each in chosen]
        if strength < 1:
            chosen = [scale_style(base, each, (1 + strength) / 2) for each in chosen]
            how = replace(how, abstraction=strength * abstraction)
        read = content if alpha is None else fill_hidden(content, alpha)
        drawn = _draw(base, chosen, read, size, how)
        require_finite_result(drawn, chosen[0].name if chosen else "", precision)
        return _finish_each(content, drawn, strength, colourings, alpha, mask)


# As stills are drawn where nobody says otherwise.
stylize_as_usual = partial(
    stylize,
    grain=USUAL_GRAIN,
    abstraction=USUAL_ABSTRACTION,
    supersampling=USUAL_SUPERSAMPLING,
)


def _finish_each(
    content: Tensor,
    drawn: Tensor,
    strength: float,
    colourings: Sequence[Colouring],
    alpha: Tensor | None,
    mask: Tensor | None,
) -> Tensor:
    """Drawings (B, 3, H, W) finished in one colouring, or each in its own."""
    if len(colourings) == 1:
        return finish(
            content, drawn, strength=strength, colouring=colourings[0], alpha=alpha, mask=mask
        )
    result = torch.empty_like(content)
    for place, colouring in enumerate(colourings):
        row = slice(place, place + 1)
        result[row] = finish(
            content[row],
            drawn[row],
            strength=strength,
            colouring=colouring,
            alpha=None if alpha is None else alpha[row],
            mask=mask if mask is None or len(mask) == 1 else mask[row],
        )
    return result


def _stylize_each(
    base: Base,
    styles: Sequence[AdaptedStyle],
    images: Tensor,
    alpha: Tensor | None,
    mask: Tensor | None,
    strength: float,
    colouring: Colouring,
    how: Drawing,
) -> Tensor:
    """Pictures (B, 3, H, W) one after another, by their rows."""
    result = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    alpha = None if alpha is None else alpha.to(result)
    for place in range(len(images)):
        picture = PictureRows(
            images.shape[-1],
            rows_of(images[place : place + 1]).map(lambda rows: rows.float().clamp(0, 1)),
            None if alpha is None else rows_of(alpha[place : place + 1]),
            None if mask is None else rows_of(mask if len(mask) == 1 else mask[place : place + 1]),
        )
        strips = replace(how.strips, on_strip=_nth(how.strips.on_strip, place, len(images)))
        drawing = replace(how, strips=strips)
        style = styles[place if len(styles) > 1 else 0]
        for first, strip in stylize_rows(
            base, style, picture, drawing, strength=strength, colouring=colouring
        ):
            result[place, :, first : first + strip.shape[2]] = strip[0]
    return result


def _refuse_steady(steady: Steady) -> None:
    if steady > 1:
        raise SettingsError(
            f"steady is {steady}, which needs pictures that are drawn whole; leave it at 1 for "
            "large ones and with a brush."
        )


def _nth(report: Callable[[float], None], place: int, count: int) -> Callable[[float], None]:
    """Word of one of several pictures as a share of all."""
    return lambda share: report((place + share) / count)


def _draw(
    base: Base, styles: Sequence[AdaptedStyle], pictures: Tensor, size: int, how: Drawing
) -> Tensor:
    """Pictures (B, 3, H, W) through the network, on their device."""
    if not len(pictures):
        return pictures
    own_size = (pictures.shape[-2], pictures.shape[-1])
    size_drawn = drawn_size(*own_size, how)
    relief = None
    if how.grain or how.abstraction:
        wrapping = how.seamless != "none"
        relief = grain_relief(*size_drawn, how.seed, wrapping=wrapping).to(base.device)
    chunks: list[Tensor] = []
    for first in range(0, len(pictures), size):
        rows = slice(first, first + size)
        own = pictures[rows].to(base.device)
        read = scaled(own, size_drawn, how.reducing, how.wrapping)
        drawn = _draw_chunk(base, styles if len(styles) == 1 else styles[rows], read, relief, how)
        reduced = scaled(drawn, own_size, how.reducing, how.wrapping)
        chunks.append(reduced.to(pictures.device))
    return torch.cat(chunks)


def _require_fitting(mask: Tensor | None, alpha: Tensor | None, images: Tensor) -> None:
    count, _, height, width = images.shape
    if alpha is not None and alpha.shape != (count, 1, height, width):
        raise ShapeError(
            f"Got alpha of shape {tuple(alpha.shape)}; {(count, 1, height, width)} is needed."
        )
    if mask is not None and mask.shape not in {(1, 1, height, width), (count, 1, height, width)}:
        raise ShapeError(
            f"Got a mask of shape {tuple(mask.shape)}; (1, 1, {height}, {width}) is needed, or "
            f"({count}, 1, {height}, {width})."
        )


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
    chosen: Sequence[AdaptedStyle],
    images: Tensor,
    relief: Tensor | None,
    how: Drawing,
) -> Tensor:
    """Pictures on the device of the base, in one style or one each."""
    chunk = images
    if relief is not None:
        abstraction, grain = (_in_each(a, chosen, images) for a in (how.abstraction, how.grain))
        chunk, strokes = in_touches(images, relief, abstraction, how.seamless)
        if how.grain:
            chunk = base.network.with_strokes(chunk, grain * strokes)
    if base.device.type == "cpu":
        # Processors convolve pixels whose channels lie together faster, in every format.
        chunk = chunk.contiguous(memory_format=torch.channels_last)
    with autocast(how.precision, base.device):
        if how.seamless != "none" and how.statistics is None:
            each = itertools.cycle(chosen) if len(chosen) == 1 else chosen
            pairs = zip(each, chunk.split(1), strict=False)
            drawn = torch.cat([_draw_wrapping(base, *pair, how) for pair in pairs])
        else:
            weights = chosen[0].fast_weights if len(chosen) == 1 else _rows(chosen)
            drawn = _draw_with(base, weights, chunk, how, how.statistics)
    return drawn.float().contiguous()


def _in_each(amount: float, styles: Sequence[AdaptedStyle], like: Tensor) -> float | Tensor:
    """An amount in the brushwork of one style, or of each, (B, 1, 1, 1), for pictures such."""
    short = min(like.shape[-2:])
    amounts = [in_brushwork(amount, brushwork_at(style.brushwork, short)) for style in styles]
    if len(set(amounts)) == 1:
        return amounts[0]
    return like.new_tensor(amounts, dtype=torch.float32).view(-1, 1, 1, 1)


def _draw_wrapping(base: Base, style: AdaptedStyle, picture: Tensor, how: Drawing) -> Tensor:
    """One picture (1, 3 or 4, H, W) that wraps, by what norms see of it with borders."""
    weights, width = style.fast_weights, picture.shape[-1]
    statistics = statistics_to_wrap_by(base.network, weights, rows_of(picture), width)
    return _draw_with(base, weights, picture, how, statistics)


def _draw_with(
    base: Base,
    weights: FastWeights,
    pictures: Tensor,
    how: Drawing,
    statistics: NormStatistics | None,
) -> Tensor:
    draw = partial(
        stylize_with, base.network, weights, statistics=statistics, seamless=how.seamless
    )
    return steady_mean(draw, pictures, how.steady, how.seamless)


def _rows(styles: Sequence[AdaptedStyle]) -> FastWeights:
    return {
        name: torch.stack([style.fast_weights[name] for style in styles])
        for name in styles[0].fast_weights
    }
