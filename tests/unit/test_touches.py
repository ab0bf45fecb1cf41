"""Painting in touches: what of a photograph must stay, what must go, and what is refused."""

from itertools import pairwise

import pytest
import torch
from samples import TOLERANCES, picture
from torch import Generator

from metastyle_core import touches
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import SettingsError, ShapeError
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.grain import grain_relief
from metastyle_core.network import stylize_with
from metastyle_core.stylization import stylize
from metastyle_core.tiling import Strips
from metastyle_core.touches import REACH_PX, USUAL_ABSTRACTION, content_of, in_touches

INNER = (..., slice(24, -24), slice(24, -24))


@pytest.fixture(scope="module")
def style(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)


def painted(pictures, amount, seamless="none"):
    relief = grain_relief(*pictures.shape[-2:], 0, wrapping=seamless != "none")
    return in_touches(pictures, relief, amount, seamless)[0]


def waves(width_px, *, turned):
    """Of so many pixels across, (1, 3, 120, 120)."""
    wave = 0.5 + 0.3 * (torch.arange(120) * (2 * torch.pi / width_px)).sin()
    return (wave if turned else wave[:, None]).expand(1, 3, 120, 120)


def noise(*size, seed=0):
    return torch.randn(size, generator=Generator().manual_seed(seed))


def lively(height, width):
    """Forms with texture on them."""
    texture = torch.rand(1, 3, height, width, generator=Generator().manual_seed(0))
    return 0.7 * picture(height, width) + 0.3 * texture


def test_an_amount_of_zero_changes_nothing(generator):
    pictures = torch.rand(2, 3, 20, 31, generator=generator)
    assert torch.equal(painted(pictures, 0.0), pictures)


@pytest.mark.parametrize("seamless", ["none", "both"])
def test_each_picture_takes_an_amount_of_its_own(seamless):
    pictures = torch.cat([picture(64, 72, seed) for seed in range(4)])
    amounts = [0.0, 0.25, 0.6, 1.0]
    alone = [
        painted(each, amount, seamless)
        for each, amount in zip(pictures.split(1), amounts, strict=True)
    ]
    together = painted(pictures, torch.tensor(amounts), seamless)
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


@pytest.mark.parametrize("seamless", ["none", "x"])
def test_each_place_takes_an_amount_of_its_own(seamless, monkeypatch):
    monkeypatch.setattr(touches, "_ROWS", 40)
    pictures = lively(64, 480)
    amounts = torch.where(torch.arange(480) < 240, 0.2, 0.8).expand(1, 1, 64, 480)
    found = painted(pictures, amounts, seamless)
    for amount, columns in ((0.2, slice(100, 140)), (0.8, slice(340, 380))):
        wanted = painted(pictures, amount, seamless)
        torch.testing.assert_close(found[..., columns], wanted[..., columns], rtol=0, atol=1e-5)
    assert (found - painted(pictures, 0.2, seamless)).abs().amax() > 0.05


@pytest.mark.parametrize("amount", [0.25, 1.0])
def test_flat_pictures_stay_flat(amount):
    flat = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 40, 50)
    torch.testing.assert_close(painted(flat, amount), flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("amount", "width_px"), [(0.25, 12), (0.5, 12), (1.0, 60)])
def test_forms_stay(amount, width_px, turned):
    """The greatest amount leaves those that are wider than its touches."""
    forms = waves(width_px, turned=turned)
    found = painted(forms + 0.02 * noise(1, 3, 120, 120), amount)
    kept = torch.corrcoef(torch.stack([found[INNER].flatten(), forms[INNER].flatten()]))
    assert kept[0, 1] > 0.9


@pytest.mark.parametrize("amount", [0.25, 0.5, 1.0])
def test_noise_goes(amount):
    """Twice a mean over 5x5 pixels leaves 0.136 of it."""
    found = painted(0.5 + 0.02 * noise(1, 3, 120, 120), amount)
    assert found[INNER].std() < 0.2 * 0.02
    one, other = (picture(96, 100) + 0.02 * noise(1, 3, 96, 100, seed=seed) for seed in (0, 1))
    difference = painted(one, amount) - painted(other, amount)
    assert difference.abs().mean() < 0.5 * (one - other).abs().mean()


