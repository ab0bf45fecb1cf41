"""Refinement: losses fall, seeds repeat, tiles change nothing, and bad input is one clear line."""

from contextlib import nullcontext
from dataclasses import replace
from itertools import count, pairwise
from types import SimpleNamespace

import pytest
import torch
from samples import picture

from metastyle_core import refinement
from metastyle_core.adaptation import StopLearning
from metastyle_core.encoder import EncoderSpec, PerceptualEncoder, load_encoder
from metastyle_core.encoder_tiles import plan_tiles, rim_px
from metastyle_core.errors import AdaptationDiverged, CheckpointError, SettingsError, ShapeError
from metastyle_core.images import resize
from metastyle_core.levels import with_levels
from metastyle_core.losses import (
    LossSettings,
    StyleTarget,
    blotches,
    chroma_variation,
    content_layers,
    nearest_distance,
    perceptual_loss,
    standardised_content_loss,
    style_target,
)
from metastyle_core.picture_loss import PictureLoss
from metastyle_core.refinement import (
    COARSEST_PX,
    RefinementSettings,
    measure_statistics,
    refine,
    sizes_px,
)
from metastyle_core.style_pictures import style_pictures

QUICK = RefinementSettings(steps=12, precision="fp32")


@pytest.fixture(scope="module")
def compact_encoder():
    return load_encoder("compact")


class StoppedError(Exception):
    """Raised by a callback to stop."""


@pytest.fixture
def photograph():
    return picture(72, 88, seed=1)


@pytest.fixture
def start():
    return picture(72, 88, seed=2)


@pytest.fixture
def painting():
    return picture(80, 64, seed=3)


def losses_of(encoder, photograph, start, style, settings):
    reports = []
    refine(encoder, photograph, start, style, settings, on_step=reports.append)
    return reports


def test_the_loss_falls_and_the_picture_stays_in_range(tiny_encoder, photograph, start, painting):
    settings = replace(QUICK, steps=30, nearest_weight=0.0, levels=0.0)
    reports = losses_of(tiny_encoder, photograph, start, [painting], settings)
    assert [r.step for r in reports] == list(range(1, 31))
    assert reports[-1].total < 0.6 * reports[0].total
    assert reports[-1].style < 0.2 * reports[0].style
    shown = reports[-1].preview()
    assert shown.shape == start.shape
    assert 0 <= shown.min() <= shown.max() <= 1


def test_no_steps_change_nothing(tiny_encoder, photograph, start, painting):
    settings = RefinementSettings(steps=0)
    assert refine(tiny_encoder, photograph, start, [painting], settings) is start


