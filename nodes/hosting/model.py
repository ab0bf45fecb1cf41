"""What travels on the model socket, and styles too large to stay on the device.

Both let the host move tensors in and out of device memory. Neither is ever changed:
adaptation works on a deep copy.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor, nn

from ...metastyle_core.base import Base, Predictor
from ...metastyle_core.style import AdaptedStyle
from . import host


class BaseModule(nn.Module):
    """Network, predictor and the predictor's encoder as one module, to move as one."""

    def __init__(self, base: Base) -> None:
        super().__init__()
        self.network = base.network
        self.predictor = base.predictor.network if base.predictor else None
        self.encoder = base.predictor.encoder if base.predictor else None


@dataclass(frozen=True, eq=False)
class MetaStyleModel:
    """A base in the care of the host.

    Attributes:
        patcher: by which the host moves it; the host's cache knows it by this name.
        sha256: of the network's parameters.
        training: how the base was made.
    """

    patcher: host.ModelPatcher
    sha256: str
    training: Mapping[str, object]

    @classmethod
    def wrap(cls, base: Base) -> "MetaStyleModel":
        """Hand a base over to the host."""
        return cls(host.wrap(BaseModule(base)), base.sha256, base.training)

    def base(self) -> Base:
        """The base where the host has it now; not to be changed."""
        return self._view(cast(BaseModule, self.patcher.model))

    def copy(self) -> Base:
        """A deep copy on the device, which gradients can flow through in training mode."""
        return self._view(copy.deepcopy(cast(BaseModule, self.patcher.model))).to(
            host.work_device()
        )

    def _view(self, module: BaseModule) -> Base:
        predictor = None
        if module.predictor is not None and module.encoder is not None:
            predictor = Predictor(module.predictor, module.encoder)
        return Base(module.network, predictor, self.sha256, self.training)


class _WeightsModule(nn.Module):
    """Fast weights as parameters, so that the host can count and move them."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.values = nn.ParameterList(
            [
                nn.Parameter(tensor.detach().clone(), requires_grad=False)
                for tensor in weights.values()
            ]
        )


class HostedWeights(Mapping[str, Tensor]):
    """Fast weights that the host moves; reading one gives it where it is now."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._positions = {name: position for position, name in enumerate(weights)}
        self._module = _WeightsModule(weights)
        self.patcher = host.wrap(self._module)

    def __getitem__(self, name: str) -> Tensor:
        """The tensor of a parameter name."""
        return self._module.values[self._positions[name]]

    def __iter__(self) -> Iterator[str]:
        """Names of parameters and updates, in the order in which they came."""
        return iter(self._positions)

    def __len__(self) -> int:
        """How many tensors the style has."""
        return len(self._positions)


def host_style(style: AdaptedStyle) -> AdaptedStyle:
    """Put a style where the host wants it.

    The 13 KB of a norm style stay on the device; larger ones go into the host's care.
    """
    if style.mode == "norm":
        return style.to(host.work_device())
    if isinstance(style.fast_weights, HostedWeights):
        return style
    return replace(style, fast_weights=HostedWeights(style.fast_weights))


def style_patchers(*styles: AdaptedStyle) -> list[host.ModelPatcher]:
    """What the host must load before these styles are used."""
    found = {
        id(style.fast_weights): style.fast_weights.patcher
        for style in styles
        if isinstance(style.fast_weights, HostedWeights)
    }
    return list(found.values())
