"""Bad input: an error that names the input and the remedy, and nothing left behind."""

from dataclasses import replace

import pytest
import torch
from unit.conftest import SMALL_BASE, image, load, save, stylize

BAD_STYLE = {
    "too small": (lambda: image(40, 80), r"^Resize.*'style_images' is 80x40 px.*at least 64 px"),
    "NaN": (lambda: image(64, 64) * float("nan"), r"again.*'style_images' holds NaN"),
    "no batch": (lambda: image(64, 64)[0], r"^Connect.*'style_images' has shape"),
    "empty": (lambda: image(64, 64)[:0], r"at least one.*'style_images' has shape"),
}


@pytest.mark.parametrize("case", BAD_STYLE)
def test_bad_style_pictures_name_the_input_and_the_remedy(case, adapt, errors):
    make, words = BAD_STYLE[case]
    refusal = errors.SettingsError if case == "NaN" else errors.ShapeError
    with pytest.raises(refusal, match=words):
        adapt(style_images=make())


def test_bad_contents_are_named_too_and_before_anything_is_loaded(adapt, fake_host, errors):
    with pytest.raises(errors.ShapeError, match=r"^Resize.*'content_images' is 80x20 px"):
        adapt(content_images=image(20, 80))
    assert not fake_host.freed


def test_bad_pictures_to_stylize(run, adapt, model, errors):
    style = adapt(steps=0).style
    with pytest.raises(errors.ShapeError, match=r"^Resize.*'images' is 40x8 px.*16 px"):
        stylize(run, model, style, image(8, 40))
    with pytest.raises(errors.SettingsError, match=r"again.*'images' holds NaN"):
        stylize(run, model, style, image(32, 32) * float("nan"))
    with pytest.raises(errors.SettingsError, match=r"^Give.*colour is 'match'.*no palette"):
        stylize(run, model, style, image(32, 32), colour="match")
    with pytest.raises(errors.ShapeError, match=r"^Connect.*'palette' has shape"):
        stylize(run, model, style, image(32, 32), colour="match", palette=image(8, 8)[:0])


BAD_MASK = {
    "empty": (torch.zeros(1, 64, 64), r"invert it.*mask is empty"),
    "another ratio": (torch.ones(1, 40, 64), r"crop.*mask is 64x40 px and the picture 32x32 px"),
    "too many": (torch.ones(3, 32, 32), r"one each.*3 masks for 2 pictures"),
    "NaN": (torch.full((1, 32, 32), torch.nan), r"again.*mask holds NaN"),
    "a picture": (torch.ones(1, 32, 32, 3), r"The mask has shape"),
}


@pytest.mark.parametrize("case", BAD_MASK)
def test_a_mask_that_cannot_be_laid_over_the_pictures_is_refused(case, run, adapt, model, errors):
    mask, words = BAD_MASK[case]
    refusal = errors.SettingsError if case in {"empty", "NaN"} else errors.ShapeError
    with pytest.raises(refusal, match=words):
        stylize(run, model, adapt(steps=0).style, image(32, 32, count=2), mask=mask)


def test_a_style_of_another_base_is_refused_before_anything_is_loaded(
    run, adapt, model, fake_host, errors
):
    foreign = replace(adapt(steps=0).style, base_sha256="feedfacefeedface")
    loads = len(fake_host.loads)
    with pytest.raises(errors.BaseMismatchError, match=r"adapt it again.*for base feedfacefeed"):
        stylize(run, model, foreign, image(32, 32))
    with pytest.raises(errors.BaseMismatchError, match="made for base feedfacefeed"):
        adapt(resume=foreign)
    assert len(fake_host.loads) == loads


@pytest.mark.parametrize("name", ["vgg16", "vgg19_caffe"])
def test_missing_encoder_weights_say_where_they_belong(adapt, name, errors):
    with pytest.raises(
        errors.EncoderWeightsError, match=rf"^Put them at models/metastyle/{name}\..*'encoder'"
    ):
        adapt(encoder=name)


@pytest.mark.parametrize("name", ["../out", "presets/mine", "", "a//b", ".hidden", "con", "a\\b"])
def test_names_that_lead_astray_are_refused(run, adapt, name, fake_host, errors):
    with pytest.raises(errors.SettingsError, match="Choose another"):
        save(run, adapt(steps=0).style, name)
    assert not list(fake_host.models_dir.rglob("*.part"))


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    run, adapt, pack, monkeypatch, fake_host, errors
):
    checkpoint = pack.metastyle_core.checkpoint

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    with pytest.raises(errors.CheckpointError, match=r"has room.*No space left"):
        save(run, adapt(steps=0).style)
    assert not list((fake_host.models_dir / "metastyle_styles").iterdir())


def test_a_folder_that_cannot_be_made_is_a_clear_error(run, adapt, pack, monkeypatch, errors):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pack.nodes.hosting.host.folder_paths, "get_save_image_path", refuse)
    with pytest.raises(errors.CheckpointError, match=r"^Make the folder writable"):
        save(run, adapt(steps=0).style)


def test_a_style_that_has_gone_is_told_before_and_while_running(run, pack):
    node = pack.nodes.load_style.LoadAdaptedStyle
    assert "Choose another style" in node.validate_inputs("gone")
    assert "Choose another style" in node.fingerprint_inputs("gone")
    assert node.validate_inputs() is True
    with pytest.raises(pack.nodes.hosting.library.StyleNotFound, match="may have been deleted"):
        load(run, "gone")


def test_a_corrupt_style_names_itself(run, fake_host, adapt, errors):
    save(run, adapt(steps=0).style, "good")
    folder = fake_host.models_dir / "metastyle_styles"
    (folder / "bad.safetensors").write_bytes(b"rubbish!")
    with pytest.raises(errors.CheckpointError, match="'bad' cannot be used"):
        load(run, "bad")
    assert load(run, "good").name == "good"