def test_more_is_further_from_the_photograph():
    photograph = lively(96, 100)
    went = [
        (painted(photograph, amount) - photograph).square().mean().sqrt()
        for amount in (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
    ]
    assert all(further > 1.1 * less for less, further in pairwise(went))


def test_half_of_what_counts_is_the_photograph_and_half_are_its_touches(generator):
    photograph = torch.rand(2, 3, 20, 31, generator=generator)
    strokes = torch.rand(2, 1, 20, 31, generator=generator)
    kept = content_of(photograph, photograph, torch.zeros_like(strokes))
    torch.testing.assert_close(kept, photograph)
    laid_on = content_of(photograph, photograph, strokes) - photograph
    torch.testing.assert_close(laid_on, (0.5 * strokes).expand_as(photograph))
    torch.testing.assert_close(content_of(photograph, 0 * photograph, 0 * strokes), photograph / 2)


def test_a_touch_has_one_colour_and_one_tone(monkeypatch):
    """Of a picture of which broad touches lose little there are as many colours as touches."""
    monkeypatch.setattr(touches, "_softened", lambda values, _: values)
    seen = 0.4 + 0.05 * picture(96, 100)
    found = torch.cat(in_touches(seen, grain_relief(96, 100, 0), 1.0), 1)
    pixels = found.flatten(2)[0].T
    colours, tones, both = (part.unique(dim=0) for part in (pixels[:, :3], pixels[:, 3], pixels))
    assert len(colours) == len(tones) == len(both)
    # Each is 13 px wide or more, and what is seen of it about a third of that.
    assert 10 < len(tones) < 100


def test_moving_the_picture_moves_what_is_painted():
    wide, relief = lively(140, 150), grain_relief(140, 150, 0)
    inner = (..., slice(REACH_PX, None), slice(REACH_PX, None))
    moved = in_touches(wide[..., 6:, 4:], relief[..., 6:, 4:], 0.5)
    for found, whole in zip(moved, in_touches(wide, relief, 0.5), strict=True):
        torch.testing.assert_close(found[inner], whole[..., 6:, 4:][inner], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("seamless", "move"), [("x", (0, 18)), ("y", (10, 0)), ("both", (-6, 20))])
def test_moving_a_picture_that_wraps_round_moves_what_is_painted(seamless, move, generator):
    pictures = torch.rand(2, 3, 40, 48, generator=generator)
    relief = grain_relief(40, 48, 0, wrapping=True)
    found = in_touches(pictures, relief, 1.0, seamless)
    moved = in_touches(pictures.roll(move, (2, 3)), relief.roll(move, (2, 3)), 1.0, seamless)
    for one, other in zip(moved, found, strict=True):
        torch.testing.assert_close(one, other.roll(move, (2, 3)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("amount", [USUAL_ABSTRACTION, 1.0])
@pytest.mark.parametrize("size", [(16, 16), (17, 33), (300, 16)])
def test_small_and_odd_sizes(size, amount):
    black_and_white = (picture(*size) > 0.5).float()
    found = painted(black_and_white, amount)
    assert found.shape == (1, 3, *size)
    assert found.isfinite().all()
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.usefixtures("all_touches")
def test_the_network_reads_the_painting_and_its_strokes(random_base, style):
    image = (0.7 * picture(60, 70) + 0.3 * noise(1, 3, 60, 70).sigmoid()).clamp(0, 1)
    options = {"precision": "fp32", "grain": 0.5, "seed": 3, "colouring": AS_DRAWN}
    drawn = stylize(random_base, style, image, abstraction=0.6, **options)
    found, strokes = in_touches(image, grain_relief(60, 70, 3), 0.6)
    wanted = stylize_with(random_base.network, style.fast_weights, found + 0.5 * strokes)
    torch.testing.assert_close(drawn, wanted, **TOLERANCES[torch.float32])
    assert (drawn - stylize(random_base, style, image, **options)).abs().max() > 1e-2


@pytest.mark.usefixtures("all_touches")
def test_strength_lets_the_details_of_the_photograph_back(random_base, style):
    image = picture(40, 44)
    less = painted(image, 0.3)
    wanted = stylize(random_base, style, less, strength=0.5, precision="fp32")
    drawn = stylize(random_base, style, image, strength=0.5, abstraction=0.6, precision="fp32")
    # What is mixed in is the photograph as it is.
    wanted = wanted + 0.5 * (image - less)
    torch.testing.assert_close(drawn, wanted, rtol=0, atol=1e-6)
    assert (less - image).abs().max() > 1e-2


@pytest.mark.parametrize("slanted", [False, True])
@pytest.mark.parametrize(("width_px", "least"), [(2, 0.8), (3, 0.95)])
def test_thin_dark_lines_keep_most_of_their_contrast(width_px, least, slanted):
    places = (torch.arange(120 * 8) + 0.5) / 8
    away = (places[:, None] - places).abs() / 2**0.5 if slanted else (places - 60).abs()
    lies_on_it = (away < width_px / 2).float().expand(1, 1, 960, 960)
    line = (0.85 - 0.65 * torch.nn.functional.avg_pool2d(lies_on_it, 8)).expand(1, 3, 120, 120)
    darkest = line[INNER] < line.min() + 0.01
    found = painted(line, USUAL_ABSTRACTION)[INNER][darkest].mean()
    assert 0.85 - found > least * (0.85 - line.min())


def test_strong_contrasts_stay_at_the_usual_amount():
    """A pupil as it is, and both sides of an outline but for a few pixels."""
    place = torch.arange(120) - 59.5
    pupil = 0.8 - 0.6 * (torch.hypot(place[:, None], place) < 4).float().expand(1, 3, 120, 120)
    assert (painted(pupil, USUAL_ABSTRACTION) - pupil)[pupil < 0.5].abs().mean() < 0.02
    outline = 0.5 + 0.3 * place.sign().expand(1, 3, 120, 120)
    found = painted(outline, USUAL_ABSTRACTION)[INNER]
    assert (found[..., 39] - found[..., 32]).min() > 0.8 * 0.6


@pytest.mark.parametrize("above_px", [None, 0])
@pytest.mark.parametrize("size", [(1, 100), (15, 40), (40, 2)])
def test_pictures_that_are_too_small_are_refused_by_their_size(random_base, style, size, above_px):
    strips = Strips(above_px=above_px)
    for controls in ({"abstraction": 0.5}, {"grain": 0.5}, {}):
        with pytest.raises(ShapeError, match=f"{size[1]}x{size[0]} px; both sides must be at"):
            stylize(random_base, style, torch.rand(1, 3, *size), strips=strips, **controls)


@pytest.mark.parametrize("amount", [-0.1, 1.5, float("nan")])
def test_other_amounts_are_refused(random_base, style, amount):
    with pytest.raises(SettingsError, match=f"abstraction is {amount}; a number from 0 to 1"):
        painted(picture(20, 20), amount)
    with pytest.raises(SettingsError, match="abstraction is"):
        stylize(random_base, style, picture(20, 20), abstraction=amount)
