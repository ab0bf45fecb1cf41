"""The brush: strokes of one size in the picture, whatever its size in pixels."""

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import SHIPPED_BASE, load_base
from metastyle_core.drawing import Drawing, largest_size, sizes_to_draw
from metastyle_core.errors import SettingsError, ShapeError
from metastyle_core.images import luminance, resize
from metastyle_core.mixing import mix_styles
from metastyle_core.presets import load_preset
from metastyle_core.stylization import stylize


@pytest.fixture(scope="module")
def style(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)


@pytest.mark.parametrize(
    ("size", "brush", "sizes"),
    [
        ((64, 96), 1.0, [(64, 96)]),
        ((128, 192), 1.0, [(64, 96), (128, 192)]),
        ((512, 512), 2.0, [(32, 32), (64, 64), (128, 128), (256, 256), (512, 512)]),
        ((96, 128), 1.0, [(64, 85), (96, 128)]),
        ((100, 150), None, [(100, 150)]),
        ((64, 96), 0.5, [(128, 192)]),
    ],
)
def test_pictures_are_drawn_from_the_size_of_the_brush_up_to_their_own(style, size, brush, sizes):
    assert sizes_to_draw(*size, style, Drawing(brush=brush)) == sizes


@pytest.mark.parametrize(
    ("size", "brush", "largest"),
    [((128, 192), 1.0, (128, 192)), ((128, 192), 0.25, (256, 384)), ((99, 150), None, (99, 150))],
)
def test_memory_goes_by_the_largest_size_that_is_drawn(style, size, brush, largest):
    assert largest_size(*size, style, Drawing(brush=brush)) == largest


def test_a_picture_too_small_to_be_drawn_has_no_largest_size(style):
    with pytest.raises(ShapeError, match=r"^Image is 50x10 px; both sides must be at least 16 px"):
        largest_size(10, 50, style, Drawing())


def test_sides_that_wrap_are_multiples_of_four(style):
    sizes = sizes_to_draw(127, 190, style, Drawing(brush=1.0, seamless="y"))
    assert [height % 4 for height, _ in sizes] == [0, 0]
    assert sizes[-1] == (128, 190)


def test_a_brush_of_1_at_the_adapted_size_is_the_network_alone(random_base, style):
    image = picture(64, 80)
    plain = stylize(random_base, style, image, precision="fp32")
    brushed = stylize(random_base, style, image, precision="fp32", brush=1.0)
    torch.testing.assert_close(brushed, plain, rtol=0, atol=1e-5)


def test_large_pictures_keep_the_look_of_small_ones(random_base, style):
    small = picture(64, 64, seed=5)
    look = stylize(random_base, style, small, precision="fp32")
    large = resize(small, 192, 192)

    def away(brush):
        drawn = stylize(random_base, style, large, precision="fp32", brush=brush)
        return float((resize(drawn, 64, 64) - look).abs().mean())

    assert away(1.0) < 0.25 * away(None)


def test_edges_that_the_first_drawing_cannot_hold_are_kept():
    base, style = load_base(SHIPPED_BASE), load_preset("munch_the_scream")
    image = 0.25 + picture(256, 256) / 2
    image[..., 128:] = 1 - image[..., 128:]
    image[..., 64:192, 64:192] = 0.1
    first_size = 256 // 4
    brush = style.size_px / first_size
    drawn = stylize(base, style, image, precision="fp32", brush=brush)
    first = stylize(base, style, resize(image, first_size, first_size), precision="fp32")

    def sharpness(pictures):
        light = luminance(pictures)[..., 72:184, 56:72].mean(-2)
        return float((light[..., 1:] - light[..., :-1]).abs().max())

    assert sharpness(drawn) > 1.5 * sharpness(resize(first, 256, 256))


@pytest.mark.parametrize("brush", [0.0, -1.0, float("nan"), float("inf")])
def test_brushes_that_are_none_are_refused(random_base, style, brush):
    for strength in (0.0, 1.0):
        with pytest.raises(SettingsError, match=r"^brush is .*above 0 is needed"):
            stylize(random_base, style, picture(64, 64), brush=brush, strength=strength)


@pytest.mark.parametrize(("brush", "px"), [(50.0, "1 px"), (0.1, "640 px")])
def test_brushes_beyond_what_can_be_drawn_are_refused(random_base, style, brush, px):
    with pytest.raises(SettingsError, match=rf"short side of {px}; choose one from 0\.17 to 4"):
        stylize(random_base, style, picture(64, 64), brush=brush)


def test_blends_have_the_size_of_their_styles(style):
    assert mix_styles([style, style], [1, 3]).size_px == style.size_px == 64
