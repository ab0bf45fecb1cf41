"""Pictures that wrap: moving them round moves the drawing, so that no edge is anywhere."""

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.borders import bordered
from metastyle_core.errors import ShapeError
from metastyle_core.grain import grain_relief
from metastyle_core.network import (
    StylizationNetwork,
    norm_parameter_names,
    noted_statistics,
    stylize_with,
)
from metastyle_core.stylization import stylize


@pytest.fixture(scope="module")
def style(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)


def tile(height: int, width: int) -> torch.Tensor:
    """A smooth texture that wraps, (1, 3, height, width)."""
    down = torch.linspace(0, 2 * torch.pi, height + 1)[:-1, None]
    right = torch.linspace(0, 2 * torch.pi, width + 1)[:-1]
    waves = [(down + 2 * right + 1).sin(), (2 * down - right).cos(), (down - right + 2).sin()]
    return (0.5 + 0.3 * torch.stack(waves))[None]


@pytest.mark.parametrize(
    ("seamless", "move"), [("x", (0, 12)), ("y", (8, 0)), ("both", (-4, 20)), ("both", (16, 4))]
)
def test_moving_the_picture_round_moves_the_drawing(seamless, move):
    torch.manual_seed(0)
    network = StylizationNetwork(channels=4, blocks=2).double()
    images = torch.rand(2, 3, 32, 40, dtype=torch.float64)
    drawn = network(images, seamless)
    moved = network(images.roll(move, (2, 3)), seamless)
    torch.testing.assert_close(moved, drawn.roll(move, (2, 3)), rtol=0, atol=1e-9)
    assert (network(images) - drawn).abs().max() > 1e-3


def test_moving_the_picture_and_its_regions_round_moves_the_drawing():
    torch.manual_seed(0)
    network = StylizationNetwork(channels=4, blocks=1).double().requires_grad_(False)
    images = torch.rand(1, 3, 32, 40, dtype=torch.float64)
    shares = torch.rand(1, 2, 32, 40, dtype=torch.float64).softmax(1)
    with noted_statistics(network) as noted:
        network(images)
    own = dict(network.named_parameters())
    styles = {n: torch.stack([own[n], own[n] + 0.5]) for n in norm_parameter_names(network)}
    statistics = {name: torch.stack([value, 2 * value]) for name, value in noted.items()}

    def draw(seamless, move):
        rolled = (each.roll(move, (2, 3)) for each in (images, shares))
        return stylize_with(network, styles, next(rolled), statistics, seamless, next(rolled))

    drawn = draw("both", (0, 0))
    torch.testing.assert_close(draw("both", (8, 12)), drawn.roll((8, 12), (2, 3)))
    assert (draw("none", (0, 0)) - drawn).abs().max() > 1e-3


def test_borders_come_from_the_other_edge_only_where_they_wrap():
    rows = torch.arange(12.0).view(1, 1, 3, 4)
    assert bordered(rows, 1, "x")[0, 0, 1].tolist() == [3, 0, 1, 2, 3, 0]
    assert bordered(rows, 1, "x")[0, 0, :, 1].tolist() == [4, 0, 4, 8, 4]
    assert bordered(rows, 1, "y", "replicate")[0, 0, :, 1].tolist() == [8, 0, 4, 8, 0]
    assert bordered(rows, 1, "y", "replicate")[0, 0, 1].tolist() == [0, 0, 1, 2, 3, 3]
    assert bordered(rows, 1, "both")[0, 0, 0].tolist() == [11, 8, 9, 10, 11, 8]


@pytest.mark.parametrize("size", [(96, 80), (97, 83), (18, 30)])
@pytest.mark.parametrize("grain", [0.0, 1.0])
def test_the_step_over_the_wrap_is_as_inside(random_base, style, size, grain):
    drawn = stylize(random_base, style, tile(*size), precision="fp32", seamless="both", grain=grain)
    assert drawn.shape[-2:] == size
    for axis in (2, 3):
        steps = (drawn - drawn.roll(1, axis)).abs().mean((0, 1, 5 - axis))
        assert steps[0] <= 1.2 * steps[1:].max()  # sides are brought to a multiple of 4 px


@pytest.mark.parametrize("brush", [0.5, 2.0])
def test_moving_the_picture_round_moves_the_drawing_with_a_brush(random_base, style, brush):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 64, 80, generator=generator)
    with noted_statistics(random_base.network) as statistics:
        stylize_with(random_base.network, style.fast_weights, image)

    def draw(picture):
        return stylize(
            random_base, style, picture, precision="fp32", statistics=statistics,
            seamless="both", brush=brush,
        )  # fmt: skip

    drawn, moved = draw(image), draw(image.roll((8, 16), (2, 3)))
    torch.testing.assert_close(moved, drawn.roll((8, 16), (2, 3)), rtol=0, atol=1e-4)


def test_grain_that_wraps_is_like_any_other():
    relief = grain_relief(300, 310, 0, wrapping=True)
    assert relief.shape == (1, 4, 300, 310)
    usual = grain_relief(300, 310, 0)[0, 0].std().item()
    assert relief[0, 0].std().item() == pytest.approx(usual, rel=0.15)
    assert torch.equal(relief, grain_relief(300, 310, 0, wrapping=True))
    assert grain_relief(16, 17, 0, wrapping=True).isfinite().all()


def test_a_side_that_cannot_wrap_is_refused_by_the_network():
    network = StylizationNetwork(channels=4, blocks=1)
    images = torch.rand(1, 3, 32, 33)
    assert network(images, "y").shape == images.shape
    with pytest.raises(ShapeError, match="33 px cannot wrap"):
        network(images, "x")


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_borders_keep_short_numbers_short_where_no_gradient_flows(mode):
    features = torch.rand(2, 3, 8, 9).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with_gradient = bordered(features, 2, mode=mode)
        with torch.no_grad():
            without = bordered(features, 2, mode=mode)
    assert without.dtype == torch.bfloat16
    assert torch.equal(without, with_gradient.bfloat16())
