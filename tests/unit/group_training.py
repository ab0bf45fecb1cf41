"""Trainings of three small updates, for tests to call and for torchrun to start in a group."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from samples import TINY_SPEC, picture
from unit.small_training import META

from metastyle_core.cli.training_run import joined_processes
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.training.data import ImagePool
from metastyle_core.training.meta_training import MetaTraining
from metastyle_core.training.trainer import Trainer, TrainerSettings


def train(folder: Path, *, hurried: bool = False) -> None:
    """Train from scratch or go on; a process in a hurry has time for one update."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        encoder = PerceptualEncoder(TINY_SPEC).requires_grad_(False)
    pool = ImagePool([picture(80, 100, seed=s)[0].mul(255).to(torch.uint8) for s in range(6)])
    recipe = MetaTraining(encoder, encoder, pool, pool, META, device=torch.device("cpu"), seed=3)
    settings = TrainerSettings(
        updates=3, optimizer="adam", picture_every=0, log_every=1,
        max_minutes=1e-9 if hurried else 0.0,
    )  # fmt: skip
    Trainer(recipe, settings, folder, resume=True).run()


def train_in_the_group(folder: Path) -> None:
    """Train straight on, and beside that with a break that the second process asks for."""
    with joined_processes(torch.device("cpu")):
        train(folder / "straight")
        train(folder / "broken", hurried=dist.get_rank() == 1)
        dist.barrier()  # until the first process has written what both go on from
        train(folder / "broken")


if __name__ == "__main__":
    torch.set_num_threads(1)
    train_in_the_group(Path(sys.argv[1]))
