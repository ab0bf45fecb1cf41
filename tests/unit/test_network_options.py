"""Networks that read grain as a channel of its own, have skip connections, and smooth."""

import weakref
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from samples import picture
from torch import Generator
from unit.small_training import LOOP, META, make_recipe, run

from metastyle_core import adaptation
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import Base, load_base, save_base
from metastyle_core.checkpoint import read_tensors, write_tensors
from metastyle_core.errors import CheckpointError, ShapeError
from metastyle_core.export import export_onnx, require_same_pictures
from metastyle_core.grain import FULL_GRAIN, drawn_relief, grain_relief, smooth_noise
from metastyle_core.network import StylizationNetwork, noted_statistics
from metastyle_core.stylization import stylize
from metastyle_core.tiling import Strips
from metastyle_core.touches import in_touches
from metastyle_core.training.recipe import Shard
from metastyle_core.training.tasks import TaskSampler


@pytest.fixture(scope="module")
def reading() -> Base:
    """A base that reads grain, skips and smooths."""
    torch.manual_seed(5)
    network = StylizationNetwork(8, 1, reads_grain=True, skips=True, smoothing=0.5)
    for layer in network.decoder:
        torch.nn.init.normal_(layer.skip.weight, std=0.5)
    return Base(network.requires_grad_(False).eval(), None, sha256="a" * 64, training={})


@pytest.fixture(scope="module")
def style(reading):
    settings = AdaptationSettings(steps=0, style_size_px=64, initialisation="fixed")
    return adapt_to_style(reading, None, [picture(64, 64)], settings=settings)


def test_without_grain_it_is_the_network_of_three_channels(reading):
    plain = StylizationNetwork(channels=8, blocks=1, skips=True, smoothing=0.5)
    weights = dict(reading.network.state_dict())
    first = "encoder.0.convolution.weight"
    plain.load_state_dict({**weights, first: weights[first][:, :3]})
    image = picture(40, 56)
    torch.testing.assert_close(reading.network(image), plain(image), rtol=0, atol=1e-6)
    nothing = reading.network.with_strokes(image, torch.zeros(1, 1, 40, 56))
    assert torch.equal(reading.network(nothing), reading.network(image))


def test_untrained_it_draws_strokes_as_if_they_lay_on_the_picture():
    torch.manual_seed(0)
    network = StylizationNetwork(channels=8, blocks=1, reads_grain=True)
    image, strokes = in_touches(picture(40, 56), grain_relief(40, 56, 1), 0.0)
    drawn = network(network.with_strokes(image, strokes))
    torch.testing.assert_close(drawn, network(image + strokes), rtol=0, atol=1e-5)
    assert (drawn - network(image)).abs().max() > 1e-3


def test_grain_changes_the_drawing_and_leaves_the_picture_alone(reading):
    image, strokes = in_touches(picture(40, 56), grain_relief(40, 56, 1), 0.0)
    grained = reading.network.with_strokes(image, strokes)
    assert torch.equal(grained[:, :3], image)
    assert (reading.network(grained) - reading.network(image)).abs().max() > 1e-3


@pytest.mark.parametrize("seamless", ["none", "x", "y", "both"])
def test_in_strips_it_draws_what_it_draws_whole(reading, style, seamless):
    image = picture(160, 48)
    options = {"precision": "fp32", "grain": 1.0, "seed": 3, "seamless": seamless}
    whole = stylize(reading, style, image, **options)
    strips = Strips(above_px=0, strip_px=8 * 48)
    cut = stylize(reading, style, image, strips=strips, **options)
    torch.testing.assert_close(cut, whole, rtol=0, atol=1e-5)
    plain = stylize(reading, style, image, strips=strips, seamless=seamless)
    assert (cut - plain).abs().max() > 1e-3


def test_other_channels_are_refused_with_the_shape_that_came(random_base, reading):
    with pytest.raises(ShapeError, match=r"\(1, 4, 32, 32\)"):
        random_base.network(torch.rand(1, 4, 32, 32))
    for shape in ((1, 5, 32, 32), (3, 32, 32), (4, 32, 32)):
        with pytest.raises(ShapeError, match=str(shape).strip("()")):
            reading.network(torch.rand(shape))


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("strength", [False, True])
def test_a_graph_draws_without_grain(reading, style, tmp_path, fixed, strength):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    options = {"statistics": None, "strength": strength}
    if fixed:
        with noted_statistics(reading.network) as options["statistics"]:
            stylize(reading, style, picture(64, 48), precision="fp32")
    path = tmp_path / "style.onnx"
    export_onnx(reading, style, path, **options)
    assert require_same_pictures(path, reading, style, **options) < 0.05


