"""Colours after drawing: whose they are, and that nothing else changes."""

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.colour import Colouring, keep_colours, match_palette, recolour
from metastyle_core.errors import SettingsError, ShapeError
from metastyle_core.images import luminance
from metastyle_core.stylization import stylize


def muted(seed: int) -> torch.Tensor:
    """A picture whose colours stay well within the range."""
    return 0.3 + 0.4 * picture(40, 48, seed=seed)


def test_luminance_is_the_drawings_and_colours_are_the_photographs():
    drawn, photograph = muted(1), muted(2)
    kept = keep_colours(drawn, photograph)
    torch.testing.assert_close(luminance(kept), luminance(drawn))
    chroma, wanted = kept - luminance(kept), photograph - luminance(photograph)
    similarity = torch.nn.functional.cosine_similarity(chroma, wanted, dim=1)
    assert similarity.min() > 0.999
    assert torch.allclose(keep_colours(photograph, photograph), photograph, atol=1e-6)


@pytest.mark.parametrize("light", [0.0, 0.05, 0.97, 1.0])
def test_luminance_stays_exact_where_colours_do_not_fit(light):
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    kept = keep_colours(torch.full((1, 3, 1, 1), light), red)
    assert luminance(kept).item() == pytest.approx(light, abs=1e-6)
    assert kept.min() >= 0
    assert kept.max() <= 1


def test_a_matched_picture_has_mean_and_covariance_of_the_palette():
    images, palette = torch.cat([muted(1), muted(2)]), 0.4 + 0.2 * picture(50, 30, seed=3)
    for matched in match_palette(images, palette):
        found, wanted = matched.flatten(1), palette[0].flatten(1)
        torch.testing.assert_close(found.mean(1), wanted.mean(1), rtol=0, atol=1e-4)
        torch.testing.assert_close(found.cov(), wanted.cov(), rtol=0.02, atol=1e-5)


def test_a_picture_matched_to_itself_is_itself():
    torch.testing.assert_close(match_palette(muted(1), muted(1)), muted(1), rtol=0, atol=1e-4)


def test_flat_pictures_and_flat_palettes_are_taken():
    flat = torch.full((1, 3, 20, 20), 0.5)
    assert match_palette(flat, muted(1)).isfinite().all()
    to_flat = match_palette(muted(1), flat)
    assert (to_flat - 0.5).abs().max() < 0.05


def test_hidden_colour_does_not_count_in_a_palette():
    images, alpha = muted(1), torch.ones(1, 1, 40, 48)
    alpha[..., 24:] = 0
    other = torch.where(alpha > 0, images, torch.rand(images.shape))
    first, second = (match_palette(each, muted(2), alpha)[..., :24] for each in (images, other))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-4)


@pytest.mark.parametrize("colour", ["photograph", "match"])
def test_the_amount_leads_from_the_drawing_to_the_colours(colour):
    drawn, photograph = muted(1), muted(2)

    def at(amount: float) -> torch.Tensor:
        return recolour(drawn, photograph, Colouring(colour, amount, muted(3)))

    assert torch.equal(at(0), drawn)
    torch.testing.assert_close(at(0.5), (drawn + at(1)) / 2)
    assert (at(1) - drawn).abs().max() > 0.05


def test_stylizing_recolours_before_the_photograph_returns(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    style = adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)
    image, colouring = picture(32, 40, seed=1), Colouring("match", palette=picture(20, 20, seed=5))
    plain = stylize(random_base, style, image, precision="fp32")
    drawn = stylize(random_base, style, image, precision="fp32", colouring=colouring)
    torch.testing.assert_close(drawn, recolour(plain, image, colouring))
    none = stylize(random_base, style, image, strength=0.0, colouring=colouring)
    assert torch.equal(none, image)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"colour": "paint"}, "colour is 'paint'; choose style, photograph or match"),
        ({"amount": 1.5}, "amount is 1.5"),
        ({"amount": float("nan")}, "amount is nan"),
        ({"colour": "match"}, "there is no palette"),
        ({"colour": "match", "palette": torch.full((1, 3, 4, 4), torch.nan)}, "NaN"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(SettingsError, match=message):
        Colouring(**wrong)


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 1, 4, 4), (0, 3, 4, 4)])
def test_a_palette_is_a_picture(shape):
    with pytest.raises(ShapeError, match="palette"):
        Colouring("match", palette=torch.zeros(shape))
