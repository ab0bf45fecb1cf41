"""The pictures of a run: checked by their headers, then read in groups of one size."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..checks import require_sides
from ..images import LoadedImage, image_size, limit_long_side, load_image, resize
from ..network import MIN_SIDE_PX
from ..transparency import fill_hidden
from .failures import Failures
from .outputs import Job


def with_good_headers(
    jobs: Sequence[Job], failures: Failures, max_size_px: int | None
) -> list[Job]:
    """The pictures that can be stylized as far as headers tell, before the first is written."""
    for job in jobs:
        with failures.noting(job.source):
            size = image_size(job.source, long_side_px=max_size_px)
            require_sides(job.source, *size, MIN_SIDE_PX)
    return [job for job in jobs if job.source not in failures]


def groups_of_one_size(
    jobs: Sequence[Job],
    batch: int | None,
    max_size_px: int | None,
    failures: Failures,
    check: Callable[[Path, int, int], None],
) -> Iterator[list[tuple[Job, LoadedImage]]]:
    """Read pictures, neighbours of one size together.

    Args:
        jobs: which to read.
        batch: how many at most; None is one.
        max_size_px: shrink them to this long side.
        failures: where pictures that cannot be read are noted.
        check: raises what is wrong with a picture of this height and width, which is noted too.

    Yields:
        Neighbours, each with what was read for it.
    """
    group: list[tuple[Job, LoadedImage]] = []
    for job in jobs:
        with failures.noting(job.source):
            loaded = _limited(load_image(job.source), max_size_px)
            check(job.source, *loaded.pixels.shape[-2:])
        if job.source in failures:
            continue
        full = len(group) >= (batch or 1)
        if group and (full or group[0][1].pixels.shape != loaded.pixels.shape):
            yield group
            group = []
        group.append((job, loaded))
    if group:
        yield group


def _limited(loaded: LoadedImage, max_size_px: int | None) -> LoadedImage:
    if max_size_px is None:
        return loaded
    pixels, alpha = loaded.pixels[None], loaded.alpha
    if alpha is not None and max(alpha.shape) > max_size_px:
        # Shrinking would mix hidden colour into what is visible.
        pixels = fill_hidden(pixels, alpha[None])
    pixels = limit_long_side(pixels, max_size_px)[0]
    if alpha is not None:
        alpha = resize(alpha[None], *pixels.shape[-2:])[0]
    return replace(loaded, pixels=pixels, alpha=alpha)
