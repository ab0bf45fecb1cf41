"""The command line: its results, and one clear line with exit code 2 for bad input."""

import json
import os
import pickle
import re
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from samples import picture

from metastyle_core.base import load_base
from metastyle_core.checkpoint import CHECKSUM, read_tensors, write_tensors
from metastyle_core.cli import adapt as adapt_command
from metastyle_core.cli import main
from metastyle_core.cli.failures import report_failures
from metastyle_core.encoder import ENCODER_SPECS, PerceptualEncoder, save_encoder
from metastyle_core.errors import PartlyDoneError
from metastyle_core.images import load_image, save_image
from metastyle_core.presets import preset_paths
from metastyle_core.style import load_style
from metastyle_core.stylization import stylize
from metastyle_core.training import distillation

STYLIZE = ["stylize", "a.png", "--style", "x", "-o", "b.png"]
QUICK = ["--steps", "2", "--crop", "64", "--style-size", "64", "--batch", "2"]


def files_below(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def adapt(image: Path, output: Path, *more: str) -> int:
    return main(["adapt", str(image), "-o", str(output), *QUICK, *more])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> bytes:
    """An instant style as the command writes it."""
    folder = tmp_path_factory.mktemp("made")
    save_image(picture(80, 96, seed=3), folder / "painting.png")
    assert adapt(folder / "painting.png", folder / "made.safetensors", "--steps", "0") == 0
    return (folder / "made.safetensors").read_bytes()


@pytest.fixture
def style_file(tmp_path, made) -> Path:
    path = tmp_path / "made.safetensors"
    path.write_bytes(made)
    return path


def test_adapt_writes_a_style_and_describes_it(tmp_path, image_file, capsys):
    output = tmp_path / "style.safetensors"
    assert adapt(image_file, output, "--json", "--name", "Mine") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["output"] == str(output)
    assert told["steps"] == 2
    assert told["bytes"] == output.stat().st_size
    style = load_style(output)
    assert style.name == "Mine"
    assert style.thumbnail is not None
    assert style.losses["total"] == pytest.approx(told["losses"]["total"])


def test_adapt_resumes_and_takes_contents(tmp_path, image_file, style_file):
    output = tmp_path / "more.safetensors"
    code = adapt(
        image_file, output, "--resume", str(style_file), "--content", str(image_file), "--half"
    )
    assert code == 0
    assert next(iter(read_tensors(output).tensors.values())).dtype == torch.float16


def test_a_low_rank_style_is_small_and_blends_with_any_other(tmp_path, image_file, style_file):
    output, drawn = tmp_path / "low.safetensors", tmp_path / "out.png"
    assert adapt(image_file, output, "--mode", "low_rank", "--half") == 0
    assert 150 * 1024 < output.stat().st_size < 170 * 1024
    smaller = tmp_path / "lower.safetensors"
    assert adapt(image_file, smaller, "--mode", "low_rank", "--rank", "1", "--half") == 0
    assert smaller.stat().st_size < 60 * 1024
    stylize = ["stylize", str(image_file), "--precision", "fp32", "--overwrite", "-o"]
    mixture = ["--style", f"{style_file}:0.5", "--style", f"{smaller}:0.5"]
    assert main([*stylize, str(drawn), *mixture]) == 0
    pictures = [load_image(drawn).pixels]
    assert main([*stylize, str(drawn), *mixture, "--style", f"{output}:2"]) == 0
    pictures.append(load_image(drawn).pixels)
    assert (pictures[0] - pictures[1]).abs().mean() > 0.005


def test_stylize_writes_one_picture_of_the_same_size(tmp_path, image_file, style_file, capsys):
    output = tmp_path / "out.png"
    code = main(
        ["stylize", str(image_file), "--style", str(style_file), "-o", str(output), "--json"]
    )
    assert code == 0
    assert load_image(output).pixels.shape == (3, 80, 96)
    told, whole = map(json.loads, capsys.readouterr().out.splitlines())
    assert told["seconds"] > 0
    assert told | {"seconds": 0} == {
        "input": str(image_file), "output": str(output), "seconds": 0, "size": [96, 80],
        "error": None,
    }  # fmt: skip
    assert (whole["images"], whole["skipped"], whole["failed"]) == (1, 0, 0)


def test_stylize_takes_folders_presets_images_and_blends(tmp_path, image_file, style_file):
    folder = tmp_path / "photos"
    save_image(picture(64, 64, seed=1)[0], folder / "a.png")
    save_image(picture(64, 96, seed=2)[0], folder / "deep" / "b.jpg")
    preset = next(iter(preset_paths()))
    requests = (
        [str(style_file)],
        [preset],
        [str(image_file)],
        [f"{style_file}:0.5"],
        [preset, f"{style_file}:0.3"],
    )
    for i, request in enumerate(requests):
        options = [part for style in request for part in ("--style", style)]
        output = tmp_path / f"out{i}"
        assert main(["stylize", str(folder), *options, "-o", str(output), "--batch", "2"]) == 0
        assert files_below(output) == {"a.png", "deep/b.jpg"}


def test_a_style_is_read_at_the_size_of_what_it_draws(tmp_path, image_file):
    """Else strokes grow and shrink with the photograph."""
    photo, made = tmp_path / "photo.png", tmp_path / "made.safetensors"
    save_image(picture(150, 400)[0], photo)
    command = ["adapt", str(image_file), "-o", str(made), "--steps", "0", "--overwrite"]
    wanted = {
        (): 576,
        ("--content", str(photo)): 225,
        ("--content", str(photo), "--style-size", "99"): 99,
    }
    for options, size in wanted.items():
        assert main([*command, *options]) == 0
        assert load_style(made).settings["style_size_px"] == size


def test_a_style_learns_on_pictures_painted_over_as_far_as_they_will_be(
    tmp_path, image_file, small_base_file, learned_from_images
):
    base = ["--base", str(small_base_file)]
    command = [str(image_file), "--style", str(image_file), "--steps", "1", *base]
    for number, options in enumerate(([], ["--abstraction", "0"], ["--abstraction", "0.6"])):
        output = ["-o", str(tmp_path / f"{number}.png")]
        assert main(["stylize", *command, *output, *options]) == 0
    sheet = ["-o", str(tmp_path / "sheet.png"), "--abstractions", "0.4,0.1"]
    assert main(["sweep", *command, *sheet]) == 0
    made = tmp_path / "made.safetensors"
    options = ["-o", str(made), "--steps", "1", "--abstraction", "0.7", "--brushwork", "0.3", *base]
    assert main(["adapt", str(image_file), *options]) == 0
    styles = [*learned_from_images, load_style(made)]
    assert styles[-1].brushwork == 0.3
    assert [style.settings["abstraction"] for style in styles] == [0.25, 0.0, 0.6, 0.4, 0.7]


def test_a_painting_gets_the_levels_that_were_asked_for(
    tmp_path, image_file, small_base_file, learned_from_images
):
    base = ["--base", str(small_base_file)]
    command = [str(image_file), "--style", str(image_file), *base]
    for number, options in enumerate(([], ["--levels", "0"], ["--levels", "0.7"])):
        output = ["-o", str(tmp_path / f"{number}.png")]
        assert main(["stylize", *command, *output, *options]) == 0
    assert main(["sweep", *command, "-o", str(tmp_path / "sheet.png"), "--levels", "0.4"]) == 0
    made = tmp_path / "made.safetensors"
    options = ["-o", str(made), "--steps", "0", "--levels", "0.9", *base]
    assert main(["adapt", str(image_file), *options]) == 0
    styles = [*learned_from_images, load_style(made)]
    assert [style.levels for style in styles] == [0.2, 0, 0.7, 0.4, 0.9]
    with pytest.raises(SystemExit):
        main(["stylize", *command, "-o", str(tmp_path / "no.png"), "--levels", "2"])


def test_an_image_as_style_adapts_on_what_it_is_to_draw(tmp_path, image_file):
    photo, drawn = tmp_path / "photo.png", tmp_path / "drawn.png"
    save_image(picture(64, 200)[0], photo)
    command = ["stylize", str(photo), "--style", str(image_file), "-o", str(drawn)]
    assert main([*command, "--max-size", "160"]) == 0
    instant = load_image(drawn).pixels
    assert main([*command, "--max-size", "160", "--steps", "2", "--overwrite"]) == 0
    adapted = load_image(drawn).pixels
    assert adapted.shape == instant.shape
    assert (adapted - instant).abs().mean() > 1e-3


def test_grain_is_a_choice_with_a_seed(tmp_path, image_file, style_file):
    drawn = tmp_path / "drawn.png"
    command = ["stylize", str(image_file), "--style", str(style_file), "-o", str(drawn)]
    command.append("--overwrite")
    pictures = []
    for options in ([], ["--grain", "1"], ["--grain", "1"], ["--grain", "1", "--seed", "2"]):
        assert main([*command, *options]) == 0
        pictures.append(load_image(drawn).pixels)
    plain, grained, again, other = pictures
    assert torch.equal(grained, again)
    assert not torch.equal(grained, plain)
    assert not torch.equal(grained, other)


@pytest.mark.parametrize(
    ("options", "drawing"),
    [
        ([], {"grain": 0.5, "abstraction": 0.25, "supersampling": 1.5}),
        (["--grain", "0", "--abstraction", "0", "--supersampling", "1"], {}),
        (
            ["--grain", "0", "--abstraction", "0.75", "--supersampling", "2"],
            {"abstraction": 0.75, "supersampling": 2.0},
        ),
    ],
)
def test_an_image_has_the_usual_strokes_or_what_is_asked_for(
    tmp_path, image_file, style_file, options, drawing
):
    drawn = tmp_path / "drawn.png"
    command = ["stylize", str(image_file), "--style", str(style_file), "-o", str(drawn)]
    assert main([*command, "--precision", "fp32", *options]) == 0
    image = load_image(image_file).pixels[None]
    wanted = stylize(load_base(), load_style(style_file), image, precision="fp32", **drawing)[0]
    torch.testing.assert_close(load_image(drawn).pixels, wanted, rtol=0, atol=0.6 / 255)


def test_stylize_does_not_take_its_own_results_for_inputs(tmp_path, style_file, capsys):
    folder = tmp_path / "photos"
    save_image(picture(64, 64)[0], folder / "a.png")
    for _ in range(2):
        command = ["stylize", str(folder), "--style", str(style_file), "-o", str(folder / "out")]
        assert main([*command, "--overwrite"]) == 0
    assert files_below(folder) == {"a.png", "out/a.png"}
    (folder / "a.png").unlink()
    assert main([*command, "--overwrite"]) == 2
    assert f"All images given lie below {folder / 'out'}" in capsys.readouterr().err


def test_no_output_replaces_an_input_or_an_existing_file(tmp_path, image_file, style_file, capsys):
    folder, existing = tmp_path / "photos", tmp_path / "photos" / "best" / "a.png"
    for path in (folder / "a.png", existing):
        save_image(picture(64, 64)[0], path)
    before = {path: path.read_bytes() for path in (image_file, style_file, existing)}
    photo, style = str(folder / "a.png"), ["--style", str(style_file)]
    linked = tmp_path / "linked.png"
    linked.symlink_to(image_file)
    for arguments, words in (
        (["stylize", photo, "--style", str(image_file), "-o", str(image_file)], "also an input"),
        (["stylize", photo, "--style", str(image_file), "-o", str(linked)], "also an input"),
        (["stylize", photo, "--style", f"{image_file}:0.5", "-o", str(image_file), "--overwrite"],
         f"{image_file} is also an input ({image_file})"),
        (["stylize", str(folder), *style, "-o", str(folder / "best")], f"{existing} exists"),
        (["stylize", photo, *style, "--style-picture", str(image_file), "-o", str(image_file),
          "--overwrite"], "also an input"),
        (["stylize", photo, *style, "-o", str(existing)], "--overwrite"),
        (["adapt", str(image_file), "-o", str(style_file)], "--skip-existing"),
        (["adapt", str(image_file), "-o", str(style_file), "--resume", str(style_file),
          "--overwrite"], "also an input"),
    ):  # fmt: skip
        capsys.readouterr()
        assert main(arguments) == 2, arguments
        assert words in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_what_exists_is_skipped_or_replaced_on_request(tmp_path, style_file, capsys):
    folder, output = tmp_path / "photos", tmp_path / "out"
    for name in ("a", "b"):
        save_image(picture(64, 64)[0], folder / f"{name}.png")
    save_image(picture(16, 16)[0], output / "a.png")
    command = ["stylize", str(folder), "--style", str(style_file), "-o", str(output), "--json"]
    for _ in range(2):
        capsys.readouterr()
        assert main([*command, "--skip-existing"]) == 0
    assert json.loads(capsys.readouterr().out)["skipped"] == 2
    assert load_image(output / "a.png").pixels.shape == (3, 16, 16)
    assert load_image(output / "b.png").pixels.shape == (3, 64, 64)
    assert main([*command, "--overwrite"]) == 0
    assert load_image(output / "a.png").pixels.shape == (3, 64, 64)
    adapted = style_file.read_bytes()
    assert main(["adapt", str(folder / "a.png"), "-o", str(style_file), "--skip-existing"]) == 0
    assert style_file.read_bytes() == adapted


def folder_with_bad_pictures(folder: Path) -> Path:
    """Two good ones among a small, a torn and a hidden one."""
    for name in ("a", "z"):
        save_image(picture(64, 64)[0], folder / f"{name}.png")
    save_image(picture(8, 64)[0], folder / "small.png")
    save_image(picture(200, 200)[0], folder / "torn.png")
    whole = (folder / "torn.png").read_bytes()
    (folder / "torn.png").write_bytes(whole[: len(whole) // 2])
    (folder / "._a.png").write_bytes(b"\0\5\x16\7 what macOS keeps beside a picture")
    return folder


def test_bad_pictures_do_not_stop_a_folder(tmp_path, style_file, capsys):
    folder, output = folder_with_bad_pictures(tmp_path / "photos"), tmp_path / "out"
    assert main(["stylize", str(folder), "--style", str(style_file), "-o", str(output)]) == 1
    shown = capsys.readouterr()
    assert "2 image(s)" in shown.out
    first, *rest = shown.err.strip().splitlines()
    assert "2 pictures could not be used" in first
    assert [line.split("photos/")[1].split(" is ")[0] for line in rest] == ["small.png", "torn.png"]
    assert files_below(output) == {"a.png", "z.png"}


def test_a_folder_without_a_good_picture_says_so_of_each(tmp_path, style_file, capsys):
    folder = folder_with_bad_pictures(tmp_path / "photos")
    for name in ("a", "z"):
        (folder / f"{name}.png").write_text("no picture")
    output = tmp_path / "out"
    assert main(["stylize", str(folder), "--style", str(style_file), "-o", str(output)]) == 1
    assert "4 pictures" in capsys.readouterr().err
    assert not output.exists()


def test_of_many_bad_pictures_twenty_are_told():
    with pytest.raises(PartlyDoneError) as told:
        report_failures([f"{number}.png is torn" for number in range(23)])
    first, *shown, last = str(told.value).splitlines()
    assert first.startswith("23 pictures could not be used")
    assert [line.strip() for line in shown] == [f"{number}.png is torn" for number in range(20)]
    assert last.strip() == "and 3 more"


def test_bad_contents_do_not_stop_an_adaptation(tmp_path, image_file, capsys):
    folder, output = folder_with_bad_pictures(tmp_path / "photos"), tmp_path / "s.safetensors"
    (folder / "0.png").write_text("first, and no picture")
    assert adapt(image_file, output, "--content", str(folder)) == 1
    assert "2 pictures could not be used" in capsys.readouterr().err
    assert load_style(output).settings["steps"] == 2


def test_adapt_finds_an_output_that_cannot_be_written_before_it_begins(
    tmp_path, image_file, capsys, monkeypatch
):
    monkeypatch.setattr("metastyle_core.cli.adapt.adapt_to_style", pytest.fail)
    (tmp_path / "file").write_text("")
    output = tmp_path / "file" / "style.safetensors"
    assert main(["adapt", str(image_file), "-o", str(output)]) == 2
    assert "Cannot write" in capsys.readouterr().err


def test_adapt_decodes_no_more_contents_than_it_uses(tmp_path, image_file, monkeypatch):
    for i in range(40):
        save_image(picture(64, 64, seed=i)[0], tmp_path / "frames" / f"{i:02d}.png")
    decoded: list[Path] = []

    def load(path: Path):
        decoded.append(path)
        return load_image(path).pixels[None]

    monkeypatch.setattr("metastyle_core.cli.inputs.load_batch", load)
    output = tmp_path / "style.safetensors"
    command = ["adapt", str(image_file), "-o", str(output), "--steps", "0", "--crop", "64"]
    assert main([*command, "--content", str(tmp_path / "frames")]) == 0
    assert len(set(decoded)) == len(decoded) == 32


def test_a_style_with_huge_numbers_is_no_black_picture(tmp_path, image_file, style_file, capsys):
    file = read_tensors(style_file)
    huge, output = tmp_path / "huge.safetensors", tmp_path / "out.png"
    for tensor in file.tensors.values():
        tensor[:2] = 1e20
    metadata = {k: v for k, v in file.metadata.items() if not k.startswith("format")}
    write_tensors(huge, file.tensors, file_format="metastyle.style", metadata=metadata)
    assert main(["stylize", str(image_file), "--style", str(huge), "-o", str(output)]) == 2
    told = capsys.readouterr().err
    assert "draws NaN or infinity" in told
    assert "precision fp32" in told
    assert not output.exists()


def test_stylize_keeps_transparency_and_limits_size(tmp_path, style_file):
    source = tmp_path / "logo.png"
    Image.new("RGBA", (120, 60), (200, 10, 10, 0)).save(source)
    output = tmp_path / "out.png"
    options = ["--style", str(style_file), "-o", str(output), "--max-size", "80"]
    assert main(["stylize", str(source), *options]) == 0
    loaded = load_image(output)
    assert loaded.pixels.shape == (3, 40, 80)
    assert loaded.alpha is not None
    assert loaded.alpha.max() == 0


def test_stylize_keeps_what_a_photograph_says_unless_stripped(tmp_path, style_file):
    exif = Image.Exif()
    exif[0x013B] = "Ada"
    source = tmp_path / "photo.jpg"
    Image.new("RGB", (120, 60), (200, 10, 10)).save(source, exif=exif, dpi=(300, 300))
    command = ["stylize", str(source), "--style", str(style_file), "--max-size", "80", "-o"]
    assert main([*command, str(tmp_path / "kept.jpg")]) == 0
    assert main([*command, str(tmp_path / "bare.jpg"), "--strip"]) == 0
    with Image.open(tmp_path / "kept.jpg") as kept, Image.open(tmp_path / "bare.jpg") as bare:
        assert kept.getexif()[0x013B] == "Ada"
        assert kept.info["dpi"] == (300, 300)
        assert not dict(bare.getexif())
        assert "dpi" not in bare.info


def test_sixteen_bits_stay_sixteen_where_the_output_holds_them(
    tmp_path, image_file, style_file, capsys
):
    deep = tmp_path / "deep.png"
    save_image(picture(64, 64), deep, depth=16)
    style = ["--style", str(style_file)]
    for source, name, options, depth in (
        (deep, "a.png", [], 16), (deep, "b.tif", [], 16), (deep, "c.jpg", [], 8),
        (deep, "d.png", ["--depth", "8"], 8), (image_file, "e.png", [], 8),
        (image_file, "f.png", ["--depth", "16"], 16),
    ):  # fmt: skip
        output = tmp_path / name
        assert main(["stylize", str(source), *style, "-o", str(output), *options]) == 0
        assert load_image(output).depth == depth
    command = ["stylize", str(deep), *style, "-o", str(tmp_path / "g.webp"), "--depth", "16"]
    assert main(command) == 2
    assert "cannot hold 16 bits" in capsys.readouterr().err


def test_strength_zero_gives_every_transparent_pixel_back(tmp_path, style_file):
    source, output = tmp_path / "soft.png", tmp_path / "out.png"
    picture = Image.new("RGBA", (40, 32), (200, 0, 0, 129))
    picture.paste((10, 20, 30, 0), (0, 0, 8, 8))
    picture.paste((1, 255, 3, 4), (8, 8, 16, 16))
    picture.save(source)
    options = ["--style", str(style_file), "-o", str(output), "--strength", "0"]
    assert main(["stylize", str(source), *options]) == 0
    assert Image.open(output).tobytes() == picture.tobytes()


def test_shrinking_mixes_no_hidden_colour_in(tmp_path, style_file):
    source, output = tmp_path / "edge.png", tmp_path / "out.png"
    picture = Image.new("RGBA", (128, 64), (0, 255, 0, 0))
    picture.paste((200, 0, 0, 255), (0, 0, 63, 64))
    picture.save(source)
    options = ["--style", str(style_file), "-o", str(output), "--strength", "0"]
    assert main(["stylize", str(source), *options, "--max-size", "64"]) == 0
    loaded = load_image(output)
    visible = loaded.pixels[:, loaded.alpha[0] > 0]
    assert visible[1].max() < 2 / 255


def test_stylize_at_strength_zero_gives_the_image_back(tmp_path, image_file, style_file):
    output = tmp_path / "same.png"
    options = ["--style", str(style_file), "-o", str(output), "--strength"]
    assert main(["stylize", str(image_file), *options, "0"]) == 0
    assert torch.equal(load_image(output).pixels, load_image(image_file).pixels)


def test_a_flipped_bit_in_a_base_is_called_damage(
    tmp_path, image_file, style_file, base_file, capsys
):
    flipped = bytearray(base_file.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    base = tmp_path / "base.safetensors"
    base.write_bytes(flipped)
    command = ["stylize", str(image_file), "--style", str(style_file), "--base", str(base)]
    assert main([*command, "-o", str(tmp_path / "out.png")]) == 2
    assert "is damaged" in capsys.readouterr().err


def test_adapting_twice_gives_the_same_bytes(tmp_path, image_file):
    outputs = [tmp_path / folder / "style.safetensors" for folder in ("a", "b")]
    assert [adapt(image_file, output) for output in outputs] == [0, 0]
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_info_tells_a_file_without_a_checksum(tmp_path, style_file, capsys):
    file = read_tensors(style_file)
    old = tmp_path / "old.safetensors"
    save_file(file.tensors, old, metadata={k: v for k, v in file.metadata.items() if k != CHECKSUM})
    for path, words in ((old, "none, the file is older"), (style_file, file.metadata[CHECKSUM])):
        assert main(["info", str(path)]) == 0
        assert f"{CHECKSUM}: {words}" in capsys.readouterr().out


def test_info_describes_every_kind_of_file(style_file, capsys):
    shipped = Path(__file__).parents[2] / "metastyle_core" / "weights"
    for path, kind in (
        (style_file, "metastyle.style"),
        (shipped / "base.safetensors", "metastyle.base"),
        ("fast", "metastyle.base"),
        (shipped / "compact.safetensors", "metastyle.encoder"),
    ):
        assert main(["info", str(path), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["format"] == kind
        assert told["parameters"] > 3000
        assert main(["info", str(path)]) == 0
        assert f"format: {kind}" in capsys.readouterr().out


def test_evaluate_reports_every_mode_and_number_of_steps(
    tmp_path, small_base_file, tiny_encoder, capsys
):
    adapts, pictures = tmp_path / "tiny.safetensors", tmp_path / "pictures"
    save_encoder(adapts, tiny_encoder, {}, half=False)
    for name in ("a/same", "b/same", "c"):
        save_image(picture(80, 80)[0], tmp_path / "styles" / f"{name}.png")
        save_image(picture(80, 80, seed=9)[0], tmp_path / "contents" / f"{name}.png")
    output = tmp_path / "report.json"
    code = main(
        ["evaluate", "--styles", str(tmp_path / "styles"), "--contents", str(tmp_path / "contents"),
         "--encoder", "compact", "--steps", "0,2", "--modes", "norm,scratch", "--size", "64",
         "--max-styles", "2", "--crop", "64", "--base", str(small_base_file),
         "--adapt-encoder", "compact", "--adapt-encoder-weights", str(adapts),
         "--pictures", str(pictures), "--json", str(output)]
    )  # fmt: skip
    assert code == 0
    report = json.loads(output.read_text())
    assert [(r["mode"], r["steps"]) for r in report["summary"]] == [
        ("norm", 0), ("norm", 2), ("scratch", 0), ("scratch", 2),
    ]  # fmt: skip
    assert report["styles"] == ["a/same", "b/same"]
    for row in report["summary"]:
        assert row["total"] == pytest.approx(row["content"] + 20 * row["style"], rel=0.2)
    assert (report["judge"], report["adapt_encoder"]) == ("compact", "tiny")
    assert {"a-same-norm-0002-b-same.png", "b-same-scratch-0000-c.png"} <= files_below(pictures)
    assert len(files_below(pictures)) == 2 * 2 * 2 * 3
    assert load_image(pictures / "a-same-norm-0000-c.png").pixels.shape == (3, 64, 64)
    assert "scratch" in capsys.readouterr().out


def test_evaluate_adapts_on_the_contents_that_can_be_read(tmp_path, small_base_file, capsys):
    folder, output = folder_with_bad_pictures(tmp_path / "photos"), tmp_path / "report.json"
    (folder / "small.png").unlink()
    save_image(picture(80, 80, seed=2)[0], tmp_path / "own" / "a.png")
    own = str(tmp_path / "own")
    command = ["evaluate", "--styles", own, "--contents", own, "--content", str(folder)]
    command += ["--steps", "1", "--modes", "norm", "--size", "64", "--crop", "64"]
    assert main([*command, "--base", str(small_base_file), "--json", str(output)]) == 1
    assert len(json.loads(output.read_text())["entries"]) == 1
    told = capsys.readouterr().err
    assert "1 picture could not be used, the rest is done" in told
    assert "torn.png" in told


def test_demo_adapts_stylizes_and_lays_out_a_sheet(tmp_path, capsys):
    output = tmp_path / "demo"
    assert main(["demo", "--steps", "1", "--presets", "1", "-o", str(output)]) == 0
    told = capsys.readouterr().out
    assert "steps per second" in told
    took_s, ms_per_image = re.findall(r"stylize +([\d.]+) s +(\d+) ms per 384 px image", told)[0]
    assert float(ms_per_image) * 8 / 1000 == pytest.approx(float(took_s), abs=0.06)
    assert str(output / "contact_sheet.png") in told
    assert load_style(output / "our_painting.safetensors").settings["steps"] == 1
    pictures = sorted(path.name for path in output.glob("*.png"))
    assert len(pictures) == 2 * 4 + 1, "two styles by four photographs, and the sheet"
    photograph = load_image(output / "astronaut-our_painting.png").pixels
    assert photograph.shape == (3, 384, 384)
    assert photograph.std() > 0.05


@pytest.fixture
def thin_teacher(tmp_path, monkeypatch) -> Path:
    """Weights of a VGG-16 with few channels where no tap is, and few pictures for its axes."""
    taps = ENCODER_SPECS["compact"].projected_channels.values()
    depths = (len(block) for block in ENCODER_SPECS["vgg16"].blocks)
    blocks = tuple((*[8] * (depth - 1), tap) for depth, tap in zip(depths, taps, strict=True))
    spec = replace(ENCODER_SPECS["vgg16"], blocks=blocks)
    monkeypatch.setitem(ENCODER_SPECS, "vgg16", spec)
    monkeypatch.setattr(distillation, "_AXES_BATCHES", 2)
    path = tmp_path / "vgg16.safetensors"
    weights = PerceptualEncoder(spec).state_dict()
    save_file({k.removeprefix("convolutions."): v.contiguous() for k, v in weights.items()}, path)
    return path


def test_train_and_distill_run_from_the_command_line(tmp_path, thin_teacher, capsys):
    for name in ("content", "style"):
        for i in range(3):
            save_image(picture(80, 80, seed=i)[0], tmp_path / name / f"{i}.png")
    folders = ["--content", str(tmp_path / "content"), "--style", str(tmp_path / "style")]
    quick = ["--updates", "1", "--crop", "64", "--batch", "2"]
    run = tmp_path / "run"
    torn = tmp_path / "content" / "torn.png"
    torn.write_bytes(b"\x89PNG")
    options = ["--inner-steps", "1", "--judge-shift", "8"]
    assert main(["train", *folders, "-o", str(run), *quick, *options]) == 1
    assert "torn.png is not an image" in capsys.readouterr().err
    assert load_base(run / "base.safetensors").training["meta"]["judge_shift"] == 8
    torn.unlink()
    assert main(["train", *folders, "-o", str(run), *quick]) == 2
    options = ["--teacher", "vgg16", "--teacher-weights", str(thin_teacher)]
    out = tmp_path / "distilled"
    assert main(["distill", *folders, "-o", str(out), *quick, *options]) == 0
    options += ["--start-from", str(out / "compact.safetensors")]
    further = tmp_path / "further"
    assert main(["distill", *folders, "-o", str(further), *quick, *options]) == 0
    assert (further / "compact.safetensors").is_file()


@pytest.fixture
def bad_files(tmp_path, image_file, style_file, monkeypatch) -> Path:
    """A working folder of files that look like input and are none, beside a good one of each."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(image_file.read_bytes()[:200])
    frames = [Image.new("RGB", (80, 80), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    for name, size in (("dot", (1, 1)), ("line", (90, 1)), ("strip", (12, 300))):
        Image.new("RGB", size, "red").save(tmp_path / f"{name}.png")
    (tmp_path / "pickled.safetensors").write_bytes(pickle.dumps([1]))
    (tmp_path / "torn.safetensors").write_bytes(style_file.read_bytes()[:500])
    (tmp_path / "renamed.safetensors").write_bytes(image_file.read_bytes())
    write_changed(style_file, tmp_path / "other.safetensors", base_sha256="0" * 64)
    write_changed(style_file, tmp_path / "spoilt.safetensors", value=float("nan"))
    (tmp_path / "bare").mkdir()
    (tmp_path / "blocked").write_text("a file where a folder is needed")
    return tmp_path


def write_changed(style: Path, path: Path, value: float | None = None, **header: str) -> None:
    """A copy of a style with another header, or with one value everywhere."""
    file = read_tensors(style)
    kept = {k: v for k, v in file.metadata.items() if k != CHECKSUM}
    tensors = {
        k: tensor if value is None else torch.full_like(tensor, value)
        for k, tensor in file.tensors.items()
    }
    save_file(tensors, path, metadata={**kept, **header})


def adapting(*images_and_options: str, output: str = "out.safetensors") -> list[str]:
    return ["adapt", *images_and_options, "-o", output, *QUICK]


def stylizing(image: str, style: str, output: str = "out.png") -> list[str]:
    return ["stylize", image, "--style", style, "-o", output]


def evaluating(*options: str) -> list[str]:
    return ["evaluate", "--styles", ".", "--contents", ".", *options, "--json", "out.png"]


def training(content: str, output: str) -> list[str]:
    return ["train", "--content", content, "--style", ".", "-o", output, "--updates", "1"]


GOOD, STYLE = "painting.png", "made.safetensors"
case = pytest.param


# Each case: the command, run in the folder of bad files, and words that its one line must hold.
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        case(adapting("absent.png"), "does not exist", id="missing image"),
        case(adapting("text.jpg"), "not an image", id="text named .jpg"),
        case(adapting("cut.png"), "damaged", id="truncated image"),
        case(adapting("moving.gif"), "2 frames", id="animated"),
        case(adapting("dot.png"), "1x1 px", id="1x1"),
        case(adapting("line.png"), "90x1 px", id="1xN"),
        case(adapting("strip.png"), "12x300 px", id="12x300"),
        case(adapting("bare"), "is a folder", id="folder as style image"),
        case(adapting(GOOD, "--content", "bare"), "no image", id="content folder empty"),
        case(adapting(GOOD, output="out.png"), ".safetensors", id="output suffix"),
        case(adapting(GOOD, output="blocked/x.safetensors"), "Cannot write", id="unwritable style"),
        case(adapting(GOOD, "--resume", "pickled.safetensors"), "pickle", id="resume a pickle"),
        case(adapting(GOOD, "--encoder", "vgg19"), "compact", id="missing encoder weights"),
        case(adapting(GOOD, "--base", "no.safetensors"), "not exist", id="missing base"),
        case(adapting(GOOD, "--base", "quick"), "that ships: main, fast", id="unknown base"),
        case(adapting(GOOD, "--base", "renamed.safetensors"), "damaged", id="image as base"),
        case(adapting(GOOD, "--device", "cuda:7"), "not available", id="device that is absent"),
        case(adapting(GOOD, "--device", "toaster"), "toaster", id="device that is nonsense"),
        case(stylizing(GOOD, "no_such_style"), "no_such_style", id="unknown preset"),
        case(stylizing(GOOD, "pickled.safetensors"), "pickle", id="pickle as style"),
        case(stylizing(GOOD, "torn.safetensors"), "damaged", id="torn style"),
        case(stylizing(GOOD, "renamed.safetensors"), "damaged", id="image renamed to a style"),
        case(
            stylizing(GOOD, "other.safetensors"),
            "another base|made for base",
            id="style of another base",
        ),
        case(stylizing(GOOD, "spoilt.safetensors"), "NaN", id="NaN in a style"),
        case(stylizing(GOOD, "no.safetensors"), "does not exist", id="missing style file"),
        case(stylizing(GOOD, r"C:\styles\a.safetensors"), "does not exist", id="path of Windows"),
        case(stylizing(GOOD, "https://example.org/a.jpg"), "is fetched", id="address as style"),
        case(stylizing("https://example.org/a.jpg", STYLE), "is fetched", id="address as image"),
        case(stylizing(GOOD, "styles/a.pt"), "styles/a.pt does", id="missing style, other ending"),
        case(stylizing(GOOD, "blocked"), "is neither", id="no style and no image"),
        case(stylizing(GOOD, "n" * 300 + ".png"), "too long", id="name too long"),
        case(adapting("n" * 300), "too long", id="image whose name is too long"),
        case(stylizing(GOOD, "hokusai:much"), "no number", id="weight that is no number"),
        case(stylizing("dot.png", STYLE), "at least 16 px", id="small image"),
        case(stylizing("bare", STYLE, "to"), "no image", id="empty folder"),
        case(stylizing("absent.png", STYLE), "absent.png does not exist", id="no such image"),
        case(stylizing(GOOD, STYLE, "a.mp4"), "mp4", id="output suffix of images"),
        case(stylizing(GOOD, STYLE, "blocked/x.png"), "Cannot write", id="unwritable output"),
        case(stylizing(GOOD, STYLE, GOOD), "also an input", id="output is the input"),
        case(["info", GOOD], "damaged", id="info on a picture"),
        case(["info", "absent"], "does not exist", id="info on nothing"),
        case(evaluating("--modes", "x"), "--modes", id="evaluate an unknown mode"),
        case([*evaluating()[:-1], "blocked/x.json"], "Cannot write", id="evaluate into no folder"),
        case(evaluating("--steps", "few"), "--steps", id="evaluate with words for steps"),
        case(evaluating("--steps", "2,-1"), "from 0 up", id="evaluate with steps below 0"),
        case(training("bare", "run"), "no image", id="train on an empty folder"),
        case(
            training(".", "blocked/run"),
            "Cannot write",
            id="train into an unwritable folder",
        ),
    ],
)
def test_bad_input_gets_one_clear_line_and_writes_nothing(arguments, words, bad_files, capsys):
    before = files_below(bad_files)
    capsys.readouterr()
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1, shown.err
    assert any(word in lines[0] for word in words.split("|")), lines[0]
    assert files_below(bad_files) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["adapt", "a.png", "-o", "b.safetensors", "--steps", "-5"], "from 0 up"),
        (["adapt", "a.png", "-o", "b.safetensors", "--style-weight", "-1"], "from 0.0 up"),
        (["adapt", "a.png", "-o", "b.safetensors", "--style-weight", "nan"], "finite"),
        (["adapt", "a.png", "-o", "b.safetensors", "--style-size", "0"], "from 1 up"),
        (["adapt", "a.png", "-o", "b.safetensors", "--mode", "half"], "norm"),
        ([*STYLIZE, "--max-size", "-3"], "from 1 up"),
        ([*STYLIZE, "--batch", "two"], "a number"),
        (["train", "--content", "a", "--style", "b", "-o", "c", "--updates", "0"], "from 1 up"),
        (["adapt", "a.png", "-o", "b.safetensors", "--seed", "-1"], "from 0 up"),
        (["train", "--content", "a", "--style", "b", "-o", "c", "--seed", str(2**64)], "2^64"),
        (["train", "--content", "a", "--style", "b", "-o", "c", "--judge-shift", "-1"], "0 up"),
        (["adapt", "a.png", "-o", "b.safetensors", "--abstraction", "2"], "from 0 to 1"),
        ([*STYLIZE, "--strength", "2"], "--strength: got 2; a finite number from 0 to 1 is needed"),
        ([*STYLIZE, "--strength", "-0.1"], "got -0.1; a finite number from 0 to 1"),
        ([*STYLIZE, "--strength", "nan"], "got nan; a finite number from 0 to 1"),
        ([*STYLIZE, "--grain", "2"], "--grain: got 2; a finite number from 0 to 1"),
        ([*STYLIZE, "--abstraction", "1.5"], "--abstraction: got 1.5; a finite number from 0 to 1"),
        ([*STYLIZE, "--colour-amount", "2"], "--colour-amount: got 2; a finite number from 0 to 1"),
        (["paint"], "paint"),
        ([], "COMMAND"),
    ],
)
def test_bad_options_end_with_code_two(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def read_until(words: bytes, screen: int) -> None:
    """Read what a terminal shows until the words come."""
    shown = b""
    while words not in shown:
        ready, _, _ = select.select([screen], [], [], 120)
        assert ready, f"nothing new for two minutes after {shown!r}"
        shown += os.read(screen, 4096)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_ctrl_c_ends_the_steps_and_keeps_the_style(tmp_path, image_file, small_base_file):
    """The progress bar, which only a terminal shows, tells when adaptation is under way."""
    output = tmp_path / "style.safetensors"
    screen, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "metastyle_core", "adapt", str(image_file), "-o", str(output),
         "--steps", "100000", "--crop", "64", "--style-size", "64",
         "--base", str(small_base_file), "--content", str(image_file)],
        stderr=terminal, env={**os.environ, "TQDM_NCOLS": "80", "TQDM_NROWS": "24"},
        # Jobs in the background are started with Ctrl-C turned off, and this suite may be one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    os.close(terminal)
    try:
        read_until(b"adapting", screen)
        process.send_signal(signal.SIGINT)
        read_until(b"keeping the style", screen)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        os.close(screen)
    assert files_below(tmp_path) == {"painting.png", "style.safetensors"}
    assert 0 < load_style(output).settings["stopped_after"] < 100000


def test_a_second_ctrl_c_gives_the_style_up(tmp_path, image_file, monkeypatch, capsys):
    def press_twice(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(adapt_command, "adapt_to_style", press_twice)
    assert adapt(image_file, tmp_path / "style.safetensors") == 130
    assert signal.getsignal(signal.SIGINT) is handler
    assert files_below(tmp_path) == {"painting.png"}
    told = capsys.readouterr().err
    assert "keeping the style; Ctrl-C again gives it up" in told
    assert told.endswith("metastyle adapt: stopped\n")


def test_quiet_in_a_pipe_where_warnings_are_errors_and_pillow_warns(tmp_path, small_base_file):
    spoilt = tmp_path / "spoilt.jpg"
    exif = b"Exif\0\0II*\0\xff\xff\xff\xff"
    Image.new("RGB", (64, 64)).save(spoilt, exif=exif)
    done = run_apart(
        "adapt", str(spoilt), "-o", str(tmp_path / "s.safetensors"), *QUICK,
        "--base", str(small_base_file), "--content", str(spoilt), PYTHONWARNINGS="error",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        load_image(spoilt)


def test_the_version_is_that_of_the_package(capsys, monkeypatch):
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    declared = re.search(r'^version = "(.+)"$', project, re.MULTILINE).group(1)
    told = []
    for installed in (True, False):
        if not installed:
            monkeypatch.setattr("metastyle_core.cli.version", not_installed)
        with pytest.raises(SystemExit) as caught:
            main(["--version"])
        assert caught.value.code == 0
        told.append(capsys.readouterr().out.strip())
    assert told == [f"metastyle {declared}", "metastyle (a checkout that is not installed)"]


def test_a_folder_may_have_dots_in_its_name(tmp_path, image_file, style_file):
    style = ["--style", str(style_file)]
    for name in ("2024.05.01", "films.mp4/"):
        assert main(["stylize", str(image_file), *style, "-o", f"{tmp_path}/{name}"]) == 0
        assert files_below(tmp_path / name) == {image_file.name}


def test_a_name_as_long_as_names_can_be_is_written(tmp_path, image_file, style_file):
    output = tmp_path / ("n" * 251 + ".png")
    assert main(["stylize", str(image_file), "--style", str(style_file), "-o", str(output)]) == 0
    assert output.is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_pictures_pass_through_pipes(tmp_path, image_file, style_file, monkeypatch, capsys):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    written = tmp_path / "a.png"
    command = ["stylize", str(pipe), "--style", str(style_file), "-o", str(written)]
    with ThreadPoolExecutor() as workers:
        workers.submit(pipe.write_bytes, image_file.read_bytes())
        assert main(command) == 0
    drawn = BytesIO()
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(image_file.read_bytes())))
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(drawn))
    assert main(["stylize", "-", "--style", str(style_file), "-o", "-"]) == 0
    with Image.open(drawn) as through, Image.open(written) as beside:
        assert through.tobytes() == beside.tobytes()
    assert "1 image(s)" in capsys.readouterr().err


def run_apart(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "metastyle_core", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip


def test_a_terminal_without_the_letters_of_a_path_is_no_error(tmp_path, style_file, monkeypatch):
    path = tmp_path / "\u98a8\u666f.safetensors"
    path.write_bytes(style_file.read_bytes())
    shown = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(shown, encoding="cp1252"))
    assert main(["info", str(path)]) == 0
    assert b"\\u98a8" in shown.getvalue()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_reader_that_leaves_ends_the_command_quietly(style_file):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "metastyle_core", "info", str(style_file)],
        stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("words", ["DefaultCPUAllocator: can't allocate memory", ""])
def test_too_little_memory_is_one_line(
    tmp_path, image_file, style_file, capsys, monkeypatch, words
):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(words) if words else MemoryError

    monkeypatch.setattr("metastyle_core.cli.drawers.stylize", fail)
    output = str(tmp_path / "out.png")
    assert main(["stylize", str(image_file), "--style", str(style_file), "-o", output]) == 2
    assert "--max-size" in capsys.readouterr().err


def test_a_mistake_of_ours_is_not_hidden(image_file, style_file, tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("sizes differ")

    monkeypatch.setattr("metastyle_core.cli.drawers.stylize", fail)
    output = str(tmp_path / "out.png")
    with pytest.raises(RuntimeError, match="sizes differ"):
        main(["stylize", str(image_file), "--style", str(style_file), "-o", output])


def not_installed(name: str) -> str:
    raise PackageNotFoundError(name)


def test_every_command_has_help(capsys):
    for command in ("adapt", "stylize", "evaluate", "info", "train", "distill", "demo", "bench"):
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert "usage: metastyle" in capsys.readouterr().out


def test_a_style_mask_leaves_out_what_is_no_part_of_the_style(tmp_path, capsys):
    inside, painting = torch.zeros(3, 96, 120), picture(96, 120)[0]
    inside[..., :90] = 1
    save_image(inside, tmp_path / "mask.png")
    styles = []
    for number, pixels in enumerate((painting, torch.where(inside > 0, painting, 1 - painting))):
        save_image(pixels, tmp_path / "painting.png")
        output = tmp_path / f"{number}.safetensors"
        mask = ("--style-mask", str(tmp_path / "mask.png"))
        assert adapt(tmp_path / "painting.png", output, *mask) == 0
        styles.append(load_style(output))
    for name, tensor in styles[0].fast_weights.items():
        assert torch.equal(tensor, styles[1].fast_weights[name])
    save_image(torch.zeros(3, 96, 120), tmp_path / "mask.png")
    capsys.readouterr()
    assert adapt(tmp_path / "painting.png", tmp_path / "o.safetensors", *mask) == 2
    assert "The style mask is empty" in capsys.readouterr().err


@pytest.mark.parametrize(("before", "wanted"), [({}, "20000"), ({"GOMP_SPINCOUNT": "5"}, "5")])
def test_threads_are_told_not_to_wait_busily_before_torch_loads_them(before, wanted):
    code = """
import os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
sys.meta_path.insert(0, Watch())
import metastyle_core.cli
"""
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"} | before
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [wanted]
