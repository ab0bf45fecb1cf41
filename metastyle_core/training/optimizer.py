"""What moves the weights: Adam, or Muon for kernels and matrices beside Adam for the rest.

Muon gives all directions of a matrix the same length before each step, so that those with
small gradients learn as fast as the others. A kernel (C', C, K, K) is the matrix
(C', C * K * K). With updates scaled to the size of Adam's one learning rate serves both.

Source: Jordan et al. 2024 (Muon); the scale is that of Liu et al. 2025 (arXiv 2502.16982).
"""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..errors import SettingsError

OptimizerName = Literal["adam", "muon"]
OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)
Moments = dict[str, dict[str, Tensor]]


def check_optimizer(name: str) -> None:
    """Raise SettingsError when there is no such optimizer, or none in this PyTorch."""
    if name not in OPTIMIZERS:
        raise SettingsError(f"optimizer is '{name}'; choose {' or '.join(OPTIMIZERS)}.")
    if name == "muon" and not hasattr(torch.optim, "Muon"):
        raise SettingsError(
            f"Muon needs PyTorch 2.9 or newer, this is {torch.__version__}; choose adam."
        )


class WeightOptimizer:
    """One optimizer to the trainer, whichever parts it has."""

    def __init__(self, parameters: Sequence[nn.Parameter], name: OptimizerName) -> None:
        """Take over some parameters, which stay where they lie in memory from now on.

        Raises:
            SettingsError: see `check_optimizer`.
        """
        check_optimizer(name)
        self.name = name
        self._matrices: dict[nn.Parameter, Tensor] = {}
        if name == "muon":
            # Views, not copies: what moves a matrix moves its parameter.
            self._matrices = {
                p: _in_memory_order(p.detach(), p).view(len(p), -1)
                for p in parameters
                if p.ndim > 1
            }
        rest = [p for p in parameters if p not in self._matrices]
        self._adam = torch.optim.Adam(rest) if rest else None
        self._muon = _muon(list(self._matrices.values())) if self._matrices else None

    def step(self, learning_rate: float) -> None:
        """Move every parameter by its `.grad`."""
        for parameter, matrix in self._matrices.items():
            gradient = parameter.grad
            matrix.grad = None
            if gradient is not None:
                matrix.grad = _in_memory_order(gradient, parameter).reshape(matrix.shape)
        for part in (self._adam, self._muon):
            if part is not None:
                for group in part.param_groups:
                    group["lr"] = learning_rate
                part.step()

    def moments(self, modules: nn.Module) -> Moments:
        """What the optimizer remembers: kind to parameter name to tensor."""
        found: Moments = {}
        for name, parameter in modules.named_parameters():
            part, key = self._place_of(parameter)
            for kind, tensor in (part.state.get(key, {}) if part else {}).items():
                found.setdefault(kind, {})[name] = tensor
        return found

    def load_moments(self, modules: nn.Module, moments: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Remember what `moments` gave."""
        for name, parameter in modules.named_parameters():
            part, key = self._place_of(parameter)
            memory = {kind: tensors[name] for kind, tensors in moments.items() if name in tensors}
            if part and memory:
                # Adam counts its steps on the CPU.
                part.state[key] = {
                    kind: t.to("cpu" if kind == "step" else parameter.device, copy=True)
                    for kind, t in memory.items()
                }

    def _place_of(self, parameter: nn.Parameter) -> tuple[torch.optim.Optimizer | None, Tensor]:
        if parameter in self._matrices:
            return self._muon, self._matrices[parameter]
        return self._adam, parameter


def _muon(matrices: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")


def _in_memory_order(values: Tensor, parameter: nn.Parameter) -> Tensor:
    """Dimensions in the order in which the parameter lies in memory, its outputs first.

    To Muon the order of a matrix' columns makes no difference.
    """
    if parameter.ndim == 4 and not parameter.is_contiguous():
        return values.permute(0, 2, 3, 1)
    return values
