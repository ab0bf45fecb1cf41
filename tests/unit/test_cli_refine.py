"""`stylize --refine`: by the painting, by statistics, and one clear line where neither is there."""

import json
import signal
from pathlib import Path

import pytest
import torch
from samples import picture

from metastyle_core.cli import main, refining
from metastyle_core.images import load_image, save_image
from metastyle_core.style import load_style


@pytest.fixture
def photograph(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    save_image(picture(64, 72, seed=1)[0], path)
    return path


@pytest.fixture
def painting(tmp_path) -> Path:
    path = tmp_path / "painting.png"
    save_image(picture(72, 64, seed=2)[0], path)
    return path


def adapt(painting: Path, output: Path, *more: str) -> Path:
    options = ["--steps", "0", "--style-size", "64", *more]
    assert main(["adapt", str(painting), "-o", str(output), *options]) == 0
    return output


def stylize(photograph: Path, output: Path, *more: str) -> torch.Tensor:
    options = ["--precision", "fp32", *more]
    assert main(["stylize", str(photograph), "-o", str(output), *options]) == 0
    return load_image(output).pixels


def test_refining_goes_on_from_what_is_drawn(tmp_path, photograph, painting):
    style = ["--style", str(painting)]
    drawn = stylize(photograph, tmp_path / "drawn.png", *style)
    same = stylize(photograph, tmp_path / "same.png", *style, "--refine", "0")
    refined = stylize(photograph, tmp_path / "refined.png", *style, "--refine", "3")
    again = stylize(photograph, tmp_path / "again.png", *style, "--refine", "3")
    assert torch.equal(drawn, same)
    assert torch.equal(refined, again)
    assert (refined - drawn).abs().mean() > 1 / 255
    kept = stylize(photograph, tmp_path / "k.png", *style, "--refine", "3", "--strength", "0")
    assert torch.equal(kept, load_image(photograph).pixels)


def test_adapting_and_refining_have_their_own_weights_unless_one_is_given(
    tmp_path, photograph, painting, monkeypatch
):
    seen, kept = [], refining.refine
    monkeypatch.setattr(refining, "refine", lambda *a, **k: seen.append(a[4]) or kept(*a, **k))
    style = ["--style", str(painting), "--style-size", "64"]
    given = ["--style-weight", "9", "--nearest-weight", "2", "--blotch-weight", "5"]
    for name, *options in (["usual"], ["given", *given]):
        stylize(photograph, tmp_path / f"{name}.png", *style, "--refine", "1", *options)
    weights = [(each.style_weight, each.nearest_weight, each.blotch_weight) for each in seen]
    assert weights == [(12, 0.25, 2), (9, 2, 5)]
    file = adapt(painting, tmp_path / "style.safetensors")
    assert load_style(file).settings["loss"]["style_weight"] == 8
    at_once = stylize(photograph, tmp_path / "at_once.png", *style)
    from_file = stylize(photograph, tmp_path / "from_file.png", "--style", str(file))
    freely = stylize(photograph, tmp_path / "freely.png", *style, "--style-weight", "40")
    assert (at_once - from_file).abs().mean() < 0.5 / 255, "half precision"
    assert (freely - at_once).abs().mean() > 3 / 255


def test_a_style_file_with_statistics_needs_no_painting(tmp_path, photograph, painting, capsys):
    bare = adapt(painting, tmp_path / "bare.safetensors")
    full = adapt(painting, tmp_path / "full.safetensors", "--keep-statistics")
    assert load_style(bare).statistics is None
    options = ["--refine", "3", "--style-size", "64", "--style"]
    by_file = stylize(photograph, tmp_path / "file.png", *options, str(full))
    given = ["--style-picture", str(painting)]
    by_hand = stylize(photograph, tmp_path / "hand.png", *options, str(bare), *given)
    both = stylize(photograph, tmp_path / "both.png", *options, str(full), *given)
    assert torch.equal(by_hand, both), "a painting given by hand wins"
    assert not torch.equal(by_file, by_hand)
    assert (by_file - by_hand).abs().mean() < 8 / 255
    capsys.readouterr()
    assert main(["info", str(full), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"] == 3200
    assert told["statistics"]["encoder"] == "compact"
    assert told["statistics"]["style_size_px"] == 64
    assert 40 * 1024 < told["statistics"]["bytes"] <= 48 * 1024
    assert main(["info", str(bare), "--json"]) == 0
    assert "statistics" not in json.loads(capsys.readouterr().out)


def test_a_style_with_nothing_to_refine_by_is_one_clear_line(
    tmp_path, photograph, painting, capsys
):
    bare = adapt(painting, tmp_path / "bare.safetensors")
    output = tmp_path / "out.png"
    for styles in ([str(bare)], [str(painting), str(bare)], [f"{painting}:0.5"]):
        options = [part for style in styles for part in ("--style", style)]
        command = ["stylize", str(photograph), "-o", str(output), *options, "--refine", "2"]
        capsys.readouterr()
        assert main(command) == 2
        told = capsys.readouterr().err.strip()
        assert "--style-picture" in told
        assert "--keep-statistics" in told
        assert "\n" not in told
        assert not output.exists()


def test_statistics_of_another_encoder_are_found_before_anything_is_drawn(
    tmp_path, photograph, painting, capsys, monkeypatch
):
    full = adapt(painting, tmp_path / "full.safetensors", "--keep-statistics")
    monkeypatch.setattr("metastyle_core.cli.drawers.stylize", pytest.fail)
    monkeypatch.setattr("metastyle_core.style_statistics.content_hash", lambda _: "other")
    command = ["stylize", str(photograph), "--style", str(full), "--refine", "2"]
    assert main([*command, "-o", str(tmp_path / "out.png")]) == 2
    assert "not the compact at hand" in capsys.readouterr().err


def test_ctrl_c_keeps_the_picture_at_hand(tmp_path, photograph, painting, monkeypatch):
    whole, steps = refining.refine, []

    def press(*arguments, on_step, **options):
        def step(report):
            signal.raise_signal(signal.SIGINT)
            steps.append(report.step)
            on_step(report)

        return whole(*arguments, on_step=step, **options)

    monkeypatch.setattr(refining, "refine", press)
    style = ["--style", str(painting)]
    stopped = stylize(photograph, tmp_path / "stopped.png", *style, "--refine", "40")
    assert steps == [1]
    assert stopped.shape == (3, 64, 72)
