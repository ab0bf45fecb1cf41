"""Training: resuming to the bit, several processes like one, guards, distillation."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from samples import TINY_SPEC, picture
from torch import Generator, nn

from metastyle_core.base import load_base
from metastyle_core.checkpoint import read_tensors
from metastyle_core.cli import build_parser
from metastyle_core.cli.training_run import run_with_progress
from metastyle_core.encoder import (
    EncoderSpec,
    PerceptualEncoder,
    load_encoder,
)
from metastyle_core.errors import (
    AdaptationDiverged,
    CheckpointError,
    ImageFileError,
    SettingsError,
    TrainingError,
)
from metastyle_core.images import save_image
from metastyle_core.initialisation import PredictorSize
from metastyle_core.training import distillation, judged_pictures
from metastyle_core.training.data import ImagePool
from metastyle_core.training.distillation import Distillation, DistillationSettings
from metastyle_core.training.meta_learning import meta_step
from metastyle_core.training.meta_training import MetaTraining
from metastyle_core.training.recipe import Outcome, Shard
from metastyle_core.training.state import save_state
from metastyle_core.training.tasks import MetaSettings
from metastyle_core.training.trainer import Trainer, TrainerSettings

META = MetaSettings(
    styles=2, crop_px=64, inner_steps=1, inner_lr=0.01, channels=8, blocks=1, precision="fp32"
)
LOOP = TrainerSettings(updates=4, optimizer="adam", picture_every=0, warmup_updates=2, log_every=1)
SAVE_ALWAYS = replace(LOOP, checkpoint_minutes=1e-9)


needs_muon = pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="Muon needs PyTorch 2.9 or newer"
)


@pytest.fixture(scope="module")
def pool():
    images = [picture(80, 100, seed=s)[0].mul(255).to(torch.uint8) for s in range(6)]
    return ImagePool(images, ["a", "a", "a", "a", "b", "b"])


def make_recipe(encoder, pool, settings=META) -> MetaTraining:
    return MetaTraining(encoder, encoder, pool, pool, settings, device=torch.device("cpu"), seed=3)


def run(recipe, folder, settings=LOOP, **options) -> Trainer:
    trainer = Trainer(recipe, settings, folder, **options)
    trainer.run()
    return trainer


def parameters(recipe) -> dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in recipe.modules.state_dict().items()}


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
    with pytest.raises(RuntimeError), trainer.state.average.in_place():
        pass
    for name, value in before.items():
        assert torch.equal(parameters(recipe)[name], value), name


def test_style_weights_are_drawn_from_their_range_and_below(pool):
    from metastyle_core.training.tasks import TaskSampler

    settings = replace(META, styles=2000, style_weight_range=(5.0, 40.0), light_tasks=0.25)
    drawn = TaskSampler(pool, pool, settings)._draw_style_weights(Generator().manual_seed(0))
    assert 0 <= drawn.min() < 0.1
    assert 39 < drawn.max() <= 40
    assert float((drawn < 5).float().mean()) == pytest.approx(0.25, abs=0.03)
    usual = drawn[drawn >= 5]
    assert float(usual.log().mean().exp()) == pytest.approx(200**0.5, rel=0.05)


def test_shifts_fall_everywhere_between_the_strides_but_on_them(pool):
    from metastyle_core.training.tasks import TaskSampler

    generator = Generator().manual_seed(0)
    moving = TaskSampler(pool, pool, replace(META, shift_weight=1.0))
    drawn = {moving._draw_shift(generator) for _ in range(300)}
    assert drawn == {(down, right) for down in range(4) for right in range(4)} - {(0, 0)}
    assert moving.sample(generator, Shard()).shift_px in drawn
    assert TaskSampler(pool, pool, META).sample(generator, Shard()).shift_px == (0, 0)


def test_an_average_turned_on_later_begins_at_the_trained_weights(tmp_path, tiny_encoder, pool):
    without = replace(LOOP, updates=2, average_decay=0.0)
    run(make_recipe(tiny_encoder, pool), tmp_path, without)
    recipe = make_recipe(tiny_encoder, pool)
    trainer = Trainer(recipe, LOOP, tmp_path, resume=True)
    for name, parameter in recipe.modules.named_parameters():
        assert torch.equal(trainer.state.average[name], parameter), name


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


def test_start_from_refuses_another_size(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    wider = make_recipe(tiny_encoder, pool, replace(META, channels=16))
    with pytest.raises(CheckpointError, match="8 channels"):
        wider.start_from(tmp_path / "base.safetensors")


def test_the_log_the_picture_and_the_base_are_written(tmp_path, tiny_encoder, pool):
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


@needs_muon
def test_a_run_is_not_resumed_with_another_optimizer(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    with pytest.raises(CheckpointError, match="trained with adam, and muon is asked for"):
        Trainer(
            make_recipe(tiny_encoder, pool), replace(LOOP, optimizer="muon"), tmp_path, resume=True
        )


def test_the_exported_base_is_the_moving_average(tmp_path, tiny_encoder, pool):
    recipe = make_recipe(tiny_encoder, pool)
    trainer = run(recipe, tmp_path)
    base = load_base(tmp_path / "base.safetensors")
    name = "output.bias"
    average = trainer.state.average[f"network.{name}"]
    exported = base.network.state_dict()[name]
    torch.testing.assert_close(exported, average, rtol=1e-3, atol=1e-4)
    assert not torch.equal(average, recipe.learner.network.output.bias)


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


def test_a_grown_predictor_begins_with_the_smaller_ones_predictions(tmp_path, tiny_encoder, pool):
    small = replace(META, predictor=PredictorSize(hidden=8, covariances=0))
    trained = make_recipe(tiny_encoder, pool, small)
    torch.nn.init.normal_(trained.learner.predictor.layers[-1].weight)
    run(trained, tmp_path, replace(LOOP, updates=1))
    base = load_base(tmp_path / "base.safetensors")
    grown = make_recipe(
        tiny_encoder, pool, replace(META, predictor=PredictorSize(hidden=12, covariances=3))
    )
    grown.start_from(tmp_path / "base.safetensors")
    larger, smaller = grown.learner.predictor, base.predictor.network
    features = base.predictor.encoder(torch.rand(2, 3, 64, 64), tiny_encoder.spec.style_layers)
    weights = torch.tensor([20.0, 3.0])
    wanted = smaller(smaller.statistics(features), weights)
    for name, value in larger(larger.statistics(features), weights).items():
        torch.testing.assert_close(value, wanted[name])
    assert max(float(value.abs().max()) for value in wanted.values()) > 0.1


def test_a_predictor_does_not_shrink(tmp_path, tiny_encoder, pool):
    run(make_recipe(tiny_encoder, pool), tmp_path, replace(LOOP, updates=1))
    shrunk = replace(META, predictor=PredictorSize(hidden=4, covariances=0))
    with pytest.raises(SettingsError, match="does not fit"):
        make_recipe(tiny_encoder, pool, shrunk).start_from(tmp_path / "base.safetensors")


class _Broken:
    """A recipe whose gradients are never usable."""

    def __init__(self) -> None:
        self.modules = nn.Linear(1, 1)

    def accumulate_gradients(self, generator, shard) -> Outcome:
        self.modules.weight.grad = torch.full((1, 1), float("nan"))
        return Outcome(1, 0, {})

    def draw_picture(self) -> None:
        return None

    def export(self, folder, provenance) -> None:
        return None


def test_unusable_gradients_change_nothing_are_counted_and_end_the_run(tmp_path):
    recipe = _Broken()
    before = recipe.modules.weight.detach().clone()
    trainer = Trainer(recipe, replace(LOOP, updates=1000), tmp_path)
    with pytest.raises(TrainingError, match="in a row"):
        trainer.run()
    assert torch.equal(recipe.modules.weight, before)
    assert trainer.state.skipped == 50


def test_shards_together_read_what_one_process_reads(tiny_encoder, pool):
    from metastyle_core.training.tasks import TaskSampler

    sampler = TaskSampler(pool, pool, replace(META, styles=4, support=2, query=1))
    whole = sampler.sample(Generator().manual_seed(1), Shard())
    parts = [sampler.sample(Generator().manual_seed(1), Shard(r, 2)) for r in range(2)]
    for rank, part in enumerate(parts):
        rows = torch.arange(rank, 4, 2)
        wanted = whole.select(rows)
        assert torch.equal(part.styles, wanted.styles)
        assert torch.equal(part.support_contents, wanted.support_contents)
        assert torch.equal(part.query_contents, wanted.query_contents)


ONE_OF_SEVERAL = """
import sys, torch
sys.path.insert(0, {tests!r})
from samples import TINY_SPEC, picture
from metastyle_core.cli.training_run import joined_processes
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.training.data import ImagePool
from metastyle_core.training.meta_training import MetaTraining
from metastyle_core.training.recipe import Shard
from metastyle_core.training.tasks import MetaSettings
from metastyle_core.training.trainer import Trainer, TrainerSettings
torch.set_num_threads(1)
torch.manual_seed(5)
encoder = PerceptualEncoder(TINY_SPEC).requires_grad_(False)
pool = ImagePool([picture(80, 100, seed=s)[0].mul(255).to(torch.uint8) for s in range(6)])
settings = MetaSettings(styles=2, crop_px=64, inner_steps=1, inner_lr=0.01, channels=8, blocks=1,
    precision="fp32")