def test_the_same_seed_gives_the_same_picture(tiny_encoder, photograph, start, painting):
    first, second, other = (
        refine(tiny_encoder, photograph, start, [painting], replace(QUICK, seed=seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_nothing_that_was_given_changes(tiny_encoder, photograph, start, painting):
    given = (photograph, start, painting, *tiny_encoder.state_dict().values())
    before = [tensor.clone() for tensor in given]
    refine(tiny_encoder, photograph, start, [painting], QUICK)
    assert all(torch.equal(a, b) for a, b in zip(before, given, strict=True))
    assert all(parameter.grad is None for parameter in tiny_encoder.parameters())


def test_a_callback_stops_within_one_step(tiny_encoder, photograph, start, painting):
    seen = []

    def stop(report):
        seen.append(report.step)
        if report.step == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        refine(tiny_encoder, photograph, start, [painting], QUICK, on_step=stop)
    assert seen == [1, 2, 3]


def test_a_callback_stops_between_tiles(tiny_encoder, photograph, start, painting):
    tiles = []

    def stop():
        tiles.append(1)
        if len(tiles) == 5:
            raise StoppedError

    with pytest.raises(StoppedError):
        refine(
            tiny_encoder, photograph, start, [painting], replace(QUICK, tile_px=64), on_tile=stop
        )
    assert len(tiles) == 5


def loss_and_gradient(
    encoder, photograph, image, painting, tile_px, style_weight=20.0, chroma_weight=300.0
):
    """Losses and gradient of one look at a picture."""
    statistics = measure_statistics(encoder, [painting], 64, precision="fp32")
    chroma = torch.tensor([statistics.chroma])
    target = StyleTarget(statistics.targets(encoder), chroma, torch.zeros(1))
    judge = PictureLoss(
        encoder, photograph, target, style_weight=style_weight, nearest_weight=0.0,
        chroma_weight=chroma_weight, blotch_weight=0.0, places=1024, tile_px=tile_px,
        precision="fp32",
    )  # fmt: skip
    return judge.look(image, torch.Generator().manual_seed(4))


@pytest.mark.parametrize("tile_px", [512, 64])
def test_the_losses_of_a_picture_are_those_of_adaptation(compact_encoder, painting, tile_px):
    photograph, image = picture(96, 160, seed=1), picture(96, 160, seed=2)
    leaf = image.clone().requires_grad_()
    layers = content_layers(compact_encoder.spec, "standardised")
    own, wanted = (compact_encoder(each, layers) for each in (leaf, photograph))
    content = torch.stack([standardised_content_loss(own[k], wanted[k]) for k in layers]).mean()
    (gradient,) = torch.autograd.grad(content, leaf)
    losses, found = loss_and_gradient(
        compact_encoder, photograph, image, painting, tile_px, style_weight=0.0, chroma_weight=0.0
    )
    assert losses["content"] == losses["total"] == pytest.approx(content.item(), rel=1e-4)
    assert (found - gradient).abs().max() < 2e-4 * gradient.abs().max()


@pytest.mark.parametrize("tile_px", [512, 64])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_loss_and_gradient_are_those_of_the_perceptual_loss(
    tiny_encoder, photograph, start, painting, generator, tile_px, noise
):
    """With Gram matrices of all places nothing is left to chance, with and without colour noise."""
    image = (start + noise * (torch.rand(start.shape, generator=generator) - 0.5)).clamp(0, 1)
    seen = tiny_encoder(painting, tiny_encoder.spec.style_layers)
    target = style_target([seen], [painting], "gram", generator)
    settings = LossSettings(
        style_weight=20.0, palette_weight=1.0, detail_weight=0.0, hatching_weight=0.0
    )
    leaf, kept = image.clone().requires_grad_(), tiny_encoder(photograph, ("relu2_1",))
    own = tiny_encoder(leaf)
    wanted = perceptual_loss(leaf, photograph, own, kept, target, settings, generator)
    stains = 2 * blotches(leaf, photograph)
    assert stains.item() > 0.1
    colour = wanted.total - wanted.content - 20 * wanted.style - stains
    assert (colour.item() > 0.1) == (noise > 0)
    (gradient,) = torch.autograd.grad(wanted.total.sum(), leaf)
    encoded = []
    judge = PictureLoss(
        tiny_encoder, photograph, target, style_weight=20.0, nearest_weight=0.0,
        chroma_weight=300.0, blotch_weight=2.0, places=72 * 88, tile_px=tile_px, precision="fp32",
        on_tile=lambda: encoded.append(1),
    )  # fmt: skip
    losses, found = judge.look(image, generator)
    # Whole, each is encoded once; of four tiles the photograph thrice and the picture twice.
    assert len(encoded) == (2 if tile_px == 512 else 4 * (3 + 2))
    assert losses == pytest.approx(wanted.mean(), rel=1e-4)
    assert (found - gradient).abs().max() < 2e-4 * gradient.abs().max()


@pytest.mark.parametrize("tile_px", [512, 64])
def test_the_nearest_places_of_the_style_pull_as_in_the_perceptual_loss(
    tiny_encoder, photograph, painting, tile_px
):
    """At 1,024 places at most, so that of fewer all are compared."""
    photograph, image = photograph[..., :48, :40], picture(48, 40, seed=5)
    seen = tiny_encoder(painting[..., :64, :64], tiny_encoder.spec.style_layers)
    seen = {layer: features[..., :32, :32] for layer, features in seen.items()}
    target = style_target([seen], [painting], "sliced", torch.Generator())
    found = []
    for weight in (0.0, 2.0):
        judge = PictureLoss(
            tiny_encoder, photograph, target, style_weight=5.0, nearest_weight=weight,
            chroma_weight=0.0, blotch_weight=0.0, places=48 * 40, tile_px=tile_px, precision="fp32",
        )  # fmt: skip
        found.append(judge.look(image, torch.Generator().manual_seed(4)))
    (without, gradient), (with_nearest, pulled) = found
    leaf = image.clone().requires_grad_()
    nearest = nearest_distance(tiny_encoder(leaf), target, torch.Generator()).sum()
    (wanted,) = torch.autograd.grad(nearest, leaf)
    assert with_nearest["style"] - without["style"] == pytest.approx(2 * nearest.item(), rel=1e-4)
    assert (pulled - gradient - 5 * 2 * wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_statistics_keep_no_places_to_be_near_to(compact_encoder, painting):
    photograph, start = picture(64, 64, seed=1), picture(64, 64, seed=2)
    kept = measure_statistics(compact_encoder, [painting], 64, precision="fp32")
    plain, near = (
        refine(compact_encoder, photograph, start, kept, replace(QUICK, steps=2, nearest_weight=w))
        for w in (0.0, 9.0)
    )
    assert torch.equal(plain, near)


@pytest.mark.parametrize(("height", "width"), [(72, 88), (75, 139), (64, 200)])
def test_the_gradient_in_tiles_is_that_of_the_whole(compact_encoder, painting, height, width):
    photograph, image = picture(height, width, seed=1), picture(height, width, seed=2)
    whole, wanted = loss_and_gradient(compact_encoder, photograph, image, painting, 512)
    tiled, found = loss_and_gradient(compact_encoder, photograph, image, painting, 64)
    assert tiled == pytest.approx(whole, rel=1e-4)
    assert (found - wanted).abs().max() < 2e-4 * wanted.abs().max()


def test_a_picture_in_tiles_is_that_of_the_whole(compact_encoder, painting):
    photograph, start = picture(72, 88, seed=1), picture(72, 88, seed=2)
    settings = replace(QUICK, steps=5)
    whole = refine(compact_encoder, photograph, start, [painting], settings)
    tiled = refine(compact_encoder, photograph, start, [painting], replace(settings, tile_px=64))
    assert (whole - start).abs().mean() > 2 / 255
    assert (whole - tiled).abs().mean() < 0.1 / 255


def test_tiles_own_every_pixel_once_and_see_as_far_as_the_features(compact_encoder):
    spec = compact_encoder.spec
    owned = torch.zeros(203, 330)
    for tile in plan_tiles(spec, 203, 330, 100):
        rows, columns = tile.rows, tile.columns
        owned[rows.first : rows.last, columns.first : columns.last] += 1
        assert rows.last - rows.first <= 100 + 8
    assert owned.min() == owned.max() == 1
    image = picture(256, 256).requires_grad_()
    features = compact_encoder(image, ("relu4_3",))["relu4_3"]
    (gradient,) = torch.autograd.grad(features[0, :, 16, 16].square().sum(), image)
    seen = gradient.abs().sum((0, 1)).nonzero()
    own = 16 * 8
    reach = max(own - int(seen.min()), int(seen.max()) - (own + 7))
    assert reach <= rim_px(spec) < reach + 16


def test_large_pictures_are_refined_coarse_to_fine(tiny_encoder, painting):
    assert sizes_px(300, 512) == [(300, 512)]
    assert sizes_px(2048, 1024) == [(512, 256), (1024, 512), (2048, 1024)]
    assert [long for _, long in sizes_px(384, 768)] == [COARSEST_PX, 768]
    photograph, start = picture(64, 600, seed=1), picture(64, 600, seed=2)
    reports = losses_of(tiny_encoder, photograph, start, [painting], replace(QUICK, steps=4))
    assert [r.steps for r in reports] == [6] * 6
    assert [r.preview().shape[-1] for r in reports] == [512] * 4 + [600] * 2


def test_a_finer_size_keeps_what_the_coarser_one_changed(tiny_encoder, painting):
    photograph, start = picture(64, 1024, seed=1), picture(64, 1024, seed=2)
    reports = losses_of(tiny_encoder, photograph, start, [painting], replace(QUICK, steps=20))
    coarse, first = reports[19].preview(), reports[20].preview()
    moved = (coarse - resize(start, *coarse.shape[-2:])).abs().mean()
    assert (resize(first, *coarse.shape[-2:]) - coarse).abs().mean() < 0.5 * moved


def test_statistics_do_as_well_as_the_painting(compact_encoder):
    photograph, start = picture(64, 64, seed=1), picture(64, 64, seed=2)
    painting = picture(64, 64, seed=3)
    settings = replace(QUICK, steps=20, nearest_weight=0.0)
    kept = measure_statistics(compact_encoder, [painting], 64, precision="fp32")
    by_picture, by_statistics = (
        losses_of(compact_encoder, photograph, start, style, settings)
        for style in ([painting], kept)
    )
    assert by_statistics[0].total == pytest.approx(by_picture[0].total, rel=0.1)
    refined = by_statistics[-1].preview()
    once = replace(settings, steps=1)
    judged = losses_of(compact_encoder, photograph, refined, [painting], once)
    assert judged[0].total < 1.3 * by_picture[-1].total


def test_statistics_of_another_encoder_are_refused(
    tiny_encoder, compact_encoder, photograph, start, painting
):
    kept = measure_statistics(compact_encoder, [painting], 64)
    with pytest.raises(CheckpointError, match=r"of encoder compact .* not the tiny at hand"):
        refine(tiny_encoder, photograph, start, kept, QUICK)


def test_the_least_settings_of_a_refinement_are_legal():
    RefinementSettings(steps=0, style_weight=0.0, chroma_weight=0.0, tile_px=64, style_size_px=64)


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"steps": -1}, "steps is -1; a whole number from 0 up is needed."),
        (
            {"style_weight": float("nan")},
            "style_weight is nan; a finite number from 0 up is needed.",
        ),
        ({"style_weight": -0.5}, "style_weight is -0.5; a finite number from 0 up is needed."),
        ({"nearest_weight": -0.5}, "nearest_weight is -0.5; a finite number from 0 up is needed."),
        ({"chroma_weight": -0.5}, "chroma_weight is -0.5; a finite number from 0 up is needed."),
        ({"tile_px": 63}, "tile_px is 63; a whole number from 64 up is needed."),
        ({"style_size_px": 63}, "style_size_px is 63; a whole number from 64 up is needed."),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; a finite number above 0 is needed."),
    ],
)
def test_bad_settings_are_refused_in_one_line(wrong, line):
    with pytest.raises(SettingsError) as told:
        RefinementSettings(**wrong)
    assert str(told.value) == line


