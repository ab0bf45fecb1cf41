"""Masks: which fit, which are refused, and what they leave alone."""

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import SettingsError, ShapeError
from metastyle_core.masks import fitted_mask, require_mask
from metastyle_core.stylization import stylize


@pytest.fixture(scope="module")
def style(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)


@pytest.mark.parametrize("size", [(1000, 1500), (667, 1000), (333, 500), (67, 100), (2001, 3000)])
def test_a_mask_of_the_same_ratio_fits_up_to_rounding(size):
    require_mask(torch.ones(1, 1, *size), 1, 1000, 1500)
    fitted = fitted_mask(torch.ones(1, 1, *size), 1000, 1500)
    torch.testing.assert_close(fitted, torch.ones(1, 1, 1000, 1500))


@pytest.mark.parametrize("size", [(1500, 1000), (1000, 1600), (64, 64), (640, 1000)])
def test_a_mask_of_another_ratio_is_refused(size):
    with pytest.raises(ShapeError, match="of another ratio"):
        require_mask(torch.ones(1, 1, *size), 1, 1000, 1500)


def test_soft_edges_stay_soft():
    ramp = torch.linspace(0, 1, 32).expand(1, 1, 16, 32)
    fitted = fitted_mask(ramp, 32, 64)
    torch.testing.assert_close(
        fitted[0, 0, 0, 8:56], torch.linspace(0, 1, 64)[8:56], rtol=0, atol=0.02
    )
    assert torch.equal(fitted_mask(ramp * 3 - 1, 16, 32), (ramp * 3 - 1).clamp(0, 1))


def test_one_empty_mask_among_others_is_no_mistake():
    masks = torch.zeros(3, 1, 20, 20)
    masks[1, 0, 5, 5] = 0.1
    require_mask(masks, 3, 20, 20)
    with pytest.raises(SettingsError, match="empty"):
        require_mask(masks[2:], 1, 20, 20)
    with pytest.raises(ShapeError, match="3 masks for 2 pictures"):
        require_mask(masks, 2, 20, 20)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_where_the_mask_is_0_every_pixel_stays(random_base, style, strength):
    images, mask = torch.cat([picture(32, 40), picture(32, 40, seed=1)]), torch.ones(1, 1, 32, 40)
    mask[..., :10, :], mask[..., 10:20, :] = 0.0, 0.5
    plain = stylize(random_base, style, images, precision="fp32", strength=strength)
    masked = stylize(random_base, style, images, precision="fp32", strength=strength, mask=mask)
    assert torch.equal(masked[..., :10, :], images[..., :10, :])
    torch.testing.assert_close(masked[..., 20:, :], plain[..., 20:, :])
    half = (images + plain)[..., 10:20, :] / 2
    torch.testing.assert_close(masked[..., 10:20, :], half)


def test_stylize_takes_only_masks_of_its_pictures(random_base, style):
    with pytest.raises(ShapeError, match=r"mask of shape .*\(2, 1, 32, 40\)"):
        stylize(random_base, style, torch.rand(2, 3, 32, 40), mask=torch.ones(1, 1, 16, 20))