with joined_processes(torch.device("cpu")) as device:
    recipe = MetaTraining(encoder, encoder, pool, pool, settings, device=device, seed=3)
    in_a_hurry = Shard.current().rank == {rank_in_a_hurry}
    loop = TrainerSettings(updates=3, optimizer="adam", picture_every=0, log_every=1,
        max_minutes=1e-9 if in_a_hurry else 0.0)
    Trainer(recipe, loop, {folder!r}, resume=True).run()
"""


def launch(folder: Path, processes: int, rank_in_a_hurry: int | None = None) -> Path:
    """Train three updates, or until a rank's time is up, and return the newest checkpoint."""
    script = folder.parent / "one_of_several.py"
    script.write_text(
        ONE_OF_SEVERAL.format(
            tests=str(Path(__file__).parents[1]),
            rank_in_a_hurry=rank_in_a_hurry,
            folder=str(folder),
        )
    )
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    subprocess.run([*command, str(script)], check=True, capture_output=True, timeout=300)
    return max(folder.glob("update-*"))


@pytest.fixture(scope="module")
def checkpoint_of_two(tmp_path_factory) -> Path:
    """What two processes have after three updates without a break."""
    return launch(tmp_path_factory.mktemp("straight") / "run", 2)


def test_two_processes_update_like_one_with_all_the_styles(tmp_path, checkpoint_of_two):
    one = read_tensors(launch(tmp_path / "one", 1) / "weights.safetensors").tensors
    two = read_tensors(checkpoint_of_two / "weights.safetensors").tensors
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=2e-5)
    log = [json.loads(s) for s in (checkpoint_of_two.parent / "log.jsonl").open()]
    assert [line["samples"] for line in log] == [2, 4, 6]


