"""The distances between a picture's features and a style's, against numbers worked out by hand."""

import math
from dataclasses import replace

import pytest
import torch

from metastyle_core.errors import ShapeError
from metastyle_core.style_distance import (
    STYLE_DISTANCES,
    GramTarget,
    QuantileTarget,
    SlicedTarget,
    draw_places,
    gram_matrix,
    interpolate_quantiles,
    layer_target,
    quantile_levels,
    quantiles_along,
    random_directions,
    relaxed_earth_movers,
    spread_out,
    transport_cost,
)

F64 = torch.float64
EXPECTED_DIRECTIONS = [0.032113, 0.007104, -0.07246]


def seeded(seed=7):
    return torch.Generator().manual_seed(seed)


def test_gram_matrix_of_two_channels_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]], dtype=F64)  # C=2, H=1, W=2
    expected = torch.tensor([[[5.0, 1.0], [1.0, 10.0]]], dtype=F64) / 4
    torch.testing.assert_close(gram_matrix(features), expected)


def test_gram_matrix_does_not_depend_on_the_memory_layout(generator):
    features = torch.rand(2, 3, 4, 5, generator=generator, dtype=F64)
    other = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(gram_matrix(other), gram_matrix(features))


def test_gram_matrix_does_not_depend_on_the_size_of_a_repeated_picture(generator):
    features = torch.rand(1, 3, 4, 5, generator=generator, dtype=F64)
    torch.testing.assert_close(gram_matrix(features.repeat(1, 1, 2, 3)), gram_matrix(features))


def test_gram_matrix_refuses_three_dimensions():
    with pytest.raises(ShapeError, match="B, C, H, W"):
        gram_matrix(torch.zeros(3, 4, 4))


def test_gram_distances_are_found_in_float32_inside_autocast(generator):
    features = torch.rand(1, 4, 40, 40, generator=generator).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        target = layer_target("gram", [features.flip(1)], seeded())
    wanted = layer_target("gram", [features.flip(1).double()], seeded())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = target.distance(features, seeded())
    assert found.dtype == torch.float32
    exact = wanted.distance(features.double(), seeded())
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=0)


def test_places_are_projected_in_float32_inside_autocast(generator):
    places = torch.rand(1, 200, 6, generator=generator)
    directions = random_directions(6, 8, seeded())
    wanted = quantiles_along(places, directions, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(quantiles_along(places, directions, 16), wanted)


def test_gram_distance_by_hand():
    features = torch.tensor([[[[2.0]], [[0.0]]]], dtype=F64)  # Gram diag(4, 0) / 2
    target = GramTarget(torch.tensor([[[1.0, 1.0], [1.0, 1.0]]], dtype=F64))
    plain = target.distance(features, seeded(), normalisation="none")
    assert plain.item() == pytest.approx((1 + 1 + 1 + 1) / 4)
    assert target.distance(features, seeded()).item() == pytest.approx(1.0)


def test_transport_cost_by_hand():
    # One direction, sorted 1 2 3 against 1 4 7: differences 0, 2, 4; the variance of 1 4 7 is 6.
    own = torch.tensor([[[3.0, 1.0, 2.0]]], dtype=F64)
    wanted = torch.tensor([[[4.0, 7.0, 1.0]]], dtype=F64)
    assert transport_cost(own, wanted, normalisation="none").item() == pytest.approx(20 / 3)
    assert transport_cost(own, wanted).item() == pytest.approx(20 / 18)


def test_a_picture_is_as_far_from_a_style_as_the_style_from_it_up_to_the_spread(generator):
    first, second = torch.rand(2, 1, 5, 40, generator=generator, dtype=F64)
    there = transport_cost(first, second, normalisation="none")
    torch.testing.assert_close(there, transport_cost(second, first, normalisation="none"))
    spreads = [values.var(dim=2, correction=0).mean() for values in (first, second)]
    ratio = transport_cost(first, second) / transport_cost(second, first)
    torch.testing.assert_close(ratio.squeeze(), spreads[0] / spreads[1])


def test_one_channel_needs_no_sampling_to_be_exact():
    # Along +1 or -1 the picture 0 0 1 1 and the style 0 1 1 1 differ at one of four places.
    own = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=F64).view(1, 1, 2, 2)
    style = torch.tensor([1.0, 1.0, 0.0, 1.0], dtype=F64).view(1, 1, 2, 2)
    target = layer_target("sliced", [style], seeded())
    assert target.distance(own, seeded(), normalisation="none").item() == pytest.approx(1 / 4)
    assert target.distance(own, seeded()).item() == pytest.approx((1 / 4) / (3 / 16))


