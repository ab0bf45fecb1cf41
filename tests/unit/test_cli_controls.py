"""Controls of `stylize`: what each does to the picture, and one clear line where it cannot."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from samples import picture

from metastyle_core.cli import drawers, main
from metastyle_core.colour import Colouring
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.images import load_image, save_image


@pytest.fixture
def photograph(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    save_image(picture(64, 72, seed=1)[0], path)
    return path


@pytest.fixture
def painting(tmp_path) -> Path:
    path = tmp_path / "painting.png"
    save_image(0.2 + 0.5 * picture(72, 64, seed=2)[0], path)
    return path


@pytest.fixture
def draw(tmp_path, photograph, painting):
    """Stylize the photograph with some options; gives the picture (3, H, W)."""
    output = tmp_path / "out.png"

    def run(*options: str) -> torch.Tensor:
        command = ["stylize", str(photograph), "--style", str(painting), "-o", str(output)]
        assert main([*command, "--overwrite", "--precision", "fp32", *options]) == 0
        return load_image(output).pixels

    return run


def refused(capsys, *command: str) -> str:
    """The one line that a command ends with."""
    capsys.readouterr()
    assert main(list(command)) == 2
    told = capsys.readouterr().err.strip()
    assert "\n" not in told
    return told


def test_colours_of_the_painting_of_a_palette_and_of_the_photograph(
    tmp_path, draw, photograph, painting
):
    orange = tmp_path / "orange.png"
    save_image(torch.tensor([0.9, 0.5, 0.1]).view(3, 1, 1).expand(3, 16, 16), orange)
    plain = draw()
    as_drawn = draw("--colour-amount", "0")
    assert torch.equal(as_drawn, draw("--colour", "photograph", "--colour-amount", "0"))
    half_way = (as_drawn.mean((1, 2)) + load_image(painting).pixels.mean((1, 2))) / 2
    torch.testing.assert_close(plain.mean((1, 2)), half_way, rtol=0, atol=0.02)
    for options, wanted in (
        ([], load_image(painting).pixels),
        (["--palette", str(orange)], load_image(orange).pixels),
    ):
        found = draw("--colour", "match", *options)
        torch.testing.assert_close(found.mean((1, 2)), wanted.mean((1, 2)), rtol=0, atol=0.02)
    own = load_image(photograph).pixels
    kept = draw("--colour", "photograph")
    assert (kept - own).std(0).mean() < (plain - own).std(0).mean() / 2


def test_a_refined_picture_is_recoloured_too(draw, painting):
    refined = draw("--refine", "2", "--colour", "match")
    wanted = load_image(painting).pixels.mean((1, 2))
    torch.testing.assert_close(refined.mean((1, 2)), wanted, rtol=0, atol=0.02)


def test_colours_of_others_are_given_to_a_refined_picture_alone(draw, monkeypatch):
    asked, original = [], drawers.stylize

    def heard(*arguments, **options):
        asked.append(options["colouring"])
        return original(*arguments, **options)

    monkeypatch.setattr(drawers, "stylize", heard)
    draw("--refine", "1")
    draw("--refine", "1", "--colour-amount", "0")
    draw("--refine", "1", "--colour", "photograph")
    assert asked == [Colouring(), AS_DRAWN, AS_DRAWN]


def test_a_palette_is_asked_for_and_never_ignored(tmp_path, photograph, painting, capsys):
    command = ["stylize", str(photograph), "-o", str(tmp_path / "o.png"), "--style"]
    told = refused(capsys, *command, "munch_the_scream", "--colour", "match")
    assert "add --palette" in told
    told = refused(capsys, *command, str(painting), "--palette", str(painting))
    assert "add --colour match or leave it out" in told
    assert not (tmp_path / "o.png").exists()


def test_a_palette_is_never_written_over(tmp_path, photograph, painting, capsys):
    palette = tmp_path / "palette.png"
    save_image(picture(16, 16)[0], palette)
    before = palette.read_bytes()
    command = ["stylize", str(photograph), "--style", str(painting), "-o", str(palette)]
    told = refused(capsys, *command, "--overwrite", "--colour", "match", "--palette", str(palette))
    assert str(palette) in told
    assert palette.read_bytes() == before


@pytest.mark.parametrize(
    "option",
    [("--region", "a.png=m.png"), ("--brush", "1"), ("--max-memory", "600")],
)
def test_what_films_do_not_have_is_refused(tmp_path, photograph, painting, capsys, option):
    command = ["stylize", str(photograph), "--style", str(painting), "--lock", "first"]
    told = refused(capsys, *command, "-o", str(tmp_path / "frames"), *option)
    assert f"{option[0]} is for stills" in told


def test_a_seamless_picture_differs_at_its_edges(draw):
    change = (draw("--grain", "0", "--seamless", "x") - draw("--grain", "0")).abs().mean((0, 1))
    assert change[[0, -1]].min() > 1.5 * change[24:48].mean()


def test_refining_does_not_wrap(tmp_path, photograph, painting, capsys):
    command = ["stylize", str(photograph), "-o", str(tmp_path / "o.png"), "--style", str(painting)]
    told = refused(capsys, *command, "--seamless", "both", "--refine", "3")
    assert "leave one out" in told


def test_the_style_goes_where_the_mask_is_white(tmp_path, draw, photograph):
    path = tmp_path / "mask.png"
    rows = torch.zeros(3, 32, 36)
    rows[:, :, :12], rows[:, :, 12:24] = 1.0, 0.5
    save_image(rows, path)
    own, plain = load_image(photograph).pixels, draw()
    masked = draw("--mask", str(path))
    assert torch.equal(masked[..., 50:], own[..., 50:])
    assert torch.equal(masked[..., :22], plain[..., :22])
    mixed = (own + plain)[..., 26:46] / 2
    torch.testing.assert_close(masked[..., 26:46], mixed, rtol=0, atol=1.5 / 255)
    refined = draw("--mask", str(path), "--refine", "2")
    assert torch.equal(refined[..., 50:], own[..., 50:])
    assert not torch.equal(refined[..., :22], masked[..., :22])


def test_transparent_parts_of_a_mask_are_black(tmp_path, draw, photograph):
    path = tmp_path / "mask.png"
    alpha = torch.zeros(1, 64, 72)
    alpha[..., :36] = 1.0
    save_image(torch.ones(3, 64, 72), path, alpha=alpha)
    masked = draw("--mask", str(path))
    assert torch.equal(masked[..., 36:], load_image(photograph).pixels[..., 36:])
    assert torch.equal(masked[..., :36], draw()[..., :36])


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (torch.zeros(3, 64, 72), "mask is empty"),
        (torch.ones(3, 64, 64), "mask is 64x64 px and the picture 72x64 px"),
    ],
)
def test_masks_that_do_not_fit_are_one_clear_line(
    tmp_path, photograph, painting, capsys, mask, words
):
    path, output = tmp_path / "mask.png", tmp_path / "o.png"
    save_image(mask, path)
    command = ["stylize", str(photograph), "-o", str(output), "--style", str(painting)]
    assert words in refused(capsys, *command, "--mask", str(path))
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mask", "gone.png"], "gone.png"),
        (["--colour", "match", "--palette", "gone.png"], "gone.png"),
        (["--palette", "gone.png"], "add --colour match or leave it out"),
        (["--seamless", "x", "--refine", "1"], "leave one out"),
    ],
)
def test_controls_are_refused_before_a_style_is_learned(
    tmp_path, photograph, painting, learned_from_images, capsys, options, words
):
    command = ["stylize", str(photograph), "--style", str(painting), "--steps", "1"]
    assert words in refused(capsys, *command, "-o", str(tmp_path / "o.png"), *options)
    assert learned_from_images == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_mask_may_come_through_a_pipe(tmp_path, draw):
    path, pipe = tmp_path / "mask.png", tmp_path / "pipe"
    rows = torch.zeros(3, 64, 72)
    rows[..., :36] = 1.0
    save_image(rows, path)
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as workers:
        workers.submit(pipe.write_bytes, path.read_bytes())
        piped = draw("--mask", str(pipe))
    assert torch.equal(piped, draw("--mask", str(path)))


def test_in_a_folder_the_mask_stops_only_pictures_of_another_ratio(tmp_path, painting, capsys):
    folder, output, mask = tmp_path / "in", tmp_path / "out", tmp_path / "mask.png"
    save_image(picture(64, 72)[0], folder / "fits.png")
    save_image(picture(64, 64)[0], folder / "square.png")
    save_image(torch.ones(3, 32, 36), mask)
    command = ["stylize", str(folder), "--style", str(painting), "-o", str(output)]
    assert main([*command, "--mask", str(mask)]) == 1
    assert [path.name for path in output.iterdir()] == ["fits.png"]
    assert f"{folder / 'square.png'}: The mask is 36x32 px" in capsys.readouterr().err