def test_a_group_stops_together_and_goes_on_to_the_bit(tmp_path, checkpoint_of_two):
    """The time of one process is up after one update; the others must not wait for it."""
    stopped = launch(tmp_path / "run", 2, rank_in_a_hurry=1)
    assert stopped.name == "update-00000001"
    resumed = launch(tmp_path / "run", 2)
    assert resumed.name == checkpoint_of_two.name
    for file in checkpoint_of_two.iterdir():
        wanted = read_tensors(file).tensors
        found = read_tensors(resumed / file.name).tensors
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert torch.equal(found[name], value), f"{file.name}: {name}"


@pytest.mark.parametrize("command", ["train", "distill"])
def test_training_joins_the_group_that_torchrun_announces(command, tmp_path, monkeypatch):
    def join(backend) -> None:
        raise TrainingError(f"joined with {backend}")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "init_process_group", join)
    arguments = ["--content", "a", "--style", "b", "-o", str(tmp_path), "--device", "cpu"]
    if command == "distill":
        arguments += ["--teacher-weights", "c"]
    parsed = build_parser().parse_args([command, *arguments])
    with pytest.raises(TrainingError, match="joined with gloo"):
        parsed.run(parsed)


STUDENT = EncoderSpec(
    "student", ((4,), (6,)), content_layers=("relu2_1",), style_layers=("relu1_1", "relu2_1"),
    projected_channels={"relu1_1": 3, "relu2_1": 5},
)  # fmt: skip


