"""Touches: which lies on which, what they lose, and their strokes, against these by hand."""

import itertools
import math

import pytest
import torch
from samples import picture
from torch import Generator
from torch.nn.functional import max_pool2d

from metastyle_core import touches
from metastyle_core.flow import directions
from metastyle_core.grain import FULL_GRAIN, grain_relief
from metastyle_core.touches import REACH_PX, in_touches

# Radius, reach to both sides, how often rims are softened, tone, and of how many blocks of two
# pixels the means are that say what is lost.
BRUSHES = ((6, 24, 3, 1.0, 7), (4, 15, 2, 1.0, 5), (2, 7, 1, 0.85, 3), (1, 3, 1, 0.0, 3))


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


def stripes(height, width, degrees, contrast=0.05):
    """Waves of 12.6 px across. The broadest touches lose little of them by themselves."""
    return (0.5 + contrast * (slope(height, width, degrees) / 2).sin()).expand(1, 3, -1, -1)


def strokes_of(pictures, relief, seamless="none"):
    return in_touches(pictures, relief, 0.0, seamless)[1]


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


BROAD = octagon(*BRUSHES[0][:2])


def topmost(orders, values, places):
    """The values of the highest order at so many rows and columns from each pixel."""
    best, found = torch.full_like(orders, -math.inf), values
    for place in places:
        order = orders.roll(place, (2, 3))
        higher = order > best
        best = torch.where(higher, order, best)
        found = torch.where(higher, values.roll(place, (2, 3)), found)
    return found


def mean_around(values, width):
    """Of so many each way, twice."""
    for axis in (2, 3, 2, 3):
        shifts = range(-(width // 2), width // 2 + 1)
        values = sum(values.roll(shift, axis) for shift in shifts) / width
    return values


def softened(values, times=1):
    for axis in times * (2, 3):
        values = 0.5 * values + 0.25 * (values.roll(1, axis) + values.roll(-1, axis))
    return values


def lost_by_hand(touched, calm, width):
    """The deviation around, found at half the size and enlarged between the middles of blocks."""
    squares = (touched - calm).square().mean(1, keepdim=True)
    blocks = squares.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    around = mean_around(blocks, width)
    return softened(around.repeat_interleave(2, 2).repeat_interleave(2, 3)).sqrt()


def in_level_touches(pictures, noises, amount):
    """Painting, strokes and what share each brush has of both, of pictures that wrap round."""
    one, other = noises.split(1, dim=1)
    total, difference = (one + other) / math.sqrt(2), (one - other) / math.sqrt(2)
    orders = (one, other, total, difference)
    tones = (other, one, difference, total)
    calm, colours = mean_around(pictures, 3), mean_around(pictures, 5)
    painted, strokes = torch.zeros_like(pictures), torch.zeros_like(one)
    left = {"painted": torch.ones_like(one), "strokes": torch.ones_like(one)}
    shares = {"painted": [], "strokes": []}
    for (radius, reach, soft, tone, width), order, tones_of_it in zip(
        BRUSHES, orders, tones, strict=True
    ):
        there = torch.cat([colours, tones_of_it], 1)
        touch = softened(topmost(order, there, octagon(radius, reach)), soft)
        lost = lost_by_hand(touch[:, :3], calm, width)
        for kind, tolerance in (("painted", 0.4 * amount), ("strokes", 0.17)):
            # All up to a third of the tolerance, nothing from the tolerance on.
            kept = (1.5 * (1 - lost / tolerance)).clamp(0, 1)
            shares[kind].append(left[kind] * kept)
            left[kind] = left[kind] * (1 - kept)
        painted += shares["painted"][-1] * touch[:, :3]
        strokes += shares["strokes"][-1] * tone * touch[:, 3:]
    return painted + left["painted"] * pictures, strokes, shares


def level_waves():
    """(1, 3, 128, 64), of level lines, calm at the top and more and more lively below."""
    row = torch.arange(128.0)[:, None]
    contrast = torch.tensor([0.0, 0.1, 0.22, 0.48]).repeat_interleave(32)[:, None]
    wave = contrast * (row * (2 * torch.pi / 16)).sin()
    colours = torch.tensor([1.0, 0.8, -0.6]).view(3, 1, 1)
    return (0.5 + colours * wave).expand(1, 3, 128, 64)


@pytest.mark.parametrize("degrees", [0, 90])
def test_on_a_flat_picture_the_broadest_touch_on_top_shows_its_tone(degrees):
    """It loses nothing, so that none goes over it."""
    noises = noises_of(130, 190)
    one, other = noises.split(1, dim=1)
    wanted = softened(topmost(one, other, BROAD), 3)
    if degrees:
        noises, wanted = noises.transpose(2, 3), wanted.transpose(2, 3)
    relief = torch.cat([noises, ways(*noises.shape[2:], degrees)], 1)
    found = strokes_of(flat(*noises.shape[2:]), relief)
    inner = (..., slice(40, -40), slice(40, -40))
    torch.testing.assert_close(found[inner], wanted[inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize("degrees", [0, 90])
def test_finer_touches_go_over_broader_ones_by_what_these_lose(degrees):
    pictures, noises = level_waves(), noises_of(128, 64)
    painted, strokes, shares = in_level_touches(pictures, noises, 0.4)
    for kind, brushes in (("painted", 4), ("strokes", 3)):
        for share in shares[kind][:brushes]:
            assert share.min() < 0.01 < 0.5 < share.max(), f"a brush is not seen: {kind}"
    if degrees:
        pictures, noises, painted, strokes = (
            each.transpose(2, 3) for each in (pictures, noises, painted, strokes)
        )
    relief = torch.cat([noises, ways(*noises.shape[2:], degrees)], 1)
    found = in_touches(pictures, relief, 0.4, "both")
    torch.testing.assert_close(found[0], painted, rtol=0, atol=1e-4)
    torch.testing.assert_close(found[1], strokes, rtol=0, atol=1e-4)


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 110])
def test_a_touch_has_one_tone_whichever_way_it_goes(degrees, monkeypatch):
    """No pixel within is left out: they would be a lattice."""
    monkeypatch.setattr(touches, "_softened", lambda values, _: values)
    noises = torch.zeros(1, 2, 121, 121)
    noises[..., 60, 60] = 1.0
    touch = strokes_of(flat(121, 121), torch.cat([noises, ways(121, 121, degrees)], 1)) > 0
    assert touch.sum().item() == pytest.approx(len(BROAD), rel=0.3)
    grown = max_pool2d(touch.float(), 3, 1, 1)
    assert torch.equal(-max_pool2d(-grown, 3, 1, 1) > 0, touch), "there are holes"


def test_large_pictures_are_laid_in_blocks_without_seams(monkeypatch):
    seen = 0.6 * picture(300, 200) + 0.2 * stripes(300, 200, 30, 0.5) + 0.2
    relief = relief_of(300, 200)
    whole, blocks = in_touches(seen, relief, 0.4), []
    lay = touches._touched

    def note(pictures, *rest):
        blocks.append(pictures.shape[-2:])
        return lay(pictures, *rest)

    monkeypatch.setattr(touches, "_touched", note)
    monkeypatch.setattr(touches, "_ROWS", 160)
    monkeypatch.setattr(touches, "_COLUMNS", 130)
    for found, wanted in zip(in_touches(seen, relief, 0.4), whole, strict=True):
        assert torch.equal(found, wanted)
    assert blocks == [(220, 190), (220, 130), (200, 190), (200, 130)]


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120, 135, 160])
def test_touches_go_along_the_stripes_of_a_picture_whatever_its_ways(degrees):
    """Pixels are alike as often as one touch covers both.

    At 12 px along a touch of 61 px of two such touches two thirds are common to both, across one of
    13 px next to nothing.
    """
    relief = torch.cat([noises_of(240, 240), ways(240, 240, degrees + 90)], 1)
    drawn = strokes_of(stripes(240, 240, degrees), relief)
    assert likeness(drawn, degrees) > 0.6
    assert abs(likeness(drawn, degrees + 90)) < 0.25
    on_its_own = strokes_of(flat(240, 240), relief)
    assert likeness(on_its_own, degrees + 90) > 0.6
    assert abs(likeness(on_its_own, degrees)) < 0.25


