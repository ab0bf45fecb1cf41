"""The outer loop: schedule, clipping, guard, checkpoints, log.

What one update computes is a `Recipe` (`meta_training` and `distillation` each
bring one). The loop is the same for both, on one process or on many: every process
draws the same work, does its share, and the gradients are summed before the step.
"""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist
from torch import Generator, Tensor, nn

from ..checks import require_above_zero, require_from
from ..errors import MetaStyleError, SettingsError, TrainingError
from ..images import save_image
from .average import MovingAverage
from .optimizer import OptimizerName, WeightOptimizer, check_optimizer
from .recipe import Outcome, Recipe, Shard
from .state import (
    TrainingState,
    load_state,
    refuse_unasked_overwrite,
    save_state,
)

logger = logging.getLogger(__name__)
_GIVE_UP_AFTER = 50


@dataclass(frozen=True)
class TrainerSettings:
    """How to train.

    Attributes:
        updates: total number of updates to reach.
        optimizer: Adam, or Muon for kernels and matrices beside it; see the module
            `optimizer`.
        learning_rate: after warm-up.
        warmup_updates: linear rise of the rate from zero.
        schedule: `cosine` falls to 1 % of the rate at the last update; `constant` stays.
        decay_from: update at which the cosine begins.
        gradient_clip: largest norm of all gradients together.
        average_decay: of the moving average that is exported; 0 turns it off.
        checkpoint_minutes: between checkpoints.
        picture_every: updates between pictures; 0 draws none.
        log_every: updates between lines of the log.
        max_minutes: stop (with a checkpoint) after this long; 0 is without limit.
        seed: of the generator that draws everything.
    """

    updates: int = 100_000
    optimizer: OptimizerName = "muon"
    learning_rate: float = 1e-3
    warmup_updates: int = 200
    schedule: Literal["constant", "cosine"] = "cosine"
    decay_from: int = 0
    gradient_clip: float = 1.0
    average_decay: float = 0.999
    checkpoint_minutes: float = 5.0
    picture_every: int = 500
    log_every: int = 20
    max_minutes: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        check_optimizer(self.optimizer)
        require_from(self, 1, "updates", "log_every")
        require_from(self, 0, "warmup_updates", "decay_from", "picture_every")
        require_from(self, 0.0, "max_minutes")
        require_above_zero(self, "learning_rate", "gradient_clip")
        if not 0 <= self.average_decay < 1:
            raise SettingsError(
                f"average_decay is {self.average_decay}; 0 up to below 1 is needed."
            )

    def rate_at(self, update: int) -> float:
        """Learning rate of the given update, counted from 0."""
        rate = self.learning_rate * min(1.0, (update + 1) / max(1, self.warmup_updates))
        if self.schedule == "cosine" and update > self.decay_from:
            span = max(1, self.updates - self.decay_from)
            progress = min(1.0, (update - self.decay_from) / span)
            rate *= 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))
        return rate


@dataclass(frozen=True)
class TrainingReport:
    """One line of the log: means since the line before."""

    update: int
    updates: int
    learning_rate: float
    gradient_norm: float
    skipped: int
    elapsed_s: float
    samples: int
    metrics: dict[str, float] = field(default_factory=dict[str, float])