def make_distillation(tiny_encoder, pool, spec=STUDENT, *, replay=0, **options) -> Distillation:
    settings = DistillationSettings(batch=4, crop_px=64, precision="fp32", replay=replay)
    return Distillation(
        tiny_encoder, spec, pool, pool, settings, device=torch.device("cpu"), **options
    )


def test_distillation_lowers_the_error_and_exports_a_loadable_encoder(tmp_path, tiny_encoder, pool):
    recipe = make_distillation(tiny_encoder, pool)
    reports = []
    settings = replace(LOOP, updates=60, learning_rate=1e-2, log_every=20)
    Trainer(recipe, settings, tmp_path).run(reports.append)
    assert reports[-1].metrics["loss"] < 0.6 * reports[0].metrics["loss"]
    student = load_encoder("compact", weights=tmp_path / "compact.safetensors")
    assert student.spec == STUDENT
    assert student(torch.rand(1, 3, 32, 32))["relu2_1"].shape == (1, 5, 16, 16)


def test_distillation_goes_on_from_an_exported_encoder(tmp_path, tiny_encoder, pool):
    first = make_distillation(tiny_encoder, pool, seed=3)
    first.export(tmp_path, {})
    second = make_distillation(tiny_encoder, pool, seed=4)
    second.start_from(tmp_path / "compact.safetensors")
    wanted = dict(first.modules["student"].named_parameters())
    for name, parameter in second.modules["student"].named_parameters():
        torch.testing.assert_close(parameter, wanted[name].half().float(), rtol=0, atol=0)


def test_a_grown_student_begins_with_the_features_of_the_narrower_one(tmp_path, tiny_encoder, pool):
    narrow = make_distillation(tiny_encoder, pool, seed=3)
    narrow.export(tmp_path, {})
    wide = make_distillation(tiny_encoder, pool, replace(STUDENT, blocks=((5,), (9,))), seed=4)
    wide.start_from(tmp_path / "compact.safetensors")
    image = picture(40, 48)
    wanted = load_encoder("compact", weights=tmp_path / "compact.safetensors")(image)
    for layer, features in wide.modules["student"](image).items():
        torch.testing.assert_close(features, wanted[layer])
    # New channels are not heard yet, but they are there to learn.
    assert wide.modules["student"].get_parameter("convolutions.conv1_1.weight")[4].abs().sum() > 0


@pytest.mark.parametrize(
    "spec",
    [
        replace(STUDENT, blocks=((3,), (6,))),
        replace(STUDENT, blocks=((4, 4), (6,))),
        replace(STUDENT, projected_channels={"relu1_1": 3, "relu2_1": 4}),
    ],
)
def test_distillation_does_not_start_from_an_encoder_that_does_not_fit(
    spec, tmp_path, tiny_encoder, pool
):
    make_distillation(tiny_encoder, pool).export(tmp_path, {})
    with pytest.raises(CheckpointError, match="other or wider layers"):
        make_distillation(tiny_encoder, pool, spec).start_from(tmp_path / "compact.safetensors")


def test_projections_keep_what_the_axes_span(tiny_encoder, pool):
    """With as many axes as channels, Gram energies relative to each other are the teacher's."""
    spec = replace(STUDENT, projected_channels={"relu1_1": 6, "relu2_1": 8})
    settings = DistillationSettings(batch=4, crop_px=64, precision="fp32")
    recipe = Distillation(tiny_encoder, spec, pool, pool, settings, device=torch.device("cpu"))
    axes = recipe.modules["axes"]
    one, other = picture(64, 64, seed=1), picture(64, 64, seed=2)
    for tap in ("relu1_1", "relu2_1"):
        features = [tiny_encoder(x) for x in (one, other)]
        projected = [axes({**f}) for f in features]

        def distance(pair, tap=tap):
            return (pair[0][tap] - pair[1][tap]).square().sum() / pair[0][tap].square().sum()

        torch.testing.assert_close(distance(projected), distance(features), rtol=1e-3, atol=1e-5)


