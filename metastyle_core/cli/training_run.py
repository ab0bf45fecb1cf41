"""What `train` and `distill` share: processes, settings, progress and a polite end."""

import argparse
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
import torch.distributed as dist

from ..precision import resolve_device
from ..training.recipe import Recipe
from ..training.trainer import Trainer, TrainerSettings, TrainingReport
from .failures import report_failures
from .options import settings_from
from .progress import progress_bar
from .stopping import StopRequest


def run_training(
    arguments: argparse.Namespace,
    build: Callable[[argparse.Namespace, torch.device, list[str]], Recipe],
) -> None:
    """Build a recipe and train it, on one process or on those that torchrun started.

    Args:
        arguments: from `add_training_data_options` and `add_compute_options`.
        build: makes the recipe on this process's device, and adds to the list why a picture
            of its folders cannot be read.

    Raises:
        PartlyDoneError: the run is done, but without some pictures.
    """
    with joined_processes(resolve_device(arguments.device)) as device:
        settings = settings_from(
            arguments, TrainerSettings
        )  # first: what is wrong with it shows at once
        unreadable: list[str] = []
        recipe = build(arguments, device, unreadable)
        # All updates have the same sizes, so that trying every kernel once on each pays.
        with torch.backends.cudnn.flags(enabled=True, benchmark=True):
            run_with_progress(Trainer(recipe, settings, arguments.output, resume=arguments.resume))
    report_failures(unreadable)


@contextmanager
def joined_processes(device: torch.device) -> Generator[torch.device]:
    """Inside the block this process is in the group that torchrun announces, if it does.

    Args:
        device: what was asked for; every process on CUDA gets a device of its own.

    Yields:
        The device of this process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    on_gpu = device.type == "cuda"
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        if on_gpu:
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        yield device
        # Who leaves while the first process still writes is taken for one that failed.
        dist.barrier()
    finally:
        dist.destroy_process_group()


def run_with_progress(trainer: Trainer) -> None:
    """Run a trainer under a progress bar that shows its metrics.

    Ctrl-C and SIGTERM end it after the update under way and a checkpoint; another Ctrl-C
    ends it at once, and the last checkpoint stays.

    Raises:
        KeyboardInterrupt: the run was asked to stop.
    """
    stop = StopRequest()
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
