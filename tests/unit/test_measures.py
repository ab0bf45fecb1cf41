"""The measures of pictures: hand-worked values and what must hold for any picture."""

import math

import pytest
import torch
from samples import picture

from metastyle_core.images import gaussian_blur
from metastyle_core.measures import (
    band_energies,
    geometric_mean,
    measure,
    over_pictures,
    pan_error,
    pan_errors,
    sliced_distance,
    structural_similarity,
    weave,
)


def test_the_content_itself_has_no_content_error_and_full_similarity(tiny_encoder):
    content, style = picture(64, 64, seed=1), picture(64, 64, seed=2)
    result = measure(tiny_encoder, content, content, style)
    assert result["content"] == 0
    assert result["ssim"] == pytest.approx(1)
    assert result["structure"] == pytest.approx(0, abs=1e-6)
    assert result["total"] == pytest.approx(20 * result["style"])
    assert result["gram_total"] == pytest.approx(20 * result["gram_style"])
    layers = [result[f"style_{layer}"] for layer in tiny_encoder.spec.style_layers]
    assert result["style"] == pytest.approx(sum(layers) / len(layers))


def test_the_style_itself_has_no_style_error_and_its_own_bands(tiny_encoder):
    content, style = picture(64, 64, seed=1), picture(64, 64, seed=2)
    result = measure(tiny_encoder, style, content, style)
    assert result["style"] == pytest.approx(0, abs=1e-12)
    assert result["gram_style"] == pytest.approx(0, abs=1e-12)
    assert [result[f"band_{n}"] for n in (1, 2, 3, 4)] == pytest.approx([1] * 4)


def test_a_flat_picture_measures_finite(tiny_encoder):
    flat, other = torch.full((1, 3, 64, 64), 0.5), picture(64, 64)
    for stylized, content, style in ((flat, other, flat), (other, flat, flat), (flat, flat, flat)):
        values = measure(tiny_encoder, stylized, content, style).values()
        assert all(math.isfinite(value) for value in values)


def test_sliced_distance_of_one_channel_by_hand():
    own = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(1, 1, 2, 2)
    wanted = torch.tensor([1.0, 0.0, 1.0, 1.0]).view(1, 1, 2, 2)
    assert sliced_distance(own, wanted) == pytest.approx((1 / 4) / (3 / 16))


def test_sliced_distance_does_not_see_where_things_are(generator):
    features = torch.rand(1, 4, 12, 12, generator=generator)
    order = torch.randperm(144, generator=generator)
    shuffled = features.flatten(2)[..., order].view_as(features)
    assert sliced_distance(shuffled, features) == pytest.approx(0, abs=1e-10)


def test_a_shuffled_picture_has_no_distance_at_the_pixels_and_some_deeper(tiny_encoder, generator):
    """Layer 0, the pixels, and the first taps that see neighbours."""
    image = picture(64, 64)
    shuffled = image.flatten(2)[..., torch.randperm(64 * 64, generator=generator)].view_as(image)
    assert sliced_distance(shuffled, image) == pytest.approx(0, abs=1e-10)
    deepest = tiny_encoder.spec.style_layers[-1]
    own, wanted = (tiny_encoder(p, [deepest])[deepest] for p in (shuffled, image))
    assert sliced_distance(own, wanted) > 0.01


def test_sliced_distance_is_symmetric_up_to_the_spread(generator):
    first = torch.rand(1, 1, 10, 10, generator=generator)
    second = 3 * torch.rand(1, 1, 10, 10, generator=generator)
    ratio = sliced_distance(first, second) / sliced_distance(second, first)
    spreads = [float(f.var(correction=0)) for f in (first, second)]
    assert ratio == pytest.approx(spreads[0] / spreads[1], rel=1e-4)


def test_a_style_of_another_size_is_compared_by_quantiles(generator):
    features = torch.rand(1, 3, 16, 16, generator=generator)
    larger = features.repeat_interleave(3, 2).repeat_interleave(3, 3)
    assert sliced_distance(features, larger) < 1e-3
    assert sliced_distance(larger, features) < 1e-3


