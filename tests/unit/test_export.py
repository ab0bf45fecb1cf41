"""ONNX: the same pictures as PyTorch draws, of any size, for every kind of style."""

import json
import sys
from dataclasses import replace

import pytest
import torch
from samples import low_rank_style, picture

pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

import onnx
import onnxruntime

from metastyle_core import export
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import load_base
from metastyle_core.cli import main
from metastyle_core.errors import MetaStyleError
from metastyle_core.export import (
    export_onnx,
    require_alike_pictures,
    require_same_pictures,
    statistics_of,
)
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.images import save_image
from metastyle_core.presets import load_preset, preset_paths
from metastyle_core.style import save_style
from metastyle_core.stylization import stylize


def instant_style(base, mode="norm", seed=1):
    settings = AdaptationSettings(steps=0, style_size_px=64, mode=mode)
    return adapt_to_style(base, None, [picture(64, 64, seed=seed)], settings=settings)


def drawn(path, images, **feeds):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"image": images.numpy(), **feeds})[0])


def levels_apart(first, second):
    return 255 * (first - second).abs().max().item()


@pytest.mark.parametrize("strength", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("mode", ["norm", "low_rank", "decoder", "full"])
def test_every_graph_draws_what_pytorch_draws(random_base, tmp_path, mode, fixed, strength):
    path = tmp_path / "style.onnx"
    is_low_rank = mode == "low_rank"
    style = low_rank_style(random_base, 2) if is_low_rank else instant_style(random_base, mode)
    held = statistics_of(random_base, style, picture(40, 56)) if fixed else None
    report = export_onnx(random_base, style, path, statistics=held, strength=strength)
    onnx.checker.check_model(str(path), full_check=True)
    apart = require_same_pictures(path, random_base, style, statistics=held, strength=strength)
    assert apart < 0.05
    assert report.size_bytes == path.stat().st_size
    norms = [n for n in onnx.load(path).graph.node if n.op_type == "InstanceNormalization"]
    assert bool(norms) != fixed


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (50, 33), (130, 67)])
def test_any_size_and_number_come_back_as_they_went_in(random_base, tmp_path, size):
    style, path = instant_style(random_base), tmp_path / "style.onnx"
    export_onnx(random_base, style, path)
    images = torch.cat([picture(*size, seed=seed) for seed in range(3)])
    ours = stylize(random_base, style, images, precision="fp32", colouring=AS_DRAWN)
    assert drawn(path, images).shape == images.shape
    assert levels_apart(drawn(path, images), ours) < 0.05


def test_half_is_half_the_file_and_nearly_the_same_picture(random_base, tmp_path):
    style = instant_style(random_base)
    whole = export_onnx(random_base, style, tmp_path / "whole.onnx")
    half = export_onnx(random_base, style, tmp_path / "half.onnx", numbers="half")
    sizes = [
        sum(len(t.raw_data) for t in onnx.load(tmp_path / f"{n}.onnx").graph.initializer)
        for n in ("whole", "half")
    ]
    assert sizes[1] < 0.55 * sizes[0]
    assert half.size_bytes < whole.size_bytes
    assert 0 < require_same_pictures(tmp_path / "half.onnx", random_base, style) < 1


def test_integers_are_a_third_of_the_file_and_much_the_same_picture(tmp_path):
    base, style = load_base(), load_preset("munch_the_scream")
    path = tmp_path / "int8.onnx"
    whole = export_onnx(base, style, tmp_path / "whole.onnx")
    report = export_onnx(base, style, path, numbers="int8")
    onnx.checker.check_model(str(path), full_check=True)
    assert report.size_bytes == path.stat().st_size < whole.size_bytes / 3
    apart = require_alike_pictures(path, base, style)
    assert 0.1 < apart < 8
    other = load_preset("hokusai_great_wave")
    with pytest.raises(MetaStyleError, match="more than 8; export it without --int8"):
        require_alike_pictures(path, base, other)


def test_strength_0_gives_the_picture_back(random_base, tmp_path):
    path = tmp_path / "style.onnx"
    export_onnx(random_base, instant_style(random_base), path, strength=True)
    images = picture(33, 47)
    assert torch.equal(drawn(path, images, strength=torch.tensor(0.0).numpy()), images)


def test_fixed_statistics_leave_far_pixels_alone(random_base, tmp_path):
    style, path = instant_style(random_base), tmp_path / "style.onnx"
    held = statistics_of(random_base, style, picture(64, 64))
    export_onnx(random_base, style, path, statistics=held)
    images = picture(32, 256)
    changed = images.clone()
    changed[..., :8] = 1 - changed[..., :8]
    far = (..., slice(128, None))
    assert torch.equal(drawn(path, images)[far], drawn(path, changed)[far])
    assert levels_apart(drawn(path, images), drawn(path, changed)) > 1


def test_the_check_finds_another_style(random_base, tmp_path):
    path = tmp_path / "style.onnx"
    style = instant_style(random_base)
    export_onnx(random_base, style, path)
    weights = {name: 1.5 * tensor for name, tensor in style.fast_weights.items()}
    with pytest.raises(MetaStyleError, match="levels of 255 away"):
        require_same_pictures(path, random_base, replace(style, fast_weights=weights))


def test_the_command_exports_checks_and_says_what(tmp_path, capsys):
    preset, path = min(preset_paths()), tmp_path / "deep" / "wave.onnx"
    command = ["export", "--style", preset, "-o", str(path), "--half"]
    assert main([*command, "--check", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == path.stat().st_size < 4_000_000
    assert told["opset"] == onnx.load(path).opset_import[0].version == export.OPSET
    assert 0 < told["levels_away"] < 1
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    before = path.read_bytes()
    assert main([*command[:-1], "--skip-existing"]) == 0
    assert path.read_bytes() == before, "not written again without --half"
    picture_file = tmp_path / "held.png"
    save_image(picture(40, 40)[0], picture_file)
    assert main([*command, "--overwrite", "--statistics", str(picture_file)]) == 0
    assert "opset 17" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "style.pt"], "ends in .onnx"),
        (["-o", "style.onnx", "--style", "painting.png"], "metastyle adapt painting.png"),
        (["-o", "style.onnx", "--style", "none.safetensors"], "none.safetensors"),
        (["-o", "style.onnx", "--statistics", "none.png"], "none.png"),
        (["-o", "style.onnx", "--int8", "--strength"], "leave out one of --int8 and --strength"),
        (["-o", "file/style.onnx"], "file"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path, image_file, capsys, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    styles = [] if "--style" in options else ["--style", min(preset_paths())]
    assert main(["export", *styles, *options]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_packages_a_line_says_what_to_install(tmp_path, capsys, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    command = ["export", "--style", min(preset_paths()), "-o", str(tmp_path / "x.onnx")]
    assert main([*command, "--check"]) == 2
    assert 'pip install "metastyle[onnx]"' in capsys.readouterr().err


def test_a_style_of_another_base_is_refused(random_base, tmp_path, capsys):
    path = tmp_path / "other.safetensors"
    save_style(instant_style(random_base), path)
    assert main(["export", "--style", str(path), "-o", str(tmp_path / "x.onnx")]) == 2
    assert "was made for base" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()
