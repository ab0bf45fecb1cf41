"""A film drawn frame by frame, with or without statistics held over its shots."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ..base import Base
from ..borders import Seamless
from ..checks import require_shares
from ..colour import Colouring, ColourMoments
from ..finishing import AS_DRAWN, IN_STYLE, finish
from ..images import limit_long_side
from ..masks import fitted_mask, require_mask
from ..mixing import scale_style
from ..network import NormStatistics
from ..precision import Precision
from ..shots import Held, Lock, Shot, draw_shots, find_shots, measure_shots
from ..steady import Steady, require_steady
from ..style import AdaptedStyle
from ..stylization import stylize
from ..tiling import WHOLE
from .frames import Film, FilmFrame, ahead

# A frame, and its image unless it is kept as it is.
_Wanted: TypeAlias = tuple[FilmFrame, Tensor | None]


@dataclass(frozen=True)
class FilmDrawing:
    """How every frame is drawn; see `stylize`.

    Attributes:
        base: the base of the style.
        style: for all frames.
        precision: of the convolutions.
        strength: 0 gives frames back, 1 is the full style.
        grain: strength of the strokes along the forms, from the same noise in every frame.
        seed: of the grain.
        max_size_px: the long side to which frames are shrunk first, or None.
        lock: what statistics shots are held to; None takes each frame's own.
        steady: how many shifts within the stride every frame is the mean of.
        colouring: whose colours frames have; with a lock a palette moves those of all frames of
            a shot alike.
        seamless: axes along which frames wrap.
        mask: (1, 1, H, W), [0, 1], of the ratio of the frames: where the style goes, the same
            for all; None for everywhere.
        abstraction: how far frames are painted over first, from 0 to 1.
    """

    base: Base
    style: AdaptedStyle
    precision: Precision = "auto"
    strength: float = 1.0
    grain: float = 0.0
    seed: int = 0
    max_size_px: int | None = None
    lock: Lock | None = None
    steady: Steady = 1
    colouring: Colouring = IN_STYLE
    seamless: Seamless = "none"
    mask: Tensor | None = None
    abstraction: float = 0.0

    def __post_init__(self) -> None:
        require_shares(strength=self.strength, grain=self.grain, abstraction=self.abstraction)
        require_steady(self.steady)

    def draw(self, image: Tensor, statistics: NormStatistics | None) -> Tensor:
        """One frame, (1, 3, H, W), [0, 1], with statistics to hold to or its own; unfinished."""
        if self.strength == 0:
            return image
        style = self.style
        if self.strength < 1:
            style = scale_style(self.base, style, (1 + self.strength) / 2)
        return stylize(
            self.base,
            style,
            image,
            precision=self.precision,
            grain=self.grain,
            seed=self.seed,
            statistics=statistics,
            colouring=AS_DRAWN,
            seamless=self.seamless,
            strips=WHOLE,
            steady=self.steady,
            abstraction=self.strength * self.abstraction,
        )

    @torch.inference_mode()
    def finish(self, image: Tensor, drawn: Tensor, colours: ColourMoments | None = None) -> Tensor:
        """Give what was drawn of an image its colours, and mix the image into it.

        Args:
            image: (1, 3, H, W), [0, 1].
            drawn: the same shape.
            colours: of the drawings of a shot, or None for those of this one.
        """
        colouring = self.colouring.on(self.style.palette)
        held, wanted = None, colouring.wanted
        if colours is not None and wanted is not None:
            held = colours.map_to(wanted)
        return finish(image, drawn, strength=self.strength, colouring=colouring, palette_map=held)

    def masked(self, image: Tensor, finished: Tensor) -> Tensor:
        """The finished drawing where the mask is 1, the image where it is 0.

        Raises:
            ShapeError: the mask has another ratio than the image.
        """
        if self.mask is None:
            return finished
        require_mask(self.mask, 1, *image.shape[-2:])
        mask = fitted_mask(self.mask.to(image.device), *image.shape[-2:])
        return torch.lerp(image, finished, mask)

    def image(self, frame: FilmFrame) -> Tensor:
        """What is drawn of a frame."""
        return image_within(frame, self.max_size_px)


def image_within(frame: FilmFrame, max_size_px: int | None) -> Tensor:
    """A frame's image (1, 3, H, W), shrunk to a long side where one is given."""
    image = frame.image()
    return image if max_size_px is None else limit_long_side(image, max_size_px)


def draw_film(
    film: Film,
    drawing: FilmDrawing,
    *,
    kept: Callable[[FilmFrame], bool] = lambda _: False,
    on_look: Callable[[FilmFrame], None] = lambda _: None,
) -> Iterator[tuple[FilmFrame, Tensor | None]]:
    """Draw all frames of a film in order.

    Args:
        film: read once, and with a lock twice more before.
        drawing: how.
        kept: which frames need not be drawn.
        on_look: called with every frame that is looked at before the first is drawn; to stop,
            it raises.

    Yields:
        Each frame with its drawn image (1, 3, H, W), or None where it is kept.

    Raises:
        MetaStyleError: the film cannot be read, frames are too small, or the lock is a frame
            that is not there.
    """
    # A moving mean needs every frame, those that are there already too.
    every = drawing.lock is not None and drawing.lock.kind == "slow"
    if drawing.lock is None:
        found = _draw_freely(_wanted(film, drawing, kept, every), drawing)
    else:
        shots, held = _measure(film, drawing, drawing.lock, on_look)
        found = draw_shots(
            drawing.draw,
            drawing.finish,
            drawing.base.network,
            _wanted(film, drawing, kept, every),
            shots,
            held,
            drawing.lock,
        )
    for (frame, image), finished in found:
        if image is None or finished is None:
            yield frame, None
        else:
            yield frame, drawing.masked(image, finished)


def _wanted(
    film: Film, drawing: FilmDrawing, kept: Callable[[FilmFrame], bool], every: bool
) -> Iterator[tuple[_Wanted, Tensor | None]]:
    """Each frame with its image where it is wanted, and the image where it has to be drawn."""
    with closing(ahead(film.frames())) as frames:
        for frame in frames:
            wanted = not kept(frame)
            image = drawing.image(frame) if wanted or every else None
            yield (frame, image if wanted else None), image


def _draw_freely(
    frames: Iterable[tuple[_Wanted, Tensor | None]], drawing: FilmDrawing
) -> Iterator[tuple[_Wanted, Tensor | None]]:
    for wanted, image in frames:
        drawn = None if image is None else drawing.finish(image, drawing.draw(image, None))
        yield wanted, drawn


def _measure(
    film: Film, drawing: FilmDrawing, lock: Lock, on_look: Callable[[FilmFrame], None]
) -> tuple[list[Shot], list[Held]]:
    """Look through a film twice: for its cuts, then for what its shots are held to."""
    with closing(_images(film, drawing, on_look)) as images:
        shots = find_shots(images)
    with closing(_images(film, drawing, on_look)) as images:
        return shots, measure_shots(drawing.draw, drawing.base.network, images, shots, lock)


def _images(
    film: Film, drawing: FilmDrawing, on_look: Callable[[FilmFrame], None]
) -> Generator[Tensor]:
    with closing(ahead(film.frames())) as frames:
        for frame in frames:
            on_look(frame)
            yield drawing.image(frame)