def test_files_say_what_a_network_is_like(reading, tmp_path):
    path = tmp_path / "base.safetensors"
    save_base(path, reading.network, None, {})
    assert load_base(path).network.reads_grain
    assert load_base(path).network.skips
    assert load_base(path).network.smoothing == 0.5
    file = read_tensors(path)
    header = {k: v for k, v in file.metadata.items() if not k.startswith("format")}
    for wrong, reason in (
        ('"reads_grain": "yes"', "damaged"),
        ('"reads_grain": false, "skips": true', "shape"),
        ('"reads_grain": true, "smoothing": 2.0', "damaged"),
        ('"reads_grain": true, "skips": 1', "damaged"),
        ('"reads_grain": true, "skips": false', "skip"),
    ):
        header["architecture"] = f'{{"channels": 8, "blocks": 1, {wrong}}}'
        write_tensors(path, file.tensors, file_format="metastyle.base", metadata=header)
        with pytest.raises(CheckpointError, match=reason):
            load_base(path)


def test_a_base_grows_and_does_not_shrink(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path / "plain", replace(LOOP, updates=1))
    plain = load_base(tmp_path / "plain" / "base.safetensors")
    settings = replace(META, reads_grain=True, grain=1.0, skips=True, smoothing=0.5)
    grown = make_recipe(tiny_encoder, pool, settings)
    grown.start_from(tmp_path / "plain" / "base.safetensors")
    image = picture(40, 56)
    grown.learner.network.smoothing = 0.0
    drawn = grown.learner.network(image)
    grown.learner.network.smoothing = 0.5
    torch.testing.assert_close(drawn, plain.network(image), rtol=0, atol=1e-6)
    run(grown, tmp_path / "grown", replace(LOOP, updates=1))
    learnt = load_base(tmp_path / "grown" / "base.safetensors").network
    assert all(layer.skip.weight.abs().max() > 0 for layer in learnt.decoder)
    for lacking, option in (
        ({"reads_grain": False}, "--reads-grain"),
        ({"skips": False}, "--skips"),
        ({"smoothing": 0.0}, r"--smoothing 0\.5"),
    ):
        smaller = make_recipe(tiny_encoder, pool, replace(settings, **lacking))
        with pytest.raises(CheckpointError, match=option):
            smaller.start_from(tmp_path / "grown" / "base.safetensors")


@pytest.mark.parametrize("skips", [False, True])
def test_what_was_seen_is_kept_for_skips_alone(skips):
    """And let go as soon as it was read: by the last layer nothing of the encoder is left."""
    network = StylizationNetwork(4, 1, skips=skips).requires_grad_(False)
    maps: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []
    for layer in network.encoder:
        layer.register_forward_hook(lambda _, __, out: maps.append(weakref.ref(out)))

    def count(*_: object) -> None:
        alive.append(sum(each() is not None for each in maps))

    with pytest.MonkeyPatch.context() as patch:
        # The rectifier's result is what is passed on: have it be the very same tensor.
        patch.setattr(F, "relu", lambda values: values.clamp_(min=0))
        network.decoder[0].register_forward_pre_hook(count)
        network.output.register_forward_pre_hook(count)
        network(picture(32, 32))
    assert alive == ([2, 0] if skips else [0, 0])


def test_a_skip_passes_what_the_first_layers_see(reading):
    network = reading.network
    image = picture(40, 56)
    drawn = network(image)
    for layer in network.decoder:
        weight = layer.skip.weight.clone()
        layer.skip.weight.zero_()
        assert (network(image) - drawn).abs().max() > 1e-3
        layer.skip.weight.copy_(weight)
    torch.testing.assert_close(network(image), drawn)


def test_training_draws_strokes_of_every_strength_and_none(pool, monkeypatch):
    sampler = TaskSampler(pool, pool, replace(META, styles=120, grain=0.8))
    strokes = sampler.sample(Generator().manual_seed(1), Shard()).query_touches[:, 3:]
    monkeypatch.setattr(sampler, "_draw_grain", lambda _: torch.ones(120))
    whole = sampler.sample(Generator().manual_seed(1), Shard()).query_touches[:, 3:]
    strengths = (strokes * whole).sum((1, 2, 3)) / whole.square().sum((1, 2, 3))
    torch.testing.assert_close(strokes, strengths.view(-1, 1, 1, 1) * whole)
    assert float((strengths == 0).float().mean()) == pytest.approx(0.04, abs=0.03)
    assert 0.75 < float(strengths.max()) <= 0.8
    assert whole.std() > 0.4 * FULL_GRAIN


