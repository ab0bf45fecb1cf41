"""Where adaptation starts: the paper's one initialisation, or one predicted per style.

`fixed` starts every style from the network's own parameters. `predicted` adds to
the instance norms what a small network reads off the style's features, so that a
style is usable before the first step of adaptation.

Source: the fixed form is MetaStyle's (Zhang, Zhu, Zhu 2019); predicting instance-norm
parameters from a style picture follows Ghiasi et al. 2017.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from .encoder import PerceptualEncoder
from .errors import SettingsError
from .growth import grown_weights
from .network import StylizationNetwork, norm_parameter_names
from .style_distance import at_least_float32

InitialisationForm = Literal["fixed", "predicted"]


def style_statistics(features: Mapping[str, Tensor]) -> Tensor:
    """Mean and standard deviation of every feature channel.

    Args:
        features: layer name to (B, C, H, W), H and W at least 2 px in the deepest.

    Returns:
        (B, S), at least float32: those of all layers in alphabetical order.
        `count_statistics` gives S.
    """
    moments: list[Tensor] = []
    for layer in sorted(features):
        flat = at_least_float32(features[layer]).flatten(2)
        moments += [flat.mean(2), flat.std(2, correction=0)]
    return torch.cat(moments, dim=1)


def count_statistics(encoder: PerceptualEncoder) -> int:
    """How many values `style_statistics` gives for an encoder's style layers."""
    return 2 * sum(encoder.channels_of(layer) for layer in encoder.spec.style_layers)


@dataclass(frozen=True)
class PredictorSize:
    """How much a predictor holds.

    Attributes:
        hidden: width of its two hidden layers.
    """

    hidden: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.hidden <= 4096:
            raise SettingsError(
                f"A predictor of width {self.hidden} cannot be built; 1 to 4096 are possible."
            )


class StylePredictor(nn.Module):
    """From a style's statistics and weight to changes of all instance-norm parameters.

    The style weight of the loss is an input, so that one predictor serves every balance
    between content and style; at weight 0 it has learned to give the content back.
    """

    def __init__(
        self, network: StylizationNetwork, encoder: PerceptualEncoder, size: PredictorSize
    ) -> None:
        """Fit the predictor to a network and to the encoder that it reads.

        Args:
            network: whose instance norms are predicted; it is not kept.
            encoder: whose features are read; it is not kept.
            size: how much it holds.
        """
        super().__init__()
        self.size = size
        sizes = {name: p.numel() for name, p in network.named_parameters()}
        self._sizes = {name: sizes[name] for name in norm_parameter_names(network)}
        count = count_statistics(encoder)
        changes = nn.Linear(size.hidden, sum(self._sizes.values()), bias=False)
        # The first predictions change nothing: training begins at the fixed form.
        nn.init.zeros_(changes.weight)
        self.normalise = nn.LayerNorm(count)
        self.layers = nn.Sequential(
            nn.Linear(count + 1, size.hidden),
            nn.SiLU(),
            nn.Linear(size.hidden, size.hidden),
            nn.SiLU(),
            changes,
        )

    def statistics(self, features: Mapping[str, Tensor]) -> Tensor:
        """What this predictor reads: (B, S), from the encoder's style layers (B, C, H, W)."""
        return style_statistics(features)

    def forward(self, statistics: Tensor, style_weights: Tensor) -> dict[str, Tensor]:
        """Predict changes.

        Args:
            statistics: (B, S) from `statistics`. Gradients flow.
            style_weights: (B,), from 0 up: the weight of the style loss in the
                balance that the style should strike.

        Returns:
            Parameter name to (B, C), to be added to the network's own.
        """
        balance = torch.log1p(style_weights)[:, None].to(statistics)
        inputs = torch.cat([self.normalise(statistics), balance], dim=1)
        changes = self.layers(inputs).split(list(self._sizes.values()), dim=1)
        return dict(zip(self._sizes, changes, strict=True))

    def grow_from(self, smaller: "StylePredictor") -> None:
        """Predict what a smaller predictor of the same encoder predicts, with room for more.

        Raises:
            SettingsError: the other predictor is wider.
        """
        if smaller.size.hidden > self.size.hidden:
            raise SettingsError(
                f"A predictor of width {smaller.size.hidden} does not fit into one of width "
                f"{self.size.hidden}; ask for at least its width."
            )
        self.load_state_dict(grown_weights(self.state_dict(), smaller.state_dict()))


def fixed_norms(network: StylizationNetwork, styles: int) -> dict[str, Tensor]:
    """The network's own instance-norm parameters, one row for each of so many styles.

    Returns:
        Parameter name to (B, C). Gradients flow to the network.
    """
    own = dict(network.named_parameters())
    return {name: own[name].expand(styles, -1) for name in norm_parameter_names(network)}


def predicted_norms(
    network: StylizationNetwork,
    predictor: StylePredictor,
    statistics: Tensor,
    style_weights: Tensor,
) -> dict[str, Tensor]:
    """The instance-norm parameters at which adaptation to each style starts.

    Args:
        network: to whose own parameters the changes are added.
        predictor: of that network.
        statistics: (B, S), of each style.
        style_weights: (B,); see `StylePredictor`.

    Returns:
        Parameter name to (B, C). Gradients flow to network and predictor.
    """
    own = dict(network.named_parameters())
    changes = predictor(statistics, style_weights)
    return {name: own[name] + change for name, change in changes.items()}
