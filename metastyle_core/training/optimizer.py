"""What moves the weights: Adam, or Muon for kernels and matrices beside Adam for the rest.

Muon gives all directions of a matrix the same length before each step, so that those with
small gradients learn as fast as the others. A kernel (C', C, K, K) is the matrix
(C', C * K * K). With updates scaled to the size of Adam's one learning rate serves both.

This Muon computes matrices of one shape together, and in float32 where bfloat16 is slow: the
one of PyTorch 2.9 always takes bfloat16, which many CPUs multiply 200 times as slowly.

Source: Jordan et al. 2024 (Muon); the scale is that of Liu et al. 2025 (arXiv 2502.16982).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..errors import SettingsError
from ..precision import compute_dtype

OptimizerName = Literal["adam", "muon"]
OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)
Moments = dict[str, dict[str, Tensor]]

_MOMENTUM = 0.95
# a, b and c of X <- a X + (b A + c A A) X with A = X X^T. Their slope at 0 is steep: five
# iterations bring singular values of 0.01 up, and leave all of them between 0.6 and 1.3.
_ITERATIONS, _COEFFICIENTS = 5, (3.4445, -4.7750, 2.0315)
# The root mean square of an update of Adam.
_USUAL_STEP = 0.2
_SMALLEST_NORM = 1e-7


def check_optimizer(name: str) -> None:
    """Raise SettingsError when there is no such optimizer."""
    if name not in OPTIMIZERS:
        raise SettingsError(f"optimizer is '{name}'; choose {' or '.join(OPTIMIZERS)}.")


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
        self._muon = _Muon(list(self._matrices.values())) if self._matrices else None

    def step(self, learning_rate: float) -> None:
        """Move every parameter by its `.grad`."""
        for parameter, matrix in self._matrices.items():
            gradient = parameter.grad
            matrix.grad = None
            if gradient is not None:
                matrix.grad = _in_memory_order(gradient, parameter).reshape(matrix.shape)
        if self._muon is not None:
            self._muon.step(learning_rate)
        if self._adam is not None:
            for group in self._adam.param_groups:
                group["lr"] = learning_rate
            self._adam.step()

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

    def _place_of(
        self, parameter: nn.Parameter
    ) -> tuple["torch.optim.Adam | _Muon | None", Tensor]:
        if parameter in self._matrices:
            return self._muon, self._matrices[parameter]
        return self._adam, parameter


class _Muon:
    """Moves matrices by their momentum, of which all directions are made equally long."""

    def __init__(self, matrices: Sequence[Tensor]) -> None:
        self._matrices = matrices
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move every matrix that has a gradient."""
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for matrix in self._matrices:
            if matrix.grad is not None:
                alike[matrix.shape].append((matrix, self._momentum(matrix, matrix.grad)))
        for shape, moving in alike.items():
            length = learning_rate * _USUAL_STEP * max(shape) ** 0.5
            updates = equalised(torch.stack([momentum for _, momentum in moving]))
            for (matrix, _), update in zip(moving, updates, strict=True):
                matrix.sub_(update, alpha=length)

    def _momentum(self, matrix: Tensor, gradient: Tensor) -> Tensor:
        """The gradient with Nesterov's momentum."""
        state = self.state.setdefault(matrix, {})
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        momentum = state["momentum_buffer"].lerp_(gradient, 1 - _MOMENTUM)
        return gradient.lerp(momentum, _MOMENTUM)


def equalised(matrices: Tensor) -> Tensor:
    """Give all directions of matrices about the same length, 1.

    Args:
        matrices: (N, R, C).

    Returns:
        (N, R, C): with singular values between 0.6 and 1.3 in place of those above 0.01 of the
        root of their sum of squares, smaller ones raised less.

    Source:
        The Newton-Schulz iteration of Muon: Jordan et al. 2024.
    """
    a, b, c = _COEFFICIENTS
    own = matrices.to(compute_dtype("auto", matrices.device, gradients=True))
    tall = own.shape[1] > own.shape[2]
    own = own.mT if tall else own
    own = own / torch.linalg.matrix_norm(own, keepdim=True).clamp_min(_SMALLEST_NORM)
    for _ in range(_ITERATIONS):
        squared = own @ own.mT
        factor = torch.baddbmm(squared, squared, squared, beta=b, alpha=c)
        own = torch.baddbmm(own, factor, own, beta=a)
    return (own.mT if tall else own).to(matrices.dtype)


def _in_memory_order(values: Tensor, parameter: nn.Parameter) -> Tensor:
    """Dimensions in the order in which the parameter lies in memory, its outputs first.

    To Muon the order of a matrix' columns makes no difference.
    """
    if parameter.ndim == 4 and not parameter.is_contiguous():
        return values.permute(0, 2, 3, 1)
    return values
