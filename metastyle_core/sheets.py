"""Labelled sheets: pictures in a grid with words above the columns, among them or below them.

Where it stands beside `images.contact_sheet`: that lays out tensors without a word, for
previews; this one draws with Pillow, for people who read.
"""

import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .errors import ShapeError
from .images import to_pil

Cell = Image.Image | Tensor | str

_FONT_PX = 13
_LETTER_PX = 7
_LINE_PX = 17
_INDENT_PX = 3


@dataclass(frozen=True)
class SheetLayout:
    """Sizes of a sheet.

    Attributes:
        cell_px: width of what each picture fills.
        gap_px: white space between neighbouring places.
        height_px: height of what each picture fills; None for squares.
    """

    cell_px: int
    gap_px: int = 4
    height_px: int | None = None

    def size_px(self) -> tuple[int, int]:
        """Width and height of what each picture fills."""
        return self.cell_px, self.height_px or self.cell_px

    def left_px(self, column: int) -> int:
        """Where a column begins."""
        return column * (self.cell_px + self.gap_px)


@dataclass(frozen=True)
class SheetRow:
    """What stands side by side.

    Attributes:
        cells: pictures, Pillow's or (3, H, W) or (1, 3, H, W) in [0, 1], scaled to their
            places; or words in place of one, which may be none.
        captions: words below the first cells.
    """

    cells: Sequence[Cell]
    captions: Sequence[str] = ()


def labelled_sheet(
    rows: Sequence[SheetRow], layout: SheetLayout, *, columns: Sequence[str] = ()
) -> Image.Image:
    """Lay out pictures on white with their words.

    Args:
        rows: at least one; they may differ in length.
        layout: sizes.
        columns: words above the columns, from the first; their line breaks are kept.

    Returns:
        An RGB picture. Words lose their accents: Pillow's own font has plain letters only.

    Raises:
        ShapeError: there is no cell, or a tensor is no RGB picture.
    """
    widest = max((len(row.cells) for row in rows), default=0)
    if not widest:
        raise ShapeError("Got no picture; a sheet needs at least one.")
    captions = [[_wrapped(text, layout.cell_px) for text in row.captions] for row in rows]
    _, below = layout.size_px()
    heights = [below + _height_px(texts) + layout.gap_px for texts in captions]
    top = _height_px(columns)
    size = layout.left_px(widest - 1) + layout.cell_px, top + sum(heights) - layout.gap_px
    sheet = Image.new("RGB", size, "white")
    _write_line(sheet, columns, layout, 0)
    for row, texts, height in zip(rows, captions, heights, strict=True):
        for column, cell in enumerate(row.cells):
            _fill(sheet, cell, (layout.left_px(column), top), layout.size_px())
        _write_line(sheet, texts, layout, top + below)
        top += height
    return sheet


def without_accents(text: str) -> str:
    """The text in plain letters."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


def _height_px(texts: Sequence[str]) -> int:
    """What the tallest of some texts needs; 0 where all are empty."""
    lines = max((text.count("\n") + 1 for text in texts if text), default=0)
    return lines * _LINE_PX + 2 * _INDENT_PX if lines else 0


def _wrapped(text: str, width_px: int) -> str:
    """A text in lines that fit; its own line breaks are kept."""
    letters = max(1, (width_px - _INDENT_PX) // _LETTER_PX)
    parts = [part for line in text.split("\n") for part in textwrap.wrap(line, letters)]
    return "\n".join(parts)


def _write_line(sheet: Image.Image, texts: Sequence[str], layout: SheetLayout, top: int) -> None:
    for column, text in enumerate(texts):
        _write(sheet, text, (layout.left_px(column), top))


def _write(sheet: Image.Image, text: str, corner: tuple[int, int]) -> None:
    place = corner[0] + _INDENT_PX, corner[1] + _INDENT_PX
    font = ImageFont.load_default(_FONT_PX)
    ImageDraw.Draw(sheet).text(place, without_accents(text), "black", font)


def _fill(
    sheet: Image.Image, cell: Cell, corner: tuple[int, int], size_px: tuple[int, int]
) -> None:
    if isinstance(cell, str):
        words = _wrapped(cell, size_px[0])
        middle = corner[1] + max(0, size_px[1] - _height_px([words])) // 2
        _write(sheet, words, (corner[0], middle))
        return
    picture = to_pil(cell) if isinstance(cell, Tensor) else cell
    if picture.size != size_px:
        picture = picture.resize(size_px, Image.Resampling.LANCZOS)
    sheet.paste(picture, corner)
