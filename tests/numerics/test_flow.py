"""Flow: noise drawn out along the forms of a picture, against what it is by hand."""

import math

import pytest
import torch
from samples import picture
from torch import Generator

from metastyle_core.flow import REACH_PX, along_forms
from metastyle_core.grain import FULL_GRAIN, grain_relief

PASSES_PX = (1, 2, 4, 6, 8)


def noise_of(*size, seed=0):
    return torch.randn(1, 1, *size, generator=Generator().manual_seed(seed))


def slope(height, width, degrees):
    """A plane whose level lines have an angle, clockwise from those across."""
    turn = math.radians(degrees)
    down, across = (torch.arange(n, dtype=torch.float32) for n in (height, width))
    return (math.cos(turn) * down[:, None] - math.sin(turn) * across)[None, None]


def ways(height, width, degrees):
    """One way everywhere, at an angle clockwise from that across."""
    twice = 2 * math.radians(degrees)
    there = torch.tensor([math.cos(twice), math.sin(twice)])
    return there.view(1, 2, 1, 1).expand(-1, -1, height, width)


def relief_of(*size):
    """Noise, and ways that turn everywhere."""
    return torch.cat([noise_of(*size, seed=seed) for seed in (0, 1, 2)], 1)


def flat(height, width):
    return torch.full((1, 3, height, width), 0.5)


def stripes(height, width, degrees):
    return (0.5 + 0.5 * (slope(height, width, degrees) / 2).sin()).expand(1, 3, -1, -1)


def likeness(drawn, degrees, distance_px=4.0):
    """Correlation of neighbours that lie so far apart along an angle."""
    turn = math.radians(degrees)
    down, across = (round(distance_px * f(turn)) for f in (math.sin, math.cos))
    inner = (..., slice(20, -20), slice(20, -20))
    moved = drawn.roll((-down, -across), (-2, -1))[inner]
    return torch.corrcoef(torch.stack([drawn[inner].flatten(), moved.flatten()]))[0, 1].item()


@pytest.mark.parametrize(("degrees", "axis"), [(0, -1), (90, -2)])
def test_on_a_flat_picture_noise_is_averaged_along_its_ways(degrees, axis):
    noise = noise_of(60, 64)
    relief = torch.cat([noise, ways(60, 64, degrees)], 1)
    wanted = noise
    for reach in PASSES_PX:
        wanted = 0.5 * wanted + 0.25 * (wanted.roll(reach, axis) + wanted.roll(-reach, axis))
    inner = (..., slice(24, -24), slice(24, -24))
    found = along_forms(flat(60, 64), relief)
    torch.testing.assert_close(found[inner], wanted[inner], rtol=0, atol=1e-4)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120, 135, 160])
def test_noise_goes_along_the_stripes_of_a_picture_whatever_its_ways(degrees):
    relief = torch.cat([noise_of(120, 120), ways(120, 120, degrees + 90)], 1)
    drawn = along_forms(stripes(120, 120, degrees), relief)
    assert likeness(drawn, degrees) > 0.6
    assert abs(likeness(drawn, degrees + 90)) < 0.2
    on_its_own = along_forms(flat(120, 120), relief)
    assert likeness(on_its_own, degrees + 90) > 0.6
    assert abs(likeness(on_its_own, degrees)) < 0.2


def test_brightness_and_contrast_of_a_form_do_not_turn_it():
    relief = torch.cat([noise_of(80, 80), ways(80, 80, 120)], 1)
    striped = stripes(80, 80, 30)
    drawn = along_forms(striped, relief)
    for other in (1 - striped, 0.2 + 0.6 * striped):
        torch.testing.assert_close(along_forms(other, relief), drawn, rtol=0, atol=0.05)


def test_a_turned_picture_has_turned_strokes():
    relief = relief_of(72, 90)
    drawn = along_forms(picture(72, 90), relief)
    quarter = torch.tensor([1.0, -1, -1]).view(3, 1, 1)
    turned = along_forms(picture(72, 90).rot90(1, (2, 3)), (quarter * relief).rot90(1, (2, 3)))
    torch.testing.assert_close(turned, drawn.rot90(1, (2, 3)), rtol=0, atol=1e-3)
    other_way = torch.tensor([1.0, 1, -1]).view(3, 1, 1)
    mirrored = along_forms(picture(72, 90).flip(3), (other_way * relief).flip(3))
    torch.testing.assert_close(mirrored, drawn.flip(3), rtol=0, atol=1e-3)


