"""The losses against numbers worked out by hand, and their gradients."""

import math
from dataclasses import replace

import pytest
import torch

from metastyle_core.encoder import ENCODER_SPECS, EncoderSpec
from metastyle_core.errors import SettingsError
from metastyle_core.images import gaussian_blur
from metastyle_core.losses import (
    FINEST_SIGMA_PX,
    LossSettings,
    StyleTarget,
    blotches,
    chroma_variation,
    content_layers,
    content_loss,
    fine_detail,
    fine_repetition,
    hatching,
    nearest_distance,
    perceptual_loss,
    standardised_content_loss,
    stroke_layers,
    style_target,
    total_variation,
)
from metastyle_core.style_distance import (
    STYLE_DISTANCES,
    GramTarget,
    relaxed_earth_movers,
    spread_out,
)

F64 = torch.float64


def seeded():
    return torch.Generator().manual_seed(7)


def test_content_loss_by_hand():
    features = torch.tensor([[[[1.0, 3.0]]]], dtype=F64)
    target = torch.tensor([[[[2.0, 0.0]]]], dtype=F64)
    plain = content_loss(features, target, normalisation="none")
    assert plain.item() == pytest.approx((1 + 9) / 2)
    relative = content_loss(features, target, normalisation="target_energy")
    assert relative.item() == pytest.approx((10 / 2) / (4 / 2))


def test_the_content_loss_of_a_black_target_stays_finite():
    zeros = torch.zeros(1, 2, 3, 3, dtype=F64)
    ones = torch.ones(1, 2, 3, 3, dtype=F64)
    assert torch.isfinite(content_loss(ones, zeros, normalisation="target_energy")).all()


def test_standardised_content_by_hand():
    features = torch.tensor([[[[0.0, 1.0, 2.0, 5.0]], [[1.0, 0.0, 1.0, 0.0]]]], dtype=F64)
    target = torch.tensor([[[[1.0, 1.0, 3.0, 3.0]], [[0.0, 4.0, 0.0, 4.0]]]], dtype=F64)
    # Variances 3.5 and 0.25 (floor 0.01875), 1 and 4 (floor 0.025); covariances 1.5 and -1.
    own, wanted = (3.5 + 0.01875, 0.25 + 0.01875), (1 + 0.025, 4 + 0.025)
    first = 3.5 / own[0] + 1 / wanted[0] - 3 / (own[0] * wanted[0]) ** 0.5
    second = 0.25 / own[1] + 4 / wanted[1] + 2 / (own[1] * wanted[1]) ** 0.5
    found = standardised_content_loss(features, target)
    assert found.item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_other_colours_and_contrasts_cost_nothing_where_contents_are_standardised(generator):
    target = torch.rand(2, 3, 9, 7, generator=generator, dtype=F64)
    restyled = 0.02 + 7.0 * target
    assert standardised_content_loss(restyled, target).abs().max() < 1e-6
    inverted = standardised_content_loss(1 - target, target)
    assert inverted.min() > 3.8
    assert inverted.max() <= 4
    stranger = torch.rand(2, 3, 90, 70, generator=generator, dtype=F64)
    alike = torch.rand(2, 3, 90, 70, generator=generator, dtype=F64)
    assert standardised_content_loss(stranger, alike).sub(2).abs().max() < 0.1


def test_flat_pictures_have_a_standardised_content(generator):
    flat = torch.full((1, 2, 5, 5), 0.3, requires_grad=True)
    lively = torch.rand(1, 2, 5, 5, generator=generator)
    for features, target in ((flat, lively), (flat, flat.detach()), (lively, flat)):
        loss = standardised_content_loss(features, target)
        (gradient,) = torch.autograd.grad(loss.sum(), flat, allow_unused=True)
        assert torch.isfinite(loss).all()
        assert 0 <= loss.item() <= 4
        assert gradient is None or torch.isfinite(gradient).all()


