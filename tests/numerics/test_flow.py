"""Flow: touches along the forms of a picture, against what they are by hand."""

import itertools
import math

import pytest
import torch
from samples import picture
from torch import Generator
from torch.nn.functional import max_pool2d

from metastyle_core import flow
from metastyle_core.flow import REACH_PX, along_forms
from metastyle_core.grain import FULL_GRAIN, grain_relief


def noises_of(*size, seed=0):
    return torch.randn(1, 2, *size, generator=Generator().manual_seed(seed))


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
    """Noises, and ways that turn everywhere."""
    return torch.cat([noises_of(*size), noises_of(*size, seed=1)], 1)


def flat(height, width):
    return torch.full((1, 3, height, width), 0.5)


def stripes(height, width, degrees):
    return (0.5 + 0.5 * (slope(height, width, degrees) / 2).sin()).expand(1, 3, -1, -1)


def likeness(drawn, degrees, distance_px=12.0):
    """Correlation of neighbours that lie so far apart along an angle."""
    turn = math.radians(degrees)
    down, across = (round(distance_px * f(turn)) for f in (math.sin, math.cos))
    inner = (..., slice(20, -20), slice(20, -20))
    moved = drawn.roll((-down, -across), (-2, -1))[inner]
    return torch.corrcoef(torch.stack([drawn[inner].flatten(), moved.flatten()]))[0, 1].item()


def octagon(radius, reach):
    """Rows and columns of a round brush that is drawn so far to both sides."""
    square, diamond = math.ceil(radius / 2), radius // 2
    tip = [
        (row, column)
        for row, column in itertools.product(range(-radius, radius + 1), repeat=2)
        if abs(row) + abs(column) <= 2 * square + diamond
    ]
    return {(row, column + along) for row, column in tip for along in range(-reach, reach + 1)}


BROAD, FINE = octagon(4, 15), octagon(2, 7)


def topmost(order, tones, places):
    """The tone of the highest order at so many rows and columns from each pixel."""
    orders, found = (
        torch.stack([values.roll(place, (2, 3)) for place in places]) for values in (order, tones)
    )
    return found.gather(0, orders.argmax(0, keepdim=True))[0]


@pytest.mark.parametrize("degrees", [0, 90])
def test_on_a_flat_picture_the_topmost_touch_of_each_size_shows_its_tone(degrees):
    noises = noises_of(90, 96)
    one, other = (noises if degrees == 0 else noises.transpose(2, 3)).split(1, dim=1)
    wanted = (0.8 * topmost(one, other, BROAD) + 0.6 * topmost(other, one, FINE)) / 0.92
    for axis in (2, 3):
        wanted = 0.5 * wanted + 0.25 * (wanted.roll(1, axis) + wanted.roll(-1, axis))
    wanted = wanted if degrees == 0 else wanted.transpose(2, 3)
    found = along_forms(flat(90, 96), torch.cat([noises, ways(90, 96, degrees)], 1))
    inner = (..., slice(24, -24), slice(24, -24))
    torch.testing.assert_close(found[inner], wanted[inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 110])
def test_a_touch_has_one_tone_whichever_way_it_goes(degrees, monkeypatch):
    """No pixel within is left out: they would be a lattice."""
    monkeypatch.setattr(flow, "_SOFT", (0.0, 1.0, 0.0))
    noises = torch.zeros(1, 2, 61, 61)
    noises[..., 30, 30] = 1.0
    touch = along_forms(flat(61, 61), torch.cat([noises, ways(61, 61, degrees)], 1)) > 0
    assert touch.sum().item() == pytest.approx(len(BROAD), rel=0.3)
    grown = max_pool2d(touch.float(), 3, 1, 1)
    assert torch.equal(-max_pool2d(-grown, 3, 1, 1) > 0, touch), "there are holes"


def test_large_pictures_are_laid_in_strips_without_seams(monkeypatch):
    seen, relief = picture(200, 90), relief_of(200, 90)
    whole = along_forms(seen, relief)
    monkeypatch.setattr(flow, "_PIXELS_AT_ONCE", 90 * 42)
    assert torch.equal(along_forms(seen, relief), whole)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120, 135, 160])
def test_touches_go_along_the_stripes_of_a_picture_whatever_its_ways(degrees):
    relief = torch.cat([noises_of(240, 240), ways(240, 240, degrees + 90)], 1)
    drawn = along_forms(stripes(240, 240, degrees), relief)
    assert likeness(drawn, degrees) > 0.28
    assert abs(likeness(drawn, degrees + 90)) < 0.2
    on_its_own = along_forms(flat(240, 240), relief)
    assert likeness(on_its_own, degrees + 90) > 0.28
    assert abs(likeness(on_its_own, degrees)) < 0.2


def test_brightness_and_contrast_of_a_form_do_not_turn_it():
    relief = torch.cat([noises_of(80, 80), ways(80, 80, 120)], 1)
    striped = stripes(80, 80, 30)
    drawn = along_forms(striped, relief)
    for other in (1 - striped, 0.2 + 0.6 * striped):
        torch.testing.assert_close(along_forms(other, relief), drawn, rtol=0, atol=0.05)


def test_a_turned_picture_has_turned_strokes():
    relief = relief_of(72, 90)
    drawn = along_forms(picture(72, 90), relief)
    quarter = torch.tensor([1.0, 1, -1, -1]).view(4, 1, 1)
    turned = along_forms(picture(72, 90).rot90(1, (2, 3)), (quarter * relief).rot90(1, (2, 3)))
    torch.testing.assert_close(turned, drawn.rot90(1, (2, 3)), rtol=0, atol=1e-3)
    other_way = torch.tensor([1.0, 1, 1, -1]).view(4, 1, 1)
    mirrored = along_forms(picture(72, 90).flip(3), (other_way * relief).flip(3))
    torch.testing.assert_close(mirrored, drawn.flip(3), rtol=0, atol=1e-3)


def test_it_is_as_strong_as_the_noises_and_knows_no_length_of_the_ways():
    drawn = along_forms(picture(48, 48), relief_of(48, 48))
    fainter = along_forms(picture(48, 48), relief_of(48, 48) * 0.25)
    torch.testing.assert_close(fainter, 0.25 * drawn, rtol=0, atol=1e-4)
    assert not along_forms(picture(48, 48), torch.zeros(1, 4, 48, 48)).any()


def test_pictures_of_a_batch_share_a_relief_or_have_their_own():
    pictures = torch.cat([picture(48, 60), picture(48, 60).flip(2)])
    relief = relief_of(48, 60)
    shared = along_forms(pictures, relief)
    assert shared.shape == (2, 1, 48, 60)
    for one, drawn in zip(pictures.split(1), shared.split(1), strict=True):
        torch.testing.assert_close(along_forms(one, relief), drawn, rtol=0, atol=1e-3)
    weaker = torch.tensor([0.5, 0.5, 1, 1]).view(4, 1, 1)
    own = along_forms(pictures, torch.cat([relief, weaker * relief]))
    fainter = shared * torch.tensor([1.0, 0.5]).view(2, 1, 1, 1)
    torch.testing.assert_close(own, fainter, rtol=0, atol=1e-5)


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


@pytest.mark.parametrize("seed", [0, 1])
def test_full_grain_has_its_deviation(seed):
    relief = grain_relief(300, 300, seed)
    for seen in (flat(300, 300), picture(300, 300)):
        drawn = along_forms(seen, relief)
        assert drawn.std().item() == pytest.approx(FULL_GRAIN, rel=0.1)
