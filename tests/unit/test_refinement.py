"""Refinement: losses fall, seeds repeat, tiles change nothing, and bad input is one clear line."""

from dataclasses import replace

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import StopLearning
from metastyle_core.encoder import load_encoder
from metastyle_core.encoder_tiles import plan_tiles, rim_px
from metastyle_core.errors import AdaptationDiverged, CheckpointError, SettingsError, ShapeError
from metastyle_core.images import resize
from metastyle_core.losses import (
    LossSettings,
    StyleTarget,
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
    settings = replace(QUICK, steps=30, nearest_weight=0.0)
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
        chroma_weight=chroma_weight, places=1024, tile_px=tile_px, precision="fp32",
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
    settings = LossSettings(style_weight=20.0, chroma_weight=300.0)
    leaf, kept = image.clone().requires_grad_(), tiny_encoder(photograph, ("relu2_1",))
    wanted = perceptual_loss(leaf, tiny_encoder(leaf), kept, target, settings, generator)
    colour = wanted.total - wanted.content - 20 * wanted.style
    assert (colour.item() > 0.1) == (noise > 0)
    (gradient,) = torch.autograd.grad(wanted.total.sum(), leaf)
    encoded = []
    judge = PictureLoss(
        tiny_encoder, photograph, target, style_weight=20.0, nearest_weight=0.0,
        chroma_weight=300.0, places=72 * 88, tile_px=tile_px, precision="fp32",
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
            chroma_weight=0.0, places=48 * 40, tile_px=tile_px, precision="fp32",
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


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"steps": -1}, "steps is -1"),
        ({"style_weight": float("nan")}, "style_weight is nan"),
        ({"chroma_weight": -2.0}, "chroma_weight is -2"),
        ({"style_size_px": 8}, "style_size_px is 8"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"tile_px": 1}, "tile_px is 1"),
    ],
)
def test_bad_settings_are_refused(changed, words):
    with pytest.raises(SettingsError, match=words):
        RefinementSettings(**changed)


def test_bad_pictures_are_refused(tiny_encoder, photograph, start, painting):
    for changed, error, words in (
        ({"start": picture(64, 64)}, ShapeError, r"start is 64x64 px and the photograph 88x72 px"),
        ({"photograph": picture(72, 88)[0]}, ShapeError, r"photograph has shape .*\(1, 3, H, W\)"),
        ({"start": picture(8, 88)}, ShapeError, r"start is 88x8 px; .* at least 16 px"),
        ({"start": start * float("nan")}, SettingsError, "start holds NaN"),
        ({"style": [picture(32, 80)]}, ShapeError, r"style is 80x32 px; .* at least 64 px"),
        ({"style": []}, ShapeError, "no picture of the style"),
    ):
        given = {"photograph": photograph, "start": start, "style": [painting]} | changed
        with pytest.raises(error, match=words):
            refine(tiny_encoder, **given, settings=QUICK)


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
