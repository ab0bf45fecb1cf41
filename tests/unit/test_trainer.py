"""The loop of updates: resuming to the bit, interruptions, averages, what it writes."""

import json
import math
import signal
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from unit.small_training import LOOP, META, SAVE_ALWAYS, make_recipe, needs_muon, parameters, run

from metastyle_core.base import load_base
from metastyle_core.checkpoint import read_tensors, write_tensors
from metastyle_core.cli.training_run import run_with_progress
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.errors import AdaptationDiverged, CheckpointError, SettingsError, TrainingError
from metastyle_core.training import meta_training
from metastyle_core.training.average import MovingAverage
from metastyle_core.training.meta_learning import meta_step
from metastyle_core.training.meta_training import MetaTraining
from metastyle_core.training.recipe import Outcome
from metastyle_core.training.state import save_state
from metastyle_core.training.trainer import Trainer, TrainerSettings


@pytest.mark.parametrize(
    ("algorithm", "optimizer"),
    [("maml", "adam"), ("fomaml", "adam"), pytest.param("fomaml", "muon", marks=needs_muon)],
)
def test_resuming_continues_to_the_bit(tmp_path, tiny_encoder, pool, algorithm, optimizer):
    settings = replace(META, algorithm=algorithm, learn_inner_lr=True)
    loop = replace(LOOP, optimizer=optimizer)
    straight = make_recipe(tiny_encoder, pool, settings)
    whole = run(straight, tmp_path / "straight", loop)
    first = make_recipe(tiny_encoder, pool, settings)
    trainer = Trainer(first, loop, tmp_path / "broken")

    def stop_at_two(report) -> None:
        if report.update == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.run(stop_at_two)
    second = make_recipe(tiny_encoder, pool, settings)
    resumed = run(second, tmp_path / "broken", loop, resume=True)
    assert resumed.state.update == 4
    for name, value in parameters(straight).items():
        assert torch.equal(parameters(second)[name], value), name
    for name, value in whole.state.average.items():
        assert torch.equal(resumed.state.average[name], value)
    assert torch.equal(whole.state.generator.get_state(), resumed.state.generator.get_state())


class _Interrupted(MetaTraining):
    """Is interrupted in its second update, between its draw and its gradients."""

    def __init__(self, encoder, pool, interrupt: Callable[[], None]) -> None:
        super().__init__(encoder, encoder, pool, pool, META, device=torch.device("cpu"), seed=3)
        self.interrupt, self.draws = interrupt, 0

    def accumulate_gradients(self, generator, shard) -> Outcome:
        tasks = self._sampler.sample(generator, shard)
        self.draws += 1
        if self.draws == 2:
            self.interrupt()
        return meta_step(self.learner, tasks, self.settings)


@pytest.mark.parametrize(
    ("signals", "kept"),
    [
        ((signal.SIGINT,), 2),
        ((signal.SIGTERM,), 2),
        ((signal.SIGTERM, signal.SIGTERM), 2),
        ((signal.SIGINT, signal.SIGINT), 1),
    ],
)
def test_an_interrupted_update_is_finished_or_left_out(tmp_path, tiny_encoder, pool, signals, kept):
    """A request is honoured after the update; a second Ctrl-C keeps the checkpoint before it."""
    straight = make_recipe(tiny_encoder, pool)
    whole = run(straight, tmp_path / "straight")
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]

    def send_signals() -> None:
        for number in signals:
            signal.raise_signal(number)

    first = _Interrupted(tiny_encoder, pool, send_signals)
    with pytest.raises(KeyboardInterrupt):
        run_with_progress(Trainer(first, SAVE_ALWAYS, tmp_path / "broken"))
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    second = make_recipe(tiny_encoder, pool)
    resumed = Trainer(second, LOOP, tmp_path / "broken", resume=True)
    assert resumed.state.update == kept
    resumed.run()
    for name, value in parameters(straight).items():
        assert torch.equal(parameters(second)[name], value), name
    for name, value in whole.state.average.items():
        assert torch.equal(resumed.state.average[name], value)
    assert torch.equal(whole.state.generator.get_state(), resumed.state.generator.get_state())


def test_an_exception_inside_an_update_keeps_the_checkpoint_before_it(tmp_path, tiny_encoder, pool):
    """As for someone who uses the core without the command line's handling of signals."""
    straight = make_recipe(tiny_encoder, pool)
    run(straight, tmp_path / "straight")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(_Interrupted(tiny_encoder, pool, interrupt), tmp_path / "broken", SAVE_ALWAYS)
    second = make_recipe(tiny_encoder, pool)
    resumed = run(second, tmp_path / "broken", resume=True)
    assert resumed.state.update == 4
    for name, value in parameters(straight).items():
        assert torch.equal(parameters(second)[name], value), name