def test_bad_pictures_are_refused_in_one_line(tiny_encoder):
    good = {"photograph": gray(16, 20), "start": gray(16, 20), "style": [gray(64, 64)]}
    for wrong, error, line in (
        (
            {"start": gray(16, 24)}, ShapeError,
            "The start is 24x16 px and the photograph 20x16 px; one size is needed. "
            "Refine what was drawn from this photograph.",
        ),
        (
            {"start": gray(16, 20)[:, :2]}, ShapeError,
            "The start has shape (1, 2, 16, 20); (1, 3, H, W) is needed.",
        ),
        (
            {"photograph": gray(15, 20)}, ShapeError,
            "The photograph is 20x15 px; both sides must be at least 16 px. "
            "Resize it or pick a larger image.",
        ),
        (
            {"style": [gray(63, 64)]}, ShapeError,
            "The style is 64x63 px; both sides must be at least 64 px. "
            "Resize it or pick a larger image.",
        ),
        (
            {"style": []}, ShapeError,
            "There is no picture of the style; give at least one.",
        ),
        (
            {"start": gray(16, 20, torch.inf)}, SettingsError,
            "The start holds NaN or infinity, as a failed decode leaves behind; load or render it "
            "again.",
        ),
        (
            {"photograph": gray(16, 20, 200.0)}, SettingsError,
            "The photograph holds values from 200 to 200; [0, 1] is needed. Divide 8-bit values "
            "by 255, and bring others into this range.",
        ),
        (
            {"style": [gray(64, 64, 200.0).byte()]}, SettingsError,
            "The style holds torch.uint8 numbers; floating-point numbers in [0, 1] are needed. "
            "Divide 8-bit values by 255.",
        ),
    ):  # fmt: skip
        with pytest.raises(error) as told:
            refine(tiny_encoder, **good | wrong, settings=QUICK)
        assert str(told.value) == line