def test_similarity_falls_with_noise(generator):
    image = picture(64, 64)
    values = [
        structural_similarity(
            image, (image + s * torch.randn(image.shape, generator=generator)).clamp(0, 1)
        )
        for s in (0.0, 0.05, 0.2)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(1)


def test_blurring_keeps_flat_pictures_and_ramps_and_spreads_a_point():
    flat = torch.full((1, 2, 20, 24), 0.3, dtype=torch.float64)
    torch.testing.assert_close(gaussian_blur(flat, 2.0), flat)
    point = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    point[..., 10, 10] = 1
    blurred = gaussian_blur(point, 1.5)
    assert blurred.sum().item() == pytest.approx(1)
    ratio = blurred[0, 0, 10, 11] / blurred[0, 0, 10, 10]
    assert ratio.item() == pytest.approx(math.exp(-1 / (2 * 1.5**2)))


def test_a_blurred_picture_lacks_the_finest_octave_most(generator):
    style = torch.rand(1, 1, 96, 96, generator=generator).expand(1, 3, 96, 96)
    bands = band_energies(gaussian_blur(style, 1.0), style)
    assert bands == sorted(bands)
    assert bands[0] < 0.3 < 0.8 < bands[3]
    assert band_energies(0.5 * style, style) == pytest.approx([0.5] * 4)


def stripes(period_px, amplitude, side=128):
    wave = torch.arange(side) % period_px < period_px / 2
    gray = 0.5 + amplitude * (wave.float() - 0.5)
    return gray.expand(1, 3, side, side).clone()


def test_stripes_are_weave_and_noise_is_not(generator):
    flat = torch.full((1, 3, 128, 128), 0.5)
    noise = (flat + 0.1 * torch.randn(1, 1, 128, 128, generator=generator)).clamp(0, 1)
    woven = stripes(8, 0.2)
    assert weave(flat, flat) == 0
    assert weave(noise, flat) < 0.15 * weave(woven, flat)
    assert weave(stripes(8, 0.1), flat) == pytest.approx(0.5 * weave(woven, flat), rel=1e-3)


def test_weave_looks_where_the_photograph_is_flat(generator):
    """Of four windows one is flat; only what is drawn there counts."""
    photograph = torch.rand(1, 3, 128, 128, generator=generator)
    photograph[..., :64, :64] = 0.5
    inside, outside = (torch.full((1, 3, 128, 128), 0.5) for _ in range(2))
    inside[..., :64, :64] = stripes(8, 0.2, 64)
    outside[..., 64:, 64:] = stripes(8, 0.2, 64)
    assert weave(inside, photograph) > 5
    assert weave(outside, photograph) < 0.1 * weave(inside, photograph)


def test_a_picture_that_moves_with_its_content_does_not_flicker(generator):
    photograph = torch.rand(1, 3, 96, 96, generator=generator)
    assert pan_error(lambda image: image, photograph, 64, 3) == 0

    def grid(image):
        clinging = image.clone()
        clinging[..., ::4] += 0.2
        return clinging

    # Columns of a grid that stays while the content moves by 1 px: two of four change by 0.2.
    assert pan_error(grid, photograph, 64, 1) == pytest.approx(255 * 0.1, rel=0.05)
    assert pan_error(grid, photograph, 64, 4) == pytest.approx(0, abs=1e-4)
    assert list(pan_errors(grid, photograph)) == ["pan_1", "pan_2", "pan_3"]


def test_geometric_mean_by_hand():
    assert geometric_mean([1.0, 4.0, 16.0]) == pytest.approx(4.0)


def test_errors_are_averaged_geometrically_and_the_rest_plainly():
    rows = [
        {"total": 1.0, "band_1": 1.0, "weave": 1.0},
        {"total": 4.0, "band_1": 4.0, "weave": 4.0},
    ]
    assert over_pictures(rows) == pytest.approx({"total": 2.0, "band_1": 2.0, "weave": 2.5})
