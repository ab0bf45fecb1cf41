"""Progress on a terminal, silence in a pipe."""

import argparse
import sys
from typing import NoReturn, TypeAlias

from tqdm import tqdm

from ..training.trainer import Trainer, TrainerSettings, TrainingReport

ProgressBar: TypeAlias = "tqdm[NoReturn]"


def progress_bar(total: int, description: str) -> ProgressBar:
    """A bar on standard error, hidden when that is not a terminal."""
    return tqdm(total=total, desc=description, disable=not sys.stderr.isatty(), leave=False)


def advance(bar: ProgressBar) -> None:
    """One more done."""
    bar.update(1)


def trainer_settings(arguments: argparse.Namespace) -> TrainerSettings:
    """The loop's settings from `add_training_data_options`."""
    return TrainerSettings(
        updates=arguments.updates,
        learning_rate=arguments.lr,
        warmup_updates=arguments.warmup,
        schedule=arguments.schedule,
        decay_from=arguments.decay_from,
        gradient_clip=arguments.clip,
        average_decay=arguments.average,
        checkpoint_minutes=arguments.checkpoint_minutes,
        picture_every=arguments.picture_every,
        max_minutes=arguments.max_minutes,
        seed=arguments.seed,
    )


def run_with_progress(trainer: Trainer) -> None:
    """Run a trainer under a progress bar that shows its metrics."""
    with progress_bar(trainer.settings.updates, trainer.folder.name) as bar:
        bar.update(trainer.state.update)

        def show(report: TrainingReport) -> None:
            bar.update(report.update - int(bar.n))
            shown = {name: f"{value:.3g}" for name, value in report.metrics.items()}
            bar.set_postfix(shown, refresh=False)

        trainer.run(show)
