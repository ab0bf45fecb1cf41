"""What draws the pictures of a run of `stylize`: one style, or several by regions."""

import argparse
from functools import partial
from pathlib import Path
from typing import Protocol

from torch import Tensor

from ..base import Base
from ..borders import Seamless
from ..finishing import AS_DRAWN, finish
from ..style import AdaptedStyle, check_style
from ..stylization import stylize
from .controls import (
    abstraction_of,
    colouring_of,
    grain_of,
    mask_of,
    mask_over,
    require_fitting,
    seamless_of,
    supersampling_of,
)
from .large import LargeRun, is_large
from .outputs import Job
from .refining import Refiner


class Drawer(Protocol):
    """What makes stylized pictures of pictures."""

    def require_fitting(self, path: Path, height: int, width: int) -> None:
        """Raise ShapeError, which names the file, unless a picture of a size can be drawn."""
        ...

    def draw_large(self, job: Job) -> float | None:
        """Draw a picture from file to file that is too large to be held.

        Returns:
            Seconds that it took, or None where it is held and drawn as the others.
        """
        ...

    def draw(self, pictures: Tensor, alpha: Tensor | None) -> Tensor:
        """Draw pictures (B, 3, H, W); alpha (B, 1, H, W) of those with transparency."""
        ...


class StyleDrawer:
    """Draws the pictures of a run in one style, and refines them where that is asked for."""

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
        self._refiner = Refiner(arguments, self._style, base.device) if arguments.refine else None
        self._large = LargeRun(
            arguments,
            base,
            self._style,
            self._colouring,
            self._seamless,
            self._mask,
            partial(require_fitting, self._mask),
        )

    def require_fitting(self, path: Path, height: int, width: int) -> None:
        """Raise ShapeError, which names the file, unless a picture has the mask's ratio."""
        require_fitting(self._mask, path, height, width)

    def draw_large(self, job: Job) -> float | None:
        """Draw in strips, within a limit of memory."""
        return self._large.stylize(job) if is_large(self._arguments, job.source) else None

    def draw(self, pictures: Tensor, alpha: Tensor | None) -> Tensor:
        """Draw pictures (B, 3, H, W); alpha (B, 1, H, W) of those with transparency."""
        arguments, refiner = self._arguments, self._refiner
        where = mask_over(self._mask, pictures)
        # Refining starts in the style's colours; those of others come after it.
        before = self._colouring if self._colouring.colour == "style" else AS_DRAWN
        results = stylize(
            self._base,
            self._style,
            pictures,
            precision=arguments.precision,
            batch=arguments.batch,
            strength=1.0 if refiner else arguments.strength,
            grain=grain_of(arguments),
            seed=arguments.seed,
            alpha=alpha,
            colouring=before if refiner else self._colouring,
            seamless=self._seamless,
            mask=None if refiner else where,
            brush=arguments.brush,
            abstraction=abstraction_of(arguments),
            supersampling=supersampling_of(arguments),
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