class Trainer:
    """Runs a recipe to its last update, from scratch or from its newest checkpoint."""

    def __init__(
        self, recipe: Recipe, settings: TrainerSettings, folder: Path | str, *, resume: bool = False
    ) -> None:
        """Prepare the run and, with `resume`, load the newest checkpoint if there is one.

        Raises:
            TrainingError: a run is already there and `resume` is False.
            CheckpointError: the checkpoint does not fit the recipe.
        """
        self.recipe, self.settings, self.folder = recipe, settings, Path(folder)
        parameters = [p for p in recipe.modules.parameters() if p.requires_grad]
        self.state = TrainingState(
            modules=recipe.modules,
            optimizer=WeightOptimizer(parameters, settings.optimizer),
            generator=Generator().manual_seed(settings.seed),
            average=MovingAverage(recipe.modules, settings.average_decay),
        )
        self._parameters = parameters
        self._shard = Shard.current()
        if not resume:
            refuse_unasked_overwrite(self.folder)
        elif checkpoint := load_state(self.state, self.folder):
            recipe.take_from(checkpoint)
            logger.info("continuing from update %d", self.state.update)

    def run(
        self,
        on_report: Callable[[TrainingReport], None] | None = None,
        *,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> TrainingState:
        """Train until `settings.updates`, then write what ships.

        An update that an exception cuts short is not saved: its generator, and perhaps
        half of its weights, are ahead of its counter. The checkpoint before it stays.

        Args:
            on_report: called every `log_every` updates; an exception raised in
                it stops the run after a checkpoint is written.
            should_stop: asked after every update; True on any process stops all of
                them after a checkpoint is written.

        Raises:
            TrainingError: many updates in a row gave no usable gradient, or the
                folder cannot be written.
        """
        state, settings = self.state, self.settings
        started_s, before_s = time.monotonic(), state.elapsed_s
        saved_s, failures, whole = started_s, 0, True
        log = _Log(self.folder / "log.jsonl", settings, enabled=self._shard.rank == 0)
        try:
            while state.update < settings.updates:
                whole = False
                outcome, norm = self._update()
                whole = True
                failures = 0 if outcome.count else failures + 1
                if failures >= _GIVE_UP_AFTER:
                    raise TrainingError(
                        f"{failures} updates in a row gave no finite loss; lower the learning rate."
                    )
                now_s = time.monotonic()
                state.elapsed_s = before_s + now_s - started_s
                report = log.add(state, outcome, norm)
                if report is not None and on_report is not None:
                    on_report(report)
                if now_s - saved_s > settings.checkpoint_minutes * 60:
                    self._save()
                    saved_s = now_s
                self._draw_picture_if_due()
                out_of_time = 0 < settings.max_minutes * 60 < now_s - started_s
                if self._any_process(should_stop() or out_of_time):
                    break
        finally:
            if whole:
                self._save()
        return state

    def _update(self) -> tuple[Outcome, float]:
        """One step of the optimizer on the gradient summed over all processes."""
        state, settings = self.state, self.settings
        for parameter in self._parameters:
            parameter.grad = torch.zeros_like(parameter)
        outcome = self.recipe.accumulate_gradients(state.generator, self._shard)
        outcome = self._sum_over_processes(outcome)
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad.div_(max(1, outcome.count))
        norm = float(nn.utils.clip_grad_norm_(self._parameters, settings.gradient_clip))
        usable = outcome.count > 0 and math.isfinite(norm)
        if usable:
            state.optimizer.step(settings.rate_at(state.update))
            state.average.update(state.update)
            state.samples += outcome.count
            state.skipped += outcome.skipped
        else:
            state.skipped += max(1, outcome.skipped + outcome.count)
            outcome = Outcome(0, outcome.skipped, {})
        state.update += 1
        return outcome, norm if usable else 0.0

    def _sum_over_processes(self, outcome: Outcome) -> Outcome:
        if self._shard.world_size == 1:
            return outcome
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        names = sorted(outcome.metrics)
        counts = [outcome.count, outcome.skipped, *(float(outcome.metrics[n]) for n in names)]
        flat = torch.cat([*(g.flatten() for g in gradients), gradients[0].new_tensor(counts)])
        dist.all_reduce(flat)
        offset = 0
        for gradient in gradients:
            gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
            offset += gradient.numel()
        count, skipped, *sums = flat[offset:].tolist()
        return Outcome(round(count), round(skipped), dict(zip(names, sums, strict=True)))

    def _any_process(self, answer: bool) -> bool:
        """Whether the answer is yes on any process; the same on all, so that none waits alone."""
        if self._shard.world_size == 1:
            return answer
        votes = self._parameters[0].new_tensor(float(answer))
        dist.all_reduce(votes)
        return bool(votes)

    def _draw_picture_if_due(self) -> None:
        every, update = self.settings.picture_every, self.state.update
        if self._shard.rank or not every or update % every:
            return
        try:
            with self.state.average.in_place():
                picture = self.recipe.draw_picture()
            if picture is not None:
                save_image(picture, self.folder / "pictures" / f"{update:08d}.png")
        except MetaStyleError as error:
            # A preview adapts for real, which can diverge; training must not end with it.
            logger.warning("No picture of update %d: %s", update, error)

    def _save(self) -> None:
        if self._shard.rank:
            return
        save_state(self.state, self.folder, self.recipe.keep_beside)
        provenance: dict[str, object] = {
            "trainer": asdict(self.settings),
            "updates": self.state.update,
            "samples": self.state.samples,
            "skipped": self.state.skipped,
            "elapsed_s": round(self.state.elapsed_s),
            "processes": self._shard.world_size,
        }
        with self.state.average.in_place():
            self.recipe.export(self.folder, provenance)


class _Log:
    """Adds up outcomes and writes a JSON line every `log_every` updates."""

    def __init__(self, path: Path, settings: TrainerSettings, *, enabled: bool) -> None:
        self._path, self._settings, self._enabled = path, settings, enabled
        self._clear()
        if enabled:
            self._append("")

    def _clear(self) -> None:
        self._sums: dict[str, Tensor | float] = {}
        self._count, self._norms, self._updates = 0, 0.0, 0

    def add(self, state: TrainingState, outcome: Outcome, norm: float) -> TrainingReport | None:
        for name, value in outcome.metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += outcome.count
        self._norms += norm
        self._updates += 1
        if state.update % self._settings.log_every and state.update != self._settings.updates:
            return None
        report = TrainingReport(
            update=state.update,
            updates=self._settings.updates,
            learning_rate=self._settings.rate_at(state.update - 1),
            gradient_norm=self._norms / self._updates,
            skipped=state.skipped,
            elapsed_s=state.elapsed_s,
            samples=state.samples,
            metrics={k: float(v) / max(1, self._count) for k, v in self._sums.items()},
        )
        self._clear()
        if self._enabled:
            self._append(json.dumps(asdict(report)) + "\n")
        return report

    def _append(self, text: str) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise TrainingError(
                f"Cannot write {self._path} ({error.strerror}); choose an output folder that "
                "can be written and has room."
            ) from error