def test_weights_return_when_the_average_cannot_be_put_in(tmp_path, tiny_encoder, pool):
    recipe = make_recipe(tiny_encoder, pool)
    trainer = run(recipe, tmp_path, replace(LOOP, updates=1))
    before = parameters(recipe)
    *_, last = trainer.state.average
    trainer.state.average._values[last] = torch.zeros(1, 2, 3)
    with pytest.raises(RuntimeError, match="size of tensor"), trainer.state.average.in_place():
        pass
    for name, value in before.items():
        assert torch.equal(parameters(recipe)[name], value), name


def test_an_average_turned_on_later_begins_at_the_trained_weights(tmp_path, tiny_encoder, pool):
    without = replace(LOOP, updates=2, average_decay=0.0)
    run(make_recipe(tiny_encoder, pool), tmp_path, without)
    recipe = make_recipe(tiny_encoder, pool)
    trainer = Trainer(recipe, LOOP, tmp_path, resume=True)
    for name, parameter in recipe.modules.named_parameters():
        assert torch.equal(trainer.state.average[name], parameter), name


def test_a_resumed_predictor_reads_the_encoder_that_it_read_before(tmp_path, tiny_encoder, pool):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(40)
        own = PerceptualEncoder(tiny_encoder.spec).requires_grad_(False).eval()
    recipe = make_recipe(own, pool)
    run(recipe, tmp_path / "started", replace(LOOP, updates=1))
    started = make_recipe(tiny_encoder, pool)
    started.start_from(tmp_path / "started" / "base.safetensors")
    straight = run(started, tmp_path / "run", replace(LOOP, updates=2))
    resumed = make_recipe(tiny_encoder, pool)
    Trainer(resumed, LOOP, tmp_path / "run", resume=True)
    read = started.learner.predictor.encoder.state_dict()
    for name, value in resumed.learner.predictor.encoder.state_dict().items():
        assert torch.equal(value, read[name]), name
        assert not torch.equal(value, tiny_encoder.state_dict()[name]), name
    assert straight.state.update == 2


