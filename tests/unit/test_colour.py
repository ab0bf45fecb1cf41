"""Colours after drawing: whose they are, and that nothing else changes."""

import json
from dataclasses import replace

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.colour import Colouring, Palette, keep_colours, recolour
from metastyle_core.errors import SettingsError, ShapeError
from metastyle_core.images import luminance
from metastyle_core.stylization import stylize


def muted(seed: int) -> torch.Tensor:
    """A picture whose colours stay well within the range."""
    return 0.3 + 0.4 * picture(40, 48, seed=seed)


def matched_to(
    palette: torch.Tensor, images: torch.Tensor, alpha: torch.Tensor | None = None
) -> torch.Tensor:
    """Pictures with the colours of a palette."""
    return recolour(images, images, Colouring("match", palette=palette), alpha)


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
    for matched in matched_to(palette, images):
        found, wanted = matched.flatten(1), palette[0].flatten(1)
        torch.testing.assert_close(found.mean(1), wanted.mean(1), rtol=0, atol=1e-4)
        torch.testing.assert_close(found.cov(), wanted.cov(), rtol=0.02, atol=1e-5)


def test_a_picture_matched_to_itself_is_itself():
    torch.testing.assert_close(matched_to(muted(1), muted(1)), muted(1), rtol=0, atol=1e-4)


def test_flat_pictures_and_flat_palettes_are_taken():
    flat = torch.full((1, 3, 20, 20), 0.5)
    assert matched_to(muted(1), flat).isfinite().all()
    to_flat = matched_to(flat, muted(1))
    assert (to_flat - 0.5).abs().max() < 0.05


def test_what_is_next_to_flat_does_not_show_its_noise():
    generator = torch.Generator().manual_seed(0)
    noisy = 0.5 + (torch.rand(1, 3, 32, 32, generator=generator) - 0.5) / 255
    matched = matched_to(picture(40, 48, seed=2), noisy)
    assert 2 < matched.std((2, 3)).max() / noisy.std((2, 3)).max() < 4.1


def test_hidden_colour_does_not_count_in_a_palette():
    images, alpha = muted(1), torch.ones(1, 1, 40, 48)
    alpha[..., 24:] = 0
    other = torch.where(alpha > 0, images, torch.rand(images.shape))
    first, second = (matched_to(muted(2), each, alpha)[..., :24] for each in (images, other))
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
    plain = stylize(random_base, style, image, precision="fp32", colouring=Colouring(amount=0.0))
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
        ({"colour": "match", "palette": torch.full((1, 3, 4, 4), torch.nan)}, "palette holds NaN"),
        (
            {"colour": "match", "palette": torch.full((1, 3, 4, 4), 200.0)},
            "palette holds values from 200 to 200",
        ),
        (
            {"colour": "match", "palette": torch.full((1, 3, 4, 4), 200, dtype=torch.uint8)},
            "palette holds torch.uint8 numbers",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(SettingsError, match=message):
        Colouring(**wrong)


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 1, 4, 4), (0, 3, 4, 4)])
def test_a_palette_is_a_picture(shape):
    with pytest.raises(ShapeError, match="palette"):
        Colouring("match", palette=torch.zeros(shape))


def palette_of(*pictures: torch.Tensor) -> Palette:
    return Palette.of(pictures, [None] * len(pictures))


def test_a_palette_is_the_mean_and_covariance_of_pictures_that_count_alike():
    """By hand: two colours in equal parts, and a picture of another size of one colour."""
    halves = torch.zeros(1, 3, 2, 4)
    halves[:, 0, :, :2] = 0.8
    found = palette_of(halves)
    assert found.mean == pytest.approx((0.4, 0.0, 0.0))
    error = (2 / 255) ** 2 / 3
    assert found.covariance[0] == pytest.approx((0.16 + error, 0.0, 0.0), rel=1e-3)
    assert found.covariance[1] == pytest.approx((0.0, error, 0.0), rel=1e-3)
    green = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 9, 9)
    assert palette_of(halves, green).mean == pytest.approx((0.2, 0.5, 0.0))
    seen = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(1, 1, 2, 4)
    assert Palette.of([halves], [seen]).mean == pytest.approx((0.8, 0.0, 0.0), abs=1e-5)