def test_fingerprints_follow_the_file(run, pack, adapt):
    node = pack.nodes.load_style.LoadAdaptedStyle
    save(run, adapt(steps=0).style, "good")
    before = node.fingerprint_inputs("good")
    assert before == node.fingerprint_inputs("good")
    save(run, adapt(steps=0).style, "good", overwrite="overwrite", fp16=True)
    assert node.fingerprint_inputs("good") != before
    assert pack.nodes.load_metastyle.LoadMetaStyle.fingerprint_inputs(SMALL_BASE)


def test_a_base_that_has_gone_says_where_to_put_it(run, pack, errors):
    node = pack.nodes.load_metastyle.LoadMetaStyle
    assert "Put the file there" in node.validate_inputs("gone.safetensors")
    assert "Put the file there" in node.fingerprint_inputs("gone.safetensors")
    assert node.validate_inputs() is True
    with pytest.raises(errors.CheckpointError, match="Put the file there"):
        run("LoadMetaStyle", base="gone.safetensors")


def test_schedules_stay_where_they_make_sense(run, adapt, errors):
    style = adapt(steps=0).style
    styles = {"style_1": style, "style_2": style}
    blend = run("MetaStyleBlendSchedule", styles=styles, curve="smooth", route="once").args[0]
    with pytest.raises(errors.SettingsError, match="Input 'style' is a blend over frames"):
        save(run, blend)
    with pytest.raises(errors.SettingsError, match="Input 'style_2' is a blend over frames"):
        run("MetaStyleBlendStyles", styles={"style_1": style, "style_2": blend})
    with pytest.raises(errors.SettingsError, match=r"^Connect another.*has 1 connected"):
        run("MetaStyleBlendStyles", styles={"style_1": style})


def test_a_missing_encoder_is_told_before_anything_is_loaded(pack, fake_host):
    node = pack.nodes.adapt_to_style.AdaptToStyle
    assert node.validate_inputs(encoder="vgg16").startswith("Put them at models/metastyle/vgg16")
    assert node.validate_inputs(encoder="nothing").startswith("Choose one of: ")
    assert node.validate_inputs(encoder="compact") is True
    assert node.validate_inputs(encoder=["vgg16"]).startswith("Put them at models/metastyle/vgg16")
    assert node.validate_inputs(encoder=["vgg16"], quality=["custom"]) is not True
    assert node.validate_inputs(encoder=["vgg16"], quality=["best"]) is True
    assert node.validate_inputs(quality=["worst"]).startswith("Choose custom, fast")
    missing = node.validate_inputs(encoder=["compact", "vgg19"])
    assert missing.startswith("Put them at models/metastyle/vgg19")
    assert node.validate_inputs() is True
    (fake_host.models_dir / "metastyle" / "vgg16.safetensors").write_bytes(b"weights")
    assert node.validate_inputs(encoder="vgg16") is True


BAD_LISTS = {
    "an encoder that is not there": {"encoder": ["compact", "vgg16"]},
    "no such encoder": {"encoder": ["compact", "vgg"]},
    "no such mode": {"mode": ["norm", "all"]},
    "a negative number": {"steps": [2, -1]},
    "a word for a number": {"steps": [2, "many"]},
    "a fraction": {"seed": [2, 2.5]},
    "no number": {"style_weight": [2.0, None]},
    "too small": {"brush_size": [64, 16]},
    "nothing": {"seed": []},
    "a word for a picture": {"content_images": ["scene.png"]},
    "no picture": {"style_images": [None]},
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a_list_with_something_unsuitable_is_refused_before_anything_is_learned(
    case, adapt, fake_host, errors
):
    (name,) = BAD_LISTS[case]
    with pytest.raises(errors.MetaStyleError) as caught:
        adapt(**BAD_LISTS[case])
    message = str(caught.value)
    assert name in message
    assert "\n" not in message
    assert not fake_host.sent
    assert not fake_host.progress


def test_one_of_several_styles_to_go_on_from_may_not_be_of_another_base(adapt, fake_host, errors):
    style = adapt(steps=0).style
    foreign = replace(style, base_sha256="feedfacefeedface")
    with pytest.raises(errors.BaseMismatchError, match="made for base feedfacefeed"):
        adapt(resume=[style, foreign])
    assert not fake_host.sent


def test_one_of_several_modes_may_not_be_too_narrow_to_go_on_in(adapt, fake_host, errors):
    style = adapt(steps=0, mode="full").style
    with pytest.raises(errors.SettingsError, match="Resume it in mode full"):
        adapt(resume=style, mode=["full", "norm"])
    assert not fake_host.sent


def test_a_name_that_cannot_be_saved_is_told_before_anything_is_learned(run, adapt, pack):
    check = pack.nodes.save_style.SaveAdaptedStyle.validate_inputs
    assert check(name="what?").startswith("Choose another name. Name is 'what?'")
    assert check(name="%date:yyyy-MM-dd%/wave") is True
    assert check() is True
    save(run, adapt(steps=0).style, "wave")
    assert check(name="wave", overwrite="ask").startswith("Choose 'overwrite' or 'number'")
    for choice in ("number", "overwrite", True, False):
        assert check(name="wave", overwrite=choice) is True
    assert check(name="wave", overwrite="perhaps").startswith("Choose one of: number")


def test_errors_are_shown_without_path_and_name_of_their_class(adapt, errors):
    with pytest.raises(errors.ShapeError) as caught:
        adapt(style_images=image(40, 80))
    kind = type(caught.value)
    assert (kind.__module__, kind.__qualname__) == ("builtins", "MetaStyle")
    assert kind.__mro__[1] is errors.ShapeError
