"""Regions: each style where its mask says, exact away from borders, and one line for bad input."""

import math
from dataclasses import replace

import pytest
import torch
from samples import low_rank_style, picture

from metastyle_core import regions as regions_module
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.colour import Colouring, Palette, recolour
from metastyle_core.errors import BaseMismatchError, ResultError, SettingsError, ShapeError
from metastyle_core.network import stylize_with
from metastyle_core.regions import (
    Region,
    RegionSettings,
    feathered,
    region_shares,
    stylize_regions,
)
from metastyle_core.stylization import stylize

AS_DRAWN = Colouring(amount=0.0)
EXACT = RegionSettings(precision="fp32", colouring=AS_DRAWN)


@pytest.fixture(scope="module")
def styles(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return [
        adapt_to_style(random_base, None, [picture(64, 64, seed=s)], settings=settings)
        for s in range(3)
    ]


def halves(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    left = torch.zeros(1, 1, height, width)
    left[..., : width // 2] = 1
    return left, 1 - left


def whole(base, style, images, **more):
    return stylize(base, style, images, **{"precision": "fp32", "colouring": AS_DRAWN, **more})


def test_shares_need_statistics(random_base, styles):
    weights = {name: tensor[None] for name, tensor in styles[0].fast_weights.items()}
    words = r"^Shares of styles need the statistics of each; note them before\.$"
    with pytest.raises(SettingsError, match=words):
        stylize_with(random_base.network, weights, picture(40, 50), shares=torch.ones(1, 1, 40, 50))


@pytest.mark.parametrize("mode", ["norm", "low_rank"])
@pytest.mark.parametrize("grain", [0.0, 0.5])
@pytest.mark.parametrize("hidden", [False, True])
def test_one_region_over_all_is_the_style_itself(random_base, styles, mode, grain, hidden):
    images = torch.cat([picture(40, 50), picture(40, 50, seed=4)])
    style = styles[0] if mode == "norm" else low_rank_style(random_base, 5)
    colouring = Colouring("match", palette=picture(20, 30, seed=6))
    more = {"grain": grain, "abstraction": grain, "seed": 3, "strength": 0.7}
    more |= {"colouring": colouring, "supersampling": 1 + grain}
    alpha = halves(40, 50)[0].expand(2, -1, -1, -1) if hidden else None
    regions = [Region(style, torch.ones(1, 1, 40, 50))]
    settings = RegionSettings(precision="fp32", **more)
    found = stylize_regions(random_base, regions, images, settings, alpha=alpha)
    wanted = whole(random_base, style, images, alpha=alpha, **more)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_nothing_is_drawn_at_strength_0_and_of_no_picture(random_base, styles):
    regions = [Region(styles[0], torch.ones(1, 1, 40, 50))]
    images = picture(40, 50)
    nothing = replace(EXACT, strength=0.0)
    assert torch.equal(stylize_regions(random_base, regions, images, nothing), images)
    assert stylize_regions(random_base, regions, images[:0], EXACT).shape == (0, 3, 40, 50)


def test_what_overshoots_is_clamped_and_other_ranges_are_refused(random_base, styles):
    regions = [Region(styles[0], halves(40, 50)[0])]
    beyond = 1.4 * picture(40, 50) - 0.2
    found = stylize_regions(random_base, regions, beyond, EXACT)
    assert torch.equal(found, stylize_regions(random_base, regions, beyond.clamp(0, 1), EXACT))
    with pytest.raises(SettingsError, match=r"^Batch of pictures holds values from"):
        stylize_regions(random_base, regions, 255 * beyond, EXACT)


def test_a_result_with_nan_names_the_styles_and_the_precision(random_base, styles):
    weights = {name: 1e20 * tensor for name, tensor in styles[0].fast_weights.items()}
    bad, good = (
        replace(styles[0], fast_weights=weights, name="bad"),
        replace(styles[1], name="good"),
    )
    regions = [Region(s, m) for s, m in zip((bad, good), halves(40, 60), strict=True)]
    with pytest.raises(
        ResultError, match=r"'bad \+ good' draws NaN or infinity with precision fp32"
    ):
        stylize_regions(random_base, regions, picture(40, 60), EXACT)


def test_far_from_the_border_each_region_is_drawn_as_its_style_alone(random_base, styles):
    images, (left, right) = picture(48, 400), halves(48, 400)
    regions = [Region(styles[0], left), Region(styles[1], right)]
    found = stylize_regions(random_base, regions, images, EXACT)
    for style, columns in ((styles[0], slice(0, 80)), (styles[1], slice(320, 400))):
        wanted = whole(random_base, style, images)[..., columns]
        torch.testing.assert_close(found[..., columns], wanted, rtol=1e-4, atol=1e-4)
    apart = left * whole(random_base, styles[0], images)
    apart += right * whole(random_base, styles[1], images)
    assert (found - apart).abs().amax((0, 1, 2))[190:210].min() > 1e-3, "borders are drawn through"


def test_every_region_gets_the_touches_of_its_style(random_base, styles):
    images, (left, right) = picture(48, 400), halves(48, 400)
    smooth, painted = (replace(styles[0], settings={"brushwork": each}) for each in (0.0, 1.0))
    touched = {"grain": 0.8, "abstraction": 0.6}
    regions = [Region(smooth, left), Region(painted, right)]
    found = stylize_regions(random_base, regions, images, replace(EXACT, **touched))
    alone = [whole(random_base, style, images, **touched) for style in (smooth, painted)]
    away = [(found - each).abs().mean((0, 1, 2)) for each in alone]
    # Norms see touches that lie elsewhere, so that the same style alone is not quite the same.
    assert 3 * away[0][:80].mean() < away[1][:80].mean()
    assert 3 * away[1][320:].mean() < away[0][320:].mean()


def test_what_masks_leave_free_is_the_photograph_or_the_rest_style(random_base, styles):
    images, (left, _) = picture(48, 400), halves(48, 400)
    regions = [Region(styles[0], left)]
    found = stylize_regions(random_base, regions, images, EXACT)
    assert torch.equal(found[..., 200:], images[..., 200:])
    found = stylize_regions(random_base, regions, images, EXACT, rest=styles[1])
    wanted = whole(random_base, styles[1], images)[..., 320:]
    torch.testing.assert_close(found[..., 320:], wanted, rtol=1e-4, atol=1e-4)


def test_a_style_of_another_mode_is_drawn_apart_and_laid_over(random_base, styles):
    images, (left, right) = picture(40, 60), halves(40, 60)
    other = low_rank_style(random_base, 5)
    regions = [Region(styles[0], left), Region(other, right)]
    found = stylize_regions(random_base, regions, images, EXACT)
    wanted = left * whole(random_base, styles[0], images)
    wanted += right * whole(random_base, other, images)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_each_picture_can_have_its_own_mask(random_base, styles):
    images = torch.cat([picture(40, 60), picture(40, 60, seed=1)])
    masks = torch.stack([torch.ones(1, 40, 60), torch.zeros(1, 40, 60)])
    found = stylize_regions(random_base, [Region(styles[0], masks)], images, EXACT)
    assert torch.equal(found[1], images[1])
    wanted = whole(random_base, styles[0], images[:1])
    torch.testing.assert_close(found[:1], wanted, rtol=1e-4, atol=1e-4)


def test_shares_add_up_to_one_and_overlaps_are_normalised():
    one, other = torch.ones(1, 1, 4, 8), torch.zeros(1, 1, 4, 8)
    other[..., 4:] = 1
    shares, covered = region_shares([one, other], 0.0, whole=True)
    assert covered is None
    assert shares[0, :, 0, 0].tolist() == [1, 0, 0]
    assert shares[0, :, 0, 7].tolist() == [0.5, 0.5, 0]
    shares, covered = region_shares([other, 0.5 * other], 0.0, whole=False)
    torch.testing.assert_close(shares.sum(1), torch.ones(1, 4, 8))
    torch.testing.assert_close(shares[0, :, 0, 7], torch.tensor([2 / 3, 1 / 3]))
    assert covered is not None
    assert covered[0, 0, 0].tolist() == [0] * 4 + [1] * 4


def test_where_the_photograph_stays_hidden_shares_are_those_of_the_masks_sizes():
    """What lies beside a region still reaches over its border in the network's strokes."""
    one, other = torch.zeros(2, 1, 4, 8), torch.zeros(2, 1, 4, 8)
    one[0, :, 0], other[0, :, 2:] = 1, 0.5
    one[1, :, :, 0] = 1
    shares, _ = region_shares([one, other], 0.0, whole=False)
    torch.testing.assert_close(shares[0, :, 1, 0], torch.tensor([0.251, 0.251]) / 0.502)
    torch.testing.assert_close(shares[1, :, 1, 1], torch.tensor([0.126, 0.001]) / 0.127)
    half = torch.tensor([0.5e-3 * 0.251, 0.5 + 0.5e-3 * 0.251])
    torch.testing.assert_close(shares[0, :, 3, 3], half / half.sum())


def test_feathering_spreads_an_edge_over_its_width_and_keeps_sums():
    left, right = halves(30, 200)
    soft = feathered(left, 40.0)[0, 0, 15]
    # A Gaussian of a quarter of the width, summed up from pixel to pixel.
    for place in (69, 79, 89, 99, 100, 110, 120):
        wanted = 0.5 * math.erfc((place + 0.5 - 100) / (10 * math.sqrt(2)))
        assert soft[place].item() == pytest.approx(wanted, abs=3e-3)
    assert soft[129] > 0 == soft[130], "three deviations"
    torch.testing.assert_close(feathered(left, 40.0) + feathered(right, 40.0), left + right)
    assert torch.equal(feathered(left, 0.0), left)
    torch.testing.assert_close(feathered(left.mT, 40.0), feathered(left, 40.0).mT)
    masks = torch.stack([torch.cat([left, right])[:, 0], torch.cat([right, left])[:, 0]])
    alone = [feathered(mask[None, None], 9.0)[0, 0] for mask in masks.flatten(0, 1)]
    torch.testing.assert_close(feathered(masks, 9.0).flatten(0, 1), torch.stack(alone))
    exact = feathered(left.double(), 9.0)
    torch.testing.assert_close(exact, feathered(left, 9.0).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("width", [-1.0, math.nan, math.inf])
def test_a_feather_that_is_no_width_is_refused(width):
    with pytest.raises(SettingsError, match=r"feather is .* from 0 up is needed"):
        RegionSettings(feather_px=width)


@pytest.mark.parametrize("name", ["strength", "grain", "abstraction"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_shares_beyond_0_to_1_are_refused(name, value):
    RegionSettings(**{name: 0.0})
    RegionSettings(**{name: 1.0})
    with pytest.raises(SettingsError, match=f"{name} is {value}; a number from 0 to 1"):
        RegionSettings(**{name: value})


@pytest.mark.parametrize(
    ("mask", "kind", "words"),
    [
        (torch.zeros(1, 1, 40, 60), SettingsError, "Mask 2 is empty"),
        (torch.full((1, 1, 40, 60), math.nan), SettingsError, "Mask 2 holds NaN"),
        (torch.ones(1, 1, 60, 40), ShapeError, "Mask 2 is 40x60 px and the picture 60x40"),
        (torch.ones(3, 1, 40, 60), ShapeError, "Mask 2 comes as 3 masks for 1 pictures"),
        (torch.ones(40, 60), ShapeError, r"Mask 2 has shape \(40, 60\)"),
    ],
)
def test_a_bad_mask_is_named_by_its_number(random_base, styles, mask, kind, words):
    regions = [Region(styles[0], torch.ones(1, 1, 40, 60)), Region(styles[1], mask)]
    with pytest.raises(kind, match=words):
        stylize_regions(random_base, regions, picture(40, 60), EXACT)


def test_six_regions_that_cover_nothing_are_refused_with_and_without_a_rest(random_base, styles):
    regions = [Region(styles[0], torch.zeros(1, 1, 40, 60))] * 6
    words = r"^There is no region; give at least one style with its mask\.$"
    for rest in (None, styles[1]):
        with pytest.raises(SettingsError, match="Mask 1 is empty"):
            stylize_regions(random_base, regions, picture(40, 60), EXACT, rest=rest)
    with pytest.raises(SettingsError, match=words):
        stylize_regions(random_base, [], picture(40, 60), EXACT)


def test_a_style_of_another_base_is_refused(random_base, styles):
    foreign = replace(styles[0], base_sha256="feed")
    with pytest.raises(BaseMismatchError, match="was made for base feed,"):
        stylize_regions(
            random_base, [Region(foreign, torch.ones(1, 1, 40, 60))], picture(40, 60), EXACT
        )


@pytest.mark.parametrize("mode", ["norm", "low_rank"])
def test_each_region_has_the_palette_of_its_style(random_base, styles, mode):
    """By what is drawn in it: its mean moves half of the way."""
    light = replace(styles[0] if mode == "norm" else low_rank_style(random_base, 5))
    pictures = (0.2 * picture(20, 20), 0.8 + 0.2 * picture(20, 20, seed=7))
    dark, bright = (
        replace(style, palette=Palette.of([each], [None]))
        for style, each in zip((light, styles[1]), pictures, strict=True)
    )
    left, right = halves(64, 64)
    regions, image = [Region(dark, left), Region(bright, right)], picture(64, 64, seed=4)
    plain = stylize_regions(random_base, regions, image, EXACT)
    coloured = replace(EXACT, colouring=Colouring())
    found = stylize_regions(random_base, regions, image, coloured)
    for mask, style in ((left, dark), (right, bright)):
        mean, before = ((mask * each).sum((2, 3))[0] / mask.sum() for each in (found, plain))
        wanted = (before + torch.tensor(style.palette.mean)) / 2
        torch.testing.assert_close(mean, wanted, rtol=0, atol=0.03)


def test_palettes_go_by_what_is_seen(random_base, styles, monkeypatch):
    """By hand: a white half that a mask leaves free, or that is transparent, counts nothing."""
    drawn = 0.3 * picture(64, 64, seed=4)
    drawn[..., 32:] = 1
    monkeypatch.setattr(regions_module, "_draw_together", lambda *_: drawn)
    left, right = halves(64, 64)
    style = replace(styles[0], palette=Palette.of([0.5 + 0.3 * picture(20, 20)], [None]))
    settings, image = replace(EXACT, colouring=Colouring()), picture(64, 64, seed=6)
    wanted = recolour(drawn[..., :32], image[..., :32], Colouring().on(style.palette))
    part = stylize_regions(random_base, [Region(style, left)], image, settings)
    torch.testing.assert_close(part[..., :32], wanted, rtol=0, atol=1e-3)
    assert torch.equal(part[..., 32:], image[..., 32:])
    everywhere = [Region(style, left + right)]
    hidden = stylize_regions(random_base, everywhere, image, settings, alpha=left)
    torch.testing.assert_close(hidden[..., :32], wanted, rtol=0, atol=1e-3)
    seen = stylize_regions(random_base, everywhere, image, settings)
    assert (seen[..., :32] - wanted).abs().mean() > 0.02
