"""The node that refines: what it draws, shows and refuses, and what it leaves behind."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from unit.conftest import image, load, save, stylize
from unit.fake_host import FakeMemoryError, Interrupted

from metastyle_core.checkpoint import content_hash


@pytest.fixture
def style(adapt):
    return adapt(steps=0).style


@pytest.fixture
def refine(run, model, style):
    """Refine a small picture by another; keywords replace the node's inputs."""

    def execute(**changed):
        inputs = {
            "model": model, "style": style, "images": image(64, 80), "steps": 3,
            "style_weight": 20.0, "brush_size": 0, "seed": 0,
            "style_images": image(72, 80, seed=5),
        }  # fmt: skip
        output = run("MetaStyleRefine", **inputs | changed)
        return SimpleNamespace(images=output.args[0], ui=output.ui)

    return execute


def test_it_goes_on_from_what_stylize_draws(refine, run, model, style):
    drawn = stylize(run, model, style, image(64, 80), precision="auto")
    assert torch.equal(refine(steps=0).images, drawn)
    refined = refine().images
    assert refined.shape == drawn.shape
    assert (refined - drawn).abs().mean() > 1 / 255
    assert torch.equal(refine(stylized=drawn).images, refined)
    assert not refined.requires_grad


def test_seeds_repeat(refine):
    assert torch.equal(refine(seed=4).images, refine(seed=4).images)
    assert not torch.equal(refine(seed=4).images, refine(seed=5).images)


def test_every_picture_of_a_batch_is_refined_and_keeps_its_alpha(refine, fake_host):
    images = image(64, 80, count=2, channels=4)
    result = refine(images=images)
    assert result.images.shape == images.shape
    assert torch.equal(result.images[..., 3], images[..., 3])
    alone = refine(images=images[1:])
    torch.testing.assert_close(result.images[1:], alone.images)
    assert [point[0] for point in result.ui["metastyle_losses"]] == [1, 2, 3, 4, 5, 6]
    assert fake_host.progress[-1][:2] == (3, 3)


def test_gray_pictures_are_refined_too(refine):
    assert refine(images=image(64, 80, channels=1)).images.shape == (1, 64, 80, 3)


def test_strokes_are_the_weight_of_the_nearest_places(refine):
    usual, same, none = (
        refine(**more).images for more in ({}, {"strokes": 0.25}, {"strokes": 0.0})
    )
    assert torch.equal(usual, same)
    assert not torch.equal(usual, none)


def test_losses_and_the_picture_so_far_are_shown(refine, fake_host):
    curve = refine().ui["metastyle_losses"]
    events = [message for event, message, _ in fake_host.sent if event == "metastyle.losses"]
    assert [point for message in events for point in message["points"]] == curve
    done, total, (kind, picture, _) = fake_host.progress[-1]
    assert (done, total, kind, picture.size) == (3, 3, "JPEG", (80, 64))


def test_statistics_stand_in_for_pictures_and_pictures_win(refine, style, pack):
    core = pack.metastyle_core
    encoder = pack.nodes.hosting.weights.open_encoder("compact")
    pictures = image(72, 80, seed=5)
    kept = core.refinement.measure_statistics(encoder, [pictures.movedim(-1, 1)], 64)
    full = replace(style, statistics=kept)
    by_statistics = refine(style=full, style_images=None, brush_size=64).images
    by_pictures = refine(brush_size=64).images
    assert torch.equal(refine(style=full, brush_size=64).images, by_pictures)
    assert 0 < (by_statistics - by_pictures).abs().mean() < 8 / 255


def test_pictures_are_refined_by_with_the_levels_of_their_style(refine, style, pack):
    levels = pack.metastyle_core.levels
    dull = 0.4 + 0.2 * image(64, 80, seed=5)
    by_hand = levels.with_levels(dull.movedim(-1, 1), 0.5).movedim(1, -1)
    with_levels, without = (replace(style, settings={"levels": each}) for each in (0.5, 0.0))
    drawn = image(64, 80, seed=6)
    found = refine(style=with_levels, style_images=dull, stylized=drawn).images
    wanted = refine(style=without, style_images=by_hand, stylized=drawn).images
    assert torch.equal(found, wanted)
    assert not torch.equal(found, refine(style=without, style_images=dull, stylized=drawn).images)


def test_without_pictures_or_statistics_nothing_is_drawn(refine, fake_host, errors):
    loads = len(fake_host.loads)
    with pytest.raises(errors.SettingsError, match=r"^Connect.*style_images.*keeps no statistics"):
        refine(style_images=None)
    assert len(fake_host.loads) == loads
    assert refine(style_images=None, steps=0).images.shape == (1, 64, 80, 3)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": image(8, 80)}, r"'images' is 80x8 px.*at least 16 px"),
        ({"stylized": image(64, 64)}, r"'stylized' is 1 of 64x64 px and 'images' 1 of 80x64 px"),
        ({"stylized": image(64, 80, count=2)}, r"'stylized' is 2 of 80x64 px"),
        ({"stylized": image(64, 80) * float("nan")}, r"'stylized' holds NaN"),
        ({"style_images": image(32, 80)}, r"'style_images' is 80x32 px.*at least 64 px"),
        ({"brush_size": 16}, r"from 64 up.*style_size_px is 16"),
    ],
)
def test_bad_input_is_named(refine, changed, words, errors):
    is_setting = "NaN" in words or "size_px" in words
    kind = errors.SettingsError if is_setting else errors.ShapeError
    with pytest.raises(kind, match=words):
        refine(**changed)