def test_a_gradient_that_is_not_finite_is_tried_once_more_and_told(
    tiny_encoder, photograph, start, painting, monkeypatch
):
    looks = []

    def spoilt(self, picture, generator):
        looks.append(1)
        raise AdaptationDiverged("Refinement met NaN")

    monkeypatch.setattr(PictureLoss, "look", spoilt)
    with pytest.raises(AdaptationDiverged, match="met NaN"):
        refine(tiny_encoder, photograph, start, [painting], QUICK)
    assert len(looks) == 2


def test_nan_in_the_loss_is_noticed(tiny_encoder, photograph, start, painting):
    with pytest.raises(AdaptationDiverged, match="NaN or infinity"):
        loss_and_gradient(tiny_encoder, photograph, start * float("nan"), painting, 512)


@pytest.mark.parametrize("last", [2, 14])
def test_stopping_keeps_the_picture_at_its_full_size(tiny_encoder, painting, last):
    photograph, start = picture(96, 640, seed=1), picture(96, 640, seed=2)
    sizes = []

    def stop(report):
        sizes.append(tuple(report.preview().shape[-2:]))
        if report.step == last:
            raise StopLearning

    found = refine(tiny_encoder, photograph, start, [painting], QUICK, on_step=stop)
    assert len(sizes) == last
    assert (sizes[-1] == (96, 640)) == (last == 14), "the first size is a smaller one"
    assert found.shape == start.shape
    assert not found.requires_grad
    assert (found - start).abs().mean() > 1e-3