def test_content_layers_are_those_that_the_style_needs_anyway():
    spec = ENCODER_SPECS["vgg19_caffe"]
    assert content_layers(spec, "plain") == ("relu2_2",)
    assert content_layers(spec, "standardised") == ("relu2_2", "relu3_3", "relu4_3")
    single = EncoderSpec("one", ((4,),), content_layers=("relu1_1",), style_layers=("relu1_1",))
    assert content_layers(single, "standardised") == ("relu1_1",)


def test_a_batch_has_the_losses_of_its_pictures_alone(generator):
    bright = torch.tensor([1.0, 0.2, 0.05], dtype=F64)[:, None, None, None]
    features, target = (
        bright * torch.rand(3, 3, 6, 5, generator=generator, dtype=F64) for _ in range(2)
    )
    for loss in (
        lambda rows: content_loss(features[rows], target[rows], normalisation="none"),
        lambda rows: content_loss(features[rows], target[rows], normalisation="target_energy"),
        lambda rows: standardised_content_loss(features[rows], target[rows]),
        lambda rows: total_variation(features[rows]),
        lambda rows: chroma_variation(features[rows]),
        lambda rows: fine_detail(features[rows]),
    ):
        alone = torch.cat([loss([row]) for row in range(3)])
        torch.testing.assert_close(loss([0, 1, 2]), alone)


def test_total_variation_by_hand():
    images = torch.zeros(1, 3, 2, 2, dtype=F64)
    images[..., 1, 1] = 1.0  # one of two vertical and one of two horizontal steps is 1
    assert total_variation(images).item() == pytest.approx(0.5 + 0.5)
    slope = 0.2 * torch.arange(4.0)[:, None] + 0.05 * torch.arange(5.0) + 0.1
    assert total_variation(slope.expand(1, 3, 4, 5)).item() == pytest.approx(0.2**2 + 0.05**2)


def constant(*values: float) -> torch.Tensor:
    """Features (B, 1, 2, 2), the same at all places of a picture."""
    return torch.tensor(values, dtype=F64).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def test_perceptual_loss_adds_weighted_terms():
    features = {"a": constant(2.0, 1.0), "b": constant(3.0, 0.0)}
    contents = {"a": constant(4.0, 4.0), "b": constant(1.0, 1.0)}
    two = GramTarget(torch.tensor([[[2.0]]], dtype=F64))
    target = StyleTarget({"a": two, "b": two}, torch.zeros(1), torch.zeros(1))
    settings = LossSettings(
        content_weight=2.0,
        content_distance="plain",
        style_weight=7.0,
        hatching_weight=0.0,  # asks for 16 px
        normalisation="none",
        palette_weight=0.25,
    )

    def terms(settings, *style_weights):
        stylized = torch.zeros(2, 3, 2, 2, dtype=F64)
        return perceptual_loss(
            stylized, stylized, features, contents, target, settings, seeded(), *style_weights
        )

    found = terms(settings)
    assert found.content.tolist() == [(4 + 4) / 2, (9 + 1) / 2]
    assert found.style.tolist() == [(0.25 * 4 + 49) / 2, (0.25 * 1 + 4) / 2]
    assert found.total.tolist() == [2 * 4 + 7 * 25, 2 * 5 + 7 * 2.125]
    assert found.mean() == pytest.approx({"content": 4.5, "style": 13.5625, "total": 103.9375})
    found = terms(settings, torch.tensor([0.5, 3.0], dtype=F64))
    assert found.total.tolist() == [2 * 4 + 0.5 * 25, 2 * 5 + 3 * 2.125]
    found = terms(replace(settings, normalisation="target_energy"))
    assert found.content.tolist() == [(4 / 16 + 4) / 2, (9 / 16 + 1) / 2]
    assert found.style.tolist() == [25 / 4, 2.125 / 4]
    found = terms(replace(settings, content_distance="standardised"))
    assert found.content.tolist() == [0, 0], "constants have no deviation"