def test_brightness_and_contrast_of_a_form_do_not_turn_it():
    free = ways(80, 80, 120)
    relief, striped = torch.cat([noises_of(80, 80), free], 1), stripes(80, 80, 30, 0.3)
    drawn = strokes_of(striped, relief)
    for other in (1 - striped, 0.1 + striped):
        torch.testing.assert_close(strokes_of(other, relief), drawn, rtol=0, atol=0.05)
    for found, wanted in zip(
        directions(0.3 + 0.4 * striped, free), directions(striped, free), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.05)


def test_a_turned_picture_has_turned_touches():
    relief, seen = relief_of(72, 90), picture(72, 90)
    drawn = in_touches(seen, relief, 0.4)
    quarter = torch.tensor([1.0, 1, -1, -1]).view(4, 1, 1)
    other_way = torch.tensor([1.0, 1, 1, -1]).view(4, 1, 1)
    turned = in_touches(seen.rot90(1, (2, 3)), (quarter * relief).rot90(1, (2, 3)), 0.4)
    mirrored = in_touches(seen.flip(3), (other_way * relief).flip(3), 0.4)
    for was, one, other in zip(drawn, turned, mirrored, strict=True):
        torch.testing.assert_close(one, was.rot90(1, (2, 3)), rtol=0, atol=1e-3)
        torch.testing.assert_close(other, was.flip(3), rtol=0, atol=1e-3)


