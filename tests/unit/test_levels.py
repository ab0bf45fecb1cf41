"""Levels: faded paintings towards full tones."""

from dataclasses import replace

import pytest
import torch

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import SettingsError
from metastyle_core.levels import with_levels
from metastyle_core.refinement import measure_statistics

INSTANT = AdaptationSettings(steps=0, style_size_px=64)


def faded(darkest: float, lightest: float, side_px: int = 100) -> torch.Tensor:
    """Greys in even steps from one to the other, (1, 3, H, W)."""
    return (
        torch.linspace(darkest, lightest, side_px**2)
        .view(1, 1, side_px, side_px)
        .repeat(1, 3, 1, 1)
    )


def test_a_faded_picture_reaches_full_tones():
    picture = faded(0.2, 0.8)
    full = with_levels(picture, 1.0)
    assert (full.min(), full.max()) == (0, 1)
    # A hundredth on either side of 0.2 to 0.8 is 0.206 and 0.794.
    assert torch.allclose(full, ((picture - 0.206) / 0.588).clamp(0, 1), atol=1e-4)
    assert torch.allclose(with_levels(picture, 0.25), picture + 0.25 * (full - picture), atol=1e-6)


def test_a_picture_of_full_tones_and_an_amount_of_zero_change_nothing():
    full = faded(-0.0102, 1.0102).clamp(0, 1)
    assert torch.allclose(with_levels(full, 1.0), full, atol=1e-3)
    dull = faded(0.3, 0.6)
    assert with_levels(dull, 0.0) is dull


def test_a_flat_picture_stays_as_it_is():
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert torch.equal(with_levels(flat, 1.0), flat)


def test_what_does_not_count_has_no_say():
    picture = faded(0.3, 0.7)
    framed = picture.clone()
    framed[..., :20, :], framed[..., -20:, :] = 0, 1
    counting = torch.ones(1, 1, 100, 100)
    counting[..., :20, :], counting[..., -20:, :] = 0, 0
    inside = with_levels(framed, 1.0, counting)[..., 20:-20, :]
    alone = with_levels(picture[..., 20:-20, :], 1.0)
    assert torch.allclose(inside, alone, atol=1e-6)
    assert torch.allclose(with_levels(framed, 1.0), framed, atol=1e-6)


def test_a_style_is_that_of_its_picture_with_levels(random_base):
    painting = 0.3 + 0.4 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    toned = adapt_to_style(random_base, None, [painting], settings=replace(INSTANT, levels=0.4))
    by_hand = [with_levels(painting, 0.4)]
    plain = replace(INSTANT, levels=0.0)
    wanted = adapt_to_style(random_base, None, by_hand, settings=plain)
    for name, weights in wanted.fast_weights.items():
        assert torch.equal(toned.fast_weights[name], weights), name
    assert toned.palette == wanted.palette
    assert (toned.levels, wanted.levels) == (0.4, 0)
    as_it_is = adapt_to_style(random_base, None, [painting], settings=plain)
    assert as_it_is.palette != wanted.palette
    assert replace(toned, settings={"levels": "much"}).levels == 0


def test_statistics_are_those_of_the_picture_with_levels(tiny_encoder):
    painting = 0.3 + 0.4 * torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    kept = measure_statistics(tiny_encoder, [painting], 64, "fp32", levels=0.5)
    wanted = measure_statistics(tiny_encoder, [with_levels(painting, 0.5)], 64, "fp32")
    plain = measure_statistics(tiny_encoder, [painting], 64, "fp32")
    assert kept.chroma == wanted.chroma != plain.chroma


@pytest.mark.parametrize("amount", [-0.1, 1.1, float("nan")])
def test_levels_are_a_share(amount):
    with pytest.raises(SettingsError, match="levels"):
        AdaptationSettings(levels=amount)
