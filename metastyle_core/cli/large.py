"""Large pictures of a run: from file to file in strips, within a limit of memory."""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..base import Base
from ..borders import Seamless
from ..colour import Colouring
from ..drawing import LARGEST_FACTOR, Drawing, Size, enlargement, largest_size
from ..errors import SettingsError
from ..images import image_size
from ..large_files import PictureSink, held_bytes, open_within
from ..large_pictures import PictureRows, stylize_rows
from ..rows import Rows, resampled, rows_of, strips_of
from ..style import AdaptedStyle
from ..tiling import Strips, needed_bytes, rows_of_strip, strip_bytes
from .controls import abstraction_of, grain_of, supersampling_of
from .outputs import Job, chosen_depth
from .progress import progress_bar

_LARGE_PX = 4 * 1024 * 1024
_LARGE_PX_WITHIN_LIMIT = 1024 * 768
_LEAST_MEMORY_MB = 512
_MEGABYTE = 1_000_000
_SMALLEST_STRIP_PX = 1024
_DRAWINGS_BYTES_PER_PIXEL = 24  # of drawings that are kept, for a palette or with a brush
_PARTS = 100  # of the progress bar of a picture


def add_memory_option(parser: argparse.ArgumentParser) -> None:
    """Add `--max-memory`."""
    parser.add_argument(
        "--max-memory",
        type=_megabytes,
        metavar="MB",
        help="what a picture may take beside the program itself, which has about 400 MB; what "
        "does not fit lies in files beside the output while it is drawn (default: as much as "
        "large pictures need: 90 bytes a pixel that is drawn)",
    )


def _megabytes(text: str) -> int:
    try:
        value = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"got '{text}'; a whole number is needed") from error
    if value < _LEAST_MEMORY_MB:
        raise argparse.ArgumentTypeError(
            f"got {text}; {_LEAST_MEMORY_MB} MB are the least that a picture is drawn in"
        )
    return value


def refuse_refining(arguments: argparse.Namespace) -> None:
    """Raise SettingsError where a limit is given to refining, which knows none."""
    if arguments.max_memory is not None and arguments.refine:
        raise SettingsError(
            f"--max-memory {arguments.max_memory} and --refine {arguments.refine} cannot be used "
            "together, as refining keeps whole pictures; leave one out."
        )


def is_large(arguments: argparse.Namespace, source: Path) -> bool:
    """Whether a picture goes from file to file in strips, as far as its header tells."""
    if arguments.refine:
        return False
    height, width = image_size(source, long_side_px=arguments.max_size)
    if arguments.max_size is not None:
        scale = min(1.0, arguments.max_size / max(height, width))
        if height * width > _LARGE_PX:
            return True
        height, width = round(height * scale), round(width * scale)
    if arguments.max_memory is None:
        return height * width > _LARGE_PX
    # Fine strokes are drawn larger than the picture.
    factor = LARGEST_FACTOR
    if arguments.brush is None:
        factor = enlargement(min(height, width), supersampling_of(arguments))
    return factor**2 * height * width > _LARGE_PX_WITHIN_LIMIT


def strips_within(own: Size, drawn: Size, depth: int, limit_mb: int | None, folder: Path) -> Strips:
    """How a picture is cut so that it takes no more memory than it may.

    Args:
        own: height and width of the picture.
        drawn: those at which it is drawn, at most; fine strokes ask for more than its own.
        depth: bits a channel that it is read with.
        limit_mb: megabytes; None is no limit.
        folder: for the files of what does not fit.

    Raises:
        SettingsError: it cannot be cut so small.
    """
    whole = Strips()
    if limit_mb is None:
        return whole
    held = held_bytes(*own, depth)
    room = limit_mb * _MEGABYTE - held
    kept = needed_bytes(*drawn) + _DRAWINGS_BYTES_PER_PIXEL * math.prod(drawn)
    if kept + strip_bytes(drawn[1], whole.strip_px) <= room:
        return whole
    strip_px = whole.strip_px
    while strip_bytes(drawn[1], strip_px) > room and strip_px > _SMALLEST_STRIP_PX:
        strip_px //= 2
    if strip_bytes(drawn[1], strip_px) > room:
        least = held + strip_bytes(drawn[1], strip_px)
        raise SettingsError(
            f"--max-memory is {limit_mb}; a picture of {own[1]}x{own[0]} px takes at least "
            f"{math.ceil(least / _MEGABYTE)} MB. Give so much, or shrink it with --max-size."
        )
    return Strips(strip_px=strip_px, folder=folder)


