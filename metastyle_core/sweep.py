"""Sweeps: one photograph in several styles, strengths, brushes and more, on a labelled sheet.

This file says which pictures there are, what stands below each and where it lies. How one is
drawn is the caller's: the command line stylizes, the host does so in bounded memory.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from PIL import Image
from torch import Tensor

from .errors import SettingsError
from .grain import USUAL_GRAIN
from .images import resize
from .sheets import SheetLayout, SheetRow, labelled_sheet
from .style import AdaptedStyle
from .touches import USUAL_ABSTRACTION

MOST_PICTURES = 64


def require_varied(
    styles: int,
    strengths: Sequence[float],
    grains: Sequence[float],
    brushes: Sequence[float],
    abstractions: Sequence[float],
) -> None:
    """Raise SettingsError unless a sweep may vary over so many styles and these; see `Sweep`."""
    shares = {"strengths": strengths, "grains": grains, "abstractions": abstractions}
    for name, values in shares.items():
        if not all(0 <= value <= 1 for value in values):
            raise SettingsError(f"{name} are {_shown(values)}; numbers from 0 to 1 are needed.")
    if not all(0 <= value < math.inf for value in brushes):
        raise SettingsError(f"brushes are {_shown(brushes)}; numbers from 0 up are needed.")
    count = styles * math.prod(map(len, (strengths, grains, brushes, abstractions)))
    if not 1 <= count <= MOST_PICTURES:
        raise SettingsError(
            f"The sweep has {styles} styles, {len(strengths)} strengths, {len(grains)} grains, "
            f"{len(brushes)} brushes and {len(abstractions)} abstractions, {count} pictures in "
            f"all; 1 to {MOST_PICTURES} are possible."
        )


@dataclass(frozen=True)
class Variant:
    """One picture of a sweep.

    Attributes:
        style: in which it is drawn.
        strength: 0 to 1.
        grain: 0 to 1.
        brush: size of the strokes, 1 as adapted; 0 as the network draws them.
        abstraction: 0 to 1.
    """

    style: AdaptedStyle
    strength: float
    grain: float
    brush: float
    abstraction: float


@dataclass(frozen=True)
class Sweep:
    """What varies: every style with every strength, grain, brush and abstraction.

    Attributes:
        styles: at least one.
        strengths: at least one, from 0 to 1.
        grains: at least one, from 0 to 1.
        brushes: at least one, from 0 up.
        cell_px: long side of a picture on the sheet.
        abstractions: at least one, from 0 to 1.
    """

    styles: Sequence[AdaptedStyle]
    strengths: Sequence[float] = (1.0,)
    grains: Sequence[float] = (USUAL_GRAIN,)
    brushes: Sequence[float] = (0.0,)
    cell_px: int = 384
    abstractions: Sequence[float] = (USUAL_ABSTRACTION,)

    def __post_init__(self) -> None:
        require_varied(
            len(self.styles), self.strengths, self.grains, self.brushes, self.abstractions
        )
        if self.cell_px < 1:
            raise SettingsError(f"The pictures of the sheet are {self.cell_px} px; 1 up is needed.")

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return math.prod(map(len, (self.styles, *self._varied())))

    def rows(self) -> Iterator[list[Variant]]:
        """The pictures row by row, so that what varies most often stands side by side."""
        pictures = [
            Variant(style, strength, grain, brush, abstraction)
            for style, brush, abstraction, grain, strength in product(
                self.styles, self.brushes, self.abstractions, self.grains, self.strengths
            )
        ]
        # What varies inside a row is the innermost that varies at all.
        counts = map(len, (*self._varied(), self.styles))
        columns = next((count for count in counts if count > 1), 1)
        for first in range(0, len(pictures), columns):
            yield pictures[first : first + columns]

    def _varied(self) -> tuple[Sequence[float], ...]:
        """What varies beside the style, from the innermost out."""
        return self.strengths, self.grains, self.abstractions, self.brushes

    def label(self, variant: Variant) -> str:
        """What tells a picture from the others; the style where nothing varies."""
        words = {
            variant.style.name: self.styles,
            f"strength {variant.strength:g}": self.strengths,
            f"grain {variant.grain:g}": self.grains,
            f"abstraction {variant.abstraction:g}": self.abstractions,
            f"brush {variant.brush:g}": self.brushes,
        }
        varying = [word for word, values in words.items() if len(values) > 1]
        return ", ".join(varying) or variant.style.name


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def draw_sweep(
    sweep: Sweep, height: int, width: int, draw: Callable[[Variant], Tensor]
) -> Image.Image:
    """Draw every picture and lay them out with their labels.

    Args:
        sweep: which pictures.
        height: of the photograph, in pixels.
        width: of the photograph, in pixels.
        draw: one picture (1, 3, H, W), [0, 1], on any device.

    Returns:
        An RGB picture on white.
    """
    share = sweep.cell_px / max(height, width)
    size = max(1, round(width * share)), max(1, round(height * share))
    rows = [
        SheetRow(
            [resize(draw(each), size[1], size[0]).cpu() for each in row],
            [sweep.label(each) for each in row],
        )
        for row in sweep.rows()
    ]
    return labelled_sheet(rows, SheetLayout(size[0], height_px=size[1]))


def parse_numbers(text: str, what: str) -> tuple[float, ...]:
    """Numbers that people have written in a row, such as `0.4, 0.7 1`.

    Raises:
        SettingsError: there is none, or something else is among them.
    """
    words = re.split(r"[,;\s]+", text.strip(" ,;\n\t"))
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError as error:
        raise SettingsError(
            f"{what} is '{text}'; write numbers with commas between, such as 0.4, 0.7, 1."
        ) from error
    if not all(math.isfinite(number) for number in numbers):
        raise SettingsError(f"{what} is '{text}'; finite numbers are needed.")
    return numbers
