"""One picture through the network by its rows: at its own size, or with a brush of another.

The network's strokes have a size in pixels, so that their size in the picture falls as the
picture grows. With a brush a picture is drawn first at the size where the strokes are as
large as asked for, then again at each next size, up to twice the last, until its own:

    B = enlarged(D) + (luminance of P - luminance of enlarged(reduced(P)))
    D' = enlarged(D) + 0.7 * (C - enlarged(reduced(C))),  C = network(B)

where D is the drawing so far, P the photograph at the new size, and D' the next drawing. Forms
and strokes stay those of the first drawing; edges, detail and the grain of the paint are added
at every size.

Supersampling draws at a larger size and reduces the drawing: contours lose their steps and halos,
and flat areas the weave, which are a few pixels of the network wide. In large pictures these are
small as they are, and strokes would be too small: the larger a picture, the less it is enlarged.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from .base import Base
from .borders import Seamless, wraps
from .brushwork import brushwork_at, in_brushwork
from .checks import require_sides
from .errors import SettingsError
from .grain import relief_rows
from .images import luminance
from .network import (
    MIN_SIDE_PX,
    STRIDE_PX,
    FastWeights,
    NormStatistics,
    StylizationNetwork,
    own_statistics,
    stylize_with,
)
from .precision import Precision, autocast
from .rows import Kernel, Plane, Rows, bordered_rows, gathered, resampled, rows_of, strips_of
from .steady import Steady
from .style import AdaptedStyle
from .tiling import Strips, draw_in_strips, rows_of_strip
from .touches import REACH_PX, in_touches

_T = TypeVar("_T")
Size = tuple[int, int]
_TOUCHED_ROWS = 640  # that are painted over at once, with their surroundings one block
_FINE = 0.7  # of what each size adds: all of it lies over the strokes like a net
_LARGEST_STEP = 2.0
# Of stills, where nobody says otherwise: twice as much work, calm areas and clean contours.
USUAL_SUPERSAMPLING = 1.5
MOST_SUPERSAMPLING = 2.0
_ENLARGED_UP_TO_PX = 512  # of short sides, as many times as is asked for; larger ones less
_LARGEST_SEEN_PX = 2**20  # of a picture that wraps, for what norms go by
LARGEST_FACTOR = 6.0  # by which a picture is enlarged for strokes finer than the network's
# Of the work at a size: painting the photograph over.
_TOUCHES = 0.1


@dataclass(frozen=True)
class Drawing:
    """How a picture goes through the network; see `stylize`.

    Attributes:
        precision: of the convolutions.
        grain: strength of the strokes along the forms.
        seed: of the grain.
        statistics: what instance norms normalise by, or None.
        seamless: axes along which the picture wraps.
        brush: size of the strokes, 1 as adapted; None as the network draws them.
        strips: how large pictures are cut.
        steady: how many shifts within the stride are averaged (see `steady`).
        abstraction: how far the photograph is painted over first (see `touches`).
        supersampling: how many times as large as the picture it is drawn at last, before it is
            reduced, 1 to 2; see `enlargement`.
    """

    precision: Precision = "auto"
    grain: float = 0.0
    seed: int = 0
    statistics: NormStatistics | None = None
    seamless: Seamless = "none"
    brush: float | None = None
    strips: Strips = field(default_factory=Strips)
    steady: Steady = 1
    abstraction: float = 0.0
    supersampling: float = 1.0

    @property
    def reducing(self) -> Kernel:
        """The kernel that makes pictures smaller.

        By a few pixels alone, as pictures that wrap are, `cubic` keeps them as they are.
        """
        if self.supersampling > 1:
            return "sharp"
        return "cubic" if self.brush is None else "triangle"

    @property
    def wrapping(self) -> tuple[bool, bool]:
        """Whether the picture wraps, down and across."""
        return wraps(self.seamless, "y"), wraps(self.seamless, "x")


def require_brush(brush: float | None) -> None:
    """Raise SettingsError unless a brush is a finite number above 0, or none."""
    if brush is not None and not 0 < brush < math.inf:
        raise SettingsError(
            f"brush is {brush}; a number above 0 is needed: 1 for strokes as large as adapted, "
            "0.5 for half of that."
        )


def require_supersampling(factor: float) -> None:
    """Raise SettingsError unless it is from 1 to 2."""
    if not 1 <= factor <= MOST_SUPERSAMPLING:
        raise SettingsError(
            f"supersampling is {factor}; a number from 1 to {MOST_SUPERSAMPLING:g} is needed."
        )


def enlargement(short_px: int, supersampling: float) -> float:
    """How many times as large a picture is drawn.

    Args:
        short_px: its short side.
        supersampling: of those of up to 512 px. Larger ones are drawn as those are, until they are
            as large themselves.
    """
    return max(1.0, supersampling * min(1.0, _ENLARGED_UP_TO_PX / short_px))


def sizes_to_draw(height: int, width: int, style: AdaptedStyle, how: Drawing) -> list[Size]:
    """The sizes at which a picture is drawn, one after another.

    Args:
        height: of the picture.
        width: of the picture.
        style: whose strokes have their right size at its own size in pixels.
        how: brush, supersampling and axes that wrap.

    Raises:
        SettingsError: the brush is so coarse or so fine that nothing can be drawn with it, or
            supersampling is out of range.
    """
    require_supersampling(how.supersampling)
    short = min(height, width)
    last = short * enlargement(short, how.supersampling)
    first = last if how.brush is None else style.size_px / how.brush
    least, most = MIN_SIDE_PX, LARGEST_FACTOR * short
    if not least <= first <= most:
        raise SettingsError(
            f"A brush of {how.brush:g} draws this picture of {width}x{height} px at a short side "
            f"of {first:.0f} px; choose one from {style.size_px / most:.2g} to "
            f"{style.size_px / least:.2g}."
        )
    steps = max(0, math.ceil(math.log(last / first, _LARGEST_STEP) - 1e-9))
    factors = [(first / short) * (last / first) ** (i / steps) for i in range(steps)]
    factors.append(max(first, last) / short)
    return [_fitting(height * factor, width * factor, how) for factor in factors]


def largest_size(height: int, width: int, style: AdaptedStyle, how: Drawing) -> Size:
    """The largest of `sizes_to_draw`, which says how much memory a drawing takes.

    Raises:
        ShapeError: the picture is too small to be drawn.
        SettingsError: as `sizes_to_draw`.
    """
    require_sides("Image", height, width, MIN_SIDE_PX)
    return max(sizes_to_draw(height, width, style, how), key=math.prod)


def drawn_size(height: int, width: int, how: Drawing) -> Size:
    """The size at which a picture is drawn without a brush."""
    factor = enlargement(min(height, width), how.supersampling)
    return _fitting(height * factor, width * factor, how)


def _fitting(height: float, width: float, how: Drawing) -> Size:
    """Whole sides, where they wrap the nearest that the network can join."""
    grids = [STRIDE_PX if wrapping else 1 for wrapping in how.wrapping]
    rounded = (g * round(s / g) for s, g in zip((height, width), grids, strict=True))
    down, across = (max(MIN_SIDE_PX, side) for side in rounded)
    return down, across


def scaled(
    images: Tensor,
    size: Size,
    reducing: Kernel = "sharp",
    wrapping: tuple[bool, bool] = (False, False),
) -> Tensor:
    """Pictures (B, C, H, W), [0, 1], at another size, sharp where that is larger."""
    if images.shape[-2:] == size:
        return images
    kernel = "cubic" if size[0] > images.shape[-2] else reducing
    rows = resampled(rows_of(images), images.shape[-1], size, kernel, wrapping)
    return rows.read(0, size[0]).clamp(0, 1)


def draw_rows(
    base: Base, style: AdaptedStyle, picture: Rows, width: int, how: Drawing
) -> Iterator[tuple[int, Tensor]]:
    """Draw one picture.

    Args:
        base: the base of the style.
        style: on the device of the base.
        picture: rows (1, 3, N, W), [0, 1], on any device.
        width: W.
        how: see there.

    Yields:
        From the top down the first row of a strip and the strip, (1, 3, N, W), float32, [0, 1],
        on the device of the base. Pictures that are not large come in one.

    Raises:
        SettingsError: as `sizes_to_draw`.
    """
    own = (picture.height, width)
    sizes = sizes_to_draw(*own, style, how)
    *shares, last_share = _shares(sizes)
    *smaller, size = sizes
    brushwork = brushwork_at(style.brushwork, min(sizes[0]))
    how = replace(
        how,
        grain=in_brushwork(how.grain, brushwork),
        abstraction=in_brushwork(how.abstraction, brushwork),
    )
    layers = _Layers(base, style, picture.map(lambda rows: rows.to(base.device)), own, how)
    for each, share in zip(smaller, shares, strict=True):
        layers.keep(layers.draw(each, share), each)
    drawn = layers.draw(size, last_share)
    if size == own:
        yield from drawn
        return
    reduced = resampled(layers.plane(drawn, size).rows, size[1], own, how.reducing, how.wrapping)
    for first, end in strips_of(own[0], rows_of_strip(width, how.strips.strip_px)):
        yield first, reduced.read(first, end).clamp(0, 1)


def _shares(sizes: list[Size]) -> list[float]:
    """How much of the work each size is."""
    pixels = [math.prod(size) for size in sizes]
    return [each / sum(pixels) for each in pixels]


class _Layers:
    """A picture that is drawn at one size after another, each over the one before."""

    def __init__(
        self, base: Base, style: AdaptedStyle, picture: Rows, own: Size, how: Drawing
    ) -> None:
        self._base, self._style, self._how = base, style, how
        self._picture, self._own = picture, own
        self._done = 0.0
        self._photograph = picture  # at the size that is drawn
        # The drawing, and the luminance of the photograph, at the size drawn last.
        self._sketch: Plane | None = None
        self._light: Plane | None = None
        self._size = own

    def plane(self, strips: Iterator[tuple[int, Tensor]], size: Size) -> Plane:
        """Keep a drawing."""
        plane = Plane(size[0], self._how.strips.folder)
        for first, rows in strips:
            plane.put(first, rows)
        return plane

    def keep(self, strips: Iterator[tuple[int, Tensor]], size: Size) -> None:
        """Keep a drawing, and the photograph's luminance at its size, to draw over it."""
        self._sketch, self._size = self.plane(strips, size), size
        self._light = self._gathered(self._photograph.map(luminance), size)

    def draw(self, size: Size, share: float) -> Iterator[tuple[int, Tensor]]:
        """Draw at a size, which is so much of the work."""
        # Strokes are those of the first drawing.
        grain = self._how.grain if self._sketch is None else 0.0
        self._photograph = read = self._at(size)
        if self._how.abstraction or grain:
            touched = self._in_touches(self._photograph, size, _TOUCHES * share)
            self._photograph = read = touched.map(lambda rows: rows[:, :3])
            if grain:
                read = touched.map(partial(_with_strokes, self._base.network, grain))
            share -= _TOUCHES * share
        if self._sketch is None or self._light is None:
            return self._pass(read, size, share)
        return self._draw_over(self._sketch, self._light, size, share)

    def _draw_over(
        self, sketch: Plane, light: Plane, size: Size, share: float
    ) -> Iterator[tuple[int, Tensor]]:
        # Enlarging is linear: what both formulas enlarge is put together before.
        photograph = self._photograph
        unlit = self._enlarged(lambda a, b: sketch.read(a, b) - light.read(a, b), size)

        def with_detail(first: int, last: int) -> Tensor:
            lit = unlit.read(first, last) + luminance(photograph.read(first, last))
            return lit.clamp(0, 1)

        redrawn = self.plane(self._pass(Rows(size[0], with_detail), size, share), size)
        reduced = resampled(redrawn.rows, size[1], self._size, "triangle", self._how.wrapping)
        coarse = self._gathered(reduced, self._size)
        rest = self._enlarged(lambda a, b: sketch.read(a, b) - _FINE * coarse.read(a, b), size)
        for first, last in strips_of(size[0], rows_of_strip(size[1], self._how.strips.strip_px)):
            yield first, (rest.read(first, last) + _FINE * redrawn.read(first, last)).clamp(0, 1)

    def _at(self, size: Size) -> Rows:
        """The photograph at a size."""
        if size == self._own:
            return self._picture
        kernel = "cubic" if size[0] > self._own[0] else self._how.reducing
        resized = resampled(self._picture, self._own[1], size, kernel, self._how.wrapping)
        return self._gathered(resized.map(lambda rows: rows.clamp(0, 1)), size).rows

    def _in_touches(self, picture: Rows, size: Size, share: float) -> Rows:
        """A painting of a picture and its strokes, (1, 4, N, W), which is so much of the work."""
        how, height = self._how, size[0]
        wraps_down, wraps_across = how.wrapping
        relief = relief_rows(*size, how.seed, wrapping=how.seamless != "none")

        def read(first: int, last: int) -> Tensor:
            above, below = first - first % 2 - REACH_PX, last + REACH_PX
            if not wraps_down:
                above, below = max(0, above), min(height, below)
            rows, noise = (bordered_rows(v, above, below, "circular") for v in (picture, relief))
            along = "x" if wraps_across else "none"
            touched = in_touches(rows, noise.to(rows.device), how.abstraction, along)
            return torch.cat(touched, dim=1)[..., first - above : last - above, :]

        # The network reads its rows again and again.
        at_once = max(_TOUCHED_ROWS, rows_of_strip(size[1], how.strips.strip_px))
        return gathered(Rows(height, read), at_once, how.strips.folder, self._reporter(share)).rows

    def _gathered(self, rows: Rows, size: Size) -> Plane:
        # Next to no work, but a chance to stop.
        strip = rows_of_strip(size[1], self._how.strips.strip_px)
        return gathered(rows, strip, self._how.strips.folder, self._reporter(0.0))

    def _reporter(self, share: float) -> Callable[[float], None]:
        """Takes word of the part that is done of what is next, which is so much of the work."""
        before, on_strip = self._done, self._how.strips.on_strip
        self._done += share
        return lambda part: on_strip(before + share * part)

    def _enlarged(self, read: Callable[[int, int], Tensor], size: Size) -> Rows:
        """What has the size drawn last at the next one."""
        source = Rows(self._size[0], read)
        return resampled(source, self._size[1], size, "cubic", self._how.wrapping)

    def _pass(self, picture: Rows, size: Size, share: float) -> Iterator[tuple[int, Tensor]]:
        """Once through the network, whole or in strips."""
        how = self._how
        strips = replace(how.strips, on_strip=self._reporter(share))
        network, weights, statistics = self._base.network, self._style.fast_weights, how.statistics
        computing = partial(autocast, how.precision, self._base.device)
        if how.seamless != "none" and statistics is None:
            with computing():
                statistics = statistics_to_wrap_by(network, weights, picture, size[1])
        if math.prod(size) > strips.most_whole(self._base.device):
            drawn = draw_in_strips(
                network, weights, picture, size[1], strips,
                statistics=statistics, seamless=how.seamless,
            )  # fmt: skip
            yield from _each_within(computing, drawn)
            return
        with computing():
            whole = stylize_with(
                network, weights, picture.read(0, size[0]), statistics, how.seamless
            )
        strips.on_strip(1.0)
        yield 0, whole.float()


def _with_strokes(network: StylizationNetwork, grain: float, touched: Tensor) -> Tensor:
    """What a network reads of paintings and their strokes, (B, 4, H, W)."""
    return network.with_strokes(touched[:, :3], grain * touched[:, 3:])


def statistics_to_wrap_by(
    network: StylizationNetwork, weights: FastWeights, picture: Rows, width: int
) -> NormStatistics:
    """`own_statistics` of a picture that wraps, of a large one as it is when reduced.

    Args:
        network: the base.
        weights: the style.
        picture: rows (1, 3, N, W), [0, 1], or with grain.
        width: W.
    """
    factor = min(1.0, math.sqrt(_LARGEST_SEEN_PX / (picture.height * width)))
    height, narrow = (max(MIN_SIDE_PX, round(side * factor)) for side in (picture.height, width))
    seen = picture if factor == 1 else resampled(picture, width, (height, narrow), "triangle")
    return own_statistics(network, weights, seen.read(0, height))


def _each_within(
    context: Callable[[], AbstractContextManager[object]], values: Iterator[_T]
) -> Iterator[_T]:
    """Compute values in a context that whoever takes them does not see."""
    while True:
        with context():
            value = next(values, None)
        if value is None:
            return
        yield value
