"""Low-rank updates of convolutions: what a style may add to the base's filters.

An update is the product of two thin matrices, `up` (C', R) and `down` (R, C * K * K),
added to the kernel (C', C, K, K) of a convolution. Among a style's fast weights the two
stand under the name of the kernel with `.up` and `.down` behind it. This file makes
updates, adds them to kernels and adds up whole sets of fast weights; it knows no network.

Source: Hu et al. 2021 (LoRA), section 4.1, here for convolutions and without its scale.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor

from .precision import autocast

_UP, _DOWN = ".up", ".down"


def is_update(name: str) -> bool:
    """Whether a fast weight is a half of an update and not a parameter itself."""
    return name.endswith((_UP, _DOWN))


def initial_updates(parameters: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Updates that change nothing yet, one for every convolution.

    `up` begins at zero; `down` is drawn once and for all, with the deviation that keeps the
    size of what it reads, so that every adaptation of a base, and its meta-training, begins
    in the same directions.

    Args:
        parameters: all of a network, by name; convolutions are those with four dimensions.
        rank: R, at least 1.

    Returns:
        Name to `up` (C', R) or `down` (R, C * K * K), of the kernel's dtype and device.
    """
    generator = Generator().manual_seed(0)
    updates: dict[str, Tensor] = {}
    for name, kernel in parameters.items():
        if kernel.ndim == 4:
            read = kernel[0].numel()
            drawn = torch.randn(rank, read, generator=generator) / math.sqrt(read)
            updates[name + _UP] = kernel.new_zeros(kernel.shape[0], rank)
            updates[name + _DOWN] = drawn.to(kernel)
    return updates


def update_shapes(
    parameters: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> dict[str, torch.Size]:
    """The shapes that a complete set of updates has, at the ranks found in `weights`.

    Args:
        parameters: all of a network, by name.
        weights: fast weights, perhaps with updates of any rank.

    Returns:
        Name to shape for every convolution; the rank is that of its `up`, or 0 without one.
    """
    shapes: dict[str, torch.Size] = {}
    for name, kernel in parameters.items():
        if kernel.ndim == 4:
            rank = _rank(weights.get(name + _UP))
            shapes[name + _UP] = torch.Size((kernel.shape[0], rank))
            shapes[name + _DOWN] = torch.Size((rank, kernel[0].numel()))
    return shapes


def rank_of(weights: Mapping[str, Tensor]) -> int:
    """The highest rank among the updates of fast weights; 0 where there is none."""
    return max((_rank(w) for name, w in weights.items() if name.endswith(_UP)), default=0)


def _rank(up: Tensor | None) -> int:
    return up.shape[1] if up is not None and up.ndim == 2 else 0


def shapes_without_rank(weights: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    """Shapes of fast weights, of updates only what does not depend on their rank."""
    return {
        name: t.shape[:1] if name.endswith(_UP) else t.shape[1:] if is_update(name) else t.shape
        for name, t in weights.items()
    }


def merge_updates(
    parameters: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Fast weights with every update added to its kernel.

    Args:
        parameters: of the network, which hold the kernels.
        weights: fast weights with or without updates, on the same device.

    Returns:
        Parameter name to value. Gradients flow to both arguments.
    """
    merged = {name: weight for name, weight in weights.items() if not is_update(name)}
    for name, up in weights.items():
        if name.endswith(_UP):
            kernel = name.removesuffix(_UP)
            whole = merged.get(kernel, parameters[kernel])
            # A kernel is rounded once, by the convolution, and not by its update as well.
            with autocast("fp32", up.device):
                merged[kernel] = whole + (up @ weights[kernel + _DOWN]).view_as(whole)
    return merged


def add_up(sets: Sequence[Mapping[str, Tensor]], factors: Sequence[float]) -> dict[str, Tensor]:
    """Sum of factor * fast weights, on the device of the first set.

    Products do not add up half by half; laid side by side they do, so that the rank of the
    sum is the sum of the ranks, but never more than the kernel has outputs.

    Args:
        sets: at least one; all hold the same parameters, each may hold updates besides.
        factors: one per set.
    """
    device = next(iter(sets[0].values())).device
    summed: dict[str, Tensor] = {}
    for name, first in sets[0].items():
        if not is_update(name):
            rest = zip(sets[1:], factors[1:], strict=True)
            summed[name] = sum((f * each[name].to(first) for each, f in rest), factors[0] * first)
    for name in dict.fromkeys(name for each in sets for name in each if name.endswith(_UP)):
        down = name.removesuffix(_UP) + _DOWN
        present = [(each, f) for each, f in zip(sets, factors, strict=True) if name in each]
        ups = torch.cat([f * each[name].to(device) for each, f in present], dim=1)
        downs = torch.cat([each[down].to(device) for each, _ in present])
        summed[name], summed[down] = _shortened(ups, downs)
    return summed


def _shortened(up: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Halves with the same product, of a rank of at most as many as `up` has rows."""
    outputs, rank = up.shape
    if rank <= outputs:
        return up, down
    return torch.eye(outputs).to(up), up @ down
