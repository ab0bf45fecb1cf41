"""The loop of updates: resuming to the bit, interruptions, averages, what it writes."""

import json
import math
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from unit.small_training import LOOP, META, SAVE_ALWAYS, make_recipe, parameters, run

from metastyle_core.base import load_base
from metastyle_core.checkpoint import read_tensors, write_tensors
from metastyle_core.cli.training_run import run_with_progress
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.errors import AdaptationDiverged, CheckpointError, SettingsError, TrainingError
from metastyle_core.images import load_batch
from metastyle_core.training import meta_training
from metastyle_core.training import trainer as trainer_module
from metastyle_core.training.average import MovingAverage
from metastyle_core.training.meta_learning import meta_step
from metastyle_core.training.meta_training import MetaTraining
from metastyle_core.training.recipe import Outcome, Shard
from metastyle_core.training.state import save_state
from metastyle_core.training.trainer import Trainer, TrainerSettings


@pytest.mark.parametrize(
    ("algorithm", "optimizer"),
    [("maml", "adam"), ("fomaml", "adam"), ("fomaml", "muon")],
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


@pytest.mark.parametrize(("inner_steps", "pictures"), [(0, 1 + 3), (1, 1 + 3 + 3)])
def test_the_log_the_picture_and_the_base_are_written(
    tmp_path, tiny_encoder, pool, monkeypatch, inner_steps, pictures
):
    monkeypatch.setattr(meta_training, "_PICTURE_STEPS", 2)
    settings = replace(LOOP, updates=2, picture_every=2)
    meta = replace(META, inner_steps=inner_steps)
    run(make_recipe(tiny_encoder, pool, meta), tmp_path, settings)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [1, 2]
    assert all(line["metrics"]["total"] > 0 for line in lines)
    height, width = load_batch(tmp_path / "pictures" / "00000002.png").shape[-2:]
    assert width // 128 == pictures
    assert height // 128 == 6
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
    ("wrong", "line"),
    [
        ({"updates": 0}, "updates is 0; a whole number from 1 up is needed."),
        ({"log_every": 0}, "log_every is 0; a whole number from 1 up is needed."),
        ({"warmup_updates": -1}, "warmup_updates is -1; a whole number from 0 up is needed."),
        ({"decay_from": -1}, "decay_from is -1; a whole number from 0 up is needed."),
        ({"picture_every": -1}, "picture_every is -1; a whole number from 0 up is needed."),
        ({"max_minutes": -0.5}, "max_minutes is -0.5; a finite number from 0 up is needed."),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; a finite number above 0 is needed."),
        ({"gradient_clip": 0.0}, "gradient_clip is 0.0; a finite number above 0 is needed."),
        ({"average_decay": 1.0}, "average_decay is 1.0; 0 up to below 1 is needed."),
        ({"average_decay": -0.1}, "average_decay is -0.1; 0 up to below 1 is needed."),
        ({"optimizer": "sgd"}, "optimizer is 'sgd'; choose adam or muon."),
    ],
)
def test_illegal_settings_of_a_trainer_are_refused_in_one_line(wrong, line):
    with pytest.raises(SettingsError) as told:
        replace(LOOP, **wrong)
    assert str(told.value) == line


def test_the_least_settings_of_a_trainer_are_legal():
    least = {"updates": 1, "log_every": 1, "warmup_updates": 0, "decay_from": 0}
    least |= {"picture_every": 0, "max_minutes": 0.0, "average_decay": 0.0}
    assert replace(LOOP, **least).rate_at(0) == LOOP.learning_rate


def test_beyond_the_last_update_the_rate_stays_at_a_hundredth():
    settings = replace(LOOP, updates=20, learning_rate=1.0, warmup_updates=0)
    assert settings.rate_at(20) == settings.rate_at(32) == pytest.approx(0.01)
    assert replace(settings, decay_from=20).rate_at(21) == pytest.approx(0.01)
    assert replace(settings, decay_from=20).rate_at(20) == 1.0