@pytest.mark.parametrize("distance", STYLE_DISTANCES)
def test_the_same_places_in_another_order_are_no_distance(distance, generator):
    style = torch.rand(1, 4, 8, 8, generator=generator, dtype=F64)
    shuffled = style.flatten(2)[..., torch.randperm(64, generator=generator)].view_as(style)
    target = layer_target(distance, [style], seeded())
    torch.testing.assert_close(
        target.distance(shuffled, seeded()), torch.zeros(1, dtype=F64), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("distance", STYLE_DISTANCES)
def test_the_distance_does_not_depend_on_the_scale_of_features(distance, generator):
    own, style = torch.rand(2, 1, 3, 8, 8, generator=generator, dtype=F64)
    one = layer_target(distance, [style], seeded()).distance(own, seeded())
    ten = layer_target(distance, [style * 10], seeded()).distance(own * 10, seeded())
    torch.testing.assert_close(one, ten)


def test_sliced_sees_contrast_that_a_gram_matrix_hardly_sees():
    # Positive features, as after a rectifier: mean 10, deviation 1 against 0.
    flat = torch.full((1, 1, 8, 8), 10.0, dtype=F64)
    style = flat + torch.tensor([1.0, -1.0], dtype=F64).repeat(32).view(1, 1, 8, 8)
    gram = layer_target("gram", [style], seeded()).distance(flat, seeded())
    sliced = layer_target("sliced", [style], seeded()).distance(flat, seeded())
    assert gram.item() == pytest.approx((1 / 101) ** 2)
    assert sliced.item() == pytest.approx(
        1 / 1.01
    )  # a spread below 1 % of the energy counts as 1 %


@pytest.mark.parametrize("distance", STYLE_DISTANCES)
@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_flat_style_gives_finite_distances_and_gradients(distance, value, generator):
    style = torch.full((1, 3, 4, 4), value)
    own = torch.rand(1, 3, 4, 4, generator=generator, requires_grad=True)
    result = layer_target(distance, [style], seeded()).distance(own, seeded())
    (gradient,) = torch.autograd.grad(result.sum(), own)
    assert result.isfinite().all()
    assert gradient.isfinite().all()


def test_the_same_seed_draws_the_same_and_another_does_not(generator):
    own, style = torch.rand(2, 1, 6, 40, 40, generator=generator)
    target = layer_target("sliced", [style], seeded())
    values = [target.distance(own, seeded(seed)).item() for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def quantile_target(features, generator):
    directions = random_directions(features.shape[1], 80, generator)
    return QuantileTarget(directions, quantiles_along(spread_out(features), directions, 16))


@pytest.mark.parametrize("kind", ["sliced", "several", "quantiles"])
def test_chance_comes_from_the_generator_and_from_nowhere_else(kind, generator):
    large = torch.rand(1, 3, 140, 140, generator=generator)
    before = torch.get_rng_state()
    distances = []
    for seed in (1, 1, 2):
        chance = seeded(seed)
        if kind == "quantiles":
            target = quantile_target(large, chance)
        else:
            pictures = [large] if kind == "sliced" else [large, large[..., :70, :]]
            target = layer_target("sliced", pictures, chance)
        distances.append(target.distance(large.square(), chance))
    assert torch.equal(distances[0], distances[1])
    assert not torch.equal(distances[0], distances[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_no_more_places_are_compared_than_either_has_or_than_are_asked_for(monkeypatch, generator):
    asked = []

    def transport(projected, wanted, *, normalisation):
        asked.append((projected.shape[2], wanted.shape[2]))
        return projected.mean((1, 2))

    monkeypatch.setattr("metastyle_core.style_distance.transport_cost", transport)
    style, small, large = (torch.rand(1, 3, side, side, generator=generator) for side in (6, 4, 9))
    target = layer_target("sliced", [style], seeded())
    for features in (small, large):
        target.distance(features, seeded())
    replace(target, compared=5).distance(large, seeded())
    assert asked == [(16, 16), (36, 36), (5, 5)]


def test_one_place_is_drawn_from_each_of_equal_stretches():
    drawn = torch.stack([draw_places(10, 4, seeded(seed)) for seed in range(400)])
    stretches = [set(column.tolist()) for column in drawn.T]
    assert stretches == [{0, 1, 2}, {2, 3, 4}, {5, 6, 7}, {7, 8, 9}]
    assert draw_places(4, 4, seeded()).tolist() == [0, 1, 2, 3]


def test_quantiles_of_several_styles_are_repeated_in_rows(generator):
    styles = torch.rand(2, 3, 8, 8, generator=generator)
    repeated = quantile_target(styles, seeded()).repeat(2)
    alone = [quantile_target(style[None], seeded()) for style in styles]
    pictures = torch.rand(4, 3, 8, 8, generator=generator)
    found = repeated.distance(pictures, seeded())
    for row in range(4):
        wanted = alone[row // 2].distance(pictures[row : row + 1], seeded())
        torch.testing.assert_close(found[row : row + 1], wanted)


def test_values_between_kept_quantiles_by_hand():
    # Levels of three: 0, 1/2 and 1. Asked for at 1/8, 3/8, 5/8 and 7/8.
    kept = torch.tensor([[[0.0, 4.0, 12.0]]], dtype=F64)
    assert interpolate_quantiles(kept, 4).flatten().tolist() == pytest.approx([1, 3, 6, 10])


def test_quantiles_between_places_by_hand():
    # Four places in order 0, 3, 5, 9; levels 0, 1/4, 3/4 and 1 of four fall at 0, 3/4, 9/4 and 3.
    places = torch.tensor([[[5.0], [0.0], [9.0], [3.0]]], dtype=F64)
    found = quantiles_along(places, torch.ones(1, 1, dtype=F64), 4)
    assert found.flatten().tolist() == pytest.approx([0, 2.25, 6, 9], abs=1e-5)


def test_few_places_are_noisier_and_not_biased(generator):
    style = torch.randn(1, 4, 60, 60, generator=generator)
    own = 1.5 * torch.randn(1, 4, 60, 60, generator=generator)
    target = layer_target("sliced", [style], seeded())
    assert style[0, 0].numel() > 3 * 1024
    drawn = [target.distance(own, seeded(seed)).item() for seed in range(20)]
    # Sorted deviations 1.5 and 1 of a normal distribution: (1.5 - 1)^2.
    assert sum(drawn) / len(drawn) == pytest.approx(0.25, rel=0.1)


def test_a_large_style_is_held_in_bounded_memory(generator):
    style = torch.rand(1, 2, 300, 400, generator=generator)
    target = layer_target("sliced", [style, style], seeded())
    assert target.places.shape == (1, 16384, 2)


def test_several_pictures_of_a_style_are_pooled_alike(generator):
    small, large = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 12, 12)
    target = layer_target("sliced", [small, large], seeded())
    assert target.places.flatten().tolist() == [0.0] * 16 + [1.0] * 16
    grams = layer_target("gram", [small, 2 * large], seeded())
    assert grams.gram.item() == pytest.approx((0 + 4) / 2)


def test_styles_stand_in_rows_and_are_repeated_in_rows(generator):
    styles = torch.rand(2, 3, 5, 5, generator=generator, dtype=F64)
    own = torch.rand(4, 3, 5, 5, generator=generator, dtype=F64)
    for distance in STYLE_DISTANCES:
        together = layer_target(distance, [styles], seeded()).repeat(2).distance(own, seeded())
        for row in range(4):
            alone = layer_target(distance, [styles[row // 2 : row // 2 + 1]], seeded())
            single = alone.distance(own[row : row + 1], seeded())
            torch.testing.assert_close(together[row : row + 1], single)


def test_directions_are_unit_vectors_all_around():
    directions = random_directions(3, 20_000, seeded())
    torch.testing.assert_close(directions.norm(dim=0), torch.ones(20_000))
    torch.testing.assert_close(
        directions @ directions.T / 20_000, torch.eye(3) / 3, rtol=0, atol=0.01
    )


def test_half_precision_features_are_compared_in_float32(generator):
    own, style = torch.rand(2, 1, 8, 16, 16, generator=generator).bfloat16()
    target = layer_target("sliced", [style], seeded())
    value = target.distance(own, seeded())
    assert value.dtype == torch.float32
    exact = layer_target("sliced", [style.double()], seeded()).distance(own.double(), seeded())
    assert value.item() == pytest.approx(exact.item(), rel=1e-4)


@pytest.mark.parametrize("distance", STYLE_DISTANCES)
@pytest.mark.parametrize("normalisation", ["none", "target_energy"])
def test_distances_have_two_derivatives(distance, normalisation, generator):
    own = torch.rand(2, 2, 3, 3, generator=generator, dtype=F64, requires_grad=True)
    style = torch.rand(2, 2, 3, 3, generator=generator, dtype=F64)
    target = layer_target(distance, [style], seeded())

    def function(features):
        return target.distance(features, seeded(), normalisation=normalisation)

    assert torch.autograd.gradcheck(function, (own,))
    assert torch.autograd.gradgradcheck(function, (own,))


def test_a_batch_of_three_dimensions_is_refused():
    with pytest.raises(ShapeError, match="B, C, H, W"):
        layer_target("sliced", [torch.zeros(3, 4, 4)], seeded())


def test_identical_distributions_at_different_sizes_are_near(generator):
    style = torch.randn(1, 3, 20, 20, generator=generator)
    tiled = style.repeat(1, 1, 3, 3)
    target = SlicedTarget(style.flatten(2).transpose(1, 2))
    assert target.distance(tiled, seeded()).item() < 0.05 * math.sqrt(1.0)


def test_quantiles_by_hand():
    # Places 4 1 3 2 5 along the one direction; the levels of 3 quantiles are 0, 1/2 and 1.
    assert quantile_levels(3).tolist() == pytest.approx([0, 0.5, 1])
    places = torch.tensor([4.0, 1.0, 3.0, 2.0, 5.0], dtype=F64).view(1, 5, 1)
    kept = quantiles_along(places, torch.ones(1, 1, dtype=F64), 3)
    torch.testing.assert_close(kept, torch.tensor([[[1.0, 3.0, 5.0]]], dtype=F64))
    # Four even values lie at 1/8, 3/8, 5/8 and 7/8 of the places.
    between = torch.tensor([[[1.5, 2.5, 3.5, 4.5]]], dtype=F64)
    torch.testing.assert_close(interpolate_quantiles(kept, 4), between)


def test_quantiles_stand_closer_at_the_tails():
    levels = quantile_levels(32)
    gaps = levels.diff()
    assert (levels[0], levels[-1]) == (0, 1)
    assert gaps.min() > 0
    assert gaps[15] > 10 * gaps[0]


def test_one_place_has_one_quantile():
    kept = quantiles_along(torch.full((1, 1, 2), 3.0), torch.eye(2), 4)
    assert kept.tolist() == [[[3.0] * 4] * 2]


def test_the_directions_that_statistics_rest_on_stay_the_same():
    # Style files keep no directions, only values along them: other ones would spoil every file.
    directions = random_directions(256, 3, seeded(20))
    found = [directions[0, 0], directions[100, 1], directions[255, 2]]
    assert [float(v) for v in found] == pytest.approx(EXPECTED_DIRECTIONS, abs=1e-5)


def test_quantiles_stand_for_the_places_they_are_of(generator):
    features = torch.rand(1, 6, 30, 40, generator=generator).square()
    picture = torch.rand(1, 6, 24, 24, generator=generator)
    directions = random_directions(6, 64, seeded())
    kept = quantiles_along(spread_out(features), directions, 32)
    known = QuantileTarget(directions, kept, compared=576)
    whole = SlicedTarget(spread_out(features), compared=576)
    for normalisation in ("none", "target_energy"):
        pair = [t.distance(picture, seeded(), normalisation=normalisation) for t in (known, whole)]
        torch.testing.assert_close(*pair, rtol=0.1, atol=0)
    assert known.distance(features, seeded()).item() < 0.01 * known.distance(picture, seeded())
    assert known.repeat(2).distance(picture.repeat(2, 1, 1, 1), seeded()).shape == (2,)


def test_gradients_flow_through_the_distance_from_quantiles(generator):
    directions = random_directions(3, 5, seeded()).double()
    places = torch.rand(1, 20, 3, generator=generator, dtype=F64)
    target = QuantileTarget(directions, quantiles_along(places, directions, 8))
    features = torch.rand(1, 3, 4, 5, generator=generator, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: target.distance(f, seeded()), features)


def places(*rows):
    """Features of one picture at places: (1, N, C), float64."""
    return torch.tensor([rows], dtype=F64)


def test_the_nearest_of_a_style_by_hand():
    """The style's mean is (1, 1); from there its two places look right and left."""
    style = places((2.0, 1.0), (0.0, 1.0))
    assert relaxed_earth_movers(style, style).tolist() == [0.0]
    upwards = places((1.0, 4.0), (5.0, 1.0))  # one at a right angle to both, one like the first
    assert relaxed_earth_movers(upwards, style).tolist() == pytest.approx([(1 + 0) / 2])
    right = places((2.0, 1.0), (9.0, 1.0))  # all like the first; the second has nothing like it
    assert relaxed_earth_movers(right, style).tolist() == pytest.approx([(0 + 2) / 2])
    left_and_up = places((0.0, 1.0), (1.0, 2.0), (1.0, 0.0))
    assert relaxed_earth_movers(left_and_up, style).tolist() == pytest.approx([(0 + 1 + 1) / 3])


def test_each_picture_is_compared_with_its_own_style_or_all_with_one(generator):
    own, style = (torch.rand(2, n, 3, generator=generator, dtype=F64) for n in (9, 7))
    both = relaxed_earth_movers(own, style)
    for row in range(2):
        alone = relaxed_earth_movers(own[row : row + 1], style[row : row + 1])
        torch.testing.assert_close(both[row : row + 1], alone)
    with_one = relaxed_earth_movers(own, style[:1])
    torch.testing.assert_close(with_one, relaxed_earth_movers(own, style[:1].expand(2, -1, -1)))


def test_the_distance_to_the_nearest_has_two_derivatives(generator):
    own = torch.rand(1, 5, 3, generator=generator, dtype=F64).requires_grad_()
    style = torch.rand(1, 4, 3, generator=generator, dtype=F64)
    assert torch.autograd.gradcheck(lambda x: relaxed_earth_movers(x, style), own)
    assert torch.autograd.gradgradcheck(lambda x: relaxed_earth_movers(x, style), own)


@pytest.mark.parametrize("level", [0.0, 3.0])
def test_the_distance_from_a_flat_style_is_finite_and_so_is_its_gradient(level, generator):
    style = torch.full((1, 6, 4), level)
    for own in (style.clone(), torch.rand(1, 6, 4, generator=generator)):
        own.requires_grad_()
        distance = relaxed_earth_movers(own, style)
        (gradient,) = torch.autograd.grad(distance.sum(), own)
        assert distance.item() == 1
        assert gradient.isfinite().all()


def test_the_nearest_are_sought_among_so_many_places_that_the_generator_draws(generator):
    features = torch.rand(1, 3, 40, 40, generator=generator)
    target = SlicedTarget(spread_out(features), compared=4)
    found = target.nearest(features, seeded())
    assert 0 < found.item() < 0.2, "the same picture at other places"
    assert torch.equal(found, target.nearest(features, seeded()))
    assert not torch.equal(found, target.nearest(features, seeded(8)))
    few = features[..., :8, :8]
    assert SlicedTarget(spread_out(few)).nearest(few, seeded()).item() < 1e-6, "all places"


def test_the_nearest_are_found_in_float32_inside_autocast(generator):
    features = torch.rand(1, 4, 8, 8, generator=generator)
    target = SlicedTarget(spread_out(features.flip(1)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = target.nearest(features, seeded())
    torch.testing.assert_close(found, target.nearest(features, seeded()), rtol=1e-6, atol=0)
