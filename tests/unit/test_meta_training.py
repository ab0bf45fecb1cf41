"""Training of a base: the loss falls, and a run begins from the weights of another."""

from dataclasses import replace

import pytest
import torch
from unit.small_training import LOOP, META, make_recipe, run

from metastyle_core.base import load_base
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.errors import CheckpointError, SettingsError
from metastyle_core.initialisation import PredictorSize
from metastyle_core.training.trainer import Trainer


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
    small = replace(META, predictor=PredictorSize(hidden=8, covariances=0))
    trained = make_recipe(tiny_encoder, pool, small)
    torch.nn.init.normal_(trained.learner.predictor.network.layers[-1].weight)
    run(trained, tmp_path, replace(LOOP, updates=1))
    base = load_base(tmp_path / "base.safetensors")
    grown = make_recipe(
        tiny_encoder, pool, replace(META, predictor=PredictorSize(hidden=12, covariances=3))
    )
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
    shrunk = replace(META, predictor=PredictorSize(hidden=4, covariances=0))
    with pytest.raises(SettingsError, match="does not fit"):
        make_recipe(tiny_encoder, pool, shrunk).start_from(tmp_path / "base.safetensors")
