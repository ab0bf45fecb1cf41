"""Abstraction: photographs painted over along their forms, against what must stay and go."""

import pytest
import torch
from samples import picture
from torch import Generator

from metastyle_core import abstraction
from metastyle_core.abstraction import USUAL_ABSTRACTION, abstracted
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import SettingsError, ShapeError
from metastyle_core.images import luminance
from metastyle_core.stylization import stylize
from metastyle_core.tiling import Strips

INNER = (..., slice(24, -24), slice(24, -24))


@pytest.fixture(scope="module")
def style(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)


def stripes(height, width, *, turned):
    """Waves of 12 px across, (1, 3, height, width)."""
    wave = 0.5 + 0.3 * (torch.arange(width if turned else height) * (torch.pi / 6)).sin()
    return (wave if turned else wave[:, None]).expand(1, 3, height, width)


def noise(*size, seed=0):
    return torch.randn(size, generator=Generator().manual_seed(seed))


def test_an_amount_of_zero_changes_nothing(generator):
    pictures = torch.rand(2, 3, 20, 31, generator=generator)
    assert torch.equal(abstracted(pictures, 0.0), pictures)


@pytest.mark.parametrize("seamless", ["none", "both"])
def test_each_picture_takes_an_amount_of_its_own(seamless):
    pictures = torch.cat([picture(64, 72, seed) for seed in range(4)])
    amounts = [0.0, 0.25, 0.6, 1.0]
    alone = [
        abstracted(each, amount, seamless)
        for each, amount in zip(pictures.split(1), amounts, strict=True)
    ]
    together = abstracted(pictures, torch.tensor(amounts), seamless)
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


@pytest.mark.parametrize("amount", [0.25, 1.0])
def test_flat_pictures_stay_flat(amount):
    flat = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 40, 50)
    torch.testing.assert_close(abstracted(flat, amount), flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_forms_stay(turned):
    forms = stripes(96, 100, turned=turned)
    for amount in (0.25, 0.5, 1.0):
        painted = abstracted(forms + 0.02 * noise(1, 3, 96, 100), amount)
        kept = torch.corrcoef(torch.stack([painted[INNER].flatten(), forms[INNER].flatten()]))
        assert kept[0, 1] > 0.9


def test_noise_goes():
    one, other = (picture(96, 100) + 0.02 * noise(1, 3, 96, 100, seed=seed) for seed in (0, 1))
    for amount in (0.25, 0.5, 1.0):
        difference = abstracted(one, amount) - abstracted(other, amount)
        assert difference.abs().mean() < 0.6 * (one - other).abs().mean()


def test_a_soft_edge_becomes_steeper():
    edge = torch.linspace(-16, 16, 80).sigmoid().expand(1, 3, 60, 80)
    edge = (edge - 0.5) * 0.8 + 0.5
    steepest = luminance(abstracted(edge, 1.0)).diff(dim=-1)[INNER].max()
    assert steepest > 1.3 * luminance(edge).diff(dim=-1)[INNER].max()


def test_moving_the_picture_moves_what_is_painted(generator):
    wide = 0.7 * picture(120, 130) + 0.3 * torch.rand(1, 3, 120, 130, generator=generator)
    moved = abstracted(wide[..., 6:, 4:], 0.5)
    wanted = abstracted(wide, 0.5)[..., 6:, 4:]
    torch.testing.assert_close(moved[..., 64:, 64:], wanted[..., 64:, 64:], rtol=0, atol=1e-3)


@pytest.mark.parametrize("seamless", ["none", "x", "both"])
def test_columns_painted_apart_join_without_a_seam(seamless, monkeypatch, generator):
    wide = 0.7 * picture(60, 330) + 0.3 * torch.rand(1, 3, 60, 330, generator=generator)
    whole = abstracted(wide, 1.0, seamless)
    monkeypatch.setattr(abstraction, "_COLUMNS", 64)
    apart = abstracted(wide, 1.0, seamless)
    torch.testing.assert_close(apart, whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("seamless", "move"), [("x", (0, 18)), ("y", (10, 0)), ("both", (-6, 20))])
def test_moving_a_picture_that_wraps_round_moves_what_is_painted(seamless, move, generator):
    pictures = torch.rand(2, 3, 40, 48, generator=generator)
    painted = abstracted(pictures, 1.0, seamless)
    moved = abstracted(pictures.roll(move, (2, 3)), 1.0, seamless)
    torch.testing.assert_close(moved, painted.roll(move, (2, 3)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (300, 16)])
def test_small_and_odd_sizes(size, generator):
    painted = abstracted(torch.rand(1, 3, *size, generator=generator), 1.0)
    assert painted.shape == (1, 3, *size)
    assert painted.isfinite().all()
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_the_network_reads_what_is_painted(random_base, style):
    image = (0.7 * picture(60, 70) + 0.3 * noise(1, 3, 60, 70).sigmoid()).clamp(0, 1)
    options = {"precision": "fp32", "grain": 0.5}
    drawn = stylize(random_base, style, image, abstraction=0.6, **options)
    wanted = stylize(random_base, style, abstracted(image, 0.6), **options)
    torch.testing.assert_close(drawn, wanted, rtol=0, atol=1e-6)
    assert (drawn - stylize(random_base, style, image, **options)).abs().max() > 1e-2


def test_strength_lets_the_details_of_the_photograph_back(random_base, style):
    image = picture(40, 44)
    wanted = stylize(random_base, style, abstracted(image, 0.3), strength=0.5, precision="fp32")
    drawn = stylize(random_base, style, image, strength=0.5, abstraction=0.6, precision="fp32")
    # What is mixed in is the photograph as it is.
    wanted = wanted + 0.5 * (image - abstracted(image, 0.3))
    torch.testing.assert_close(drawn, wanted, rtol=0, atol=1e-6)


def test_thin_lines_stay():
    line = torch.full((1, 3, 60, 61), 0.8)
    line[..., 30] = 0.2
    painted = abstracted(line, 1.0)
    torch.testing.assert_close(painted[INNER], line[INNER], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("width_px", "least"), [(1, 0.5), (2, 0.8), (3, 0.9)])
def test_slanted_lines_keep_most_of_their_contrast(width_px, least):
    places = (torch.arange(120 * 8) + 0.5) / 8
    away = (places[:, None] - places).abs() / 2**0.5
    covered = torch.nn.functional.avg_pool2d((away < width_px / 2).float()[None, None], 8)
    line = (0.85 - 0.65 * covered).expand(1, 3, 120, 120)
    painted = abstracted(line, USUAL_ABSTRACTION)
    assert 0.85 - painted[INNER].min() > least * (0.85 - line[INNER].min())


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
        abstracted(picture(20, 20), amount)
    with pytest.raises(SettingsError, match="abstraction is"):
        stylize(random_base, style, picture(20, 20), abstraction=amount)