def test_shares_of_a_distillation_add_up_to_the_whole(tiny_encoder, pool):
    recipe = make_distillation(tiny_encoder, pool)
    weight = recipe.modules["student"].get_parameter("convolutions.conv1_1.weight")
    whole = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    wanted = weight.grad.clone()
    weight.grad.zero_()
    parts = [recipe.accumulate_gradients(Generator().manual_seed(0), Shard(r, 2)) for r in range(2)]
    assert [part.count for part in parts] == [2, 2]
    torch.testing.assert_close(weight.grad, wanted, rtol=1e-4, atol=1e-5)
    loss = sum(part.metrics["loss"] for part in parts)
    assert loss == pytest.approx(whole.metrics["loss"], rel=1e-4)


def test_a_distillation_without_a_finite_loss_names_the_same_metrics(tiny_encoder, pool):
    """Processes add up their metrics by position, so that the names must agree."""
    recipe = make_distillation(tiny_encoder, pool)
    good = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    with torch.no_grad():
        recipe.modules["student"].get_parameter("convolutions.conv1_1.bias").fill_(float("nan"))
    bad = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    assert (bad.count, bad.skipped) == (0, 4)
    assert bad.metrics == dict.fromkeys(good.metrics, 0.0)


def test_an_adain_decoder_without_a_finite_loss_names_the_same_metrics(pool):
    from benchmarks.adain import DEEPEST, STYLE_LAYERS, AdainTraining

    spec = EncoderSpec(
        "thin", ((4,), (4,), (4,), (512,)), content_layers=(DEEPEST,), style_layers=STYLE_LAYERS
    )
    encoder = PerceptualEncoder(spec).requires_grad_(False)
    recipe = AdainTraining(
        encoder, pool, pool, batch=2, crop_px=64, device=torch.device("cpu"), seed=0
    )
    good = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    with torch.no_grad():
        recipe.modules.output.bias.fill_(float("nan"))
    bad = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    assert (good.count, bad.count, bad.skipped) == (2, 0, 2)
    assert bad.metrics == dict.fromkeys(good.metrics, 0.0)


@pytest.fixture
def few_judged_steps(monkeypatch):
    """A supply that needs one adaptation of three steps, so that tests take no minute."""
    monkeypatch.setattr(judged_pictures, "_STEPS", 3)
    monkeypatch.setattr(judged_pictures, "_WAITING", 4)


def test_an_adain_decoder_sees_features_in_units_of_their_size(pool):
    from benchmarks.adain import AdainDecoder

    decoder, features = AdainDecoder(), torch.rand(1, 512, 4, 4)
    drawn = decoder(features)
    decoder.get_buffer("feature_size").fill_(100.0)
    torch.testing.assert_close(decoder(100 * features), drawn)
    assert not torch.allclose(decoder(features), drawn)


def test_a_third_of_a_students_pictures_are_those_it_judged_as_they_are(
    random_base, tiny_encoder, pool, monkeypatch
):
    asked = []

    def draw(supply, count, generator):
        asked.append(count)
        return torch.full((count, 3, 64, 64), 0.25)

    monkeypatch.setattr(judged_pictures.JudgedPictures, "draw", draw)
    recipe = make_distillation(tiny_encoder, pool, base=random_base)
    seen = []
    with tiny_encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        outcome = recipe.accumulate_gradients(Generator().manual_seed(0), Shard())
    assert asked == [1]
    assert outcome.count == 4
    assert [bool((picture == 0.25).all()) for picture in seen[0]] == [True, False, False, False]


@pytest.mark.usefixtures("few_judged_steps")
def test_a_student_learns_from_its_own_adaptations_and_is_not_moved_by_them(
    random_base, tiny_encoder, pool
):
    recipe = make_distillation(tiny_encoder, pool, base=random_base)
    before = {k: p.detach().clone() for k, p in recipe.modules["student"].named_parameters()}
    assert recipe.accumulate_gradients(Generator().manual_seed(0), Shard()).count == 4
    for name, parameter in recipe.modules["student"].named_parameters():
        assert torch.equal(parameter, before[name])