def test_adaptation_reads_each_content_with_strokes_of_its_own_half_of_them_free(
    reading, tiny_encoder, monkeypatch
):
    stylize_once, find, read, judged = adaptation.stylize_with, adaptation._features_of_each, [], []

    def look(network, weights, images):
        read.append(images)
        return stylize_once(network, weights, images)

    def note(encoder, layers, contents, on_content):
        judged.append(contents)
        return find(encoder, layers, contents, on_content)

    monkeypatch.setattr(adaptation, "stylize_with", look)
    monkeypatch.setattr(adaptation, "_features_of_each", note)
    contents = torch.cat([picture(64, 64, seed=i) for i in range(6)])
    settings = AdaptationSettings(
        steps=6, batch=2, style_size_px=64, initialisation="fixed", precision="fp32", seed=4,
        abstraction=0.0,
    )  # fmt: skip
    for _ in range(2):
        adapt_to_style(reading, tiny_encoder, [picture(64, 64)], contents, settings)
    first, again = torch.cat(read[:6]), torch.cat(read[6:])
    assert torch.equal(first, again), "the seed draws them"
    places = [int((contents == image[:3]).flatten(1).all(1).nonzero()) for image in first]
    assert sorted(places) == sorted(2 * list(range(6)))
    assert torch.equal(first[places.index(3)], first[-1 - places[::-1].index(3)])
    strokes = torch.stack([first[places.index(i), 3:] for i in range(6)])
    alike = torch.corrcoef(strokes.flatten(1)).fill_diagonal_(0)
    assert alike.abs().max() < 0.9
    wanted = contents + 0.5 * strokes / 3.2
    torch.testing.assert_close(judged[0], wanted, rtol=0, atol=1e-6)


def test_noise_is_the_bicubic_enlargement_of_its_cells():
    noise = smooth_noise(32, 48, 4.0, Generator().manual_seed(2))
    values = torch.randn(11 * 15, generator=Generator().manual_seed(2)).view(1, 1, 11, 15)
    whole = F.interpolate(values, scale_factor=4, mode="bicubic")[..., 6:38, 6:54]
    torch.testing.assert_close(noise, whole / whole.std(), rtol=0, atol=1e-5)


def test_a_drawn_relief_is_as_strong_as_that_of_a_picture():
    drawn = drawn_relief(300, 300, Generator().manual_seed(0))[:, 0].std()
    torch.testing.assert_close(drawn, grain_relief(300, 300, 0)[:, 0].std(), rtol=0.15, atol=0)


def test_smoothing_takes_a_lattice_away_and_leaves_what_is_broad(reading):
    column = torch.arange(34)
    lattice = (column % 2).float().expand(1, 32, 34, 34) - 0.5
    assert reading.network.smoothed(lattice).abs().max().item() == pytest.approx(0.25)
    broad = (column / 34).expand(1, 32, 34, 34)
    torch.testing.assert_close(reading.network.smoothed(broad), broad[..., 1:-1, 1:-1])


@pytest.mark.parametrize("seamless", ["x", "y", "both"])
def test_in_strips_it_wraps_as_it_does_whole(reading, style, seamless):
    image = picture(60, 48)
    options = {"precision": "fp32", "grain": 1.0, "seed": 3, "seamless": seamless}
    whole = stylize(reading, style, image, **options)
    cut = stylize(reading, style, image, **options, strips=Strips(above_px=0, strip_px=16 * 48))
    torch.testing.assert_close(cut, whole, rtol=0, atol=1e-5)


def test_moving_what_wraps_moves_the_drawing():
    torch.manual_seed(0)
    network = StylizationNetwork(4, 1, skips=True, smoothing=0.5).double()
    for layer in network.decoder:
        torch.nn.init.normal_(layer.skip.weight, std=0.5)
    images = torch.rand(1, 3, 32, 40, dtype=torch.float64)
    moved = network(images.roll((8, 12), (2, 3)), "both")
    wanted = network(images, "both").roll((8, 12), (2, 3))
    torch.testing.assert_close(moved, wanted, rtol=0, atol=1e-9)
