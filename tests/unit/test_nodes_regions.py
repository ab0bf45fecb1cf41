"""The node of regions: pairs of sockets, one picture after another, and what it refuses."""

import pytest
import torch
from unit.conftest import image, stylize
from unit.fake_host import FakeMemoryError, Interrupted


@pytest.fixture
def styles(adapt):
    return [adapt(steps=0, style_images=image(72, 80, seed=seed)).style for seed in (1, 2)]


@pytest.fixture
def draw(run, model):
    def execute(images, **changed):
        inputs = {
            "model": model, "images": images, "feather": 0.0, "strength": 1.0,
            "precision": "fp32", "grain": 0.0, "seed": 0, "colour": "style", "colour_amount": 1.0,
        }  # fmt: skip
        return run("MetaStyleRegions", **inputs | changed).args[0]

    return execute


def test_growing_and_fixed_sockets_draw_the_same(draw, styles):
    images, left = image(40, 60, channels=4), torch.zeros(1, 40, 60)
    left[..., :30] = 1
    grown = draw(
        images,
        styles=dict(zip(("style_1", "style_3"), styles, strict=True)),
        masks={"mask_1": left, "mask_3": 1 - left},
    )
    fixed = draw(
        images,
        **{"styles.style_1": styles[0], "styles.style_3": styles[1]},
        **{"masks.mask_1": left, "masks.mask_3": 1 - left},
    )
    assert torch.equal(grown, fixed)
    assert torch.equal(grown[..., 3], images[..., 3])
    rest = draw(images, styles={"style_1": styles[0]}, masks={"mask_1": left}, rest=styles[1])
    torch.testing.assert_close(rest, grown)


def test_masks_of_a_batch_go_with_their_pictures(draw, styles, run, model, fake_host):
    images = image(40, 60, count=2)
    masks = torch.stack([torch.ones(40, 60), torch.zeros(40, 60)])
    found = draw(images, styles={"style_1": styles[0]}, masks={"mask_1": masks})
    assert torch.equal(found[1], images[1])
    wanted = stylize(run, model, styles[0], images[:1], grain=0.0)
    torch.testing.assert_close(found[:1], wanted, rtol=1e-4, atol=1e-4)
    assert [move[:2] for move in fake_host.progress[-3:-1]] == [(1, 2), (2, 2)]


def test_a_style_without_its_mask_is_named(draw, styles, pack):
    refusal = pack.metastyle_core.errors.MetaStyleError
    with pytest.raises(refusal, match="'style_1' is connected and 'mask_1' is not"):
        draw(image(40, 60), styles={"style_1": styles[0]})
    with pytest.raises(refusal, match="'mask_2' is connected and 'style_2' is not"):
        draw(
            image(40, 60),
            styles={"style_1": styles[0]},
            masks={"mask_1": torch.ones(40, 60), "mask_2": torch.ones(40, 60)},
        )
    with pytest.raises(refusal, match="There is no region"):
        draw(image(40, 60))


def test_cancel_and_too_little_memory_end_it(draw, styles, fake_host, monkeypatch, pack):
    sockets = {"styles": {"style_1": styles[0]}, "masks": {"mask_1": torch.ones(40, 60)}}

    def run_out(*_, **__):
        raise FakeMemoryError

    part = pack.nodes.hosting.bounded_regions
    refusal = pack.metastyle_core.errors.MetaStyleError
    with monkeypatch.context() as patch:
        patch.setattr(part, "stylize_regions", run_out)
        with pytest.raises(refusal, match="one picture of 60x40 px"):
            draw(image(40, 60), **sockets)
    fake_host.interrupt_after = fake_host.checks
    with pytest.raises(Interrupted):
        draw(image(40, 60), **sockets)
