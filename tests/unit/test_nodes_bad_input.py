"""Bad input: an error that names the input and the remedy, and nothing left behind."""

from dataclasses import replace

import pytest
import torch
from unit.conftest import SMALL_BASE, image, load, save, stylize

BAD_STYLE = {
    "too small": (lambda: image(40, 80), r"'style_images' is 80x40 px.*at least 64 px.*Resize"),
    "NaN": (lambda: image(64, 64) * float("nan"), r"'style_images' holds NaN.*again"),
    "no batch": (lambda: image(64, 64)[0], r"'style_images' has shape.*Connect"),
    "empty": (lambda: image(64, 64)[:0], r"'style_images' has shape.*at least one"),
}


@pytest.mark.parametrize("case", BAD_STYLE)
def test_bad_style_pictures_name_the_input_and_the_remedy(case, adapt):
    make, words = BAD_STYLE[case]
    with pytest.raises(Exception, match=words):
        adapt(style_images=make())


def test_bad_contents_are_named_too(adapt):
    with pytest.raises(Exception, match=r"'content_images' is 80x20 px.*Resize"):
        adapt(content_images=image(20, 80))


def test_bad_pictures_to_stylize(run, adapt, model):
    style = adapt(steps=0).style
    with pytest.raises(Exception, match=r"'images' is 40x8 px.*16 px.*Resize"):
        stylize(run, model, style, image(8, 40))
    with pytest.raises(Exception, match=r"'images' holds NaN.*again"):
        stylize(run, model, style, image(32, 32) * float("nan"))
    with pytest.raises(Exception, match=r"colour is 'match'.*no palette.*give the painting"):
        stylize(run, model, style, image(32, 32), colour="match")
    with pytest.raises(Exception, match=r"'palette' has shape.*Connect"):
        stylize(run, model, style, image(32, 32), colour="match", palette=image(8, 8)[:0])


BAD_MASK = {
    "empty": (torch.zeros(1, 64, 64), r"mask is empty.*invert it"),
    "another ratio": (torch.ones(1, 40, 64), r"mask is 64x40 px and the picture 32x32 px.*crop"),
    "too many": (torch.ones(3, 32, 32), r"3 masks for 2 pictures.*one each"),
    "NaN": (torch.full((1, 32, 32), torch.nan), r"mask holds NaN.*again"),
    "a picture": (torch.ones(1, 32, 32, 3), r"The mask has shape"),
}


@pytest.mark.parametrize("case", BAD_MASK)
def test_a_mask_that_cannot_be_laid_over_the_pictures_is_refused(case, run, adapt, model):
    mask, words = BAD_MASK[case]
    with pytest.raises(Exception, match=words):
        stylize(run, model, adapt(steps=0).style, image(32, 32, count=2), mask=mask)


def test_a_style_of_another_base_is_refused_before_anything_is_loaded(run, adapt, model, fake_host):
    foreign = replace(adapt(steps=0).style, base_sha256="feedfacefeedface")
    loads = len(fake_host.loads)
    with pytest.raises(Exception, match=r"made for base feedfacefeed.*adapt it again"):
        stylize(run, model, foreign, image(32, 32))
    with pytest.raises(Exception, match="made for base feedfacefeed"):
        adapt(resume=foreign)
    assert len(fake_host.loads) == loads


@pytest.mark.parametrize("name", ["vgg16", "vgg19_caffe"])
def test_missing_encoder_weights_say_where_they_belong(adapt, name):
    with pytest.raises(Exception, match=rf"'encoder'.*models/metastyle/{name}\.safetensors"):
        adapt(encoder=name)


@pytest.mark.parametrize("name", ["../out", "presets/mine", "", "a//b", ".hidden", "con", "a\\b"])
def test_names_that_lead_astray_are_refused(run, adapt, name, fake_host):
    with pytest.raises(Exception, match="Choose another"):
        save(run, adapt(steps=0).style, name)
    assert not list(fake_host.models_dir.rglob("*.part"))


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(run, adapt, pack, monkeypatch, fake_host):
    checkpoint = pack.metastyle_core.checkpoint

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(Exception, match=r"No space left.*has room"):
        save(run, adapt(steps=0).style)
    assert not list((fake_host.models_dir / "metastyle_styles").iterdir())


def test_a_folder_that_cannot_be_made_is_a_clear_error(run, adapt, pack, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pack.nodes.hosting.host.folder_paths, "get_save_image_path", refuse)
    with pytest.raises(Exception, match="make the folder writable"):
        save(run, adapt(steps=0).style)


def test_a_style_that_has_gone_is_told_before_and_while_running(run, pack):
    node = pack.nodes.load_style.LoadAdaptedStyle
    assert "Choose another style" in node.validate_inputs("gone")
    assert "Choose another style" in node.fingerprint_inputs("gone")
    assert node.validate_inputs() is True
    with pytest.raises(Exception, match="may have been deleted"):
        load(run, "gone")


def test_a_corrupt_style_names_itself(run, fake_host, adapt):
    save(run, adapt(steps=0).style, "good")
    folder = fake_host.models_dir / "metastyle_styles"
    (folder / "bad.safetensors").write_bytes(b"rubbish!")
    with pytest.raises(Exception, match="'bad' cannot be used"):
        load(run, "bad")
    assert load(run, "good").name == "good"


def test_fingerprints_follow_the_file(run, pack, adapt):
    node = pack.nodes.load_style.LoadAdaptedStyle
    save(run, adapt(steps=0).style, "good")
    before = node.fingerprint_inputs("good")
    assert before == node.fingerprint_inputs("good")
    save(run, adapt(steps=0).style, "good", overwrite=True, fp16=True)
    assert node.fingerprint_inputs("good") != before
    assert pack.nodes.load_metastyle.LoadMetaStyle.fingerprint_inputs(SMALL_BASE)


def test_a_base_that_has_gone_says_where_to_put_it(run, pack):
    node = pack.nodes.load_metastyle.LoadMetaStyle
    assert "Put the file there" in node.validate_inputs("gone.safetensors")
    assert "Put the file there" in node.fingerprint_inputs("gone.safetensors")
    assert node.validate_inputs() is True
    with pytest.raises(Exception, match="Put the file there"):
        run("LoadMetaStyle", base="gone.safetensors")


def test_schedules_stay_where_they_make_sense(run, adapt):
    style = adapt(steps=0).style
    styles = {"style_1": style, "style_2": style}
    blend = run("MetaStyleBlendSchedule", styles=styles, curve="smooth", route="once").args[0]
    with pytest.raises(Exception, match="Input 'style' is a blend over frames"):
        save(run, blend)
    with pytest.raises(Exception, match="Input 'style_2' is a blend over frames"):
        run("MetaStyleBlendStyles", styles={"style_1": style, "style_2": blend})
    with pytest.raises(Exception, match=r"has 1 connected.*Connect another"):
        run("MetaStyleBlendStyles", styles={"style_1": style})
