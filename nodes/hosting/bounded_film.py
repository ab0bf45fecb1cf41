"""Videos of the host, drawn in bounded memory into a temporary file of the host."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from ...metastyle_core.base import Base
from ...metastyle_core.borders import Seamless
from ...metastyle_core.checks import require_sides
from ...metastyle_core.colour import Colouring
from ...metastyle_core.errors import MetaStyleError
from ...metastyle_core.film.drawing import FilmDrawing, draw_film
from ...metastyle_core.film.frames import FilmFacts, FilmFrame
from ...metastyle_core.film.reading import Cut, VideoFile
from ...metastyle_core.film.writing import film_file
from ...metastyle_core.masks import require_mask
from ...metastyle_core.network import MIN_SIDE_PX, NormStatistics
from ...metastyle_core.precision import Precision
from ...metastyle_core.shots import Lock, LockKind
from ...metastyle_core.steady import Steady
from ...metastyle_core.style import AdaptedStyle, check_style
from . import host
from .bounded_stylization import BYTES_PER_PIXEL
from .model import MetaStyleModel, style_patchers
from .pictures import mask_to_core
from .sockets import StyleValue, VideoValue, single_style, video_from_file

LockName = Literal["off"] | LockKind
SteadyName = Literal["1", "2", "4"]
LOCKS: tuple[LockName, ...] = ("off", *get_args(LockKind))
_STEADY: dict[SteadyName, Steady] = {"1": 1, "2": 2, "4": 4}
STEADY_NAMES = tuple(_STEADY)
_FINEST = 1_000_000  # parts of a second
_LOG = logging.getLogger(__name__)
# Codecs of sound that players take in an .mp4; others go into an .mkv.
_SOUND_OF_MP4 = frozenset({"aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "flac"})


@dataclass(frozen=True)
class FilmSettings:
    """How to draw a video.

    Attributes:
        strength: 0 gives the frames back, 1 is the full style.
        precision: of the convolutions.
        lock: what statistics shots are held to.
        lock_frames: the chosen frame from 1, or how many the mean is of.
        grain: strength of the strokes along the forms, 0 to 1.
        seed: of the grain.
        steady: how many shifted drawings a frame is the mean of.
        colouring: whose colours the frames have.
        seamless: axes along which the frames wrap.
        mask: MASK (1, H, W), where the style goes in all frames; None for everywhere.
        abstraction: how far frames are painted over first, 0 to 1.
    """

    strength: float
    precision: Precision
    lock: LockName
    lock_frames: int
    grain: float
    seed: int
    steady: SteadyName = "1"
    colouring: Colouring = field(default_factory=Colouring)
    seamless: Seamless = "none"
    mask: Tensor | None = None
    abstraction: float = 0.0


def stylize_video(
    model: MetaStyleModel, style: StyleValue, video: VideoValue, settings: FilmSettings
) -> object:
    """Stylize the host's video a frame at a time.

    Args:
        model: not changed.
        style: one for all frames.
        video: VIDEO; its trim is kept.
        settings: how.

    Returns:
        VIDEO, a file in the host's temporary folder with the sound of `video`.

    Raises:
        MetaStyleError: bad input, or too little memory for one frame.
    """
    single = single_style(style, "style")
    with _source(video) as film:
        size = (film.facts.height, film.facts.width)
        require_sides("Input 'video'", *size, MIN_SIDE_PX)
        mask = None if settings.mask is None else mask_to_core(settings.mask)
        if mask is not None:
            require_mask(mask, 1, *size, what="Input 'mask'")
        drawing = _FilmDrawing(
            _load(model, single, film.facts),
            single,
            precision=settings.precision,
            strength=settings.strength,
            grain=settings.grain,
            seed=settings.seed,
            lock=_lock(settings),
            steady=_STEADY[settings.steady],
            colouring=settings.colouring,
            seamless=settings.seamless,
            mask=mask,
            abstraction=settings.abstraction,
        )
        target = host.temporary_path(_suffix(film.facts))
        _draw(film, drawing, target)
    for problem in film.problems:
        _LOG.warning("%s", problem)
    return video_from_file(target)


@contextmanager
def _source(video: VideoValue) -> Generator[VideoFile]:
    """The film behind a video: its own file where that is all there is to it, else a copy."""
    film = _own_file(video)
    if film is not None:
        yield film
        return
    copy = host.temporary_path(".mkv")
    try:
        video.save_to(str(copy))
        yield VideoFile(copy)
    finally:
        copy.unlink(missing_ok=True)


def _own_file(video: VideoValue) -> VideoFile | None:
    """The video's file and trim; None where the host cuts in a way that we cannot see."""
    window = getattr(video, "get_active_trim_window", None)
    if window is None:
        return None
    # The host counts in floating point; 0.1 + 0.2 is to end where the frame at 0.3 begins.
    start_s, duration_s = (Fraction(s).limit_denominator(_FINEST) for s in window())
    source = video.get_stream_source()
    film = VideoFile(
        Path(source) if isinstance(source, str) else source.getvalue(),
        Cut(start_s, start_s + duration_s if duration_s else None),
        "Input 'video'",
    )
    sizes = {(film.facts.width, film.facts.height), (film.facts.height, film.facts.width)}
    return film if tuple(video.get_dimensions()) in sizes else None


def _load(model: MetaStyleModel, style: AdaptedStyle, facts: FilmFacts) -> Base:
    """Check the style, then have the host load it with the model."""
    check_style(style, model.base())
    activation_bytes = facts.width * facts.height * BYTES_PER_PIXEL
    host.load([model.patcher, *style_patchers(style)], activation_bytes)
    return model.base()


def _lock(settings: FilmSettings) -> Lock | None:
    return None if settings.lock == "off" else Lock(settings.lock, settings.lock_frames)


def _suffix(facts: FilmFacts) -> str:
    return ".mp4" if set(facts.audio) <= _SOUND_OF_MP4 else ".mkv"


class _FilmDrawing(FilmDrawing):
    """Drawing that says in the host's words when memory runs out."""

    def draw(self, image: Tensor, statistics: NormStatistics | None) -> Tensor:
        """One frame; see `FilmDrawing`."""
        try:
            return super().draw(image, statistics)
        except RuntimeError as error:
            host.recover(error)
            height, width = image.shape[-2:]
            raise MetaStyleError(
                f"There is not enough device memory for one frame of {width}x{height} px. Make "
                "the input 'video' smaller, or set precision to bf16."
            ) from error


def _draw(film: VideoFile, drawing: FilmDrawing, target: Path) -> None:
    """Draw every frame, and stop within one when the user cancels."""
    progress = host.Progress(film.facts.count or 1)

    def look(_: FilmFrame) -> None:
        host.stop_if_interrupted()

    with film_file(target, film.facts, sound=film) as writer:
        for frame, drawn in draw_film(film, drawing, on_look=look):
            host.stop_if_interrupted()
            if drawn is not None:
                writer.write(frame, drawn)
            progress.show(min(frame.number, film.facts.count or frame.number))
    for note in writer.notes:
        _LOG.warning("%s", note)
