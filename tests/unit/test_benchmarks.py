"""The benchmark's tables and measures."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from PIL import Image
from samples import picture

from benchmarks import film, film_cost, methods, sheet
from benchmarks.clips import make_clips, warping_error
from benchmarks.methods import refined, untouched
from benchmarks.peers import code_distance
from benchmarks.quality import identity, picture_path
from benchmarks.report import STYLE_LAYERS, report
from benchmarks.yardstick import errors_within
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.images import save_image
from metastyle_core.network import StylizationNetwork
from metastyle_core.refinement import RefinementSettings
from metastyle_core.stylization import stylize, stylize_as_usual
from metastyle_core.touches import USUAL_ABSTRACTION


def make_row(method, style, total):
    errors = dict.fromkeys(("style", "content", "gram_total"), 1.0) | {"total": total}
    layers = {f"style_{layer}": 1.0 for layer in STYLE_LAYERS}
    bands = {f"band_{number}": 0.9 for number in range(1, 5)}
    others = {"ssim": 0.5, "structure": 0.1, "code_distance": 0.2, "weave": 4.0, "hatching": 0.6,
              "blotches": 0.1,
              "colour_noise": 3.0, "pan_1": 2.5, "pan_2": 2.0, "pan_3": 1.5,
              "first_picture_s": 2.0, "picture_s": 1.0, "file_bytes": 2000,
              "peak_mib": 1500.4}  # fmt: skip
    return {"method": method, "style_name": style, **errors, **layers, **bands, **others}


def test_slow_methods_are_compared_over_the_styles_they_saw():
    rows = [make_row("fast", "a", 1.0), make_row("fast", "b", 4.0), make_row("slow", "a", 3.0)]
    over_all, over_common = report(rows, ["fast", "slow"], ["slow"]).split("Styles: 1.")
    assert over_all.startswith("Styles: 2.")
    assert (
        "| fast | 1 | 1 | 2 | 1 | 0.5 | 0.1 | 0.2 | 4 | 0.6 | 0.1 | 0.9 | 0.9 | 0.9 | 0.9 | 3 |"
        in over_all
    )
    assert "| fast | 2.5 | 2 | 1.5 | 2 | 1 | 2 | 1500 |" in over_all
    assert "slow" not in over_all
    assert "| fast | 1 | 1 | 1 |" in over_common
    assert "| slow | 1 | 1 | 3 |" in over_common


def test_what_was_not_measured_is_a_dash():
    row = make_row("refined", "a", 1.0) | {"file_bytes": None}
    for pan in ("pan_1", "pan_2", "pan_3"):
        del row[pan]
    assert "| refined | - | - | - | 2 | 1 | - | 1500 |" in report([row], ["refined"], [])


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


@pytest.fixture
def instant(monkeypatch):
    """Adaptations as they are asked for, each made without a step: base, style, settings."""
    made = []

    def adapt(base, _encoder, images, _contents, settings):
        style = adapt_to_style(base, None, images, settings=replace(settings, steps=0))
        made.append((base, style, settings))
        return style

    monkeypatch.setattr(methods, "adapt_to_style", adapt)
    return made


FIXED = AdaptationSettings(initialisation="fixed", style_size_px=64)


def test_johnsons_network_learns_and_draws_without_what_is_ours(tiny_encoder, instant):
    ready = methods.johnson(tiny_encoder, FIXED, None, 7).prepare(picture(64, 64, seed=2))
    ((base, style, settings),) = instant
    assert (settings.mode, settings.steps, settings.abstraction) == ("full", 7, 0.0)
    content = picture(64, 64, seed=1)
    wanted = stylize(base, style, content, colouring=AS_DRAWN)
    assert torch.equal(ready.stylize(content), wanted)
    assert not torch.equal(stylize(base, style, content), wanted)
    assert ready.frame is None


@pytest.mark.parametrize("reads_grain", [True, False])
def test_a_control_is_drawn_as_ours_where_it_reads_grain(random_base, instant, reads_grain):
    network = StylizationNetwork(8, 1, reads_grain=reads_grain).requires_grad_(False)
    base = replace(random_base, network=network, predictor=None)
    method = methods.control(base, None, FIXED, None)
    ready, content = method.prepare(picture(64, 64, seed=2)), picture(64, 64, seed=1)
    ((_, style, settings),) = instant
    assert method.name == f"no-meta control, norm, {settings.steps} steps"
    assert settings.abstraction == (USUAL_ABSTRACTION if reads_grain else 0)
    draw = stylize_as_usual if reads_grain else partial(stylize, colouring=AS_DRAWN)
    assert torch.equal(ready.stylize(content), draw(base, style, content))
    assert (ready.frame is None) == (not reads_grain)


@pytest.fixture
def clips():
    return make_clips([picture(90, 100, seed=1), picture(90, 80, seed=2)], 64, 8)


def test_the_motion_of_clips_is_the_one_they_show(clips):
    assert [clip.name for clip in clips] == ["pan", "zoom", "object", "cut", "fade"]
    for clip in clips:
        assert len(clip.frames) == 8
        assert [motion is None for motion in clip.motions].count(True) == (clip.name == "cut")
        # What interpolation takes away.
        assert warping_error(clip.frames, clip) < 0.5, clip.name
        assert warping_error(clip.frames[::-1], clip) > 1, clip.name


def test_a_still_clip_of_what_moves_and_noise_are_errors(clips, generator):
    for clip in clips:
        noisy = [f + 0.1 * torch.randn(f.shape, generator=generator) for f in clip.frames]
        assert warping_error(noisy, clip) > 5
        assert warping_error([clip.frames[0]] * 8, clip) > 0.5


def test_the_table_of_films_has_a_row_per_method_and_strips_beside_it(
    tmp_path, monkeypatch, capsys
):
    paintings, out = tmp_path / "paintings", tmp_path / "out"
    for name in ("van_gogh_starry_night", "hokusai_great_wave", "munch_the_scream"):
        save_image(picture(64, 64), paintings / f"{name}.png")
    options = ["--paintings", str(paintings), "-o", str(out), "--size", "96", "--frames", "4"]
    monkeypatch.setattr("sys.argv", ["film", *options, "--only", "itself"])
    film.main()
    table = (out / "film.md").read_text()
    assert capsys.readouterr().out == table
    assert "| method | pan | zoom | object | cut | fade | 1 px | 2 px | 3 px |" in table
    assert table.splitlines()[-1].startswith("| the clip itself |")
    assert len(list(out.glob("*.jpg"))) == 15


def test_our_films_are_steadier_with_shifts(clips, random_base, monkeypatch):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    style = adapt_to_style(random_base, None, [picture(64, 64, seed=5)], settings=settings)
    monkeypatch.setattr(methods, "load_preset", lambda _: style)
    pan = clips[0]
    plain, steady = (
        film.ours(random_base, "", steady=count).prepare("any", picture(64, 64))(pan)
        for count in (1, 4)
    )
    assert [frame.shape for frame in plain] == [frame.shape for frame in pan.frames]
    assert warping_error(steady, pan) < warping_error(plain, pan)


def test_what_films_cost_is_told(monkeypatch, capsys):
    pytest.importorskip("av", reason="PyAV, which reads and writes films, is not installed")
    monkeypatch.setattr("sys.argv", ["film_cost", "--size", "32", "--frames", "10"])
    film_cost.main()
    *tenths, total = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in tenths] == [f"frame {n}" for n in range(1, 11)]
    assert total.startswith("32 px: ")
    assert "frames per second" in total


def test_ways_take_turns_and_are_told_by_their_ratios():
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    from benchmarks import speed

    order: list[str] = []
    ways = {name: partial(lambda name, _: order.append(name), name) for name in ("main", "fast")}
    taken = speed.take_turns(ways, torch.zeros(1, 3, 8, 8), 2)
    assert order == ["main", "fast"] * 3
    assert [len(each) for each in taken.values()] == [2, 2]
    made = {
        "main": [speed.Timing(10.0, 16.0), speed.Timing(90.0, 16.0), speed.Timing(12.0, 20.0)],
        "fast": [speed.Timing(4.0, 6.0), speed.Timing(30.0, 6.0), speed.Timing(6.0, 8.0)],
    }
    first, second = (" ".join(line.split()) for line in speed.told(made, threads=2))
    assert first == "main 12.0 ms 8.0 ms of processors 1.00 times the first"
    assert second == "fast 6.0 ms 3.0 ms of processors 2.50 times the first"