def test_it_is_linear_in_the_noise_and_knows_no_length_of_the_ways():
    drawn = along_forms(picture(48, 48), relief_of(48, 48))
    fainter = along_forms(picture(48, 48), relief_of(48, 48) * 0.25)
    torch.testing.assert_close(fainter, 0.25 * drawn, rtol=0, atol=1e-4)
    assert not along_forms(picture(48, 48), torch.zeros(1, 3, 48, 48)).any()


def test_pictures_of_a_batch_share_a_relief_or_have_their_own():
    pictures = torch.cat([picture(48, 60), picture(48, 60).flip(2)])
    relief = relief_of(48, 60)
    shared = along_forms(pictures, relief)
    assert shared.shape == (2, 1, 48, 60)
    for one, drawn in zip(pictures.split(1), shared.split(1), strict=True):
        torch.testing.assert_close(along_forms(one, relief), drawn, rtol=0, atol=1e-3)
    opposite = torch.tensor([-1.0, 1, 1]).view(3, 1, 1)
    own = along_forms(pictures, torch.cat([relief, opposite * relief]))
    turned = shared * torch.tensor([1.0, -1]).view(2, 1, 1, 1)
    torch.testing.assert_close(own, turned, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seamless", ["x", "y", "both"])
def test_where_pictures_wrap_strokes_go_on_at_the_other_edge(seamless):
    tile = picture(44, 52)
    relief = relief_of(44, 52)
    drawn = along_forms(tile, relief, seamless)
    axes = {"x": (3,), "y": (2,), "both": (2, 3)}[seamless]
    moved = along_forms(*(v.roll([14] * len(axes), axes) for v in (tile, relief)), seamless)
    torch.testing.assert_close(moved, drawn.roll([14] * len(axes), axes), rtol=0, atol=1e-4)


def test_what_lies_beyond_its_reach_changes_nothing():
    near, whole = 100, (64, 120)
    seen, relief = picture(*whole), relief_of(*whole)
    drawn = along_forms(seen, relief)
    other = torch.cat([seen[..., :near], 1 - seen[..., near:].square()], 3)
    changed = torch.cat([relief[..., :near], relief[..., near:] + 3], 3)
    difference = (along_forms(other, changed) - drawn).abs().amax((0, 1, 2))
    assert difference[: near - REACH_PX].max() < 1e-4
    assert difference[near:].min() > 0.1


@pytest.mark.parametrize("size", [(16, 16), (16, 47), (33, 16)])
@pytest.mark.parametrize("seamless", ["none", "x", "both"])
def test_the_smallest_pictures_have_strokes_too(size, seamless):
    drawn = along_forms(torch.rand(1, 3, *size), grain_relief(*size, 0), seamless)
    assert drawn.shape == (1, 1, *size)
    assert drawn.isfinite().all()
    assert drawn.std() > 0.1 * FULL_GRAIN


def test_half_precision_is_computed_in_full():
    relief = grain_relief(48, 48, 0)
    half = picture(48, 48).half()
    with torch.autocast("cpu", torch.bfloat16):
        found = along_forms(half, relief)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, along_forms(half.float(), relief))


def test_broad_touches_outweigh_fine_ones():
    """Fine noise that is drawn out looks like combed hair."""
    drawn = along_forms(flat(300, 300), grain_relief(300, 300, 0))[0, 0]
    beside = [(drawn[k:] * drawn[:-k]).mean() / drawn.var() for k in (1, 2, 4)]
    assert beside[0] > 0.9
    assert beside[1] > 0.75
    assert beside[2] > 0.4


@pytest.mark.parametrize("seed", [0, 1])
def test_full_grain_has_its_deviation_once_it_is_drawn_out(seed):
    relief = grain_relief(300, 300, seed)
    for seen in (flat(300, 300), picture(300, 300)):
        drawn = along_forms(seen, relief)
        assert drawn.std().item() == pytest.approx(FULL_GRAIN, rel=0.1)