def make_supply(base, judge, pool, size_px=64) -> judged_pictures.JudgedPictures:
    return judged_pictures.JudgedPictures(
        base, judge, pool, pool, size_px=size_px, precision="fp32"
    )


@pytest.mark.usefixtures("few_judged_steps")
def test_judged_pictures_depend_on_the_judge_and_are_given_once(random_base, tiny_encoder, pool):
    def drawn(judge, times=1):
        supply, generator = make_supply(random_base, judge, pool), Generator().manual_seed(0)
        return [supply.draw(2, generator) for _ in range(times)]

    first, second = drawn(tiny_encoder, times=2)
    assert first.shape == (2, 3, 64, 64)
    assert not any(torch.equal(a, b) for a in first for b in second)
    assert torch.equal(drawn(tiny_encoder)[0], first)
    other = PerceptualEncoder(TINY_SPEC).requires_grad_(False)
    assert not torch.equal(drawn(other)[0], first)


@pytest.mark.usefixtures("few_judged_steps")
def test_adaptations_that_diverge_give_no_pictures(random_base, tiny_encoder, pool, monkeypatch):
    real, calls = judged_pictures.adapt_to_style, []

    def diverge(*arguments, **options):
        calls.append(1)
        style = real(*arguments, **options)
        if len(calls) != 3:
            raise AdaptationDiverged("the loss exploded")
        return style

    monkeypatch.setattr(judged_pictures, "adapt_to_style", diverge)
    supply, generator = make_supply(random_base, tiny_encoder, pool), Generator().manual_seed(0)
    assert len(supply.draw(2, generator)) == 2
    assert len(calls) == 3
    # Two of the four that waited are left; more are needed, and none comes.
    with pytest.raises(TrainingError, match="10 adaptations in a row"):
        supply.draw(2, generator)
    assert len(calls) == 13


@pytest.mark.parametrize(
    ("settings", "message"), [({"batch": 2}, "3 are needed"), ({"crop_px": 48}, "48 px")]
)
def test_a_student_with_a_base_needs_room(settings, message, random_base, tiny_encoder, pool):
    chosen = replace(DistillationSettings(batch=4, crop_px=64), **settings)
    with pytest.raises(SettingsError, match=message):
        Distillation(
            tiny_encoder, STUDENT, pool, pool, chosen, device=torch.device("cpu"), base=random_base
        )


def test_judged_pictures_need_a_predictor(random_base, tiny_encoder, pool):
    with pytest.raises(SettingsError, match="predictor"):
        make_distillation(tiny_encoder, pool, base=replace(random_base, predictor=None))


def test_replayed_updates_ask_the_teacher_once(tiny_encoder, pool):
    recipe = make_distillation(tiny_encoder, pool, replay=2)
    generator, asked = Generator().manual_seed(0), []
    with tiny_encoder.register_forward_hook(lambda *_: asked.append(1)):
        outcomes = [recipe.accumulate_gradients(generator, Shard()) for _ in range(6)]
    assert len(asked) == 2
    losses = [outcome.metrics["loss"] for outcome in outcomes]
    # The student does not train here, so that a picture keeps its loss, up to its rounding.
    assert losses[1] == pytest.approx(losses[0], rel=0.004)
    assert losses[2] == pytest.approx(losses[0], rel=0.004)
    assert losses[3] != pytest.approx(losses[0], rel=0.004)


def test_the_teachers_word_is_in_float32_whatever_the_convolutions_are(tiny_encoder, pool):
    settings = DistillationSettings(batch=2, crop_px=32, precision="bf16")
    recipe = Distillation(tiny_encoder, STUDENT, pool, pool, settings, device=torch.device("cpu"))
    _, targets = recipe._batch(Generator().manual_seed(0), Shard())
    assert {target.dtype for target in targets.values()} == {torch.float32}