class _Judge:
    """Stands in for the loss: keeps what it was made of, and pulls as its class says."""

    made: list["_Judge"]
    gradient = staticmethod(torch.zeros_like)

    def __init__(self, encoder, photograph, target, **options) -> None:
        self.encoder, self.photograph, self.target, self.options = (
            encoder, photograph, target, options,
        )  # fmt: skip
        self.made.append(self)

    def look(self, picture, generator):
        return {"content": 1.0, "style": 2.0, "total": 3.0}, self.gradient(picture)


@pytest.fixture
def judge(monkeypatch) -> type[_Judge]:
    class Judge(_Judge):
        made: list[_Judge] = []  # noqa: RUF012

    monkeypatch.setattr(refinement, "PictureLoss", Judge)
    return Judge


@pytest.fixture
def encoded_sizes(tiny_encoder):
    """Sizes of what the encoder sees, while a test runs."""
    sizes: list[tuple[int, int]] = []
    hook = tiny_encoder.register_forward_pre_hook(
        lambda _, inputs: sizes.append(tuple(inputs[0].shape[-2:]))
    )
    yield sizes
    hook.remove()


def stop_at_once(report) -> None:
    raise StopLearning


def gray(height: int, width: int, level: float = 0.5) -> torch.Tensor:
    return torch.full((1, 3, height, width), level)


