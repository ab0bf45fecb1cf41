"""Progress on a terminal, silence in a pipe."""

import argparse
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
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
    """Run a trainer under a progress bar that shows its metrics.

    Ctrl-C and SIGTERM end it after the update under way and a checkpoint; another Ctrl-C
    ends it at once, and the last checkpoint stays.

    Raises:
        KeyboardInterrupt: the run was asked to stop.
    """
    stop = _StopRequest()
    bar = progress_bar(trainer.settings.updates, trainer.folder.name)
    with bar, stop.instead_of_interrupts():
        bar.update(trainer.state.update)

        def show(report: TrainingReport) -> None:
            bar.update(report.update - int(bar.n))
            shown = {name: f"{value:.3g}" for name, value in report.metrics.items()}
            bar.set_postfix(shown, refresh=False)

        trainer.run(show, should_stop=lambda: stop.made)
    if stop.made:
        raise KeyboardInterrupt


class _StopRequest:
    """What becomes of a signal that asks a training run to end."""

    def __init__(self) -> None:
        self.made = False

    @contextmanager
    def instead_of_interrupts(self) -> Generator[None]:
        """Inside the block signals are noted down; only a second Ctrl-C raises."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Schedulers may send SIGTERM more than once; only a person's hurry is obeyed.
        if self.made and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        self.made = True
