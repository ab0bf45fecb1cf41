"""Grain: what the noise is like, and what it does to a stylized picture."""

import math
from itertools import pairwise

import pytest
import torch
from samples import picture
from torch import Generator

from metastyle_core import grain
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import SettingsError
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.grain import (
    FULL_GRAIN,
    drawn_relief,
    grain_relief,
    relief_rows,
    smooth_noise,
    turned_relief,
)
from metastyle_core.stylization import stylize
from metastyle_core.touches import in_touches


@pytest.fixture(scope="module")
def style(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)


@pytest.mark.parametrize("cell_px", [1.0, 4.0, 6.5, 16.0])
def test_smooth_noise_has_unit_deviation_and_the_size_asked_for(cell_px):
    noise = smooth_noise(200, 301, cell_px, torch.Generator().manual_seed(1))
    assert noise.shape == (1, 1, 200, 301)
    assert noise.std().item() == pytest.approx(1, abs=0.1)
    assert noise.mean().item() == pytest.approx(0, abs=0.15)


def test_neighbours_are_alike_within_a_cell_and_strangers_beyond():
    noise = smooth_noise(400, 400, 8.0, torch.Generator().manual_seed(1))[0, 0]
    near = (noise[:, 1:] * noise[:, :-1]).mean().item()
    far = (noise[:, 24:] * noise[:, :-24]).mean().item()
    assert near > 0.9
    assert abs(far) < 0.15


def test_the_relief_depends_on_size_and_seed_alone():
    assert torch.equal(grain_relief(40, 50, 3), grain_relief(40, 50, 3))
    assert not torch.equal(grain_relief(40, 50, 3), grain_relief(40, 50, 4))
    for noise in grain_relief(300, 300, 0)[0, :2]:
        assert noise.std().item() == pytest.approx(FULL_GRAIN, rel=0.02)


@pytest.mark.parametrize("wrapping", [False, True])
def test_a_relief_is_the_same_in_pieces(wrapping):
    whole = grain_relief(150, 40, 3, wrapping=wrapping)
    rows = relief_rows(150, 40, 3, wrapping=wrapping)
    pieces = [rows.read(a, b) for a, b in pairwise((0, 5, 63, 64, 130, 150))]
    torch.testing.assert_close(torch.cat(pieces, 2), whole, rtol=0, atol=1e-6)
    first, second = whole[0, :2].flatten(1)
    assert abs(torch.corrcoef(torch.stack([first, second]))[0, 1]) < 0.05
    assert not torch.equal(whole[..., :64, :], whole[..., 64:128, :]), "strips repeat"


def test_a_large_relief_is_not_kept(monkeypatch):
    monkeypatch.setattr(grain, "_MOST_KEPT_PX", 40 * 50)
    assert grain_relief(40, 50, 3) is grain_relief(40, 50, 3)
    large = grain_relief(40, 51, 3)
    assert torch.equal(large, grain_relief(40, 51, 3))
    assert large is not grain_relief(40, 51, 3)


def test_frames_of_full_hd_have_their_relief_kept():
    assert 1920 * 1080 <= grain._MOST_KEPT_PX <= 2**21


@pytest.mark.parametrize("size", [(300, 300), (90, 600)])
def test_where_nothing_decides_strokes_sway_about_what_rises_to_the_right(size):
    cosine, sine = grain_relief(*size, 0)[0, 2:]
    torch.testing.assert_close(cosine.square() + sine.square(), torch.ones(size))
    angle = 0.5 * torch.atan2(sine, cosine)
    away = (angle + 0.45 + math.pi / 2).remainder(math.pi) - math.pi / 2
    assert away.mean().abs() < 0.2
    assert 0.3 < away.std() < 0.7


def test_a_turned_relief_sways_about_another_direction_with_the_same_noise():
    relief = drawn_relief(64, 48, Generator().manual_seed(0)).expand(3, -1, -1, -1)
    turned = turned_relief(relief, torch.tensor([0.0, 0.7, math.pi]))
    assert torch.equal(turned[:, :2], relief[:, :2])
    torch.testing.assert_close(turned[::2], relief[::2])
    before, after = (0.5 * torch.atan2(v[1, 3], v[1, 2]) for v in (relief, turned))
    away = (after - before - 0.7).remainder(math.pi)
    assert torch.minimum(away, math.pi - away).max() < 1e-5


@pytest.mark.usefixtures("all_touches")
def test_no_grain_is_no_change_and_grain_changes_what_is_read(random_base, style):
    image = torch.full((1, 3, 48, 48), 0.5)
    plain = stylize(random_base, style, image, precision="fp32")
    none = stylize(random_base, style, image, precision="fp32", grain=0.0, seed=5)
    assert torch.equal(plain, none)
    grained = stylize(random_base, style, image, precision="fp32", grain=0.5, seed=5)
    _, strokes = in_touches(image, grain_relief(48, 48, 5), 0.0)
    wanted = stylize(random_base, style, image + 0.5 * strokes, precision="fp32")
    torch.testing.assert_close(grained, wanted, rtol=0, atol=1e-5)
    assert (grained - plain).abs().max() > 1e-3


def test_all_frames_have_the_same_grain_and_strength_0_has_none(random_base, style):
    frames = torch.full((3, 3, 32, 32), 0.5)
    drawn = stylize(
        random_base, style, frames, precision="fp32", grain=1.0, batch=2, colouring=AS_DRAWN
    )
    torch.testing.assert_close(drawn[1:], drawn[:1].expand(2, -1, -1, -1), rtol=0, atol=1e-6)
    assert torch.equal(stylize(random_base, style, frames, grain=1.0, strength=0.0), frames)


@pytest.mark.parametrize("grain", [-0.1, 1.5, float("nan")])
def test_grain_out_of_range_is_refused(random_base, style, grain):
    with pytest.raises(SettingsError, match=r"grain is .*0 to 1"):
        stylize(random_base, style, torch.zeros(1, 3, 32, 32), grain=grain)
