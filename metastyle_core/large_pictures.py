"""One picture of any size by its rows, from the photograph to the stylized picture.

What `stylization` does with whole pictures is done here strip by strip, in bounded memory:
hidden colour is filled, the picture is drawn (see `drawing`) and finished (see `finishing`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .base import Base
from .checks import require_finite_result, require_shares, require_sides
from .colour import Colouring, ColourMoments, Moments, PaletteMap
from .drawing import Drawing, draw_rows, drawn_size, require_brush, sizes_to_draw
from .finishing import IN_STYLE, finish
from .mixing import scale_style
from .network import MIN_SIDE_PX
from .rows import Plane, Rows, strips_of
from .style import AdaptedStyle, check_style
from .tiling import rows_of_strip
from .transparency import filled_rows

Strip = tuple[int, Tensor]


def goes_by_rows(height: int, width: int, device: torch.device, how: Drawing) -> bool:
    """Whether pictures of a size are drawn one by one, by their rows, and not in batches."""
    drawn = math.prod(drawn_size(height, width, how))
    return how.brush is not None or drawn > how.strips.most_whole(device)


@dataclass(frozen=True)
class PictureRows:
    """One picture by its rows, on any device.

    Attributes:
        width: of the picture.
        colour: rows (1, 3, N, W), float32, [0, 1].
        alpha: rows (1, 1, N, W), [0, 1], where there is transparency.
        mask: rows (1, 1, N, W), [0, 1], where the style does not go everywhere.
    """

    width: int
    colour: Rows
    alpha: Rows | None = None
    mask: Rows | None = None


@torch.inference_mode()
def stylize_rows(
    base: Base,
    style: AdaptedStyle,
    picture: PictureRows,
    how: Drawing,
    *,
    strength: float = 1.0,
    colouring: Colouring = IN_STYLE,
) -> Iterator[Strip]:
    """Stylize one picture; see `stylize`.

    Args:
        base: the base of the style.
        style: on any device.
        picture: its rows, which are read several times.
        how: it is drawn.
        strength: above 0.
        colouring: whose colours the result has.

    Yields:
        From the top down the first row of a strip and the strip, (1, 3, N, W), float32, [0, 1],
        on the device of the picture's rows.

    Raises:
        SettingsError, ShapeError, BaseMismatchError, ResultError: as `stylize`, but for what is
            wrong with pixels.
    """
    require_sides("Image", picture.colour.height, picture.width, MIN_SIDE_PX)
    require_brush(how.brush)
    require_shares(strength=strength, grain=how.grain, abstraction=how.abstraction)
    check_style(style, base)
    sizes_to_draw(picture.colour.height, picture.width, style, how)
    own, colouring = style.to(base.device), colouring.on(style.palette)
    lighter = scale_style(base, own, (1 + strength) / 2) if strength < 1 else own
    how = replace(how, abstraction=strength * how.abstraction)
    drawn: Iterator[Strip] = _drawn(base, lighter, picture, how)
    palette_map = None
    if colouring.colour == "match" and colouring.wanted is not None:
        drawn, palette_map = _matched(drawn, picture, how, colouring.wanted)
    for first, strip in drawn:
        photograph = picture.colour.read(first, first + strip.shape[2])
        yield (
            first,
            finish(
                photograph,
                strip.to(photograph.device),
                strength=strength,
                colouring=colouring,
                mask=_part(picture.mask, first, strip),
                palette_map=palette_map,
            ),
        )


def _drawn(base: Base, style: AdaptedStyle, picture: PictureRows, how: Drawing) -> Iterator[Strip]:
    """The drawing, of which every number is finite."""
    read = picture.colour
    if picture.alpha is not None:
        rows = rows_of_strip(picture.width, how.strips.strip_px)
        read = filled_rows(picture.colour, picture.alpha, picture.width, rows)
    for first, strip in draw_rows(base, style, read, picture.width, how):
        require_finite_result(strip, style.name, how.precision)
        yield first, strip


def _matched(
    drawn: Iterator[Strip], picture: PictureRows, how: Drawing, wanted: Moments
) -> tuple[Iterator[Strip], PaletteMap]:
    """The drawing again, and how its colours must move, which all of it tells."""
    height = picture.colour.height
    kept, moments = Plane(height, how.strips.folder), ColourMoments()
    for first, strip in drawn:
        kept.put(first, strip)
        moments.add(strip, _part(picture.alpha, first, strip))
    strips = strips_of(height, rows_of_strip(picture.width, how.strips.strip_px))
    again = ((first, kept.read(first, last)) for first, last in strips)
    return again, moments.map_to(wanted)


def _part(rows: Rows | None, first: int, strip: Tensor) -> Tensor | None:
    return None if rows is None else rows.read(first, first + strip.shape[2])