def test_strokes_are_as_strong_as_the_noises_and_know_no_length_of_the_ways():
    drawn = in_touches(picture(48, 48), relief_of(48, 48), 0.4)
    fainter = in_touches(picture(48, 48), relief_of(48, 48) * 0.25, 0.4)
    torch.testing.assert_close(fainter[0], drawn[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(fainter[1], 0.25 * drawn[1], rtol=0, atol=1e-4)
    assert not strokes_of(picture(48, 48), torch.zeros(1, 4, 48, 48)).any()


def test_strokes_are_the_same_whatever_the_amount():
    seen, relief = picture(48, 48), relief_of(48, 48)
    drawn = strokes_of(seen, relief)
    for amount in (0.25, 1.0, torch.tensor([0.5])):
        assert torch.equal(in_touches(seen, relief, amount)[1], drawn)


def test_where_every_touch_loses_too_much_there_are_no_strokes():
    """One colour over light and dark squares loses at least their deviation, some 0.3."""
    row, column = torch.arange(96)[:, None] // 6, torch.arange(96) // 6
    squares = ((row + column) % 2).float().expand(1, 3, 96, 96)
    relief, inner = relief_of(96, 96), (..., slice(8, -8), slice(8, -8))
    assert not strokes_of(squares, relief)[inner].any()
    assert strokes_of(0.1 * squares, relief)[inner].std() > 0.5


def test_pictures_of_a_batch_share_a_relief_or_have_their_own():
    pictures = torch.cat([picture(48, 60), picture(48, 60).flip(2)])
    relief = relief_of(48, 60)
    shared = in_touches(pictures, relief, 0.4)
    assert [each.shape for each in shared] == [(2, 3, 48, 60), (2, 1, 48, 60)]
    for i, one in enumerate(pictures.split(1)):
        alone = in_touches(one, relief, 0.4)
        for found, wanted in zip(alone, shared, strict=True):
            torch.testing.assert_close(found, wanted[i : i + 1], rtol=0, atol=1e-3)
    weaker = torch.tensor([0.5, 0.5, 1, 1]).view(4, 1, 1)
    own = in_touches(pictures, torch.cat([relief, weaker * relief]), 0.4)
    fainter = shared[1] * torch.tensor([1.0, 0.5]).view(2, 1, 1, 1)
    torch.testing.assert_close(own[0], shared[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(own[1], fainter, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seamless", ["x", "y", "both"])
def test_where_pictures_wrap_touches_go_on_at_the_other_edge(seamless):
    tile, relief = picture(44, 52), relief_of(44, 52)
    axes = {"x": (3,), "y": (2,), "both": (2, 3)}[seamless]
    by = [14] * len(axes)
    drawn = in_touches(tile, relief, 0.4, seamless)
    moved = in_touches(tile.roll(by, axes), relief.roll(by, axes), 0.4, seamless)
    for found, wanted in zip(moved, drawn, strict=True):
        torch.testing.assert_close(found, wanted.roll(by, axes), rtol=0, atol=1e-4)


def test_what_lies_beyond_its_reach_changes_nothing():
    near, whole = 100, (64, 140)
    seen, relief = picture(*whole), relief_of(*whole)
    drawn = in_touches(seen, relief, 0.4)
    other = torch.cat([seen[..., :near], 1 - seen[..., near:].square()], 3)
    changed = torch.cat([relief[..., :near], relief[..., near:] + 3], 3)
    for found, wanted in zip(in_touches(other, changed, 0.4), drawn, strict=True):
        difference = (found - wanted).abs().amax((0, 1, 2))
        assert difference[: near - REACH_PX].max() < 1e-4
        assert difference[near:].min() > 0.05


@pytest.mark.parametrize("size", [(16, 16), (16, 47), (33, 16)])
@pytest.mark.parametrize("seamless", ["none", "x", "both"])
def test_the_smallest_pictures_have_strokes_too(size, seamless):
    seen = torch.rand(1, 3, *size, generator=Generator().manual_seed(0))
    squares = []
    for seed in range(8):
        painted, drawn = in_touches(seen, grain_relief(*size, seed), 0.5, seamless)
        assert painted.shape == seen.shape
        assert painted.isfinite().all()
        assert drawn.shape == (1, 1, *size)
        squares.append(drawn.square().mean())
    # One touch may cover all.
    assert torch.stack(squares).mean().sqrt() > 0.4 * FULL_GRAIN


def test_half_precision_is_computed_in_full():
    relief = grain_relief(48, 48, 0)
    half = picture(48, 48).half()
    with torch.autocast("cpu", torch.bfloat16):
        found = in_touches(half, relief, 0.4)
    for each, wanted in zip(found, in_touches(half.float(), relief, 0.4), strict=True):
        assert each.dtype == torch.float32
        torch.testing.assert_close(each, wanted)


@pytest.mark.parametrize("seed", [0, 1])
def test_full_grain_has_its_deviation(seed):
    """Of touches 13 px wide the softening of rims takes a tenth."""
    drawn = strokes_of(flat(600, 600), grain_relief(600, 600, seed))
    assert drawn.std().item() == pytest.approx(0.9 * FULL_GRAIN, rel=0.08)
