"""What the trainer asks of whatever it trains: the contract between the two.

A `Recipe` says what trains and how one update finds its gradients, a `Shard` which part of
the work is this process's, an `Outcome` what came of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch.distributed as dist
from torch import Generator, Tensor, nn


@dataclass(frozen=True)
class Shard:
    """Which part of the drawn work this process does: items rank, rank + world_size, ..."""

    rank: int = 0
    world_size: int = 1

    @classmethod
    def current(cls) -> "Shard":
        """The shard of this process, one of one where torch.distributed is not running."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()


@dataclass(frozen=True)
class Outcome:
    """What one call of `Recipe.accumulate_gradients` did.

    Attributes:
        count: tasks whose gradients were added up; gradients are divided by the
            sum of this over all processes.
        skipped: tasks the loss guard left out.
        metrics: sums over the counted tasks; the names are the same in every outcome
            of a recipe, whatever was skipped, so that processes can add theirs up.
            Numbers or tensors without dimensions, which are read when a line is logged.
    """

    count: int
    skipped: int
    metrics: Mapping[str, Tensor | float]


class Recipe(Protocol):
    """What trains and how one update's gradients are found."""

    @property
    def modules(self) -> nn.Module:
        """All that trains, and is kept in checkpoints."""
        ...

    def accumulate_gradients(self, generator: Generator, shard: Shard) -> Outcome:
        """Draw work and add the *sum* of its gradients into `.grad`."""
        ...

    def keep_beside(self, checkpoint: Path) -> None:
        """Write into the folder of a checkpoint what does not train but is needed to go on."""
        ...

    def take_from(self, checkpoint: Path) -> None:
        """Read what `keep_beside` wrote; checkpoints of older releases may lack it."""
        ...

    def draw_picture(self) -> Tensor | None:
        """A picture (3, H, W) that shows the state of training, or None."""
        ...

    def export(self, folder: Path, provenance: dict[str, object]) -> None:
        """Write the files that ship."""
        ...
