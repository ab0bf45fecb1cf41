"""Free of the stride: what the mean over shifts keeps, and what it takes away."""

from functools import partial

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import SettingsError
from metastyle_core.measures import pan_error
from metastyle_core.steady import STEADY, steady_mean
from metastyle_core.stylization import stylize
from metastyle_core.tiling import Strips


@pytest.fixture(scope="module")
def style(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(random_base, None, [picture(64, 64, seed=5)], settings=settings)


def on_the_grid(images):
    """A drawing with a weave of 4 px: what it adds depends on the place alone."""
    rows = torch.tensor([0.0, 0.1, 0.3, 0.0]).repeat(99)[: images.shape[-2], None]
    columns = torch.tensor([0.2, 0.0, 0.1, 0.1]).repeat(99)[: images.shape[-1]]
    return images + rows + columns


@pytest.mark.parametrize("seamless", ["none", "x", "y", "both"])
@pytest.mark.parametrize("steady", STEADY)
def test_what_needs_no_grid_stays_and_lies_where_it_lay(steady, seamless):
    image = picture(20, 28)
    found = steady_mean(lambda x: x.square(), image, steady, seamless)
    torch.testing.assert_close(found, image.square())


@pytest.mark.parametrize("seamless", ["none", "x", "y", "both"])
def test_four_shifts_leave_nothing_of_a_weave_along_the_axes(seamless):
    image = picture(20, 28)
    woven = steady_mean(on_the_grid, image, 1, seamless) - image
    assert woven.std() > 0.1
    left = steady_mean(on_the_grid, image, 4, seamless) - image
    torch.testing.assert_close(left, torch.full_like(left, 0.2))


def test_a_picture_that_wraps_meets_its_other_edge():
    def neighbours(images):
        return images.roll(1, -1)

    image = picture(20, 28)
    found = steady_mean(neighbours, image, 4, "x")
    torch.testing.assert_close(found, image.roll(1, -1))


def test_strokes_swim_less_when_a_picture_pans(random_base, style):
    photograph = picture(120, 120, seed=3)

    def change(steady):
        return pan_error(
            lambda x: stylize(random_base, style, x, precision="fp32", steady=steady),
            photograph,
            96,
            1,
        )

    once, twice, four = (change(steady) for steady in STEADY)
    assert once > 1.2 * twice
    assert twice > 1.2 * four


def test_the_relief_of_grain_moves_with_the_picture(random_base, style):
    flat = torch.full((1, 3, 64, 64), 0.5)
    draw = partial(stylize, random_base, style, flat, precision="fp32", grain=1.0)
    grained, once, another = draw(steady=4, seed=1), draw(seed=1), draw(seed=2)
    inner = (..., slice(8, -8), slice(8, -8))
    assert (grained - once)[inner].abs().mean() < 0.8 * (grained - another)[inner].abs().mean()


def test_other_numbers_and_pictures_in_strips_are_refused(random_base, style):
    image = picture(40, 40)
    with pytest.raises(SettingsError, match="steady is 3; 1 for one drawing"):
        stylize(random_base, style, image, steady=3)
    words = (
        r"^steady is 2, which needs pictures that are drawn whole; leave it at 1 for large ones "
        r"and with a brush\.$"
    )
    for options in ({"strips": Strips(above_px=0)}, {"brush": 1.0}):
        with pytest.raises(SettingsError, match=words):
            stylize(random_base, style, image, steady=2, **options)