class _Scripted(_Bare):
    """A recipe with given outcomes, whose tasks each add 1 to every gradient, or NaN."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.modules, self.outcomes = nn.Linear(2, 1), list(outcomes)
        self.exported: list[dict[str, object]] = []

    def accumulate_gradients(self, generator, shard) -> Outcome:
        outcome = self.outcomes.pop(0)
        for parameter in self.modules.parameters():
            parameter.grad += outcome.count * outcome.metrics.get("gradient", 1)
        return outcome

    def export(self, folder, provenance) -> None:
        self.exported.append(provenance)


def _log_of(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def _clock(monkeypatch, step_s: float) -> None:
    """Let each look at the clock come `step_s` after the one before."""
    clock = count(100.0, step_s)
    monkeypatch.setattr(trainer_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))


GOOD = Outcome(1, 0, {})
BAD = Outcome(2, 1, {"gradient": math.nan})


def test_lines_of_the_log_are_means_since_the_line_before(tmp_path, monkeypatch):
    _clock(monkeypatch, 10.0)
    outcomes = [
        Outcome(1, 2, {"total": 4.0, "content": 1.0}),
        Outcome(3, 1, {"total": 8.0, "content": 1.0}),
        Outcome(1, 0, {"total": 5.0, "content": 3.0}),
    ]
    settings = replace(LOOP, updates=3, log_every=2, gradient_clip=10.0)
    reports = []
    folder = tmp_path / "runs" / "first"
    Trainer(_Scripted(*outcomes), settings, folder).run(reports.append)
    first, last = _log_of(folder)
    assert [asdict(report) for report in reports] == [first, last]
    norm = pytest.approx(math.sqrt(3))
    assert first == {
        "update": 2,
        "updates": 3,
        "learning_rate": pytest.approx(7.525e-4),
        "skipped": 3,
        "gradient_norm": norm,
        "elapsed_s": 20.0,
        "samples": 4,
        "metrics": {"total": 3.0, "content": 0.5},
    }
    assert last == {
        "update": 3,
        "updates": 3,
        "learning_rate": pytest.approx(2.575e-4),
        "skipped": 3,
        "gradient_norm": norm,
        "elapsed_s": 30.0,
        "samples": 5,
        "metrics": {"total": 5.0, "content": 3.0},
    }


def test_an_update_without_a_gradient_is_left_out_of_steps_and_means(tmp_path):
    outcomes = [Outcome(0, 3, {}), Outcome(0, 0, {}), BAD, Outcome(2, 0, {"total": 6.0})]
    trainer = Trainer(
        _Scripted(*outcomes), replace(LOOP, log_every=4, gradient_clip=10.0), tmp_path
    )
    rates, averaged = [], []
    trainer.state.optimizer.step = rates.append
    trainer.state.average.update = averaged.append
    trainer.run()
    assert rates == [LOOP.rate_at(3)]
    assert averaged == [3]
    assert (trainer.state.samples, trainer.state.skipped) == (2, 3 + 1 + 3)
    (line,) = _log_of(tmp_path)
    assert line["metrics"] == {"total": 3.0}
    assert line["gradient_norm"] == pytest.approx(math.sqrt(3) / 4)


def test_failures_are_counted_from_the_last_good_update(tmp_path):
    trainer = Trainer(_Scripted(BAD, GOOD, *[BAD] * 60), replace(LOOP, updates=100), tmp_path)
    with pytest.raises(TrainingError) as told:
        trainer.run()
    assert trainer.state.update == 52
    assert str(told.value) == "50 updates in a row gave no finite loss; lower the learning rate."


@pytest.mark.parametrize(("step_s", "saved"), [(60.0, [2, 4, 5]), (60.5, [1, 2, 3, 4, 5, 5])])
def test_checkpoints_are_written_when_more_than_their_minutes_have_passed(
    tmp_path, monkeypatch, step_s, saved
):
    _clock(monkeypatch, step_s)
    recipe = _Scripted(*[GOOD] * 5)
    run(recipe, tmp_path, replace(LOOP, updates=5, checkpoint_minutes=1.0))
    assert [provenance["updates"] for provenance in recipe.exported] == saved


@pytest.mark.parametrize(
    ("step_s", "minutes", "updates"), [(60.0, 2.0, 3), (60.5, 1.0, 1), (0.7, 0.01, 1), (60, 0.0, 4)]
)
def test_a_run_stops_once_its_minutes_are_over(tmp_path, monkeypatch, step_s, minutes, updates):
    _clock(monkeypatch, step_s)
    trainer = run(_Scripted(*[GOOD] * 4), tmp_path, replace(LOOP, max_minutes=minutes))
    assert trainer.state.update == updates


def test_a_run_stops_when_it_is_asked_to(tmp_path):
    recipe, answers = _Scripted(*[GOOD] * 4), iter([False, True])
    trainer = Trainer(recipe, LOOP, tmp_path)
    assert trainer.run(should_stop=lambda: next(answers)) is trainer.state
    assert trainer.state.update == 2
    assert [provenance["updates"] for provenance in recipe.exported] == [2]


def test_a_finished_run_is_written_again_and_says_where_it_goes_on(tmp_path, monkeypatch, caplog):
    _clock(monkeypatch, 10.25)
    recipe, settings = _Scripted(GOOD, Outcome(2, 1, {})), replace(LOOP, updates=2)
    run(recipe, tmp_path, settings)
    wanted = {
        "trainer": asdict(settings), "updates": 2, "samples": 3, "skipped": 1, "elapsed_s": 20,
        "processes": 1,
    }  # fmt: skip
    assert recipe.exported == [wanted]
    caplog.set_level("INFO")
    again = _Scripted(GOOD)
    run(again, tmp_path, settings, resume=True)
    assert again.exported == [wanted]
    assert "continuing from update 2" in caplog.text
    longer = run(again, tmp_path, replace(settings, updates=3), resume=True)
    assert longer.state.elapsed_s == 20.5 + 10.25


def test_a_process_killed_while_it_draws_loses_nothing_of_the_last_minutes(tmp_path):
    recipe, kept = _Scripted(*[GOOD] * 4), []
    recipe.draw_picture = lambda: kept.append(max(p.name for p in tmp_path.glob("update-*")))
    run(recipe, tmp_path, replace(SAVE_ALWAYS, picture_every=3))
    assert kept == ["update-00000003"]


def test_what_is_shown_and_shipped_is_the_average(tmp_path):
    recipe, seen = _Scripted(*[GOOD] * 4), []

    def look() -> None:
        seen.append((trainer.state.update, recipe.modules.weight.detach().clone()))

    recipe.draw_picture = look
    recipe.export = lambda folder, provenance: look()
    trainer = Trainer(
        recipe, replace(LOOP, picture_every=2, updates=3, learning_rate=0.1), tmp_path
    )
    trainer.run()
    assert [update for update, _ in seen] == [2, 3]
    average = trainer.state.average["weight"]
    assert torch.equal(seen[-1][1], average)
    assert not torch.equal(recipe.modules.weight, average)
    assert not (tmp_path / "pictures").exists()


def test_a_group_adds_up_gradients_counts_and_metrics(tmp_path, monkeypatch):
    """The other processes have 0, 1, 2, ... where this one has its gradients and its counts."""
    monkeypatch.setattr(
        torch.distributed,
        "all_reduce",
        lambda own: own.add_(torch.arange(own.numel()).view_as(own)),
    )
    recipe, stepped = _Scripted(Outcome(2, 4, {"total": 6.0, "content": 2.0})), []
    trainer = Trainer(recipe, replace(LOOP, updates=1, gradient_clip=10.0), tmp_path)
    trainer._shard = Shard(0, 2)
    modules = recipe.modules
    trainer.state.optimizer.step = lambda _: stepped.extend(p.grad for p in modules.parameters())
    trainer.run()
    weight, bias = stepped
    torch.testing.assert_close(weight, torch.tensor([[2 / 5, 3 / 5]]))
    torch.testing.assert_close(bias, torch.tensor([4 / 5]))
    assert (trainer.state.samples, trainer.state.skipped) == (5, 8)
    (line,) = _log_of(tmp_path)
    assert line["metrics"] == {"total": 12 / 5, "content": 7 / 5}
    assert recipe.exported[-1]["processes"] == 2


@pytest.mark.parametrize(("own", "others", "updates"), [(0, 0, 4), (1, 0, 1), (0, 1, 1)])
def test_a_group_goes_on_until_one_of_it_stops(tmp_path, monkeypatch, own, others, updates):
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda numbers: numbers.add_(others))
    recipe = _Scripted(*[GOOD] * 4)
    recipe.draw_picture = lambda: torch.zeros(3, 16, 16)
    trainer = Trainer(recipe, replace(LOOP, picture_every=1), tmp_path / "run")
    trainer._shard = Shard(1, 2)
    trainer.run(should_stop=lambda: bool(own))
    assert trainer.state.update == updates
    assert not (tmp_path / "run").exists(), "the first process alone writes"
    assert recipe.exported == []


def test_a_log_that_cannot_be_written_is_told_with_its_reason(tmp_path):
    (tmp_path / "run" / "log.jsonl").mkdir(parents=True)
    with pytest.raises(TrainingError) as told:
        run(_Scripted(GOOD), tmp_path / "run")
    assert str(told.value) == (
        f"Cannot write {tmp_path / 'run' / 'log.jsonl'} (Is a directory); choose an output folder "
        "that can be written and has room."
    )