def test_a_repeated_target_judges_so_many_contents_of_each_style(generator):
    features = {"a": torch.rand(2, 3, 4, 4, generator=generator, dtype=F64)}
    images = torch.rand(2, 3, 8, 8, generator=generator, dtype=F64)
    images[1] = 0.5 + 0.1 * images[1]
    settings = LossSettings(detail_weight=5.0, hatching_weight=0.3)
    stylized = torch.full((4, 3, 16, 16), 0.5, dtype=F64)
    own = {"a": torch.rand(4, 3, 4, 4, generator=generator, dtype=F64)}
    for distance in STYLE_DISTANCES:
        target = style_target([features], [images], distance, seeded()).repeat(2)
        both = perceptual_loss(stylized, stylized, own, own, target, settings, seeded()).total
        for style, rows in ((0, slice(0, 2)), (1, slice(2, 4))):
            alone = style_target(
                [{"a": features["a"][style : style + 1]}], [images[style : style + 1]],
                distance, seeded(),
            )  # fmt: skip
            some = {"a": own["a"][rows]}
            picture = stylized[rows]
            wanted = perceptual_loss(picture, picture, some, some, alone, settings, seeded())
            torch.testing.assert_close(both[rows], wanted.total)


def test_the_nearest_weight_enters_the_style(generator):
    """In all style layers but the first, at every size."""
    shallow, deep, small = (
        torch.rand(1, 3, 4, 4, generator=generator, dtype=F64) for _ in range(3)
    )
    own = {"a": shallow, "b": deep, "b/2": small}
    style = {name: features.flip(1) for name, features in own.items()}
    picture = torch.rand(1, 3, 16, 16, generator=generator, dtype=F64)
    target = style_target([style], [picture], "sliced", seeded())
    content = {"b": deep}
    without, with_nearest = (
        perceptual_loss(picture, picture, own, content, target, settings, seeded())
        for settings in (LossSettings(nearest_weight=0.0), LossSettings(nearest_weight=3.0))
    )
    each = [
        relaxed_earth_movers(spread_out(own[name]), spread_out(style[name]))
        for name in ("b", "b/2")
    ]
    wanted = 3.0 * torch.stack(each).mean(0)
    assert wanted.item() > 0.1
    torch.testing.assert_close(with_nearest.style - without.style, wanted)
    weight = LossSettings().style_weight
    torch.testing.assert_close(with_nearest.total - without.total, weight * wanted)


def test_the_only_style_layer_sees_strokes_too():
    assert stroke_layers(["a", "b", "c", "a/2", "b/2"]) == ["b", "c", "b/2"]
    assert stroke_layers(["a", "a/2"]) == ["a", "a/2"]


def test_gram_matrices_know_no_places(generator):
    features = {"a": torch.rand(1, 2, 4, 4, generator=generator)}
    picture = torch.rand(1, 3, 8, 8, generator=generator)
    target = style_target([features], [picture], "gram", seeded())
    flipped = {"a": features["a"].flip(1)}
    assert nearest_distance(flipped, target, seeded()).tolist() == [0.0]


