"""The bases that ship: chosen by name, unlike each other, and what their styles are refused."""

import json
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from samples import picture
from unit.conftest import image, stylize

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import SHIPPED_BASE, SHIPPED_BASES, base_file, load_base, shipped_name
from metastyle_core.cli import main
from metastyle_core.errors import BaseMismatchError, CheckpointError
from metastyle_core.images import load_image
from metastyle_core.presets import load_preset, preset_paths
from metastyle_core.stylization import stylize as draw

ROOT = Path(__file__).parents[2]
PRESET = min(preset_paths())


@pytest.fixture(scope="module")
def fast():
    return load_base("fast")


def instant(base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(base, None, [picture(64, 64)], settings=settings, name="checks")


def test_names_stand_for_files_and_paths_for_themselves(tmp_path, monkeypatch):
    assert base_file("main") == SHIPPED_BASE
    assert base_file("fast") == SHIPPED_BASES["fast"] != SHIPPED_BASE
    assert base_file("mine/base.safetensors") == Path("mine/base.safetensors")
    monkeypatch.chdir(tmp_path)
    Path("fast").write_bytes(b"a file of the user's")
    assert base_file("fast") == SHIPPED_BASES["fast"]
    assert base_file("./fast") == base_file(Path("fast")) == Path("fast")


def test_a_base_that_is_not_there_is_refused_with_the_names(tmp_path):
    for source in ("quick", tmp_path / "gone.safetensors"):
        with pytest.raises(CheckpointError, match=r"does not exist; .*: main, fast\.$"):
            load_base(source)


@pytest.mark.parametrize("name", SHIPPED_BASES)
def test_every_shipped_base_can_start_styles_and_is_known_by_its_hash(name):
    base = load_base(name)
    assert base.predictor is not None
    assert base.training["updates"]
    assert shipped_name(base.sha256) == name
    assert SHIPPED_BASES[name].stat().st_size < 12_000_000


def test_a_base_of_ones_own_has_no_shipped_name(base_file):
    assert shipped_name(load_base(base_file).sha256) is None


def test_every_shipped_base_is_in_the_package():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML.")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    package = ROOT / "metastyle_core"
    patterns = project["tool"]["setuptools"]["package-data"]["metastyle_core"]
    for path in SHIPPED_BASES.values():
        assert path.is_file()
        assert any(fnmatch(path.relative_to(package).as_posix(), each) for each in patterns)


def test_the_fast_base_is_smaller_and_draws_another_picture_of_the_same_size(fast):
    main_base, scene = load_base(), picture(41, 54)
    sizes = [sum(p.numel() for p in base.network.parameters()) for base in (fast, main_base)]
    assert sizes[0] < sizes[1] / 2
    drawn = [draw(base, instant(base), scene, precision="fp32") for base in (fast, main_base)]
    assert drawn[0].shape == drawn[1].shape == scene.shape
    assert (drawn[0] - drawn[1]).abs().mean() > 0.01


def test_a_style_of_another_shipped_base_says_which_and_what_to_do(fast):
    remedy = r"Load the {} base, or adapt the painting to the loaded one: .*a second\.$"
    with pytest.raises(BaseMismatchError, match=r"\(main\).*\(fast\)\. " + remedy.format("main")):
        draw(fast, load_preset(PRESET), picture(32, 32))
    with pytest.raises(BaseMismatchError, match=r"\(fast\).*\(main\)\. " + remedy.format("fast")):
        draw(load_base(), instant(fast), picture(32, 32))


def test_commands_take_the_name(tmp_path, image_file, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in SHIPPED_BASES:
        command = ["stylize", str(image_file), "--style", str(image_file), "--base", name]
        assert main([*command, "-o", f"{name}.png", "--style-size", "64"]) == 0
    drawn = [load_image(tmp_path / f"{name}.png").pixels for name in SHIPPED_BASES]
    assert drawn[0].shape == drawn[1].shape == load_image(image_file).pixels.shape
    assert (drawn[0] - drawn[1]).abs().mean() > 0.01
    capsys.readouterr()
    assert main(["info", "fast", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["file"], told["sha256"]) == (str(SHIPPED_BASES["fast"]), load_base("fast").sha256)


def test_a_preset_with_the_fast_base_is_refused_in_one_line(tmp_path, image_file, capsys):
    command = ["stylize", str(image_file), "--style", PRESET, "--base", "fast"]
    assert main([*command, "-o", str(tmp_path / "out.png")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "Load the main base, or adapt the painting" in line
    assert not (tmp_path / "out.png").exists()


def test_a_shipped_base_is_never_replaced(tmp_path, image_file, capsys, monkeypatch):
    own = tmp_path / "own.safetensors"
    shutil.copy(SHIPPED_BASES["fast"], own)
    monkeypatch.setattr("metastyle_core.base.SHIPPED_BASES", {"main": SHIPPED_BASE, "fast": own})
    command = ["adapt", str(image_file), "--base", "fast", "--steps", "0", "--overwrite"]
    assert main([*command, "-o", str(own)]) == 2
    assert "is also an input" in capsys.readouterr().err


def test_the_node_opens_both_and_a_file_of_that_name_beside_them(run, fake_host, pack, base_file):
    assert run("LoadMetaStyle", base="shipped").args[0].sha256 == load_base().sha256
    assert run("LoadMetaStyle", base="fast").args[0].sha256 == load_base("fast").sha256
    own = fake_host.models_dir / "metastyle" / "fast.safetensors"
    node = pack.nodes.load_metastyle.LoadMetaStyle
    assert "or choose 'shipped' or 'fast'" in node.validate_inputs("fast.safetensors")
    own.write_bytes(base_file.read_bytes())
    assert node.validate_inputs("fast.safetensors") is True
    choices = node.define_schema().inputs[0].choices
    assert choices[:3] == ["shipped", "fast", "fast.safetensors"]
    opened = run("LoadMetaStyle", base="fast.safetensors").args[0]
    assert opened.sha256 == load_base(own).sha256
    assert run("LoadMetaStyle", base="fast").args[0].sha256 == load_base("fast").sha256


def test_a_preset_on_the_node_with_the_fast_base_says_first_what_to_do(run, errors):
    model = run("LoadMetaStyle", base="fast").args[0]
    preset = run("MetaStyleLoadStyle", style=f"presets/{PRESET}").args[0]
    with pytest.raises(errors.BaseMismatchError, match=r"^Load the main base, or adapt"):
        stylize(run, model, preset, image(32, 32))


def test_a_saved_style_of_the_fast_base_is_drawn_with_nothing_beside_it(run, adapt, pack):
    model = run("LoadMetaStyle", base="fast").args[0]
    style = adapt(model=model, steps=0).style
    run("MetaStyleSaveStyle", style=style, name="light", fp16=False, overwrite=False)
    images = image(40, 56)
    drawn = run("MetaStyleStylizeWithPreset", images=images, style="light", strength=1.0).args[0]
    wanted = stylize(run, model, style, images, precision="auto")
    torch.testing.assert_close(drawn, wanted)
    base_of_style = pack.nodes.hosting.weights.base_of_style
    assert base_of_style(run("MetaStyleLoadStyle", style=f"presets/{PRESET}").args[0]) == "shipped"


def test_help_names_the_bases(capsys):
    for command in ("adapt", "stylize", "sweep", "export", "evaluate", "bench"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "main, fast" in " ".join(capsys.readouterr().out.split()), command
