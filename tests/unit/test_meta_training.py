"""Training of a base: its updates, a falling loss, and a beginning from another's weights."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Generator
from unit.small_training import LOOP, META, make_recipe, run

from metastyle_core import base as base_module
from metastyle_core.base import load_base
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.errors import CheckpointError, SettingsError
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.grain import USUAL_GRAIN
from metastyle_core.initialisation import PredictorSize
from metastyle_core.losses import LossSettings
from metastyle_core.touches import USUAL_ABSTRACTION
from metastyle_core.training import meta_learning, meta_training
from metastyle_core.training import tasks as tasks_module
from metastyle_core.training.meta_learning import meta_step, rate_key
from metastyle_core.training.recipe import Outcome, Shard
from metastyle_core.training.tasks import TaskSampler
from metastyle_core.training.trainer import Trainer

NOTHING = dict.fromkeys(("content", "style", "total", "log_total", "shift"), 0.0)


def drawn_tasks(pool, settings, shard=None):
    sampler = TaskSampler(pool, pool, settings)
    return sampler.sample(Generator().manual_seed(0), shard or Shard())


def test_training_lowers_the_loss(tmp_path, tiny_encoder, pool):
    settings = replace(LOOP, updates=40, learning_rate=3e-3, log_every=10)
    recipe = make_recipe(tiny_encoder, pool, replace(META, inner_steps=0))
    reports = []
    Trainer(recipe, settings, tmp_path).run(reports.append)
    assert reports[-1].metrics["log_total"] < reports[0].metrics["log_total"] - 0.1


def test_start_from_takes_the_weights_over(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    base = load_base(tmp_path / "base.safetensors")
    fresh = make_recipe(tiny_encoder, pool)
    fresh.start_from(tmp_path / "base.safetensors")
    for name, value in base.network.state_dict().items():
        assert torch.equal(fresh.learner.network.state_dict()[name], value)


def test_start_from_refuses_another_size(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    wider = make_recipe(tiny_encoder, pool, replace(META, channels=16))
    with pytest.raises(CheckpointError, match="8 channels"):
        wider.start_from(tmp_path / "base.safetensors")


def test_a_grown_predictor_begins_with_the_smaller_ones_predictions(tmp_path, tiny_encoder, pool):
    small = replace(META, predictor=PredictorSize(hidden=8))
    trained = make_recipe(tiny_encoder, pool, small)
    torch.nn.init.normal_(trained.learner.predictor.network.layers[-1].weight)
    run(trained, tmp_path, replace(LOOP, updates=1))
    base = load_base(tmp_path / "base.safetensors")
    grown = make_recipe(tiny_encoder, pool, replace(META, predictor=PredictorSize(hidden=12)))
    grown.start_from(tmp_path / "base.safetensors")
    larger, smaller = grown.learner.predictor.network, base.predictor.network
    features = base.predictor.encoder(torch.rand(2, 3, 64, 64), tiny_encoder.spec.style_layers)
    weights = torch.tensor([20.0, 3.0])
    wanted = smaller(smaller.statistics(features), weights)
    for name, value in larger(larger.statistics(features), weights).items():
        torch.testing.assert_close(value, wanted[name])
    assert max(float(value.abs().max()) for value in wanted.values()) > 0.1


def test_a_base_whose_predictor_reads_other_layers_is_refused(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    spec = replace(tiny_encoder.spec, style_layers=("relu2_1",))
    other = make_recipe(PerceptualEncoder(spec).requires_grad_(False), pool)
    with pytest.raises(CheckpointError, match="reads an encoder of other layers"):
        other.start_from(tmp_path / "base.safetensors")


def test_a_predictor_does_not_shrink(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    shrunk = replace(META, predictor=PredictorSize(hidden=4))
    with pytest.raises(SettingsError, match="does not fit"):
        make_recipe(tiny_encoder, pool, shrunk).start_from(tmp_path / "base.safetensors")


@pytest.mark.parametrize(
    ("mode", "steps", "sizes"),
    [
        ("norm", 1, [2]),
        ("norm", 0, [2]),
        ("full", 0, [2]),
        ("low_rank", 1, [1, 1]),
        ("full", 1, [1, 1]),
    ],
)
def test_tasks_that_share_what_they_adapt_go_one_by_one(pool, mode, steps, sizes):
    settings = replace(META, inner_mode=mode, inner_steps=steps)
    tasks = drawn_tasks(pool, settings)
    groups = list(meta_learning._groups(tasks, settings))
    assert [len(group) for group in groups] == sizes
    assert torch.equal(torch.cat([group.styles for group in groups]), tasks.styles)


def test_what_came_of_single_tasks_adds_up(tiny_encoder, pool, monkeypatch):
    settings = replace(META, inner_mode="full")
    each = Outcome(2, 3, {"content": 1.5, "style": 0.25})
    monkeypatch.setattr(meta_learning, "_group_step", lambda *_: each)
    learner = make_recipe(tiny_encoder, pool, settings).learner
    whole = meta_step(learner, drawn_tasks(pool, settings), settings)
    assert whole == Outcome(4, 6, {"content": 3.0, "style": 0.5})


def test_an_update_in_which_nothing_counts_has_the_same_metrics_at_zero(tiny_encoder, pool):
    learner = make_recipe(tiny_encoder, pool).learner
    tasks = drawn_tasks(pool, META)
    tasks.styles[:] = math.nan
    assert meta_step(learner, tasks, META) == Outcome(0, 2, NOTHING)
    none = drawn_tasks(pool, META, Shard(4, 5))
    assert meta_step(learner, none, META) == Outcome(0, 0, NOTHING)
    assert all(p.grad is None for p in learner.network.parameters())


@pytest.mark.parametrize(("distance", "layer"), [("plain", "relu1_1"), ("standardised", "relu2_1")])
def test_an_update_compares_at_the_layers_that_each_loss_asks_for(
    tiny_encoder, pool, monkeypatch, distance, layer
):
    spec = replace(tiny_encoder.spec, content_layers=("relu1_1",), style_layers=("relu2_1",))
    encoder = PerceptualEncoder(spec).requires_grad_(False)
    original, asked = meta_learning.perceptual_loss, []

    def look(stylized, photographs, features, content, target, *rest):
        asked.append((list(content), list(target.layers), list(features)))
        return original(stylized, photographs, features, content, target, *rest)

    monkeypatch.setattr(meta_learning, "perceptual_loss", look)
    loss = LossSettings(content_distance=distance, style_scales=2)
    settings = replace(META, inner_steps=0, loss=loss)
    meta_step(make_recipe(encoder, pool).learner, drawn_tasks(pool, settings), settings)
    of_style = ["relu2_1", "relu2_1/2"]
    assert asked == [([layer], of_style, ["relu1_1", *of_style])]


def test_the_target_of_an_update_is_drawn_from_the_seed_of_its_tasks(
    tiny_encoder, pool, monkeypatch
):
    original, seeds = meta_learning.style_target, []

    def look(features, images, distance, generator):
        seeds.append(generator.initial_seed())
        return original(features, images, distance, generator)

    monkeypatch.setattr(meta_learning, "style_target", look)
    settings = replace(META, styles=1, inner_steps=0)
    tasks = drawn_tasks(pool, settings)
    meta_step(make_recipe(tiny_encoder, pool).learner, tasks, settings)
    assert seeds == [tasks.seed]


def test_the_outer_loss_is_the_logarithm_of_a_tenth_above_the_loss(tiny_encoder, pool):
    settings = replace(META, styles=1, inner_steps=0)
    learner = make_recipe(tiny_encoder, pool).learner
    found = meta_step(learner, drawn_tasks(pool, settings), settings).metrics
    assert float(found["log_total"]) == pytest.approx(math.log(float(found["total"]) + 0.1))


def test_an_update_computes_in_formats_that_gradients_bear(tiny_encoder, pool, monkeypatch):
    original, asked = meta_learning.autocast, []

    def look(precision, device, *, gradients=False):
        asked.append((precision, gradients))
        return original(precision, device, gradients=gradients)

    for module in (meta_learning, base_module):
        monkeypatch.setattr(module, "autocast", look)
    settings = replace(META, inner_steps=0, shift_weight=1.0)
    meta_step(make_recipe(tiny_encoder, pool).learner, drawn_tasks(pool, settings), settings)
    assert asked == [("fp32", True)] * 4, "of target, prediction, loss and moved picture"


@pytest.mark.parametrize("inner_steps", [0, 1])
def test_an_update_without_grain_seeks_no_strokes(tiny_encoder, pool, monkeypatch, inner_steps):
    original, sought, read = tasks_module.in_touches, [], []

    def look(*arguments):
        sought.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(tasks_module, "in_touches", look)
    for grain, calls in ((0.0, 0), (1.0, 1)):
        settings = replace(META, inner_steps=inner_steps, grain=grain, reads_grain=True)
        learner = make_recipe(tiny_encoder, pool, settings).learner
        with_strokes = learner.network.with_strokes
        learner.network.with_strokes = lambda *a, f=with_strokes: read.append(a[1]) or f(*a)
        tasks = drawn_tasks(pool, settings)
        assert meta_step(learner, tasks, settings).count == 2
        assert len(sought) == len(read) == calls
    assert torch.equal(read[0], tasks.query_touches[:, 3:])


@pytest.mark.parametrize("trained", [0.0, 0.5])
def test_styles_of_a_runs_picture_learn_on_contents_as_they_are_drawn(
    tiny_encoder, pool, monkeypatch, trained
):
    learn, draw, learned, drawn = meta_training.adapt_to_style, meta_training.stylize, [], []

    def adapt(base, encoder, images, contents, settings):
        learned.append(settings.abstraction)
        return learn(base, encoder, images, contents, settings)

    def stylize(*arguments, **options):
        drawn.append((options["abstraction"], options["grain"], options["colouring"]))
        return draw(*arguments, **options)

    monkeypatch.setattr(meta_training, "adapt_to_style", adapt)
    monkeypatch.setattr(meta_training, "stylize", stylize)
    settings = replace(META, inner_steps=0, abstraction=trained, grain=trained)
    make_recipe(tiny_encoder, pool, settings).draw_picture()
    amount, grain = (USUAL_ABSTRACTION, USUAL_GRAIN) if trained else (0.0, 0.0)
    assert learned == [amount] * 6
    assert drawn == [(amount, grain, AS_DRAWN)] * 6


def test_a_learned_rate_keeps_its_name_in_checkpoints():
    assert rate_key("residual.0.first.norm.weight") == "residual|0|first|norm|weight"
