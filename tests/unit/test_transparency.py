"""Straight alpha: hidden colour never shows, visible colour never changes."""

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import ShapeError
from metastyle_core.stylization import stylize
from metastyle_core.transparency import fill_hidden, over_white


@pytest.fixture(scope="module")
def style(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)


def disc(height: int, width: int) -> torch.Tensor:
    """Alpha of a disc with a soft edge, (1, 1, height, width)."""
    y = torch.linspace(-1, 1, height).view(1, 1, -1, 1)
    x = torch.linspace(-1, 1, width).view(1, 1, 1, -1)
    return ((0.8 - (x * x + y * y).sqrt()) * 5).clamp(0, 1)


@pytest.mark.parametrize("size", [(37, 64), (3, 9), (16, 16)])
def test_visible_colour_stays_and_hidden_colour_does_not_count(size):
    image, alpha = picture(*size), disc(*size)
    filled = fill_hidden(image, alpha)
    seen = (alpha >= 1 / 8).expand_as(image)
    assert torch.equal(filled[seen], image[seen])
    other = torch.where(alpha > 0, image, torch.rand(image.shape))
    torch.testing.assert_close(fill_hidden(other, alpha), filled, rtol=0, atol=1e-5)


def test_hidden_places_get_the_colour_of_their_neighbours():
    image = torch.zeros(1, 3, 64, 64)
    image[:, 0, :, :16], image[:, 2, :, 48:] = 0.8, 0.8
    alpha = torch.ones(1, 1, 64, 64)
    alpha[..., 16:48] = 0
    red, _, blue = fill_hidden(image, alpha)[0, :, 32]
    assert (red + blue).sub(0.8).abs().max() < 1e-5
    assert red[17] > 0.7
    assert blue[46] > 0.7
    assert red.diff().abs().max() < 0.1, "from one neighbour to the other without an edge"


def test_a_picture_without_visible_colour_becomes_its_mean():
    image = picture(32, 32)
    filled = fill_hidden(image, torch.zeros(1, 1, 32, 32))
    torch.testing.assert_close(filled, image.mean((2, 3), keepdim=True).expand_as(image))


def test_over_white_is_the_usual_composite():
    laid = over_white(torch.full((3, 1, 1), 0.2), torch.full((1, 1, 1), 0.25))
    torch.testing.assert_close(laid, torch.full((3, 1, 1), 0.8))


def test_a_stylized_cut_out_is_the_same_on_any_hidden_colour(random_base, style):
    image, alpha = picture(48, 40, seed=2), disc(48, 40)
    wild = torch.where(alpha > 0, image, torch.rand(image.shape))
    drawn = [stylize(random_base, style, i, precision="fp32", alpha=alpha) for i in (image, wild)]
    torch.testing.assert_close(*drawn, rtol=0, atol=1e-4)
    plain = stylize(random_base, style, image, precision="fp32")
    opaque = stylize(random_base, style, image, precision="fp32", alpha=torch.ones_like(alpha))
    assert torch.equal(plain, opaque)


def test_strength_zero_gives_hidden_colour_back_too(random_base, style):
    image, alpha = picture(32, 32), disc(32, 32)
    assert torch.equal(stylize(random_base, style, image, strength=0.0, alpha=alpha), image)


def test_alpha_of_another_size_is_refused(random_base, style):
    with pytest.raises(ShapeError, match=r"alpha of shape .*\(1, 1, 32, 32\) is needed"):
        stylize(random_base, style, picture(32, 32), alpha=torch.ones(1, 1, 16, 32))
