"""The pictures of a run, one after another: read, stylized, written.

What does not depend on the picture (base, style, mask, encoder) is opened once and held, so
that a worker of many keeps it from task to task.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..base import Base
from ..borders import Seamless
from ..colour import Colouring
from ..images import LoadedImage, opacity, save_image
from ..style import AdaptedStyle, check_style
from ..stylization import finish, stylize
from .controls import colouring_of, mask_of, mask_over, require_fitting, seamless_of
from .failures import Failures
from .outputs import Job, chosen_depth
from .reading import groups_of_one_size
from .refining import Refiner


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

    def __init__(self, arguments: argparse.Namespace, base: Base, style: AdaptedStyle) -> None:
        """Open what all pictures share.

        Args:
            arguments: of `stylize`.
            base: on the device to use.
            style: of this base.

        Raises:
            MetaStyleError: options do not go together, or a file of theirs cannot be read.
        """
        check_style(style, base)
        self._arguments, self._base = arguments, base
        self._style = style.to(base.device)
        self._colouring = colouring_of(arguments)
        self._seamless: Seamless = seamless_of(arguments)
        self._mask = mask_of(arguments)
        refining = arguments.refine
        self._refiner = Refiner(arguments, self._style, base.device) if refining else None

    def draw(self, jobs: Sequence[Job], failures: Failures) -> Iterator[PictureReport]:
        """Draw and write pictures.

        Args:
            jobs: which into which files.
            failures: where pictures that cannot be read are noted.

        Yields:
            What became of each that was written.
        """
        batch, max_size_px = self._arguments.batch, self._arguments.max_size
        fits = partial(require_fitting, self._mask)
        for group in groups_of_one_size(jobs, batch, max_size_px, failures, fits):
            began_s = time.monotonic()
            results = self._drawn([loaded for _, loaded in group])
            elapsed_s = (time.monotonic() - began_s) / len(group)
            for (job, loaded), result in zip(group, results, strict=True):
                self._save(result, loaded, job.target)
                height, width = result.shape[-2:]
                yield PictureReport(
                    str(job.source), str(job.target), round(elapsed_s, 4), (width, height)
                )

    def _drawn(self, group: Sequence[LoadedImage]) -> Tensor:
        arguments, refiner = self._arguments, self._refiner
        pictures = torch.stack([loaded.pixels for loaded in group])
        alpha = opacity(list(group))
        where = mask_over(self._mask, pictures)
        results = stylize(
            self._base,
            self._style,
            pictures,
            precision=arguments.precision,
            batch=arguments.batch,
            strength=1.0 if refiner else arguments.strength,
            grain=arguments.grain,
            seed=arguments.seed,
            alpha=alpha,
            colouring=Colouring() if refiner else self._colouring,
            seamless=self._seamless,
            mask=None if refiner else where,
        )
        if refiner is None:
            return results
        return finish(
            pictures,
            refiner.refine(pictures, results, alpha),
            strength=arguments.strength,
            colouring=self._colouring,
            alpha=alpha,
            mask=where,
        )

    def _save(self, result: Tensor, loaded: LoadedImage, target: Path) -> None:
        save_image(
            result,
            target,
            alpha=loaded.alpha,
            depth=chosen_depth(self._arguments.depth, loaded.depth, target),
            metadata=None if self._arguments.strip else loaded.metadata,
        )