def test_every_size_is_judged_as_the_settings_say(judge, tiny_encoder, painting):
    def on_tile() -> None:
        raise AssertionError

    options = {
        "style_weight": 3.0, "nearest_weight": 7.0, "chroma_weight": 5.0, "blotch_weight": 9.0,
        "tile_px": 100, "precision": "fp32",
    }  # fmt: skip
    settings = RefinementSettings(steps=2, levels=0.0, **options)
    photograph = picture(64, 600)
    refine(tiny_encoder, photograph, photograph, [painting], settings, on_tile=on_tile)
    assert [each.photograph.shape[-2:] for each in judge.made] == [(55, 512), (64, 600)]
    torch.testing.assert_close(judge.made[1].photograph, photograph)
    for each in judge.made:
        assert each.encoder is tiny_encoder
        assert each.options == {**options, "places": 4096, "on_tile": on_tile}
        assert {layer.compared for layer in each.target.layers.values()} == {4096}
        assert each.target.layers.keys() == set(tiny_encoder.spec.style_layers)
        torch.testing.assert_close(each.target.chroma, chroma_variation(painting))
        assert each.target.detail.tolist() == [0.0]


def test_of_a_style_its_own_layers_alone_are_compared(judge, painting):
    spec = EncoderSpec("x", ((4,), (4,)), content_layers=("relu2_1",), style_layers=("relu1_1",))
    start = gray(16, 16)
    refine(PerceptualEncoder(spec), start, start, [painting], replace(QUICK, steps=1))
    assert judge.made[0].target.layers.keys() == {"relu1_1"}


def test_a_style_is_seen_in_the_format_that_gradients_have(tiny_encoder, painting, monkeypatch):
    """Before Ampere that is another one than `auto` takes without them."""
    asked = []

    def autocast(precision, device, **options):
        asked.append((precision, device.type, options))
        return nullcontext()

    monkeypatch.setattr(refinement, "autocast", autocast)
    measure_statistics(tiny_encoder, [painting], 64)
    assert asked == [("auto", "cpu", {"gradients": True})]


def test_which_places_of_a_large_style_are_kept_is_drawn_by_the_seed(judge, tiny_encoder):
    start, style = gray(128, 128), picture(136, 128)
    for seed in (1, 1, 2):
        refine(tiny_encoder, start, start, [style], replace(QUICK, steps=1, seed=seed))
    first, second, other = (each.target.layers["relu1_1"].places for each in judge.made)
    assert torch.equal(first, second)
    assert first.shape == other.shape == (1, 128 * 128, 6)
    assert not torch.equal(first, other)


def test_what_a_style_keeps_is_all_that_is_asked_for(judge, tiny_encoder, painting):
    kept = measure_statistics(tiny_encoder, [painting], 64)
    refine(tiny_encoder, gray(16, 16), gray(16, 16), kept, replace(QUICK, steps=1))
    (each,) = judge.made
    assert {layer.compared for layer in each.target.layers.values()} == {4096}
    assert (each.target.chroma.tolist(), each.target.detail.tolist()) == (
        [pytest.approx(kept.chroma)],
        [0.0],
    )


@pytest.mark.parametrize(
    ("style_size_px", "seen"),
    [(None, [(140, 109), (164, 128)]), (100, [(109, 85), (128, 100)]), (64, [(82, 64)] * 2)],
)
def test_brushes_shrink_with_the_picture_down_to_64_px(
    judge, tiny_encoder, encoded_sizes, style_size_px, seen
):
    """Beside 128x600 px, refined at 109x512 first, a style of 256x200 px has 128 px."""
    settings = replace(QUICK, steps=1, style_size_px=style_size_px)
    refine(tiny_encoder, gray(128, 600), gray(128, 600), [picture(256, 200)], settings)
    assert encoded_sizes == seen


def test_a_style_picture_is_never_enlarged_unasked(judge, tiny_encoder, encoded_sizes, painting):
    refine(tiny_encoder, gray(90, 90), gray(90, 90), [painting], replace(QUICK, steps=1))
    assert encoded_sizes == [(80, 64)]


def test_a_long_style_picture_is_kept_within_its_pixels(tiny_encoder, encoded_sizes, monkeypatch):
    monkeypatch.setattr(refinement, "MAX_STYLE_PIXELS", 64 * 256)
    kept = measure_statistics(tiny_encoder, [picture(64, 256)], 128)
    assert encoded_sizes == [(64, 256)]
    assert kept.style_size_px == 128