def test_total_variation_weight_enters_the_total(generator):
    stylized = torch.rand(1, 3, 4, 4, generator=generator, dtype=F64)
    features = {"a": torch.rand(1, 2, 4, 4, generator=generator, dtype=F64)}
    target = style_target([features], [stylized], "sliced", generator)
    without, with_tv = (
        perceptual_loss(stylized, stylized, features, features, target, settings, seeded())
        for settings in (LossSettings(), LossSettings(tv_weight=3.0))
    )
    torch.testing.assert_close(
        (with_tv.total - without.total).double(), 3.0 * total_variation(stylized), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("distance", STYLE_DISTANCES)
def test_style_target_carries_no_gradient(distance, generator):
    features = torch.rand(1, 2, 3, 3, generator=generator, requires_grad=True)
    images = torch.rand(1, 3, 3, 3, generator=generator, requires_grad=True)
    target = style_target([{"a": features}], [images], distance, generator)
    assert not target.layers["a"].distance(features.detach(), generator).requires_grad
    assert not target.chroma.requires_grad
    assert isinstance(target.layers["a"], GramTarget) == (distance == "gram")


def test_the_generator_alone_draws_what_is_kept_of_a_style():
    features = torch.rand(1, 1, 140, 140)
    images = torch.rand(1, 3, 4, 4)
    first, second = (
        style_target([{"a": features}], [images], "sliced", seeded()).layers["a"].places
        for _ in range(2)
    )
    assert first.shape[1] < 140 * 140
    assert torch.equal(first, second)


def test_gray_pictures_have_no_chroma_variation(generator):
    gray = torch.rand(2, 1, 5, 5, generator=generator, dtype=F64).expand(2, 3, 5, 5)
    torch.testing.assert_close(chroma_variation(gray), torch.zeros(2, dtype=F64))


def test_chroma_variation_by_hand():
    images = torch.zeros(1, 3, 2, 2, dtype=F64)
    images[0, 2, 1, 1] = 1.0  # a blue pixel: chroma (-0.114, -0.114, 0.886)
    step = (2 * 0.114**2 + 0.886**2) / 3 / 2  # one of two steps, down and right alike
    assert chroma_variation(images).item() == pytest.approx(2 * step, rel=1e-6)


def test_only_colour_noise_beyond_the_styles_counts(generator):
    calm, noisy = torch.full((1, 3, 8, 8), 0.5), torch.rand(1, 3, 8, 8, generator=generator)
    features = {"a": torch.rand(1, 2, 4, 4, generator=generator)}
    settings, without = LossSettings(chroma_weight=7.0), LossSettings(chroma_weight=0.0)

    def added(picture, style):
        target = style_target([features], [style], "sliced", seeded())
        terms = [
            perceptual_loss(picture, picture, features, features, target, s, seeded())
            for s in (settings, without)
        ]
        return terms[0].total - terms[1].total

    excess = chroma_variation(noisy) - chroma_variation(calm)
    torch.testing.assert_close(added(noisy, calm), 7.0 * excess, rtol=1e-4, atol=1e-6)
    assert added(calm, noisy).item() == 0
    assert added(noisy, noisy).item() == 0


def test_a_grating_repeats_itself_as_its_cosine_does():
    across = torch.arange(48, dtype=F64) * 2 * torch.pi / 4
    stripes = (0.5 + 0.1 * across.cos()).expand(1, 3, 48, 48)
    found = fine_repetition(stripes)[0]
    wanted = (torch.arange(-6, 7, dtype=F64) * 2 * torch.pi / 4).cos().expand(7, 13)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.05)


def test_noise_does_not_repeat_itself(generator):
    found = fine_repetition(torch.rand(1, 1, 96, 96, generator=generator).expand(1, 3, 96, 96))[0]
    assert found[0, 6].item() == pytest.approx(1, abs=1e-3)
    assert found[3:].abs().max() < 0.1


@pytest.mark.parametrize("contrast", [0.1, 1e-5])
def test_repetition_is_the_correlation_with_a_moved_copy(generator, contrast):
    noise = torch.rand(2, 1, 17, 19, generator=generator, dtype=F64)
    gray = 0.5 + contrast * noise.expand(2, 3, 17, 19)
    found = fine_repetition(gray)
    fine = gray[:, 0] - gaussian_blur(gray[:, :1], FINEST_SIGMA_PX)[:, 0]
    energy = fine.square().sum((1, 2))
    assert found.shape == (2, 7, 13)
    for down in range(7):
        for right in range(-6, 7):
            moved = fine.roll((down, right), (1, 2))
            wanted = (fine * moved).sum((1, 2)) / (energy + 1e-8)
            torch.testing.assert_close(found[:, down, right + 6], wanted, rtol=1e-5, atol=1e-7)


