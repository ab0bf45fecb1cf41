"""The node that refines: what it draws, shows and refuses, and what it leaves behind."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from unit.conftest import image, stylize
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


def test_without_pictures_or_statistics_nothing_is_drawn(refine, fake_host):
    loads = len(fake_host.loads)
    with pytest.raises(Exception, match=r"keeps no statistics.*Connect the picture.*style_images"):
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
        ({"brush_size": 16}, r"style_size_px is 16; .*from 64 up"),
    ],
)
def test_bad_input_is_named(refine, changed, words):
    with pytest.raises(Exception, match=words):
        refine(**changed)


def test_a_style_of_another_base_is_refused(refine, style):
    with pytest.raises(Exception, match="made for base feedfacefeed"):
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


def test_far_too_little_memory_is_a_clear_error(refine, pack, monkeypatch):
    def hopeless(*_, **__):
        raise FakeMemoryError

    monkeypatch.setattr(pack.nodes.hosting.bounded_refinement, "refine", hopeless)
    with pytest.raises(Exception, match=r"^Make the input.*not enough device memory.*80x64 px"):
        refine()


def test_other_errors_are_not_hidden(refine, pack, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("expected scalar type Half but found Float")

    monkeypatch.setattr(pack.nodes.hosting.bounded_refinement, "refine", fail)
    with pytest.raises(RuntimeError, match="scalar type"):
        refine()