def test_remembered_batches_are_limited(tiny_encoder, pool, monkeypatch):
    monkeypatch.setattr(distillation, "_REMEMBERED_BATCHES", 2)
    recipe = make_distillation(tiny_encoder, pool, replay=1)
    generator = Generator().manual_seed(0)
    for _ in range(8):
        recipe.accumulate_gradients(generator, Shard())
    assert len(recipe._remembered) == 2


def test_sources_are_balanced():
    images = [torch.zeros(3, 64, 64, dtype=torch.uint8)] * 104
    pool = ImagePool(images, ["many"] * 100 + ["few"] * 4)
    crops = pool.draw(4000, 64, Generator().manual_seed(0))
    few = sum(crop.index >= 100 for crop in crops) / 4000
    assert few == pytest.approx(2 / 12, abs=0.02)  # sqrt(4) against sqrt(100)


def test_crops_stay_inside_and_keep_their_size(pool):
    crops = pool.draw(50, 70, Generator().manual_seed(0), max_scale=1.5)
    pictures = pool.read(crops, 70)
    assert pictures.shape == (50, 3, 70, 70)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    assert {crop.flip for crop in crops} == {True, False}


def test_unreadable_training_images_are_left_out(tmp_path, caplog):
    save_image(picture(64, 64)[0], tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no picture")
    assert len(ImagePool.from_folder(tmp_path)) == 1
    assert "1 unreadable" in caplog.text
    (tmp_path / "good.png").unlink()
    with pytest.raises(ImageFileError, match="no readable image"):
        ImagePool.from_folder(tmp_path)


def test_the_manifest_gives_sources_and_must_fit(tmp_path):
    folder = tmp_path / "style" / "train"
    save_image(picture(64, 64)[0], folder / "1.png")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("file,source\nstyle/train/1.png,museum\n")
    assert len(ImagePool.from_folder(folder, manifest=manifest)) == 1
    manifest.write_text("file,source\nother/1.png,museum\n")
    with pytest.raises(TrainingError, match="names none"):
        ImagePool.from_folder(folder, manifest=manifest)
    manifest.write_text("name\nx\n")
    with pytest.raises(TrainingError, match="manifest"):
        ImagePool.from_folder(folder, manifest=manifest)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (TrainerSettings, {"updates": 0}),
        (TrainerSettings, {"updates": 1, "learning_rate": 0.0}),
        (TrainerSettings, {"updates": 1, "average_decay": 1.0}),
        (TrainerSettings, {"updates": 1, "optimizer": "sgd"}),
        (TrainerSettings, {"updates": 1, "max_minutes": -1.0}),
        (MetaSettings, {"inner_steps": -1}),
        (MetaSettings, {"inner_lr": 0.0}),
        (MetaSettings, {"crop_px": 8}),
        (MetaSettings, {"channels": 0}),
        (MetaSettings, {"style_weight_range": (0.0, 1.0)}),
        (MetaSettings, {"style_weight_range": (9.0, 1.0)}),
        (MetaSettings, {"light_tasks": 2.0}),
        (MetaSettings, {"shift_weight": -1.0}),
        (MetaSettings, {"algorithm": "reptile", "inner_steps": 0}),
        (DistillationSettings, {"batch": 1}),
        (DistillationSettings, {"distorted": 2.0}),
        (DistillationSettings, {"replay": -1}),
    ],
)
def test_illegal_settings_are_refused(kind, wrong):
    with pytest.raises(SettingsError):
        kind(**wrong)


def test_the_learning_rate_warms_up_and_falls():
    settings = TrainerSettings(updates=100, learning_rate=1.0, warmup_updates=10, decay_from=20)
    rates = [settings.rate_at(update) for update in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[20] == 1.0
    assert rates[99] < 0.02
    assert rates[20:] == sorted(rates[20:], reverse=True)
    constant = replace(settings, schedule="constant")
    assert constant.rate_at(99) == 1.0


def test_a_teacher_needs_the_students_taps(pool):
    shallow = PerceptualEncoder(replace(TINY_SPEC, blocks=((6,),), content_layers=("relu1_1",),
                                        style_layers=("relu1_1",)))  # fmt: skip
    with pytest.raises(SettingsError, match="relu2_1"):
        make_distillation(shallow, pool)