def test_hatching_by_hand():
    one, other = torch.zeros(2, 7, 13), torch.zeros(2, 7, 13)
    one[:, 0, 6] = other[:, 0, 6] = 1.0
    one[0, 0, [5, 7]] = 0.5  # a pixel to either side: 0.25 each
    one[0, 2, 6] = 0.5  # two pixels down, and so up as well
    one[1, 1, 12] = -1.0  # one down and six right, and the reverse
    assert hatching(one, other).tolist() == pytest.approx([4 * 0.25, 2.0])
    assert hatching(one, one).tolist() == [0, 0]


def test_only_a_grating_is_charged_for_hatching(generator):
    noise = torch.rand(1, 1, 48, 48, generator=generator).expand(1, 3, 48, 48)
    across = torch.arange(48) * 2 * torch.pi / 3
    stripes = (0.5 + 0.1 * across.cos()).expand(1, 3, 48, 48)
    features = {"a": torch.rand(1, 2, 4, 4, generator=generator)}
    target = style_target([features], [noise], "sliced", seeded())

    def total(picture, weight):
        settings = LossSettings(hatching_weight=weight)
        return perceptual_loss(
            picture, picture, features, features, target, settings, seeded()
        ).total

    added = {k: total(p, 0.5) - total(p, 0) for k, p in (("noise", noise), ("stripes", stripes))}
    assert added["noise"].item() == pytest.approx(0, abs=1e-5)
    charge = hatching(fine_repetition(stripes), fine_repetition(noise))
    torch.testing.assert_close(added["stripes"], 0.5 * charge, rtol=1e-4, atol=0)
    assert charge.item() > 20


def patches(*colours: tuple[float, float, float]) -> torch.Tensor:
    """A picture (1, 3, 128, 128) of 64 squares of 16 px that take these colours in turn."""
    turns = torch.tensor([colours[i % len(colours)] for i in range(64)], dtype=F64)
    small = turns.T.reshape(1, 3, 8, 8)
    return small.repeat_interleave(16, 2).repeat_interleave(16, 3)


def test_any_palette_is_free_of_blotches():
    photograph = patches((0.1, 0.2, 0.3), (0.8, 0.3, 0.2), (0.3, 0.9, 0.4), (0.6, 0.6, 0.9))
    painted = patches((0.9, 0.1, 0.1), (0.2, 0.2, 0.8), (0.1, 0.1, 0.1), (0.9, 0.9, 0.2))
    assert blotches(photograph, photograph).item() < 0.01
    assert blotches(painted, photograph).item() < 0.02


def test_what_alike_places_have_unlike_is_blotches_by_hand():
    photograph = patches((0.2, 0.2, 0.2), (0.8, 0.8, 0.8))
    fog = patches((0.1, 0.1, 0.1), (0.5, 0.5, 0.5), (0.3, 0.3, 0.3), (0.9, 0.9, 0.9))
    # Deviations of 0.25 on average; without the fog on half of the places, 0.1 and 0.2 are left.
    explained, rest = 0.25**2, (0.1**2 + 0.2**2) / 2
    flat = (2 / 255) ** 2
    wanted = rest / (explained + rest + flat)
    assert blotches(fog, photograph).item() == pytest.approx(wanted, rel=5e-3)
    # Brighter, darker and of another contrast it is as foggy.
    assert blotches(0.3 + 0.5 * fog, photograph).item() == pytest.approx(wanted, rel=5e-3)


def test_flat_pictures_have_no_blotches_and_nothing_explains_what_a_flat_photograph_lacks():
    flat, stained = patches((0.5, 0.4, 0.3)), patches((0.2, 0.2, 0.2), (0.8, 0.8, 0.8))
    assert blotches(flat, stained).item() < 1e-6
    assert blotches(stained, flat).item() == pytest.approx(0.09 / (0.09 + (2 / 255) ** 2))