@dataclass(frozen=True)
class LargeRun:
    """What the large pictures of a run have in common.

    Attributes:
        arguments: of `stylize`.
        base: the base of the style.
        style: on its device.
        colouring: whose colours they get.
        seamless: axes along which they wrap.
        mask: (1, 1, H, W) or None, at its own size.
        fits: raises what is wrong with a picture's size under the mask.
    """

    arguments: argparse.Namespace
    base: Base
    style: AdaptedStyle
    colouring: Colouring
    seamless: Seamless
    mask: Tensor | None
    fits: Callable[[Path, int, int], None]

    def stylize(self, job: Job) -> float:
        """Read, draw and write one picture.

        Returns:
            Seconds that the drawing took.

        Raises:
            ImageFileError, ShapeError: it cannot be read, or does not fit the mask.
            SettingsError: the limit of memory is too small for it, or the brush does not fit.
        """
        arguments = self.arguments
        opened = open_within(job.source, arguments.max_size)
        height, width = opened.colour.height, opened.width
        self.fits(job.source, height, width)
        how = self._drawing()
        drawn = (height, width)
        if arguments.strength > 0:
            drawn = largest_size(height, width, self.style, how)
        folder = job.target.parent
        folder.mkdir(parents=True, exist_ok=True)
        limit_mb = arguments.max_memory
        strips = strips_within((height, width), drawn, opened.depth, limit_mb, folder)
        depth = chosen_depth(arguments.depth, opened.depth, job.target)
        sink = PictureSink(job.target, height, width, alpha=opened.alpha is not None, depth=depth)
        mask = _rows_of_mask(self.mask, (height, width))
        picture = PictureRows(width, opened.colour, opened.alpha, mask)
        began_s = time.monotonic()
        with progress_bar(_PARTS, job.source.name) as bar:

            def show(share: float) -> None:
                bar.update(int(_PARTS * share) - bar.n)

            how = replace(how, strips=replace(strips, on_strip=show))
            for first, strip in self._drawn(picture, how):
                last = first + strip.shape[2]
                alpha = None if opened.alpha is None else opened.alpha.read(first, last)
                sink.put(first, strip, alpha)
        taken_s = time.monotonic() - began_s
        sink.save(None if arguments.strip else opened.metadata)
        return taken_s

    def _drawing(self) -> Drawing:
        arguments = self.arguments
        return Drawing(
            precision=arguments.precision,
            grain=grain_of(arguments),
            seed=arguments.seed,
            seamless=self.seamless,
            brush=arguments.brush,
            abstraction=abstraction_of(arguments),
            supersampling=supersampling_of(arguments),
        )

    def _drawn(self, picture: PictureRows, how: Drawing) -> Iterator[tuple[int, Tensor]]:
        arguments = self.arguments
        if arguments.strength == 0:
            rows = rows_of_strip(picture.width, how.strips.strip_px)
            height = picture.colour.height
            return ((a, picture.colour.read(a, b)) for a, b in strips_of(height, rows))
        return stylize_rows(
            self.base,
            self.style,
            picture,
            how,
            strength=arguments.strength,
            colouring=self.colouring,
        )


def _rows_of_mask(mask: Tensor | None, size: tuple[int, int]) -> Rows | None:
    if mask is None:
        return None
    rows = rows_of(mask.float().clamp(0, 1))
    return rows if mask.shape[-2:] == size else resampled(rows, mask.shape[-1], size, "triangle")
