"""Where adaptation starts: the paper's one initialisation, or one predicted per style.

`fixed` starts every style from the network's own parameters. `predicted` adds to
the instance norms what a small network reads off the style's features, so that a
style is usable before the first step of adaptation.

Source: the fixed form is MetaStyle's (Zhang, Zhu, Zhu 2019); predicting instance-norm
parameters from a style picture follows Ghiasi et al. 2017.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from .encoder import PerceptualEncoder
from .losses import at_least_float32
from .network import StylizationNetwork, norm_parameter_names

InitialisationForm = Literal["fixed", "predicted"]
_HIDDEN = 256


def style_statistics(features: Mapping[str, Tensor]) -> Tensor:
    """Mean and standard deviation of every feature channel.

    Args:
        features: layer name to (B, C, H, W), H and W at least 2 px in the deepest.

    Returns:
        (B, 2 * sum of C), at least float32. Layers follow in alphabetical order.
    """
    parts: list[Tensor] = []
    for layer in sorted(features):
        flat = at_least_float32(features[layer]).flatten(2)
        parts += [flat.mean(2), flat.std(2, correction=0)]
    return torch.cat(parts, dim=1)


class StylePredictor(nn.Module):
    """From a style's statistics and weight to changes of all instance-norm parameters.

    The style weight of the loss is an input, so that one predictor serves every balance
    between content and style; at weight 0 it has learned to give the content back.
    """

    def __init__(self, network: StylizationNetwork, statistics: int) -> None:
        """Size the predictor for a network.

        Args:
            network: whose instance norms are predicted; it is not kept.
            statistics: number of values `style_statistics` gives.
        """
        super().__init__()
        sizes = {name: p.numel() for name, p in network.named_parameters()}
        self._sizes = {name: sizes[name] for name in norm_parameter_names(network)}
        changes = nn.Linear(_HIDDEN, sum(self._sizes.values()), bias=False)
        # The first predictions change nothing: training begins at the fixed form.
        nn.init.zeros_(changes.weight)
        self.normalise = nn.LayerNorm(statistics)
        self.layers = nn.Sequential(
            nn.Linear(statistics + 1, _HIDDEN),
            nn.SiLU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.SiLU(),
            changes,
        )

    def forward(self, statistics: Tensor, style_weights: Tensor) -> dict[str, Tensor]:
        """Predict changes.

        Args:
            statistics: (B, S) from `style_statistics`. Gradients flow.
            style_weights: (B,), from 0 up: the weight of the style loss in the
                balance that the style should strike.

        Returns:
            Parameter name to (B, C), to be added to the network's own.
        """
        balance = torch.log1p(style_weights)[:, None].to(statistics)
        inputs = torch.cat([self.normalise(statistics), balance], dim=1)
        changes = self.layers(inputs).split(list(self._sizes.values()), dim=1)
        return dict(zip(self._sizes, changes, strict=True))


def count_statistics(encoder: PerceptualEncoder) -> int:
    """How many values `style_statistics` gives for an encoder's style layers."""
    return 2 * sum(encoder.channels_of(layer) for layer in encoder.spec.style_layers)


def initial_norms(
    network: StylizationNetwork,
    predictor: StylePredictor | None,
    statistics: Tensor,
    style_weights: Tensor,
) -> dict[str, Tensor]:
    """Instance-norm parameters at which adaptation starts, one row per style.

    Args:
        network: its own parameters are the fixed form, and the base of the predicted.
        predictor: None gives the fixed form.
        statistics: (B, S); only B matters to the fixed form.
        style_weights: (B,); see `StylePredictor`.

    Returns:
        Parameter name to (B, C). Gradients flow to network and predictor.
    """
    own = {name: p for name, p in network.named_parameters() if name in _names(network)}
    if predictor is None:
        return {name: p.expand(len(statistics), -1) for name, p in own.items()}
    changes = predictor(statistics, style_weights)
    return {name: p + changes[name] for name, p in own.items()}


def _names(network: StylizationNetwork) -> frozenset[str]:
    return frozenset(norm_parameter_names(network))
