"""Stylization: one result per picture, the same whatever the batch."""

import itertools
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from samples import TOLERANCES, low_rank_style, picture

from metastyle_core import drawing, stylization
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import ResultError, SettingsError, ShapeError
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.grain import grain_relief
from metastyle_core.images import resize
from metastyle_core.mixing import scale_style
from metastyle_core.network import noted_statistics, own_statistics, stylize_with
from metastyle_core.precision import autocast
from metastyle_core.steady import steady_mean
from metastyle_core.stylization import pictures_per_pass, stylize
from metastyle_core.tiling import Strips
from metastyle_core.touches import in_touches


@pytest.fixture(scope="module")
def styles(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    made = [
        adapt_to_style(random_base, None, [picture(64, 64, seed=s)], settings=settings)
        for s in range(3)
    ]
    # As the network draws them: what their palettes change is told in test_colour.
    return [replace(style, palette=None) for style in made]


@pytest.fixture
def images(generator):
    return torch.rand(5, 3, 34, 45, generator=generator)


def test_results_do_not_depend_on_the_batch(random_base, styles, images):
    wanted = stylize(random_base, styles[0], images, precision="fp32", batch=1)
    for batch in (None, 2, 3, 5, 50):
        found = stylize(random_base, styles[0], images, precision="fp32", batch=batch)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_one_style_per_picture(random_base, styles, images):
    mixed = stylize(random_base, styles, images[:3], precision="fp32", batch=3)
    for i, style in enumerate(styles):
        alone = stylize(random_base, style, images[i : i + 1], precision="fp32")
        torch.testing.assert_close(mixed[i : i + 1], alone, rtol=0, atol=1e-5)


def set_to(styles, amounts):
    """Styles whose strokes show so much."""
    return [
        replace(style, settings={"brushwork": amount})
        for style, amount in zip(styles, amounts, strict=True)
    ]


@pytest.mark.usefixtures("all_touches")
@pytest.mark.parametrize("seamless", ["none", "both"])
def test_every_picture_gets_the_touches_of_its_style(random_base, styles, images, seamless):
    options = {"precision": "fp32", "grain": 0.8, "abstraction": 0.6, "seamless": seamless}
    own = set_to(styles, (0.0, 0.5, 1.0))
    mixed = stylize(random_base, own, images[:3], **options)
    for i, style in enumerate(own):
        alone = stylize(random_base, style, images[i : i + 1], **options)
        torch.testing.assert_close(mixed[i : i + 1], alone, rtol=0, atol=1e-4)
    asked = {"grain": 0.8 * 0.8**2, "abstraction": 0.6 * 0.6**2}
    painted = set_to(styles[:1], [1.0])[0]
    wanted = stylize(random_base, painted, images[:1], **(options | asked))
    torch.testing.assert_close(mixed[:1], wanted, rtol=0, atol=1e-4)


def test_by_rows_a_style_gets_its_touches_too(random_base, styles):
    image, style = picture(90, 120), set_to(styles[:1], [0.3])[0]
    options = {"precision": "fp32", "grain": 0.8, "abstraction": 0.6}
    whole = stylize(random_base, style, image, **options)
    strips = Strips(above_px=0, strip_px=135 * 40)
    found = stylize(random_base, style, image, strips=strips, **options)
    torch.testing.assert_close(found, whole, rtol=0, atol=2e-3)
    painted = stylize(random_base, set_to([style], [1.0])[0], image, **options)
    assert (painted - whole).abs().max() > 1e-2


def test_every_chunk_draws_its_own_styles(random_base, styles, images):
    mixed = stylize(random_base, styles, images[:3], precision="fp32", batch=2)
    for i, style in enumerate(styles):
        alone = stylize(random_base, style, images[i : i + 1], precision="fp32")
        torch.testing.assert_close(mixed[i : i + 1], alone, rtol=0, atol=1e-6)


def test_their_size_decides_how_many_pictures_go_at_once(random_base, styles, images, monkeypatch):
    original, asked, passes = stylization.stylize_with, [], []

    def by_rows(height, width, device, how):
        asked.append((height, width, device.type))
        return False

    def per_pass(height, width, device):
        asked.append((height, width, device.type))
        return 2

    def look(network, weights, chunk, **options):
        passes.append(len(chunk))
        return original(network, weights, chunk, **options)

    monkeypatch.setattr(stylization, "goes_by_rows", by_rows)
    monkeypatch.setattr(stylization, "pictures_per_pass", per_pass)
    monkeypatch.setattr(stylization, "stylize_with", look)
    stylize(random_base, styles[0], images, precision="fp32")
    assert asked == [(34, 45, "cpu")] * 2
    assert passes == [2, 2, 1]


def test_it_is_the_networks_forward(random_base, styles, images):
    found = stylize(random_base, styles[0], images[:1], precision="fp32")
    wanted = stylize_with(random_base.network, styles[0].fast_weights, images[:1])
    torch.testing.assert_close(found, wanted, **TOLERANCES[torch.float32])


@pytest.mark.usefixtures("all_touches")
@pytest.mark.parametrize(
    ("seamless", "size", "drawn_at"),
    [
        ("x", (30, 46), (30, 48)),
        ("y", (30, 46), (32, 46)),
        ("both", (17, 21), (16, 20)),
    ],
)
def test_sides_that_wrap_are_drawn_at_a_multiple_of_four_and_scaled_back(
    random_base, styles, generator, seamless, size, drawn_at
):
    images = (torch.rand(2, 3, *size, generator=generator) > 0.5).float()  # overshoots

    def scaled(pictures, sides):
        """The middle of as many copies as lie side by side."""
        counts = [3 if seamless in {axis, "both"} else 1 for axis in ("y", "x")]
        sheet = F.interpolate(
            pictures.repeat(1, 1, *counts),
            [count * side for count, side in zip(counts, sides, strict=True)],
            mode="bicubic",
        )
        top, left = (count // 2 * side for count, side in zip(counts, sides, strict=True))
        return sheet[..., top : top + sides[0], left : left + sides[1]].clamp(0, 1)

    relief = grain_relief(*drawn_at, 3, wrapping=True)
    read, strokes = in_touches(scaled(images, drawn_at), relief, 0.0, seamless)
    read = random_base.network.with_strokes(read, 0.5 * strokes)
    network, weights = random_base.network, styles[0].fast_weights
    drawn = torch.cat(
        [
            stylize_with(network, weights, one, own_statistics(network, weights, one), seamless)
            for one in read.split(1)
        ]
    )
    options = {"precision": "fp32", "grain": 0.5, "seed": 3, "seamless": seamless}
    found = stylize(random_base, styles[0], images, **options)
    torch.testing.assert_close(found, scaled(drawn, size), **TOLERANCES[torch.float32])


def test_pictures_that_have_the_size_to_draw_are_not_scaled(images):
    assert drawing.scaled(images, (34, 45)) is images


@pytest.mark.parametrize("seamless", ["none", "both"])
def test_supersampling_draws_larger_and_averages(random_base, styles, generator, seamless):
    images = torch.rand(2, 3, 32, 48, generator=generator)
    options = {"precision": "fp32", "grain": 0.5, "abstraction": 0.25, "seamless": seamless}
    wrapping = (seamless == "both",) * 2
    larger = drawing.scaled(images, (48, 72), wrapping=wrapping)
    drawn = stylize(random_base, styles[0], larger, colouring=AS_DRAWN, **options)
    wanted = drawing.scaled(drawn, (32, 48), "sharp", wrapping)
    found = stylize(
        random_base, styles[0], images, supersampling=1.5, colouring=AS_DRAWN, **options
    )
    torch.testing.assert_close(found, wanted, **TOLERANCES[torch.float32])


@pytest.mark.parametrize(
    ("short_px", "supersampling", "factor"),
    [
        (16, 1.5, 1.5),
        (512, 1.5, 1.5),
        (640, 1.5, 1.2),  # as large as 512 px are drawn
        (768, 1.5, 1.0),
        (2000, 1.5, 1.0),
        (768, 2.0, 4 / 3),
        (300, 1.0, 1.0),
    ],
)
def test_large_pictures_are_enlarged_less(short_px, supersampling, factor):
    assert drawing.enlargement(short_px, supersampling) == pytest.approx(factor)
    how = drawing.Drawing(supersampling=supersampling)
    size = (round(short_px * factor), 2 * round(short_px * factor))
    assert drawing.drawn_size(short_px, 2 * short_px, how) == pytest.approx(size, abs=1)


def test_supersampling_leaves_pictures_alone_that_are_large_enough(random_base, styles):
    image = picture(768, 769)
    drawn = [stylize(random_base, styles[0], image, supersampling=f) for f in (1.0, 1.5)]
    assert torch.equal(*drawn)


@pytest.mark.parametrize("factor", [0.9, 2.1, float("nan")])
def test_supersampling_out_of_range_is_refused(random_base, styles, images, factor):
    with pytest.raises(SettingsError, match=r"supersampling is .*1 to 2"):
        stylize(random_base, styles[0], images, supersampling=factor)
    with pytest.raises(SettingsError, match=r"supersampling is .*1 to 2"):
        drawing.largest_size(64, 64, styles[0], drawing.Drawing(supersampling=factor))


@pytest.mark.parametrize("brush", [None, 0.8])
def test_supersampled_strips_are_the_whole_picture(random_base, styles, brush):
    image = picture(90, 120)
    options = {
        "precision": "fp32", "grain": 0.5, "abstraction": 0.25, "supersampling": 1.5,
        "brush": brush,
    }  # fmt: skip
    whole = stylize(random_base, styles[0], image, **options)
    strips = Strips(above_px=0, strip_px=135 * 40)
    found = stylize(random_base, styles[0], image, strips=strips, **options)
    torch.testing.assert_close(found, whole, rtol=0, atol=2e-3)
    plain = stylize(random_base, styles[0], image, **(options | {"supersampling": 1.0}))
    assert (plain - whole).abs().max() > 1e-2


def test_steady_drawings_that_wrap_are_shifted_round(random_base, styles, generator):
    images = torch.rand(1, 3, 32, 40, generator=generator)
    network, weights = random_base.network, styles[0].fast_weights
    statistics = own_statistics(network, weights, images)
    draw = partial(stylize_with, network, weights, statistics=statistics, seamless="both")
    found = stylize(random_base, styles[0], images, precision="fp32", steady=2, seamless="both")
    wanted = steady_mean(draw, images, 2, "both")
    torch.testing.assert_close(found, wanted, **TOLERANCES[torch.float32])


def test_given_statistics_take_the_place_of_the_pictures_own(random_base, styles, images):
    with noted_statistics(random_base.network) as noted:
        stylize(random_base, styles[0], picture(34, 45), precision="fp32")
    found = stylize(random_base, styles[0], images, precision="fp32", statistics=noted)
    wanted = stylize_with(random_base.network, styles[0].fast_weights, images, noted)
    torch.testing.assert_close(found, wanted, **TOLERANCES[torch.float32])
    own = stylize(random_base, styles[0], images, precision="fp32")
    assert (found - own).abs().max() > 1e-2


def test_bfloat16_is_close(random_base, styles, images):
    exact = stylize(random_base, styles[0], images, precision="fp32")
    short = stylize(random_base, styles[0], images, precision="bf16")
    assert short.dtype == torch.float32
    assert float((exact - short).abs().mean()) < 0.01


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_layout_of_the_pictures_does_not_matter(random_base, styles, images, precision):
    wanted = stylize(random_base, styles[0], images, precision=precision)
    # As hosts and films give them: the colours of a pixel side by side.
    turned = images.movedim(1, -1).contiguous().movedim(-1, 1)
    assert torch.equal(stylize(random_base, styles[0], turned, precision=precision), wanted)
    with autocast(precision, torch.device("cpu")), torch.no_grad():
        drawn = stylize_with(random_base.network, styles[0].fast_weights, turned)
    torch.testing.assert_close(drawn.float(), wanted, rtol=0, atol=0.03)


def test_half_precision_input_and_values_outside_the_range_are_taken(random_base, styles):
    wild = picture(32, 32) * 3 - 1
    found = stylize(random_base, styles[0], wild.half(), precision="fp32")
    assert found.dtype == torch.float32
    clamped = stylize(random_base, styles[0], wild.half().float().clamp(0, 1), precision="fp32")
    torch.testing.assert_close(found, clamped)


def test_inputs_are_not_changed_and_no_gradient_is_kept(random_base, styles, images):
    before = images.clone()
    result = stylize(random_base, styles[0], images.requires_grad_())
    assert torch.equal(images, before)
    assert not result.requires_grad


def test_strength_goes_evenly_from_the_content_to_the_style(random_base, styles, images):
    def at(strength):
        return stylize(random_base, styles[0], images, precision="fp32", strength=strength)

    assert torch.equal(at(0), images)
    assert torch.equal(at(1), stylize(random_base, styles[0], images, precision="fp32"))
    row = [at(strength) for strength in (0, 0.25, 0.5, 0.75, 1)]
    moves = [float((b - a).abs().mean()) for a, b in itertools.pairwise(row)]
    assert max(moves) < 1.6 * min(moves)


def test_strength_also_lightens_the_style_itself(random_base, styles, images):
    half = stylize(random_base, styles[0], images, precision="fp32", strength=0.5)
    lighter = scale_style(random_base, styles[0], 0.75)
    wanted = (images + stylize(random_base, lighter, images, precision="fp32")) / 2
    torch.testing.assert_close(half, wanted, **TOLERANCES[torch.float32])


def test_at_strength_0_nothing_is_drawn(random_base, styles, images):
    told = []
    strips = Strips(above_px=0, on_strip=told.append)
    assert torch.equal(stylize(random_base, styles[0], images, strength=0.0, strips=strips), images)
    assert not told


def test_an_empty_batch_gives_an_empty_batch(random_base, styles):
    for style in (styles[0], []):
        assert stylize(random_base, style, torch.empty(0, 3, 32, 32)).shape == (0, 3, 32, 32)


def test_bad_input_is_refused(random_base, styles, images):
    with pytest.raises(ShapeError, match="B, 3, H, W"):
        stylize(random_base, styles[0], images[0])
    with pytest.raises(ShapeError, match="12x20 px"):
        stylize(random_base, styles[0], torch.rand(1, 3, 20, 12))
    with pytest.raises(SettingsError, match="batch"):
        stylize(random_base, styles[0], images, batch=0)
    for strength in (-0.1, 1.1, float("nan")):
        with pytest.raises(SettingsError, match="strength"):
            stylize(random_base, styles[0], images, strength=strength)
    with pytest.raises(SettingsError, match="3 styles for 5"):
        stylize(random_base, styles, images)
    several = [styles[0], low_rank_style(random_base, 1)]
    words = r"^A batch of several styles needs styles of mode norm; run others apart\.$"
    with pytest.raises(SettingsError, match=words):
        stylize(random_base, several, images[:2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda images: images * 255, "Divide"),
        (lambda images: images * 2 - 3, "^Batch of pictures holds values from -2"),
        (lambda images: (images * 255).to(torch.uint8), "uint8"),
        (lambda images: images.index_fill(-1, torch.tensor([3]), float("nan")), "NaN"),
        (lambda images: images.index_fill(-1, torch.tensor([3]), float("inf")), "infinity"),
    ],
)
def test_pictures_of_another_range_are_refused(random_base, styles, images, change, words):
    for strength in (0.0, 1.0):
        with pytest.raises(SettingsError, match=words):
            stylize(random_base, styles[0], change(images), strength=strength)


@pytest.mark.parametrize("brush", [None, 1.0])
@pytest.mark.parametrize("shape", [(5, 1, 40, 45), (5, 1, 34, 40), (4, 1, 34, 45), (5, 34, 45)])
def test_an_alpha_that_does_not_fit_is_refused(random_base, styles, images, brush, shape):
    for strength in (0.0, 1.0):
        with pytest.raises(ShapeError, match=rf"^Got alpha of shape \({shape[0]}, .*is needed\.$"):
            stylize(
                random_base,
                styles[0],
                images,
                alpha=torch.ones(shape),
                brush=brush,
                strength=strength,
            )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
@pytest.mark.parametrize("brush", [None, 1.0])
def test_alpha_comes_in_any_format(random_base, styles, images, brush, dtype):
    alpha = (images[:1, :1] > 0.5).float()

    def draw(alpha):
        return stylize(
            random_base, styles[0], images[:1], precision="fp32", alpha=alpha, brush=brush
        )

    assert torch.equal(draw(alpha.to(dtype)), draw(alpha))


def test_a_little_overshoot_is_clamped(random_base, styles, images):
    beyond = images * 1.4 - 0.2
    found = stylize(random_base, styles[0], beyond, precision="fp32")
    assert torch.equal(found, stylize(random_base, styles[0], beyond.clamp(0, 1), precision="fp32"))


def test_a_result_with_nan_says_what_to_try(random_base, styles, images):
    weights = {name: tensor * 1e20 for name, tensor in styles[0].fast_weights.items()}
    words = (
        r"^Style 'style' draws NaN or infinity with precision fp32; adapt the style again, or load "
        r"another base\.$"
    )
    with pytest.raises(ResultError, match=words):
        stylize(random_base, replace(styles[0], fast_weights=weights), images, precision="fp32")


def test_an_accelerator_takes_four_megapixels_at_once_and_the_cpu_one_picture():
    cuda = torch.device("cuda")
    assert [pictures_per_pass(*size, cuda) for size in ((512, 512), (1024, 1536))] == [16, 2]
    assert pictures_per_pass(4096, 4096, cuda) == 1
    assert pictures_per_pass(16, 16, torch.device("cpu")) == 1


def test_a_picture_that_wraps_has_the_contrast_of_one_with_borders(random_base, styles):
    """Norms go by what they see of the picture with its borders, whatever its size."""
    network, weights = random_base.network, styles[0].fast_weights
    image = picture(64, 64)
    found = stylize(random_base, styles[0], image, precision="fp32", seamless="both")
    wanted = stylize_with(network, weights, image, own_statistics(network, weights, image), "both")
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
    alone = stylize_with(network, weights, image, seamless="both")
    assert (alone - found).abs().max() > 1e-3


@pytest.mark.parametrize("strips", [None, Strips(above_px=0, strip_px=8 * 64)])
def test_a_large_picture_that_wraps_goes_by_what_is_seen_of_it_reduced(
    random_base, styles, monkeypatch, strips
):
    monkeypatch.setattr(drawing, "_LARGEST_SEEN_PX", 32 * 32)
    network, weights = random_base.network, styles[0].fast_weights
    image = picture(64, 64)
    seen = own_statistics(network, weights, resize(image, 32, 32))
    wanted = stylize_with(network, weights, image, seen, "both")
    options = {"precision": "fp32", "seamless": "both", "strips": strips}
    found = stylize(random_base, styles[0], image, **options)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    whole = own_statistics(network, weights, image)
    assert (stylize_with(network, weights, image, whole, "both") - found).abs().max() > 1e-3