@pytest.mark.parametrize(
    ("steps", "rates"),
    [
        (4, {1: 1.0, 2: 0.8535534, 3: 0.5, 4: 0.1464466}),
        (20, {1: 0.5, 2: 0.9938442, 3: 0.9755283, 20: 0.0061558}),
    ],
)
def test_the_rate_rises_for_a_tenth_and_falls_as_a_cosine(
    judge, tiny_encoder, painting, steps, rates
):
    judge.gradient = staticmethod(torch.ones_like)
    levels = [0.5]
    settings = replace(QUICK, steps=steps, learning_rate=0.01)
    refine(
        tiny_encoder, gray(16, 16), gray(16, 16), [painting], settings,
        on_step=lambda report: levels.append(report.preview().mean().item()),
    )  # fmt: skip
    moved = [before - after for before, after in pairwise(levels)]
    assert len(moved) == steps
    for step, share in rates.items():
        assert moved[step - 1] == pytest.approx(0.01 * share, abs=1e-6)


def test_a_run_that_diverged_is_begun_again_at_a_tenth_of_the_rate(judge, tiny_encoder, painting):
    looks = []

    def spoilt_once(image):
        looks.append(image.mean().item())
        if len(looks) == 2:
            raise AdaptationDiverged("Refinement met NaN")
        return torch.ones_like(image)

    judge.gradient = staticmethod(spoilt_once)
    settings = replace(QUICK, steps=2)
    refined = refine(tiny_encoder, gray(16, 16), gray(16, 16), [painting], settings)
    assert looks == pytest.approx([0.5, 0.48, 0.5, 0.498])
    torch.testing.assert_close(refined, gray(16, 16, 0.497))


