"""On CUDA: the pictures, styles, crops and updates that the CPU gives."""

from dataclasses import replace

import pytest
import torch
from samples import picture
from torch import Generator

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import Base, load_base
from metastyle_core.encoder import load_encoder
from metastyle_core.refinement import RefinementSettings, refine
from metastyle_core.stylization import pictures_per_pass, stylize
from metastyle_core.tiling import Strips
from metastyle_core.training.data import ImagePool
from metastyle_core.training.meta_training import MetaTraining
from metastyle_core.training.recipe import Shard
from metastyle_core.training.tasks import MetaSettings

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA is not here")
CUDA = torch.device("cuda")


@pytest.fixture(scope="module")
def on_cpu() -> Base:
    return load_base()


@pytest.fixture(scope="module")
def on_cuda() -> Base:
    return load_base().to(CUDA)


def instant(base, precision="fp32"):
    settings = AdaptationSettings(steps=0, style_size_px=128, precision=precision)
    return adapt_to_style(base, None, [picture(128, 128, seed=1)], settings=settings)


# Levels of 255; TF32 in convolutions is what PyTorch does by default.
@pytest.mark.parametrize(("precision", "mean"), [("fp32", 0.5), ("bf16", 1.5), ("fp16", 0.5)])
@pytest.mark.parametrize("grain", [0.0, 1.0])
def test_cuda_draws_what_the_cpu_draws(on_cpu, on_cuda, precision, mean, grain):
    image, style = picture(256, 320, seed=2), instant(on_cpu)
    wanted = stylize(on_cpu, style, image, precision="fp32", grain=grain)
    drawn = stylize(on_cuda, style, image.to(CUDA), precision=precision, grain=grain)
    assert drawn.device.type == "cuda"
    assert 255 * (drawn.cpu() - wanted).abs().mean().item() < mean


def test_strips_on_cuda_draw_what_the_whole_draws(on_cuda):
    image, style = picture(600, 400, seed=3).to(CUDA), instant(on_cuda)
    whole = stylize(on_cuda, style, image, precision="fp32")
    strips = Strips(above_px=0, strip_px=400 * 64)
    cut = stylize(on_cuda, style, image, precision="fp32", strips=strips)
    assert 255 * (cut - whole).abs().mean().item() < 0.5


@pytest.mark.parametrize("mode", ["norm", "low_rank", "decoder", "full"])
def test_adaptation_on_cuda_lowers_the_loss(on_cuda, mode):
    encoder = load_encoder("compact").to(CUDA)
    contents = torch.cat([picture(128, 128, seed=s) for s in range(4)])
    totals = []
    style = adapt_to_style(
        on_cuda,
        encoder,
        [picture(128, 128, seed=9)],
        contents,
        AdaptationSettings(mode=mode, steps=30, style_size_px=128),
        on_step=lambda report: totals.append(report.total),
    )
    assert all(weight.isfinite().all() for weight in style.fast_weights.values())
    assert sum(totals[-5:]) < sum(totals[:5])


def test_refining_on_cuda_lowers_the_loss(on_cuda):
    encoder, photograph = load_encoder("compact").to(CUDA), picture(256, 256, seed=4).to(CUDA)
    start = stylize(on_cuda, instant(on_cuda), photograph)
    totals = []
    refine(
        encoder,
        photograph,
        start,
        [picture(128, 128, seed=9).to(CUDA)],
        RefinementSettings(steps=20),
        on_step=lambda report: totals.append(report.total),
    )
    assert totals[-1] < totals[0]


def test_a_large_batch_takes_the_memory_of_one_pass(on_cuda):
    style, peaks = instant(on_cuda), []
    count = pictures_per_pass(512, 512, CUDA)
    for images in (torch.rand(count, 3, 512, 512), torch.rand(3 * count, 3, 512, 512)):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        stylize(on_cuda, style, images)
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 1.1 * peaks[0]


def test_training_draws_the_same_tasks_on_cuda():
    generator = Generator().manual_seed(0)
    images = [
        torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8, generator=generator)
        for _ in range(4)
    ]
    settings = MetaSettings(
        styles=8, crop_px=64, channels=8, blocks=1, grain=1.0, patterns=0.5, shift_weight=60.0,
        style_weight_range=(5.0, 40.0), reads_grain=True, precision="fp32",
    )  # fmt: skip
    encoder, tasks, norms = load_encoder("compact"), [], []
    for device in (torch.device("cpu"), CUDA):
        pool = ImagePool(images)
        recipe = MetaTraining(encoder, load_encoder("compact"), pool, pool, settings, device=device)
        tasks.append(recipe._sampler.sample(Generator().manual_seed(5), Shard()))
        for parameter in recipe.modules.parameters():
            parameter.grad = torch.zeros_like(parameter)
        outcome = recipe.accumulate_gradients(Generator().manual_seed(5), Shard())
        assert outcome.count == 8
        norms.append(float(outcome.metrics["total"]))
    for name in ("styles", "query_contents", "style_weights"):
        first, second = (getattr(each, name).cpu() for each in tasks)
        torch.testing.assert_close(first, second, rtol=0, atol=1e-4)
    # Here and there rounding says which touch lies on top.
    first, second = (each.query_touches.cpu() for each in tasks)
    assert ((first - second).abs() > 1e-4).float().mean() < 0.01
    assert norms[1] == pytest.approx(norms[0], rel=0.02)


def test_an_update_on_cuda_trains(tmp_path):
    pool = ImagePool([torch.randint(0, 256, (3, 90, 120), dtype=torch.uint8) for _ in range(4)])
    settings = MetaSettings(styles=4, crop_px=64, channels=8, blocks=1, inner_steps=2)
    encoder = load_encoder("compact")
    for algorithm in ("fomaml", "maml"):
        recipe = MetaTraining(
            encoder, encoder, pool, pool, replace(settings, algorithm=algorithm), device=CUDA
        )
        for parameter in recipe.modules.parameters():
            parameter.grad = torch.zeros_like(parameter)
        assert recipe.accumulate_gradients(Generator().manual_seed(5), Shard()).count == 4
        gradients = [p.grad for p in recipe.learner.network.parameters()]
        assert all(bool(g.isfinite().all()) for g in gradients if g is not None)
