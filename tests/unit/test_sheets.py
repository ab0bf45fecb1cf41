"""Labelled sheets: every picture and every word in its place."""

import numpy as np
import pytest
import torch
from PIL import Image

from metastyle_core.errors import ShapeError
from metastyle_core.sheets import SheetLayout, SheetRow, labelled_sheet, without_accents

RED = Image.new("RGB", (20, 20), "red")
BLUE = torch.tensor([0.0, 0.0, 1.0]).view(3, 1, 1).expand(3, 40, 40)


def ink(sheet: Image.Image, left: int, top: int, right: int, bottom: int) -> bool:
    """Whether a box holds anything dark."""
    return bool((np.asarray(sheet.convert("L"))[top:bottom, left:right] < 100).any())


def test_pictures_of_any_kind_are_scaled_to_their_places():
    sheet = labelled_sheet([SheetRow([RED, BLUE]), SheetRow([BLUE])], SheetLayout(40))
    assert sheet.size == (84, 84)
    assert sheet.getpixel((20, 20)) == (255, 0, 0)
    assert sheet.getpixel((64, 20)) == (0, 0, 255)
    assert sheet.getpixel((20, 64)) == (0, 0, 255)
    assert sheet.getpixel((42, 20)) == sheet.getpixel((64, 64)) == (255, 255, 255)


def test_words_stand_above_among_and_below_the_pictures():
    rows = [SheetRow(["two lines", RED], ["", "below"])]
    sheet = labelled_sheet(rows, SheetLayout(60), columns=["", "above\ntwo"])
    top = sheet.height - 60 - 23
    assert top == 40, "two lines above, one below"
    assert ink(sheet, 64, 0, 124, top)
    assert not ink(sheet, 0, 0, 60, top)
    assert ink(sheet, 0, top, 60, top + 60)
    assert sheet.getpixel((94, top + 30)) == (255, 0, 0)
    assert ink(sheet, 64, top + 60, 124, sheet.height)
    assert not ink(sheet, 0, top + 60, 60, sheet.height)


def test_long_captions_go_on_in_the_next_line():
    short, long = (
        labelled_sheet([SheetRow([RED], [text])], SheetLayout(100)).height
        for text in ("short", "a caption that fits in no single line")
    )
    assert long > short


def test_words_lose_their_accents():
    assert without_accents("Cézanne, Hokusai の") == "Cezanne, Hokusai "


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "at least one"),
        ([SheetRow([])], "at least one"),
        ([SheetRow([torch.zeros(1, 8, 8)])], r"shape \(1, 8, 8\)"),
    ],
)
def test_what_is_no_picture_is_refused(rows, words):
    with pytest.raises(ShapeError, match=words):
        labelled_sheet(rows, SheetLayout(40))
