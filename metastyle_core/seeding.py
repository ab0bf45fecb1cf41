"""Chance of one's own, for what PyTorch draws without asking for a generator."""

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Generator[None]:
    """Inside the block new modules on the CPU get the weights of a seed.

    Afterwards the caller's generator is as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