def test_a_palette_passes_through_a_header():
    palette = palette_of(muted(1))
    assert palette.covariance[0][2] == palette.covariance[2][0]
    assert Palette.from_header(json.loads(json.dumps(palette.header()))) == palette


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({}, "no numbers"),
        ({"mean": [0, 0, 0], "covariance": [[1, 0, 0], [0, 1]]}, "no numbers"),
        ({"mean": [0, 0], "covariance": [1, 0, 0, 1, 0, 1]}, "three numbers and six"),
        ({"mean": [0, 0, 0], "covariance": [1, 0, 0]}, "three numbers and six"),
        ({"mean": [0, 0, float("nan")], "covariance": [1, 0, 0, 1, 0, 1]}, "beyond 0 to 1"),
        ({"mean": [0, -0.1, 0], "covariance": [1, 0, 0, 1, 0, 1]}, "beyond 0 to 1"),
        ({"mean": [0, 0, 0], "covariance": [1, 0, 0, 1, 0, 1e308]}, "beyond 0 to 1"),
        ({"mean": [0, 0, 10**400], "covariance": [1, 0, 0, 1, 0, 1]}, "no numbers"),
    ],
)
def test_a_header_that_is_no_palette_is_told(header, words):
    with pytest.raises(ValueError, match=words):
        Palette.from_header(header)


def test_colours_of_the_style_are_half_way_to_its_palette():
    drawn, painting = muted(1), muted(2)
    palette = palette_of(painting)
    wanted = (drawn + matched_to(painting, drawn)) / 2
    found = recolour(drawn, muted(3), Colouring().on(palette))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-3)
    less = recolour(drawn, muted(3), Colouring(amount=0.5).on(palette))
    torch.testing.assert_close(less, (drawn + wanted) / 2, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("colouring", "palette"),
    [
        (Colouring(), None),
        (Colouring(amount=0.0), palette_of(muted(2))),
        (Colouring("photograph"), palette_of(muted(2))),
        (Colouring("match", palette=muted(3)), palette_of(muted(2))),
    ],
)
def test_what_asks_for_other_colours_or_none_knows_no_palette_of_the_style(colouring, palette):
    assert colouring.on(palette) is colouring


@pytest.mark.parametrize("brush", [None, 1.0])
def test_stills_have_the_palette_of_their_style(random_base, brush):
    """Whole, and by rows."""
    settings = AdaptationSettings(steps=0, style_size_px=64)
    style = adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)
    images = torch.cat([picture(64, 72, seed=1), picture(64, 72, seed=2)])
    more = {"precision": "fp32", "brush": brush}
    plain = stylize(random_base, style, images, colouring=Colouring(amount=0.0), **more)
    found = stylize(random_base, style, images, **more)
    wanted = recolour(plain, images, Colouring().on(style.palette))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    assert (found - plain).abs().mean() > 0.01
    unknown = replace(style, palette=None)
    assert torch.equal(stylize(random_base, unknown, images, **more), plain)


def test_pictures_of_several_styles_have_the_palette_of_each(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    styles = [
        adapt_to_style(random_base, None, [muted(seed).new_tensor(light) * picture(64, 64)],
                       settings=settings)
        for seed, light in ((1, 1.0), (2, 0.4))
    ]  # fmt: skip
    images = torch.cat([picture(64, 64, seed=1), picture(64, 64, seed=2)])
    alpha, mask = torch.ones(2, 1, 64, 64), picture(64, 64, seed=3)[:, :1]
    alpha[1, :, 20:] = 0
    more = {"precision": "fp32", "mask": mask}
    both = stylize(random_base, styles, images, alpha=alpha, **more)
    as_drawn = stylize(
        random_base, styles, images, alpha=alpha, colouring=Colouring(amount=0.0), **more
    )
    assert (both - as_drawn).abs().mean() > 0.01
    for place, style in enumerate(styles):
        row = slice(place, place + 1)
        alone = stylize(random_base, style, images[row], alpha=alpha[row], **more)
        torch.testing.assert_close(both[row], alone, rtol=1e-4, atol=1e-4)