def test_strokes_within_a_cell_are_no_blotches(generator):
    photograph = patches((0.2, 0.3, 0.4), (0.8, 0.7, 0.5))
    strokes = 0.3 * torch.rand(1, 3, 128, 128, generator=generator, dtype=F64)
    averaged = torch.nn.functional.avg_pool2d(strokes, 16).repeat_interleave(16, 2)
    painted = 0.5 * photograph + strokes - averaged.repeat_interleave(16, 3)
    assert blotches(painted, photograph).item() < 0.01


def test_cells_of_small_pictures_are_smaller():
    """Eight along the short side: 3 px of 24."""
    fog = patches((0.1, 0.1, 0.1), (0.5, 0.5, 0.5), (0.3, 0.3, 0.3), (0.9, 0.9, 0.9))
    large = fog, patches((0.2, 0.2, 0.2), (0.8, 0.8, 0.8))
    small = [v[..., ::16, ::16].repeat_interleave(3, 2).repeat_interleave(3, 3) for v in large]
    torch.testing.assert_close(blotches(*small), blotches(*large))


def test_blotches_of_each_picture_enter_the_total(generator):
    stylized = torch.rand(2, 3, 16, 16, generator=generator, dtype=F64)
    photographs = torch.rand(2, 3, 16, 16, generator=generator, dtype=F64)
    features = {"a": torch.rand(2, 2, 4, 4, generator=generator, dtype=F64)}
    target = style_target([features], [stylized], "sliced", seeded())
    without, with_blotches = (
        perceptual_loss(stylized, photographs, features, features, target, settings, seeded())
        for settings in (LossSettings(blotch_weight=0.0), LossSettings(blotch_weight=3.0))
    )
    charge = blotches(stylized, photographs)
    assert charge.min().item() > 0.1
    torch.testing.assert_close(
        (with_blotches.total - without.total).double(), 3.0 * charge, rtol=1e-4, atol=0
    )
    alone = torch.cat([blotches(stylized[i:][:1], photographs[i:][:1]) for i in (0, 1)])
    torch.testing.assert_close(charge, alone)


def test_gradients_of_blotches(generator):
    stylized, photograph = torch.rand(2, 1, 3, 8, 8, generator=generator, dtype=F64)
    stylized.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: blotches(v, photograph), (stylized,))
    assert torch.autograd.gradgradcheck(lambda v: blotches(v, photograph), (stylized,))


def test_only_detail_that_is_missing_counts(generator):
    sharp = torch.rand(1, 1, 16, 16, generator=generator).expand(1, 3, 16, 16)
    features = {"a": torch.rand(1, 2, 4, 4, generator=generator)}

    def added(picture, style):
        target = style_target([features], [style], "sliced", seeded())
        terms = [
            perceptual_loss(picture, picture, features, features, target, settings, seeded())
            for settings in (LossSettings(detail_weight=3.0), LossSettings(detail_weight=0.0))
        ]
        return (terms[0].total - terms[1].total).item()

    softer = 0.5 + 0.75 * (sharp - 0.5)
    assert added(softer, sharp) == pytest.approx(3.0 * 0.25**2, rel=5e-3)
    assert added(sharp, softer) == 0
    flat = torch.full_like(sharp, 0.5)
    assert added(flat, sharp) == pytest.approx(3.0, rel=5e-3)
    assert added(flat, flat) < 1e-3


def test_a_style_next_to_flat_asks_for_little_detail(generator):
    flat = torch.full((1, 3, 8, 8), 0.5)
    features = {"a": torch.rand(1, 2, 4, 4, generator=generator)}
    target = replace(
        style_target([features], [flat], "sliced", seeded()), detail=torch.tensor([1e-4])
    )
    with_detail, without = (
        perceptual_loss(flat, flat, features, features, target, settings, seeded()).total.item()
        for settings in (LossSettings(detail_weight=400.0), LossSettings(detail_weight=0.0))
    )
    assert with_detail - without == pytest.approx(400 * (0.99e-4 / 2e-4) ** 2, rel=1e-2)


