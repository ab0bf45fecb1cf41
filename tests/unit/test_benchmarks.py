"""The benchmark's tables and measures."""

import pytest
import torch
from PIL import Image
from samples import picture

from benchmarks import sheet
from benchmarks.methods import refined, untouched
from benchmarks.peers import code_distance
from benchmarks.quality import identity, picture_path
from benchmarks.report import STYLE_LAYERS, report
from benchmarks.yardstick import errors_within
from metastyle_core.images import save_image
from metastyle_core.refinement import RefinementSettings


def make_row(method, style, total):
    errors = dict.fromkeys(("style", "content", "gram_total"), 1.0) | {"total": total}
    layers = {f"style_{layer}": 1.0 for layer in STYLE_LAYERS}
    bands = {f"band_{number}": 0.9 for number in range(1, 5)}
    others = {"ssim": 0.5, "structure": 0.1, "code_distance": 0.2, "weave": 4.0,
              "colour_noise": 3.0, "pan_1": None, "pan_2": None, "pan_3": None,
              "first_picture_s": 2.0, "picture_s": 1.0, "file_bytes": 2000,
              "peak_mib": 1500.4}  # fmt: skip
    return {"method": method, "style_name": style, **errors, **layers, **bands, **others}


def test_slow_methods_are_compared_over_the_styles_they_saw():
    rows = [make_row("fast", "a", 1.0), make_row("fast", "b", 4.0), make_row("slow", "a", 3.0)]
    over_all, over_common = report(rows, ["fast", "slow"], ["slow"]).split("Styles: 1.")
    assert over_all.startswith("Styles: 2.")
    assert "| fast | 1 | 1 | 2 | 1 | 0.5 | 0.1 | 0.2 | 4 | 0.9 | 0.9 | 0.9 | 0.9 | 3 |" in over_all
    assert "| fast | - | - | - | 2 | 1 | 2 | 1500 |" in over_all
    assert "slow" not in over_all
    assert "| fast | 1 | 1 | 1 |" in over_common
    assert "| slow | 1 | 1 | 3 |" in over_common


def test_slow_methods_alone_have_one_table():
    text = report([make_row("slow", "a", 3.0)], ["slow"], ["slow"])
    assert text.count("Styles: 1.") == 1


def test_every_table_has_the_error_of_each_layer():
    text = report([make_row("fast", "a", 1.0)], ["fast"], [])
    assert "| method | relu1_2 | relu2_2 | relu3_3 | relu4_3 |" in text


def test_the_sheet_shows_every_method_and_names_what_is_missing(tmp_path, monkeypatch):
    first, *others = sheet.METHODS
    shades = {method: 20 * place for place, method in enumerate(sheet.METHODS)}
    folders = dict.fromkeys(others, tmp_path / "peers") | {first: tmp_path / "ours"}
    for method in others:
        path = picture_path(folders[method], "munch", method, "boat")
        save_image(torch.full((3, 32, 32), shades[method] / 255), path)
    out = tmp_path / "sheet.png"
    arguments = [str(out), "--runs", *map(str, set(folders.values()))]
    arguments += ["--styles", "munch", "--contents", "boat"]
    monkeypatch.setattr("sys.argv", ["sheet", *arguments])
    with pytest.raises(SystemExit, match=first):
        sheet.main()
    assert not out.exists()
    path = picture_path(folders[first], "munch", first, "boat")
    save_image(torch.full((3, 32, 32), shades[first] / 255), path)
    sheet.main()
    with Image.open(out) as drawn:
        middle = drawn.height - 16
        row = [drawn.getpixel((column * 36 + 16, middle)) for column in range(len(shades))]
    assert row == [(shade,) * 3 for shade in shades.values()]


def test_a_run_knows_weights_by_what_is_in_them(tmp_path):
    base = tmp_path / "base.safetensors"
    base.write_bytes(b"one")
    before = identity(base)
    (tmp_path / "elsewhere").mkdir()
    assert identity(base.rename(tmp_path / "elsewhere" / base.name)) == before
    base.write_bytes(b"other")
    assert identity(base) != before
    assert identity(tmp_path) == str(tmp_path)
    assert identity(None) == "None"


def test_pieces_of_a_painting_are_as_far_apart_as_they_differ(tiny_encoder):
    plain = torch.full((1, 3, 96, 144), 0.5)
    torn = plain.clone()
    torn[..., 72:] = 0.1
    same, different = (errors_within(tiny_encoder, image, 64) for image in (plain, torn))
    layers = {f"style_{layer}" for layer in tiny_encoder.spec.style_layers}
    assert set(same) == {"style", *layers}
    assert max(same.values()) == pytest.approx(0, abs=1e-6)
    assert different["style"] > 0.01


def test_the_distance_of_style_codes_is_relative_to_the_photograph():
    pictures = [torch.full((1, 3, 8, 8), value) for value in (0.25, 0.0, 1.0)]
    mean = lambda image: image.mean().view(1)  # noqa: E731
    stylized, content, style = pictures
    assert code_distance(mean, stylized, content, style) == pytest.approx(0.75)
    assert code_distance(mean, content, content, style) == pytest.approx(1)
    assert code_distance(mean, style, content, style) == 0


def test_refining_goes_on_from_what_another_method_drew(tiny_encoder):
    method = refined(untouched(), tiny_encoder, RefinementSettings(steps=2))
    assert method.name == "content itself, refined, 2 steps"
    assert not method.real_time
    content = picture(64, 64, seed=1)
    ready = method.prepare(picture(64, 64, seed=2))
    assert ready.style_bytes is None
    assert 0 < (ready.stylize(content) - content).abs().mean() < 0.1
