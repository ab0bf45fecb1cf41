"""The pictures of a run, one after another: read, drawn, written.

What draws them is opened once and held, so that a worker of many keeps it from task to task.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..images import LoadedImage, image_size, opacity, save_image
from .drawers import Drawer
from .failures import Failures
from .outputs import Job, chosen_depth
from .reading import groups_of_one_size


@dataclass(frozen=True)
class PictureReport:
    """What became of one picture.

    Attributes:
        input: the picture.
        output: the file written, or None.
        seconds: of drawing it, without reading and writing.
        size: width and height of what was written, in pixels, or None.
        error: why nothing was written, or None.
    """

    input: str
    output: str | None = None
    seconds: float = 0.0
    size: tuple[int, int] | None = None
    error: str | None = None

    def to_json(self) -> dict[str, object]:
        """Its fields, plain values."""
        return asdict(self)


class PictureDrawing:
    """Draws pictures as the arguments of `stylize` ask."""

    def __init__(self, arguments: argparse.Namespace, drawer: Drawer) -> None:
        """Take what draws them."""
        self._arguments, self._drawer = arguments, drawer

    def draw(self, jobs: Sequence[Job], failures: Failures) -> Iterator[PictureReport]:
        """Draw and write pictures, those first that are too large to be held.

        Args:
            jobs: which into which files.
            failures: where pictures that cannot be read are noted.

        Yields:
            What became of each that was written.
        """
        held: list[Job] = []
        for job in jobs:
            with failures.noting(job.source):
                seconds = self._drawer.draw_large(job)
                if seconds is None:
                    held.append(job)
                else:
                    yield _report(job, seconds, *image_size(job.target))
        batch, max_size_px = self._arguments.batch, self._arguments.max_size
        fits = self._drawer.require_fitting
        for group in groups_of_one_size(held, batch, max_size_px, failures, fits):
            pictures = torch.stack([loaded.pixels for _, loaded in group])
            alpha = opacity([loaded for _, loaded in group])
            began_s = time.monotonic()
            results = self._drawer.draw(pictures, alpha)
            elapsed_s = (time.monotonic() - began_s) / len(group)
            for (job, loaded), result in zip(group, results, strict=True):
                self._save(result, loaded, job.target)
                yield _report(job, elapsed_s, *result.shape[-2:])

    def _save(self, result: Tensor, loaded: LoadedImage, target: Path) -> None:
        save_image(
            result,
            target,
            alpha=loaded.alpha,
            depth=chosen_depth(self._arguments.depth, loaded.depth, target),
            metadata=None if self._arguments.strip else loaded.metadata,
        )


def _report(job: Job, seconds: float, height: int, width: int) -> PictureReport:
    return PictureReport(str(job.source), str(job.target), round(seconds, 4), (width, height))