def test_reports_count_the_steps_of_all_sizes(judge, tiny_encoder, painting, monkeypatch):
    clock = count(100.0, 2.0)
    monkeypatch.setattr(refinement, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    photograph = gray(16, 1100)
    reports = losses_of(tiny_encoder, photograph, photograph, [painting], replace(QUICK, steps=3))
    assert [(r.step, r.steps) for r in reports] == [(n, 6) for n in range(1, 7)]
    assert [r.elapsed_s for r in reports] == [2, 4, 6, 8, 10, 12]
    assert {(r.content, r.style, r.total) for r in reports} == {(1.0, 2.0, 3.0)}
    reports = losses_of(tiny_encoder, photograph, photograph, [painting], replace(QUICK, steps=1))
    assert [r.steps for r in reports] == [3, 3, 3], "every size has a step"


def test_a_change_is_enlarged_bilinearly_onto_the_start(judge, tiny_encoder, painting):
    """Darker by 0.02 in the first eighth and brighter behind it, far from where the start steps."""

    def apart(image):
        pull = torch.ones_like(image)
        pull[..., 64:] = -1
        return pull

    judge.gradient = staticmethod(apart)
    start = torch.cat([gray(16, 512, 0.3), gray(16, 512, 0.6)], 3)
    settings = replace(QUICK, steps=1)
    refined = refine(tiny_encoder, start, start, [painting], settings, on_step=stop_at_once)
    assert refined.shape == start.shape
    change = (refined - start)[0, :, 3]
    middle = torch.tensor([-0.02, -0.02, -0.01, 0.01, 0.02, 0.02]).expand(3, 6)
    torch.testing.assert_close(change[:, 125:131], middle, rtol=0, atol=1e-5)
    torch.testing.assert_close(change[:, [0, 1023]], middle[:, [0, 5]], rtol=0, atol=1e-5)


def test_stopping_at_the_only_size_keeps_what_was_changed(judge, tiny_encoder, painting):
    judge.gradient = staticmethod(torch.ones_like)
    start, settings = gray(16, 16), replace(QUICK, steps=1)
    refined = refine(tiny_encoder, start, start, [painting], settings, on_step=stop_at_once)
    torch.testing.assert_close(refined, gray(16, 16, 0.48))


def test_nothing_leaves_the_range_of_pictures(judge, tiny_encoder, painting):
    start = torch.cat([gray(16, 8, -0.5), gray(16, 8, 0.01), gray(16, 8, 0.99), gray(16, 8, 2)], 3)
    settings = replace(QUICK, steps=1)
    kept = refine(tiny_encoder, start, start, [painting], settings)
    torch.testing.assert_close(kept, start.clamp(0, 1))
    judge.gradient = staticmethod(lambda image: (0.5 - image).sign())
    spread = refine(tiny_encoder, start, start, [painting], settings)
    torch.testing.assert_close(spread, (start > 0.5).float())
    assert judge.made[0].photograph.aminmax() == (0.0, 1.0)
    dark = torch.where(torch.arange(512) % 2 == 0, 0.0, 0.02).expand(1, 3, 16, 512)
    fine = torch.cat([dark, 1 - dark], 3)
    enlarged = refine(tiny_encoder, fine, fine, [painting], settings, on_step=stop_at_once)
    assert enlarged.aminmax() == (0.0, 1.0)


def test_without_settings_there_are_80_steps(judge, tiny_encoder, painting):
    steps = []
    refine(
        tiny_encoder, gray(16, 16), gray(16, 16), [painting],
        on_step=lambda report: steps.append(report.steps),
    )  # fmt: skip
    assert steps == [80] * 80


def test_sizes_lead_from_512_px_up_in_equal_ratios_and_no_side_falls_below_16_px():
    assert sizes_px(100, 200) == [(100, 200)]
    assert sizes_px(100, 513) == [(100, 512), (100, 513)]
    assert sizes_px(20, 2048) == [(16, 512), (16, 1024), (20, 2048)]
    assert sizes_px(2048, 20) == [(512, 16), (1024, 16), (2048, 20)]
    assert sizes_px(1152, 1152) == [(512, 512), (768, 768), (1152, 1152)]


def test_colours_vary_as_in_what_counts_of_the_mean_picture(tiny_encoder):
    red, blue = (torch.tensor(c).view(1, 3, 1, 1) for c in ([1.0, 0.0, 0.0], [0.0, 0.0, 1.0]))
    striped = torch.where(torch.arange(128) % 2 == 0, red, blue).expand(1, 3, 64, 128)
    two = measure_statistics(tiny_encoder, [striped, gray(64, 128)], 64, "fp32")
    assert two.chroma == pytest.approx(chroma_variation(striped).item() / 2)
    mask = torch.zeros(1, 1, 64, 128)
    mask[..., :64] = 1
    (left,) = style_pictures([striped], [mask], 64)
    half = measure_statistics(tiny_encoder, [striped], 64, "fp32", [mask])
    assert half.chroma == pytest.approx(2 * chroma_variation(left.pixels).item())
    mask[..., 0, 0] = 0
    with pytest.raises(ShapeError, match=r"leaves 4095 pixels .* as many as 64x64 are needed"):
        measure_statistics(tiny_encoder, [striped], 64, "fp32", [mask])


def test_refining_has_the_levels_asked_for_at_any_size_of_the_painting(tiny_encoder):
    photograph, dull = picture(64, 64, seed=1), 0.4 + 0.2 * picture(64, 64, seed=2)
    settings = RefinementSettings(steps=2, precision="fp32")

    def refined(painting, levels):
        chosen = replace(settings, levels=levels)
        return refine(tiny_encoder, photograph, photograph, [painting], chosen)

    by_hand = refined(with_levels(dull, 0.5), 0.0)
    assert torch.equal(refined(dull, 0.5), by_hand)
    assert not torch.equal(refined(dull, 0.0), by_hand)
    # More tones than a quantile may be sought among.
    huge = dull[..., :1, :1].expand(1, 3, 4200, 4200)
    assert torch.isfinite(refined(huge, 0.5)).all()
    with pytest.raises(SettingsError, match="levels"):
        replace(settings, levels=1.1)
