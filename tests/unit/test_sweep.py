"""Sweeps: which pictures, in which order, with which words; one line for what is no sweep."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from samples import picture
from unit.conftest import image, stylize

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.cli import main
from metastyle_core.errors import SettingsError
from metastyle_core.images import save_image
from metastyle_core.sweep import Sweep, Variant, draw_sweep, parse_numbers


@pytest.fixture(scope="module")
def styles(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return [
        adapt_to_style(random_base, None, [picture(64, 64)], settings=settings, name=name)
        for name in ("one", "two")
    ]


def labels(sweep: Sweep) -> list[list[str]]:
    return [[sweep.label(each) for each in row] for row in sweep.rows()]


def test_what_varies_is_named_and_stands_side_by_side(styles):
    assert labels(Sweep(styles[:1])) == [["one"]]
    assert labels(Sweep(styles)) == [["one", "two"]]
    assert labels(Sweep(styles[:1], grains=(0, 0.5))) == [["grain 0", "grain 0.5"]]
    assert labels(Sweep(styles[:1], abstractions=(0, 0.5))) == [
        ["abstraction 0", "abstraction 0.5"]
    ]
    assert labels(Sweep(styles, strengths=(0.5, 1))) == [
        ["one, strength 0.5", "one, strength 1"],
        ["two, strength 0.5", "two, strength 1"],
    ]
    assert labels(Sweep(styles[:1], (0.5, 1), (0, 1))) == [
        ["strength 0.5, grain 0", "strength 1, grain 0"],
        ["strength 0.5, grain 1", "strength 1, grain 1"],
    ]
    assert labels(Sweep(styles, brushes=(0, 2))) == [
        ["one, brush 0", "one, brush 2"],
        ["two, brush 0", "two, brush 2"],
    ]
    assert labels(Sweep(styles[:1], grains=(0, 1), brushes=(0.5, 1))) == [
        ["grain 0, brush 0.5", "grain 1, brush 0.5"],
        ["grain 0, brush 1", "grain 1, brush 1"],
    ]


def test_every_picture_lies_in_its_place_in_its_own_ratio(styles):
    sweep = Sweep(styles[:1], (0.0, 1.0), (0.0, 0.5), cell_px=60)

    def draw(each: Variant) -> torch.Tensor:
        colour = torch.tensor([each.strength, each.grain, 0])
        return colour.view(1, 3, 1, 1).expand(1, 3, 100, 200)

    sheet = draw_sweep(sweep, 100, 200, draw)
    assert sheet.width == 2 * 60 + 4
    row = (sheet.height + 4) // 2
    for y, grain in ((15, 0), (row + 15, 128)):
        for x, strength in ((30, 0), (94, 255)):
            assert sheet.getpixel((x, y)) == (strength, grain, 0)
    assert sheet.getpixel((60, row - 6)) == (255, 255, 255), "words stand below a picture of 30 px"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"strengths": (0.5, 1.2)}, "strengths are 0.5, 1.2; numbers from 0 to 1"),
        ({"grains": (-1,)}, "grains are -1"),
        ({"abstractions": (2,)}, "abstractions are 2"),
        ({"strengths": (float("nan"),)}, "strengths are nan"),
        ({"strengths": (0.1,) * 9, "grains": (0.1,) * 4}, "72 pictures in all; 1 to 64"),
        ({"strengths": ()}, "0 pictures in all"),
        ({"brushes": (1, -2)}, "brushes are 1, -2; numbers from 0 up"),
        ({"brushes": (float("inf"),)}, "brushes are inf"),
        ({"cell_px": 0}, "0 px; 1 up"),
    ],
)
def test_what_is_no_sweep_is_refused(styles, given, words):
    with pytest.raises(SettingsError, match=words):
        Sweep(styles, **given)


def test_numbers_are_read_as_people_write_them():
    assert parse_numbers(" 0.4, 0.7 1;0 ", "x") == (0.4, 0.7, 1, 0)
    for text in ("", "half", "1,,x", "nan"):
        with pytest.raises(SettingsError, match="--strengths is"):
            parse_numbers(text, "--strengths")


def sheet_of(path: Path) -> np.ndarray:
    with Image.open(path) as sheet:
        return np.asarray(sheet.convert("RGB"))


def test_the_command_draws_a_sheet_and_says_what_is_wrong(tmp_path, capsys):
    photo, painting, output = (tmp_path / f"{n}.png" for n in ("photo", "painting", "out"))
    save_image(picture(64, 96)[0], photo)
    save_image(picture(72, 64, seed=2)[0], painting)
    command = ["sweep", str(photo), "--style", str(painting), "-o", str(output), "--cell", "96"]
    assert main([*command, "--strengths", "0,1", "--precision", "fp32"]) == 0
    assert "2 picture(s), 196x" in capsys.readouterr().out
    sheet = sheet_of(output)
    own = np.asarray(Image.open(photo).convert("RGB"))
    assert np.array_equal(sheet[:64, :96], own), "strength 0 is the photograph"
    assert np.abs(sheet[:64, 100:].astype(int) - own).mean() > 3
    assert main([*command, "--overwrite", "--brushes", "0,4", "--precision", "fp32"]) == 0
    sheet = sheet_of(output)
    assert np.abs(sheet[:64, :96].astype(int) - sheet[:64, 100:]).mean() > 1
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    before = output.read_bytes()
    assert main([*command, "--skip-existing"]) == 0
    assert "left as it is" in capsys.readouterr().out
    assert output.read_bytes() == before
    assert main([*command[:-4], "-o", str(photo), "--overwrite"]) == 2
    assert "is also an input" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--strengths", "1,2"]) == 2
    told = capsys.readouterr().err
    assert "strengths are 1, 2" in told
    assert "\n" not in told.strip()


def test_what_cannot_be_drawn_is_refused_before_a_style_is_learned(
    tmp_path, image_file, small_base_file, learned_from_images, capsys
):
    command = ["sweep", str(image_file), "--style", str(image_file), "-o", str(tmp_path / "s.png")]
    command += ["--base", str(small_base_file), "--steps", "1"]
    assert main([*command, "--abstractions", "0.25,1.5"]) == 2
    assert "abstractions are 0.25, 1.5; numbers from 0 to 1" in capsys.readouterr().err
    many = ",".join(["0.5"] * 9)
    assert main([*command, "--strengths", many, "--grains", many]) == 2
    told = capsys.readouterr().err
    assert "81 pictures in all; 1 to 64 are possible" in told
    assert told.count("\n") == 1
    assert learned_from_images == []


def test_the_node_draws_a_sheet(run, model, adapt, pack):
    style = adapt(steps=0).style
    inputs = {
        "model": model, "images": image(40, 60, count=2, channels=4), "grains": "0",
        "strengths": "0, 1", "cell_size": 60, "precision": "fp32", "seed": 0,
    }  # fmt: skip
    sheet = run("MetaStyleSweep", **inputs, styles={"style_1": style}).args[0]
    assert sheet.shape[0] == 1
    assert sheet.shape[2:] == (124, 3)
    torch.testing.assert_close(sheet[0, :40, :60], image(40, 60)[0], rtol=0, atol=0.6 / 255)
    full = stylize(run, model, style, inputs["images"][:1], grain=0.0)[0, ..., :3]
    torch.testing.assert_close(sheet[0, :40, 64:], full, rtol=0, atol=0.6 / 255)
    sheet = run(
        "MetaStyleSweep", **inputs | {"strengths": "1"}, brushes="0, 2", styles={"style_1": style}
    ).args[0]
    assert float((sheet[0, :40, :60] - sheet[0, :40, 64:]).abs().mean()) > 0.005
    with pytest.raises(pack.metastyle_core.errors.SettingsError, match="at least 1 is needed"):
        run("MetaStyleSweep", **inputs)
