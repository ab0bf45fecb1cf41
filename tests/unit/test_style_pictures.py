"""Masks of style pictures: what they hide changes nothing, and which are refused."""

from dataclasses import replace

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style, predict_norms
from metastyle_core.errors import SettingsError, ShapeError
from metastyle_core.initialisation import predicted_norms
from metastyle_core.losses import chroma_variation, style_target
from metastyle_core.refinement import measure_statistics
from metastyle_core.style_pictures import StylePicture, style_pictures

QUICK = AdaptationSettings(
    steps=4, batch=2, content_count=4, content_size_px=64, style_size_px=96, precision="fp32"
)


@pytest.fixture
def framed():
    """A painting with a frame of 16 px in two colours, and the mask that leaves the frame out."""
    inside = torch.zeros(1, 1, 96, 112)
    inside[..., 16:-16, 16:-16] = 1
    painting = picture(96, 112, seed=3)
    noise = torch.rand(1, 3, 96, 112, generator=torch.Generator().manual_seed(1))
    return [torch.where(inside > 0, painting, other) for other in (noise, 1 - noise / 9)], inside


@pytest.mark.parametrize("distance", ["sliced", "gram"])
def test_what_a_mask_hides_changes_nothing_of_the_style(
    random_base, tiny_encoder, framed, distance
):
    paintings, inside = framed
    settings = replace(QUICK, loss=replace(QUICK.loss, style_distance=distance))
    masked, other = (
        adapt_to_style(random_base, tiny_encoder, [p], settings=settings, style_masks=[inside])
        for p in paintings
    )
    for name, tensor in masked.fast_weights.items():
        assert torch.equal(tensor, other.fast_weights[name]), name
    assert masked.settings["style_masks"] == 1
    plain = adapt_to_style(random_base, tiny_encoder, paintings[:1], settings=settings)
    assert any(not torch.equal(t, plain.fast_weights[k]) for k, t in masked.fast_weights.items())


def test_an_instant_style_and_kept_statistics_do_without_what_is_hidden(
    random_base, tiny_encoder, framed
):
    paintings, inside = framed
    instant = replace(QUICK, steps=0)
    one, other = (
        adapt_to_style(random_base, None, [p], settings=instant, style_masks=[inside])
        for p in paintings
    )
    for name, tensor in one.fast_weights.items():
        assert torch.equal(tensor, other.fast_weights[name]), name
    kept, same = (
        measure_statistics(tiny_encoder, [p], 96, style_masks=[inside]) for p in paintings
    )
    assert kept.chroma == same.chroma
    for layer, quantiles in kept.quantiles.items():
        assert torch.equal(quantiles, same.quantiles[layer])


def test_a_prediction_is_that_of_the_mean_of_what_counts_in_each_picture(random_base, framed):
    paintings, inside = framed
    pair = style_pictures([paintings[0], picture(96, 112, seed=4)], [inside], 64)
    predictor = random_base.predictor
    first, second = (
        predictor.network.statistics(each.counted(predictor.encoder(each.pixels))) for each in pair
    )
    wanted = predicted_norms(
        random_base.network, predictor.network, (first + second) / 2, torch.tensor([6.0])
    )
    for name, tensor in predict_norms(random_base, pair, 6.0, "fp32").items():
        torch.testing.assert_close(tensor, wanted[name][0])


def test_a_white_mask_is_no_mask(random_base, tiny_encoder):
    painting, white = picture(80, 96), [torch.full((1, 1, 40, 48), 0.3)]
    instant = replace(QUICK, steps=0)
    plain, masked = (
        adapt_to_style(random_base, None, [painting], settings=instant, style_masks=masks)
        for masks in (None, white)
    )
    for name, tensor in plain.fast_weights.items():
        torch.testing.assert_close(tensor, masked.fast_weights[name], rtol=1e-4, atol=1e-5)
    kept, same = (
        measure_statistics(tiny_encoder, [painting], 96, "fp32", masks) for masks in (None, white)
    )
    for layer, quantiles in kept.quantiles.items():
        torch.testing.assert_close(quantiles, same.quantiles[layer], rtol=1e-3, atol=1e-3)


def test_places_count_where_the_mask_has_half_of_its_highest_value():
    mask = torch.tensor([0.1, 0.39, 0.41, 0.8]).expand(1, 1, 4, 4)
    style = style_pictures([picture(4, 4)], [mask], 1)[0]
    features = torch.arange(16.0).view(1, 1, 4, 4)
    assert style.counted({"a": features})["a"].flatten().tolist() == [2, 3, 6, 7, 10, 11, 14, 15]
    assert style.share() == 0.5
    deep = style.counted({"a": torch.arange(1.0).view(1, 1, 1, 1)})["a"]
    assert deep.shape == (1, 1, 1, 1), "some place always counts, however coarse the map"
    assert StylePicture(picture(4, 4)).share() == 1


def test_colour_noise_is_that_of_what_counts(tiny_encoder):
    noise = torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(1, 1, 64, 128)
    mask[..., :64] = 1
    style = style_pictures([noise], [mask], 64)[0].resized(64, 128)
    target = style_target(
        [style.counted(tiny_encoder(style.pixels))],
        [style.pixels],
        "sliced",
        torch.Generator().manual_seed(0),
        [style.share()],
    )
    wanted = chroma_variation(noise[..., :64])
    torch.testing.assert_close(target.chroma, wanted, rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ("masks", "kind", "words"),
    [
        ([torch.zeros(1, 1, 96, 112)], SettingsError, "style mask is empty"),
        ([torch.full((1, 1, 96, 112), torch.nan)], SettingsError, "style mask holds NaN"),
        ([torch.ones(1, 1, 112, 96)], ShapeError, "style mask is 96x112 px and the picture"),
        ([torch.ones(1, 1, 96, 112)] * 3, ShapeError, "3 style masks for 2 style images"),
        ([torch.eye(96, 112)[None, None]], ShapeError, r"leaves \d+ pixels .* 64x64 are needed"),
    ],
)
def test_masks_that_do_not_fit_are_refused(random_base, framed, masks, kind, words):
    paintings, _ = framed
    with pytest.raises(kind, match=words):
        adapt_to_style(
            random_base, None, paintings, settings=replace(QUICK, steps=0), style_masks=masks
        )
