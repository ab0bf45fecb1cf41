"""Films that are pictures: animated GIF and WebP files, and numbered pictures in a folder."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from einops import rearrange
from PIL import Image, UnidentifiedImageError

from ..errors import FilmError, ImageFileError
from ..images import LoadedImage, load_image
from ..network import MIN_SIDE_PX
from ..transparency import over_white as lay_over_white
from .frames import (
    ANIMATION_SUFFIXES,
    FilmFacts,
    FilmFrame,
    Pixels,
    over_white,
    require_file,
    to_sixteen_bits,
)
from .reading import Cut

_MILLISECOND = Fraction(1, 1000)
# What browsers show where an animation says 0.
_UNSAID_DURATION_MS = 100
_PATTERN = re.compile(r"%(?:0(\d+))?d")


def is_animation(path: Path) -> bool:
    """Whether a file is a GIF or WebP picture of several frames; damaged ones are none."""
    if path.suffix.lower() not in ANIMATION_SUFFIXES:
        return False
    try:
        with Image.open(path) as picture:
            return getattr(picture, "n_frames", 1) > 1
    except (OSError, UnidentifiedImageError, ValueError):
        return False


class AnimatedPicture:
    """An animated GIF or WebP file; see `Film`."""

    def __init__(self, path: Path, cut: Cut | None = None) -> None:
        """Read its header.

        Raises:
            FilmError: it is missing, or no picture that can be read.
        """
        require_file(path)
        self.name = str(path)
        self.problems: list[str] = []
        self._path, self._cut = path, cut or Cut()
        try:
            with Image.open(path) as picture:
                count = getattr(picture, "n_frames", 1)
                picture.load()
                duration_s = _duration_s(picture)
                self.facts = FilmFacts(
                    width=picture.width,
                    height=picture.height,
                    rate=1 / duration_s,
                    time_base=_MILLISECOND,
                    count=count if self._cut == Cut() else None,
                    transparent="A" in picture.mode or "transparency" in picture.info,
                )
        except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
            raise FilmError(
                f"{path} is no animation that can be read ({error}); export it again."
            ) from error

    def frames(self) -> Iterator[FilmFrame]:
        """The frames of the part, each laid over what it leaves of the one before."""
        self.problems.clear()
        kind = "RGBA" if self.facts.transparent else "RGB"
        time_s = Fraction(0)
        with Image.open(self._path) as picture:
            for index in range(getattr(picture, "n_frames", 1)):
                try:
                    picture.seek(index)
                    pixels = np.array(picture.convert(kind), dtype=np.uint8)
                except (OSError, EOFError, ValueError, SyntaxError) as error:
                    self.problems.append(
                        f"{self.name} cannot be read from frame {index + 1} on ({error})"
                    )
                    return
                duration_s = _duration_s(picture)
                if self._cut.end_s is not None and time_s >= self._cut.end_s:
                    return
                if time_s >= self._cut.start_s:
                    drawn = over_white(pixels) if self.facts.transparent else (pixels, None)
                    place_s = time_s - self._cut.start_s
                    yield FilmFrame(index + 1, place_s, duration_s, *drawn)
                time_s += duration_s


def _duration_s(picture: Image.Image) -> Fraction:
    return (round(picture.info.get("duration", 0)) or _UNSAID_DURATION_MS) * _MILLISECOND


@dataclass(frozen=True)
class NumberedName:
    """A name such as `frames/%05d.png`, one `%d` with or without a width.

    Attributes:
        folder: where the files are.
        before: what the name begins with.
        digits: the least number of digits.
        after: what it ends with, the suffix included.
    """

    folder: Path
    before: str
    digits: int
    after: str

    @staticmethod
    def parse(path: Path) -> "NumberedName | None":
        """The pattern in a path's last part, or None where there is none."""
        found = _PATTERN.search(path.name)
        if found is None:
            return None
        before, after = path.name[: found.start()], path.name[found.end() :]
        return NumberedName(path.parent, before, int(found[1] or 1), after)

    def path(self, number: int) -> Path:
        """The file of one number."""
        return self.folder / f"{self.before}{number:0{self.digits}d}{self.after}"

    def files(self) -> dict[int, Path]:
        """The files that are there, by number, in its order.

        Raises:
            FilmError: there is none.
        """
        form = re.compile(re.escape(self.before) + r"(\d+)" + re.escape(self.after))
        names = [form.fullmatch(p.name) for p in self.folder.glob("*")]
        numbers = {int(found[1]): self.folder / found[0] for found in names if found}
        if not numbers:
            raise FilmError(
                f"No file is called like {self.path(1)}; check the folder and the pattern."
            )
        return dict(sorted(numbers.items()))


def in_numeric_order(paths: Iterable[Path]) -> dict[int, Path]:
    """Pictures as frames, by their place from 1; `2.png` comes before `10.png`."""
    return dict(enumerate(sorted(paths, key=_numeric), start=1))


def _numeric(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in parts]


class NumberedPictures:
    """Pictures as the frames of a film; see `Film`."""

    def __init__(
        self, files: dict[int, Path], rate: Fraction, cut: Cut | None = None, name: str = "frames"
    ) -> None:
        """Take the size from the first picture that can be read.

        Args:
            files: number to file, in order.
            rate: frames per second.
            cut: the part to read, by that rate.
            name: for messages.

        Raises:
            ImageFileError: none of the pictures can be read.
        """
        cut = cut or Cut()
        self.name = name
        self.problems: list[str] = []
        self._rate = rate
        first = math.ceil(cut.start_s * rate)
        last = len(files) if cut.end_s is None else math.ceil(cut.end_s * rate)
        self._files = list(files.items())[first:last]
        if not self._files:
            raise FilmError(
                f"{name} ends before {float(cut.start_s):g} s; choose an earlier start."
            )
        height, width, transparent = _first_look([path for _, path in self._files])
        self.facts = FilmFacts(
            width, height, rate, 1 / rate, len(self._files), transparent=transparent
        )

    def frames(self) -> Iterator[FilmFrame]:
        """All frames; what cannot be read is left out and noted in `problems`."""
        self.problems.clear()
        for place, (number, path) in enumerate(self._files):
            try:
                loaded = load_image(path)
            except ImageFileError as error:
                self.problems.append(str(error))
                continue
            height, width = loaded.pixels.shape[-2:]
            if min(height, width) < MIN_SIDE_PX:
                self.problems.append(f"{path} is {width}x{height} px, which is too small")
                continue
            place_s = place / self._rate
            yield FilmFrame(number, place_s, 1 / self._rate, *_to_pixels(loaded))


def _first_look(paths: Sequence[Path]) -> tuple[int, int, bool]:
    """Height, width and whether there is alpha, of the first picture that can be read."""
    for path in paths[:-1]:
        try:
            return _look(path)
        except ImageFileError:
            continue
    return _look(paths[-1])


def _look(path: Path) -> tuple[int, int, bool]:
    loaded = load_image(path)
    height, width = loaded.pixels.shape[-2:]
    return height, width, loaded.alpha is not None


def _to_pixels(loaded: LoadedImage) -> tuple[Pixels, Pixels | None]:
    laid = loaded.pixels if loaded.alpha is None else lay_over_white(loaded.pixels, loaded.alpha)
    colour = to_sixteen_bits(rearrange(laid, "c h w -> h w c").numpy())
    return colour, None if loaded.alpha is None else to_sixteen_bits(loaded.alpha[0].numpy())
