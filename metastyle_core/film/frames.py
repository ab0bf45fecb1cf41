"""What a frame and a film are, whichever way they are read and written."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from ..errors import FilmError

FILM_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"}
    | {".wmv", ".flv", ".3gp", ".ogv", ".mxf"}
)
ANIMATION_SUFFIXES = frozenset({".gif", ".webp"})
_FRAMES_AHEAD = 3
_T = TypeVar("_T")
Pixels: TypeAlias = NDArray[np.uint8 | np.uint16]


@dataclass(frozen=True)
class FilmFrame:
    """One frame as it was decoded.

    Attributes:
        number: counted from 1, or what the file of a numbered picture says.
        time_s: when it is shown; exact.
        duration_s: how long, or None where the film does not say.
        pixels: (H, W, 3), upright, RGB, over the whole range of their integer type;
            transparent parts lie over white.
        opacity: (H, W), of the same type, or None where the film has no transparency.
    """

    number: int
    time_s: Fraction
    duration_s: Fraction | None
    pixels: Pixels
    opacity: Pixels | None = None

    def image(self) -> Tensor:
        """(1, 3, H, W), float32, [0, 1]."""
        return rearrange(
            torch.from_numpy(_unit_range(self.pixels)), "h w c -> 1 c h w"
        ).contiguous()

    def alpha(self) -> Tensor | None:
        """(1, 1, H, W), float32, [0, 1], or None where the film has none."""
        if self.opacity is None:
            return None
        return torch.from_numpy(_unit_range(self.opacity)[None, None])


def _unit_range(pixels: Pixels) -> NDArray[np.float32]:
    most = np.float32(np.iinfo(pixels.dtype).max)
    return np.divide(pixels, most, dtype=np.float32)


def over_white(rgba: Pixels) -> tuple[Pixels, Pixels]:
    """Colours of (H, W, 4) over white, and the alpha channel, both in 16 bits."""
    values = _unit_range(rgba)
    alpha = values[..., 3:]
    laid = values[..., :3] * alpha + (1 - alpha)
    return to_sixteen_bits(laid), to_sixteen_bits(alpha[..., 0])


def to_sixteen_bits(values: NDArray[np.float32]) -> "NDArray[np.uint16]":
    """Values in [0, 1] as whole numbers; what came from 8 or 16 bits stays exact."""
    return np.rint(values * np.float32(65535)).astype(np.uint16)


@dataclass(frozen=True)
class Colours:
    """How a film codes colours, in FFmpeg's numbers; what is not said has the defaults."""

    range: int = 0
    primaries: int = 2
    transfer: int = 2
    matrix: int = 2


# What pictures become when they are made a film: that of HDTV, which every player takes.
HDTV = Colours(range=1, primaries=1, transfer=1, matrix=1)


@dataclass(frozen=True)
class FilmFacts:
    """What a film says of itself before its frames are read.

    Attributes:
        width: of the upright picture, px.
        height: of the upright picture, px.
        rate: frames per second on average.
        time_base: the unit of its timestamps, seconds.
        count: frames to come, estimated; None where nothing tells.
        rotation: degrees counterclockwise by which players turn what is stored.
        deep: whether it has more than 8 bits per channel.
        transparent: whether its frames have alpha.
        colours: how it codes colours.
        sample_aspect: width of a stored pixel by its height, or None.
        audio: the codec of each track of sound.
        metadata: title and the like.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    count: int | None
    rotation: int = 0
    deep: bool = False
    transparent: bool = False
    colours: Colours = HDTV
    sample_aspect: Fraction | None = None
    audio: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict[str, str])


class Film(Protocol):
    """A source of frames.

    Attributes:
        name: for messages.
        facts: what it says of itself.
        problems: what could not be read so far, a line each; filled while frames are read.
    """

    name: str
    facts: FilmFacts
    problems: list[str]

    def frames(self) -> Iterator[FilmFrame]:
        """All frames in order, as often as it is called."""
        ...


def pyav() -> ModuleType:
    """The library that reads and writes films.

    Raises:
        FilmError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise FilmError("Films need PyAV; install it with: pip install av") from error
    return av


def ahead(items: Iterator[_T], depth: int = _FRAMES_AHEAD) -> Generator[_T]:
    """The same items, read by a thread of their own while the one before is in use.

    Args:
        items: in their order; what they raise is raised here.
        depth: items at most that wait.
    """
    end = object()
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, items, end) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item  # pyright: ignore[reportReturnType]
        finally:
            for future in waiting:
                future.cancel()


def require_file(path: Path) -> None:
    """Raise FilmError unless a film is a file that is there."""
    if path.is_dir():
        raise FilmError(f"{path} is a folder; a film is needed.")
    if not path.is_file():
        raise FilmError(f"{path} does not exist; check the name of the film.")
    if not path.stat().st_size:
        raise FilmError(f"{path} is empty; export or download it again.")
