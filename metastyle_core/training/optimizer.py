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


class WeightOptimizer:
    """One optimizer to the trainer, whichever parts it has."""

    def __init__(self, parameters: Sequence[nn.Parameter], name: OptimizerName) -> None:
        """Take charge of some parameters, on the device that they will stay on.

        Raises:
            SettingsError: this PyTorch has no Muon.
        """
        self._matrices: dict[nn.Parameter, Tensor] = {}
        if name == "muon":
            # Views: what moves a matrix moves its parameter.
            self._matrices = {p: _as_matrix(p.detach(), p) for p in parameters if p.ndim > 1}
        rest = [p for p in parameters if p not in self._matrices]
        self._parts: list[torch.optim.Optimizer] = [torch.optim.Adam(rest)] if rest else []
        if self._matrices:
            self._parts.append(_muon(list(self._matrices.values())))

    def step(self, learning_rate: float) -> None:
        """Move every parameter by its `.grad`."""
        for parameter, matrix in self._matrices.items():
            gradient = parameter.grad
            matrix.grad = None if gradient is None else _as_matrix(gradient, parameter)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = learning_rate
            part.step()

    def moments(self, modules: nn.Module) -> Moments:
        """What the optimizer remembers: kind to parameter name to tensor."""
        found: Moments = {}
        for name, parameter in modules.named_parameters():
            for kind, tensor in self._memory_of(parameter).items():
                found.setdefault(kind, {})[name] = tensor
        return found

    def load_moments(self, modules: nn.Module, moments: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Remember what `moments` gave."""
        for name, parameter in modules.named_parameters():
            memory = {kind: tensors[name] for kind, tensors in moments.items() if name in tensors}
            for kind, tensor in memory.items():
                # Adam counts its steps on the CPU.
                device = tensor.device if kind == "step" else parameter.device
                self._memory_of(parameter)[kind] = tensor.to(device, copy=True)

    def _memory_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        if parameter in self._matrices:
            return self._parts[-1].state[self._matrices[parameter]]
        return self._parts[0].state[parameter]


def _muon(matrices: list[Tensor]) -> torch.optim.Optimizer:
    if not hasattr(torch.optim, "Muon"):
        raise SettingsError(
            f"Muon needs PyTorch 2.9 or newer, this is {torch.__version__}; choose adam."
        )
    return torch.optim.Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")


def _as_matrix(values: Tensor, parameter: nn.Parameter) -> Tensor:
    """One row per output; columns in the order in which the parameter lies in memory.

    So the parameter itself becomes a view. To Muon the order of the columns makes no difference.
    """
    if parameter.ndim == 4 and not parameter.is_contiguous():
        return values.permute(0, 2, 3, 1).flatten(1)
    return values.flatten(1)
