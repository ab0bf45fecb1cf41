"""The moving average of what trains: the weights that are shown and shipped."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage(Mapping[str, Tensor]):
    """Average of the parameters of some modules, by name; empty where it is turned off."""

    def __init__(self, modules: nn.Module, decay: float) -> None:
        """Begin at the parameters as they are.

        Args:
            modules: whose parameters are averaged; they are not copied.
            decay: share that the average keeps in each update, from 0 up to below 1;
                0 turns it off.
        """
        self._modules, self._decay = modules, decay
        self._values: dict[str, Tensor] = {}
        if decay:
            self._values = {k: v.detach().clone() for k, v in modules.named_parameters()}

    def __getitem__(self, name: str) -> Tensor:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Move towards the parameters after so many earlier updates."""
        # A short memory at first, so that the average does not remember the random start.
        decay = min(self._decay, (1 + updates) / (10 + updates))
        for name, parameter in self._modules.named_parameters():
            if name in self._values:
                self._values[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Go on from an earlier average; its names are those of this one or more."""
        for name, tensor in self._values.items():
            tensor.copy_(values[name])

    @contextmanager
    def in_place(self) -> Generator[None]:
        """Inside the block the modules hold the average, where there is one."""
        own: dict[str, Tensor] = {}
        try:
            with torch.no_grad():
                for name, parameter in self._modules.named_parameters():
                    if name in self._values:
                        own[name] = parameter.detach().clone()
                        parameter.copy_(self._values[name])
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self._modules.named_parameters():
                    if name in own:
                        parameter.copy_(own[name])