def test_a_style_of_another_base_is_refused(refine, style, errors):
    with pytest.raises(errors.BaseMismatchError, match="made for base feedfacefeed"):
        refine(style=replace(style, base_sha256="feedfacefeedface"))


def test_cancel_stops_within_a_tile_and_the_next_run_is_whole(refine, fake_host, model):
    before = content_hash(model.patcher.model.state_dict())
    fake_host.interrupt_after = fake_host.checks + 3
    with pytest.raises(Interrupted):
        refine(steps=50)
    assert fake_host.emptied > 0
    fake_host.interrupt_after = None
    assert refine().images.shape == (1, 64, 80, 3)
    assert content_hash(model.patcher.model.state_dict()) == before


def test_too_little_memory_makes_smaller_tiles_and_says_so(refine, pack, monkeypatch, caplog):
    whole, tried = pack.nodes.hosting.bounded_refinement.refine, []

    def greedy(encoder, photograph, start, goal, settings, **options):
        tried.append(settings.tile_px)
        if settings.tile_px > 128:
            raise FakeMemoryError
        return whole(encoder, photograph, start, goal, settings, **options)

    monkeypatch.setattr(pack.nodes.hosting.bounded_refinement, "refine", greedy)
    assert refine().images.shape == (1, 64, 80, 3)
    assert tried == [512, 256, 128]
    assert "Out of memory in tiles of 512 px; trying 256" in caplog.text


def test_far_too_little_memory_is_a_clear_error(refine, pack, monkeypatch, errors):
    def hopeless(*_, **__):
        raise FakeMemoryError

    monkeypatch.setattr(pack.nodes.hosting.bounded_refinement, "refine", hopeless)
    with pytest.raises(
        errors.MetaStyleError, match=r"^Make the input.*enough device memory.*80x64 px"
    ):
        refine()


def test_other_errors_are_not_hidden(refine, pack, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("expected scalar type Half but found Float")

    monkeypatch.setattr(pack.nodes.hosting.bounded_refinement, "refine", fail)
    with pytest.raises(RuntimeError, match="scalar type"):
        refine()


def test_stop_and_keep_leaves_the_other_pictures_as_drawn(
    refine, run, model, style, pack, monkeypatch
):
    watching = pack.nodes.hosting.watcher
    images = image(64, 80, count=3)
    drawn = stylize(run, model, style, images, precision="auto")

    def press_in_the_second_picture():
        if len(watching._RUNNING["7"].points) >= 3:
            assert watching.stop_and_keep("7")

    monkeypatch.setattr(watching.host, "stop_if_interrupted", press_in_the_second_picture)
    result = refine(images=images, stylized=drawn)
    steps = len(result.ui["metastyle_losses"])
    assert 3 < steps < 6
    assert (result.images[1] - drawn[1]).abs().mean() > 1e-4
    assert torch.equal(result.images[2], drawn[2])
    assert not watching.stop_and_keep("8")


@pytest.mark.parametrize("steps", [0, 1])
def test_a_saved_style_that_keeps_statistics_needs_no_painting(adapt, run, refine, pack, steps):
    painting = image(72, 80, seed=5)
    result = adapt(steps=steps, style_images=painting, keep_statistics=True)
    assert "statistics: kept for Refine" in result.report
    save(run, result.style, "kept")
    save(run, adapt(steps=steps, style_images=painting).style, "bare")
    by_file = refine(style=load(run, "kept"), style_images=None).images
    by_painting = refine(style=load(run, "bare"), style_images=painting, brush_size=64).images
    drawn = refine(style=load(run, "bare"), style_images=painting, steps=0).images
    assert (by_file - by_painting).abs().mean() < 0.5 * (by_painting - drawn).abs().mean()
    with pytest.raises(pack.metastyle_core.errors.SettingsError, match="with keep_statistics"):
        refine(style=load(run, "bare"), style_images=None)


def test_a_style_is_not_lost_for_want_of_memory_for_statistics(adapt, pack, monkeypatch, caplog):
    def run_out(*_, **__):
        raise FakeMemoryError

    part = pack.nodes.hosting.bounded_adaptation
    monkeypatch.setattr(part, "measure_statistics", run_out)
    assert adapt(steps=0, keep_statistics=True).style.statistics is None
    assert "the style keeps none" in caplog.text


def test_a_mask_also_holds_for_the_statistics(adapt):
    inside = torch.zeros(1, 96, 100)
    inside[:, :, :80] = 1
    painting = image(96, 100)
    changed = torch.where(inside[..., None] > 0, painting, 1 - painting)
    kept, same = (
        adapt(steps=0, style_images=p, style_mask=inside, keep_statistics=True).style.statistics
        for p in (painting, changed)
    )
    for layer, quantiles in kept.quantiles.items():
        assert torch.equal(quantiles, same.quantiles[layer])
