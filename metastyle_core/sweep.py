"""Sweeps: one photograph in several styles, strengths and grains, on one labelled sheet.

This file says which pictures there are, what stands below each and where it lies. How one is
drawn is the caller's: the command line stylizes, the host does so in bounded memory.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from .errors import SettingsError
from .images import resize
from .sheets import SheetLayout, SheetRow, labelled_sheet
from .style import AdaptedStyle

MOST_PICTURES = 64


@dataclass(frozen=True)
class Variant:
    """One picture of a sweep.

    Attributes:
        style: in which it is drawn.
        strength: 0 to 1.
        grain: 0 to 1.
    """

    style: AdaptedStyle
    strength: float
    grain: float


@dataclass(frozen=True)
class Sweep:
    """What varies: every style at every strength and every grain.

    Attributes:
        styles: at least one.
        strengths: at least one, from 0 to 1.
        grains: at least one, from 0 to 1.
        cell_px: long side of a picture on the sheet.
    """

    styles: Sequence[AdaptedStyle]
    strengths: Sequence[float] = (1.0,)
    grains: Sequence[float] = (0.0,)
    cell_px: int = 384

    def __post_init__(self) -> None:
        for name, values in {"strengths": self.strengths, "grains": self.grains}.items():
            if not all(0 <= value <= 1 for value in values):
                shown = ", ".join(f"{value:g}" for value in values)
                raise SettingsError(f"{name} are {shown}; numbers from 0 to 1 are needed.")
        count = len(self.styles) * len(self.strengths) * len(self.grains)
        if not 1 <= count <= MOST_PICTURES:
            raise SettingsError(
                f"The sweep has {len(self.styles)} styles, {len(self.strengths)} strengths and "
                f"{len(self.grains)} grains, {count} pictures in all; 1 to {MOST_PICTURES} are "
                "possible."
            )
        if self.cell_px < 1:
            raise SettingsError(f"The pictures of the sheet are {self.cell_px} px; 1 up is needed.")

    def rows(self) -> Iterator[list[Variant]]:
        """The pictures row by row, so that what varies most often stands side by side."""
        lines = [
            [[Variant(style, strength, grain) for strength in self.strengths]
             for grain in self.grains]
            for style in self.styles
        ]  # fmt: skip
        if len(self.strengths) > 1:
            yield from (row for block in lines for row in block)
        elif len(self.grains) > 1:
            yield from ([row[0] for row in block] for block in lines)
        else:
            yield [block[0][0] for block in lines]

    def label(self, variant: Variant) -> str:
        """What tells a picture from the others; the style where nothing varies."""
        words = {
            variant.style.name: self.styles,
            f"strength {variant.strength:g}": self.strengths,
            f"grain {variant.grain:g}": self.grains,
        }
        varying = [word for word, values in words.items() if len(values) > 1]
        return ", ".join(varying) or variant.style.name


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