def test_a_run_is_not_overwritten_without_resume(tmp_path, tiny_encoder, pool):
    short = replace(LOOP, updates=1)
    run(make_recipe(tiny_encoder, pool), tmp_path, short)
    with pytest.raises(TrainingError, match="--resume"):
        Trainer(make_recipe(tiny_encoder, pool), short, tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    other = make_recipe(tiny_encoder, pool, replace(META, initialisation="fixed"))
    with pytest.raises(CheckpointError, match="predictor"):
        Trainer(other, LOOP, tmp_path, resume=True)


def test_only_the_newest_checkpoints_are_kept(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, SAVE_ALWAYS)
    kept = sorted(p.name for p in tmp_path.glob("update-*"))
    assert kept == ["update-00000003", "update-00000004"]
    assert not list(tmp_path.glob(".*"))


def test_the_log_the_picture_and_the_base_are_written(tmp_path, tiny_encoder, pool, monkeypatch):
    monkeypatch.setattr(meta_training, "_PICTURE_STEPS", 2)
    settings = replace(LOOP, updates=2, picture_every=2)
    run(make_recipe(tiny_encoder, pool), tmp_path, settings)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [1, 2]
    assert all(line["metrics"]["total"] > 0 for line in lines)
    assert (tmp_path / "pictures" / "00000002.png").is_file()
    base = load_base(tmp_path / "base.safetensors")
    assert base.predictor is not None
    assert base.training["updates"] == 2


def test_a_preview_that_diverges_does_not_end_training(tmp_path, tiny_encoder, pool, caplog):
    recipe = make_recipe(tiny_encoder, pool)

    def diverge() -> None:
        raise AdaptationDiverged("the loss exploded")

    recipe.draw_picture = diverge
    trainer = run(recipe, tmp_path, replace(LOOP, updates=2, picture_every=1))
    assert trainer.state.update == 2
    assert "No picture of update 1: the loss exploded" in caplog.text


def test_a_run_folder_that_cannot_be_written_is_named_before_the_first_update(
    tmp_path, tiny_encoder, pool
):
    (tmp_path / "blocked").write_text("a file where a folder is needed")
    trainer = Trainer(make_recipe(tiny_encoder, pool), LOOP, tmp_path / "blocked" / "run")
    with pytest.raises(TrainingError, match="Cannot write"):
        trainer.run()
    assert trainer.state.update == 0


def test_a_checkpoint_that_cannot_take_its_place_is_a_clear_error(tmp_path, tiny_encoder, pool):
    trainer = Trainer(make_recipe(tiny_encoder, pool), LOOP, tmp_path)
    (tmp_path / "update-00000000").write_text("a file where a folder is needed")
    with pytest.raises(CheckpointError, match="Cannot write"):
        save_state(trainer.state, tmp_path)


def test_a_checkpoint_with_damaged_counters_is_refused(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    path = tmp_path / "update-00000001" / "weights.safetensors"
    file = read_tensors(path)
    kept = {k: v for k, v in file.metadata.items() if not k.startswith("format")}
    for counters in ("{}", "[]", '{"update": null}', "torn"):
        changed = {**kept, "counters": counters}
        form = file.metadata["format"]
        write_tensors(path, file.tensors, file_format=form, metadata=changed)
        with pytest.raises(CheckpointError, match="counters in its header are damaged"):
            Trainer(make_recipe(tiny_encoder, pool), LOOP, tmp_path, resume=True)


@needs_muon
def test_a_run_is_not_resumed_with_another_optimizer(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    with pytest.raises(CheckpointError, match="trained with adam, and muon is asked for"):
        Trainer(
            make_recipe(tiny_encoder, pool), replace(LOOP, optimizer="muon"), tmp_path, resume=True
        )


def test_the_exported_base_is_the_moving_average(tmp_path, tiny_encoder, pool):
    recipe = make_recipe(tiny_encoder, pool)
    # Steps large enough that half precision tells the average from the weights.
    trainer = run(recipe, tmp_path, replace(LOOP, learning_rate=0.1))
    base = load_base(tmp_path / "base.safetensors")
    raw = dict(recipe.learner.network.named_parameters())
    for name, exported in base.network.state_dict().items():
        average = trainer.state.average[f"network.{name}"]
        assert torch.equal(exported, average.half().float()), name
        assert not torch.equal(exported, raw[name].half().float()), name


class _Bare:
    """The part of a recipe that writes and shows nothing."""

    def keep_beside(self, checkpoint) -> None:
        return None

    def take_from(self, checkpoint) -> None:
        return None

    def draw_picture(self) -> None:
        return None

    def export(self, folder, provenance) -> None:
        return None


class _Known(_Bare):
    """A recipe that adds up the same gradient for so many tasks."""

    def __init__(self, gradient: list[float], tasks: int) -> None:
        self.modules = nn.Linear(len(gradient), 1, bias=False)
        self.gradient, self.tasks = torch.tensor([gradient]), tasks

    def accumulate_gradients(self, generator, shard) -> Outcome:
        for _ in range(self.tasks):
            self.modules.weight.grad += self.gradient
        return Outcome(self.tasks, 0, {})


@pytest.mark.parametrize("tasks", [1, 2, 7])
@pytest.mark.parametrize(
    ("gradient", "stepped"), [([0.3, 0.4], [0.3, 0.4]), ([30.0, 40.0], [0.6, 0.8])]
)
def test_a_step_takes_the_mean_over_tasks_clipped_to_its_norm(tmp_path, tasks, gradient, stepped):
    recipe, seen = _Known(gradient, tasks), []
    trainer = Trainer(recipe, replace(LOOP, updates=1, gradient_clip=1.0), tmp_path)
    trainer.state.optimizer.step = lambda rate: seen.append(recipe.modules.weight.grad.clone())
    trainer.run()
    torch.testing.assert_close(seen, [torch.tensor([stepped])])
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert line["gradient_norm"] == pytest.approx(math.hypot(*gradient))


def test_the_average_forgets_its_random_start():
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 1.0)
    average = MovingAverage(module, 0.999)
    nn.init.constant_(module.weight, 3.0)
    average.update(0)
    assert float(average["weight"]) == pytest.approx(0.1 * 1 + 0.9 * 3)
    average.update(8)
    assert float(average["weight"]) == pytest.approx(0.5 * 2.8 + 0.5 * 3)
    average.update(100_000)
    assert float(average["weight"]) == pytest.approx(0.999 * 2.9 + 0.001 * 3)


class _Broken(_Bare):
    """A recipe whose gradients are never usable."""

    def __init__(self) -> None:
        self.modules = nn.Linear(1, 1)

    def accumulate_gradients(self, generator, shard) -> Outcome:
        self.modules.weight.grad = torch.full((1, 1), float("nan"))
        return Outcome(1, 0, {})


def test_unusable_gradients_change_nothing_are_counted_and_end_the_run(tmp_path):
    recipe = _Broken()
    before = recipe.modules.weight.detach().clone()
    trainer = Trainer(recipe, replace(LOOP, updates=1000), tmp_path)
    with pytest.raises(TrainingError, match="in a row"):
        trainer.run()
    assert torch.equal(recipe.modules.weight, before)
    assert trainer.state.skipped == 50


@needs_muon
def test_the_learning_rate_warms_up_and_falls():
    settings = TrainerSettings(updates=100, learning_rate=1.0, warmup_updates=10, decay_from=20)
    rates = [settings.rate_at(update) for update in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[20] == 1.0
    assert rates[99] < 0.02
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert rates[60] == pytest.approx(0.01 + 0.99 * 0.5)
    assert rates[40] == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.sqrt(0.5)))
    constant = replace(settings, schedule="constant")
    assert constant.rate_at(99) == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"updates": 0},
        {"learning_rate": 0.0},
        {"average_decay": 1.0},
        {"optimizer": "sgd"},
        {"max_minutes": -1.0},
    ],
)
def test_illegal_settings_of_a_trainer_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        TrainerSettings(**{"optimizer": "adam"} | wrong)