def test_fine_detail_by_hand():
    flat = torch.full((1, 3, 9, 9), 0.5, dtype=F64)
    assert fine_detail(flat).item() == pytest.approx(0, abs=1e-5)
    point = torch.zeros(1, 3, 9, 9, dtype=F64)
    point[..., 4, 4] = 1
    profile = [math.exp(-(k**2) / (2 * 0.7**2)) for k in range(-3, 4)]
    weights = [value / sum(profile) for value in profile]
    rest = sum((a * b) ** 2 for a in weights for b in weights) - weights[3] ** 4
    energy = ((1 - weights[3] ** 2) ** 2 + rest) / 81
    assert fine_detail(point).item() == pytest.approx(energy**0.5, rel=1e-3)


def test_the_colour_noise_of_several_pictures_of_a_style_is_averaged(generator):
    first, second = torch.rand(2, 2, 3, 8, 8, generator=generator)
    both = style_target([{}, {}], [first, second], "sliced", generator)
    torch.testing.assert_close(
        both.chroma, (chroma_variation(first) + chroma_variation(second)) / 2
    )
    torch.testing.assert_close(both.detail, (fine_detail(first) + fine_detail(second)) / 2)


def test_what_a_quarter_of_a_picture_shows_is_not_spread_over_the_rest(generator):
    image = torch.rand(1, 3, 8, 8, generator=generator)
    whole, quarter = (
        style_target([{}], [image], "sliced", generator, shares) for shares in (None, [0.25])
    )
    torch.testing.assert_close(quarter.chroma, 4 * whole.chroma)  # a mean of squares
    torch.testing.assert_close(quarter.detail, 2 * whole.detail)  # the root of one


@pytest.mark.parametrize("normalisation", ["none", "target_energy"])
def test_gradients_of_all_losses(normalisation, generator):
    features = torch.rand(2, 2, 3, 3, generator=generator, dtype=F64, requires_grad=True)
    target = torch.rand(2, 2, 3, 3, generator=generator, dtype=F64)
    checks = (
        lambda f: content_loss(f, target, normalisation=normalisation),
        lambda f: standardised_content_loss(f, target),
        total_variation,
    )
    for function in checks:
        assert torch.autograd.gradcheck(function, (features,))
        assert torch.autograd.gradgradcheck(function, (features,))


@pytest.mark.parametrize(
    "name",
    [
        "content_weight",
        "style_weight",
        "tv_weight",
        "chroma_weight",
        "detail_weight",
        "hatching_weight",
        "blotch_weight",
    ],
)
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_illegal_weights_are_refused(name, value):
    with pytest.raises(SettingsError, match=name):
        LossSettings(**{name: value})


def test_an_unknown_style_distance_is_refused_with_the_choices():
    with pytest.raises(SettingsError, match="'wct'; choose sliced or gram"):
        LossSettings(style_distance="wct")


def test_an_unknown_content_distance_is_refused_with_the_choices():
    with pytest.raises(SettingsError, match="'cosine'; choose standardised or plain"):
        LossSettings(content_distance="cosine")


@pytest.mark.parametrize("scales", [0, 4])
def test_sizes_of_a_style_that_cannot_be_compared_are_refused(scales):
    with pytest.raises(SettingsError, match=f"style_scales is {scales}; .* from 1 to 3"):
        LossSettings(style_scales=scales)


@pytest.mark.parametrize("weight", [-0.5, float("nan"), float("inf")])
def test_an_illegal_weight_is_refused_by_its_name(weight):
    LossSettings(palette_weight=0.0)
    with pytest.raises(SettingsError, match=f"palette_weight is {weight}"):
        LossSettings(palette_weight=weight)
