"""A film drawn frame by frame, with or without statistics held over its shots."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

from torch import Tensor

from ..base import Base
from ..images import limit_long_side
from ..network import NormStatistics
from ..precision import Precision
from ..shots import Lock, draw_shots, find_shots, measure_shots
from ..style import AdaptedStyle
from ..stylization import stylize
from ..tiling import WHOLE
from .frames import Film, FilmFrame, ahead


@dataclass(frozen=True)
class FilmDrawing:
    """How every frame is drawn; see `stylize`.

    Attributes:
        base: the base of the style.
        style: for all frames.
        precision: of the convolutions.
        strength: 0 gives frames back, 1 is the full style.
        grain: of the relief under every frame, the same for all.
        seed: of the grain.
        max_size_px: the long side to which frames are shrunk first, or None.
        lock: what statistics shots are held to; None takes each frame's own.
    """

    base: Base
    style: AdaptedStyle
    precision: Precision = "auto"
    strength: float = 1.0
    grain: float = 0.0
    seed: int = 0
    max_size_px: int | None = None
    lock: Lock | None = None

    def draw(self, image: Tensor, statistics: NormStatistics | None) -> Tensor:
        """One frame, (1, 3, H, W), [0, 1], with statistics to hold to or its own."""
        return stylize(
            self.base,
            self.style,
            image,
            precision=self.precision,
            strength=self.strength,
            grain=self.grain,
            seed=self.seed,
            statistics=statistics,
            strips=WHOLE,
        )

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
    lock, network = drawing.lock, drawing.base.network
    if lock is None:
        with closing(ahead(film.frames())) as frames:
            for frame in frames:
                yield frame, None if kept(frame) else drawing.draw(drawing.image(frame), None)
        return
    with closing(_images(film, drawing, on_look)) as images:
        shots = find_shots(images)
    with closing(_images(film, drawing, on_look)) as images:
        held = measure_shots(drawing.draw, network, images, shots, lock)
    # A moving mean needs every frame, those that are there already too.
    drawn_again = lock.kind == "slow"
    with closing(ahead(film.frames())) as frames:
        pairs = ((f, None if kept(f) and not drawn_again else drawing.image(f)) for f in frames)
        yield from draw_shots(drawing.draw, network, pairs, shots, held, lock)


def _images(
    film: Film, drawing: FilmDrawing, on_look: Callable[[FilmFrame], None]
) -> Generator[Tensor]:
    with closing(ahead(film.frames())) as frames:
        for frame in frames:
            on_look(frame)
            yield drawing.image(frame)
