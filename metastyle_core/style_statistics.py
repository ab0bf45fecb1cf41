"""What is kept of a style's pictures, so that it can be refined without them.

Quantiles of an encoder's features along fixed directions, layer by layer, in half
precision: 48 KB whatever the encoder. The directions are not kept: they come from a seed.
How statistics are compared with a picture is said in `style_distance`; how they lie in a
style file is said here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Generator, Tensor

from .checkpoint import TensorFile, content_hash, parse_json
from .encoder import PerceptualEncoder
from .errors import CheckpointError
from .style_distance import PLACES, QuantileTarget, kept_places, quantiles_along, random_directions

PREFIX = "statistics."
QUANTILES = 64
_BYTES = 47 * 1024
_SEED = 20


@dataclass(frozen=True)
class StyleStatistics:
    """Distributions of the features of one style.

    Attributes:
        quantiles: layer to (K, Q), float16; K directions of `statistics_directions`.
        chroma: how much the style's colours vary from pixel to pixel.
        encoder: name of the encoder that saw the pictures.
        encoder_sha256: of its parameters.
        style_size_px: short side at which it saw them.
    """

    quantiles: Mapping[str, Tensor]
    chroma: float
    encoder: str
    encoder_sha256: str
    style_size_px: int

    def targets(
        self, encoder: PerceptualEncoder, *, compared: int = PLACES
    ) -> dict[str, QuantileTarget]:
        """What each layer's features should be like, on the device of the encoder.

        Args:
            encoder: that saw the style.
            compared: most places that one look compares.

        Raises:
            CheckpointError: `encoder` is not the one that saw the style, or the shapes do
                not fit it.
        """
        if self.encoder_sha256 != content_hash(encoder.state_dict()):
            raise CheckpointError(
                f"The style's statistics are of encoder {self.encoder} "
                f"{self.encoder_sha256[:12]}, which is not the {encoder.spec.name} at hand. "
                "Give the style's picture, or adapt it again and keep statistics."
            )
        device = encoder.get_buffer("mean").device
        return {
            layer: QuantileTarget(
                _directions(encoder.channels_of(layer), len(kept)).to(device),
                kept.to(device).float()[None],
                compared,
            )
            for layer, kept in self.quantiles.items()
        }

    def tensors(self) -> dict[str, Tensor]:
        """What a style file holds of them besides `header`."""
        return {PREFIX + layer: kept.half() for layer, kept in self.quantiles.items()}

    def header(self) -> str:
        """The entry `statistics` of a style file's header."""
        return json.dumps(self._description())

    def summary(self) -> dict[str, object]:
        """For people: how they were made, how many directions a layer has, and their size."""
        return {
            **self._description(),
            "directions": {layer: len(kept) for layer, kept in self.quantiles.items()},
            "bytes": sum(2 * kept.numel() for kept in self.quantiles.values()),
        }

    def _description(self) -> dict[str, object]:
        return {
            "encoder": self.encoder,
            "encoder_sha256": self.encoder_sha256,
            "style_size_px": self.style_size_px,
            "chroma": self.chroma,
        }


def keep_statistics(
    encoder: PerceptualEncoder,
    features: Sequence[Mapping[str, Tensor]],
    *,
    chroma: float,
    style_size_px: int,
) -> StyleStatistics:
    """Reduce the features of a style's pictures to what is kept.

    Args:
        encoder: that gave the features.
        features: of each picture, style layer to (1, C, H, W), sizes may differ.
        chroma: how much the colours of the pictures vary.
        style_size_px: short side of the pictures.

    Returns:
        At most 47 KB; wide layers get more directions.
    """
    generator = Generator().manual_seed(_SEED)
    channels = {layer: encoder.channels_of(layer) for layer in features[0]}
    share = _BYTES / (2 * QUANTILES * sum(channels.values()))
    quantiles: dict[str, Tensor] = {}
    for layer, count in channels.items():
        places = kept_places([each[layer] for each in features], generator)
        directions = _directions(count, int(share * count)).to(places)
        quantiles[layer] = quantiles_along(places, directions, QUANTILES)[0].half().cpu()
    return StyleStatistics(
        quantiles, chroma, encoder.spec.name, content_hash(encoder.state_dict()), style_size_px
    )


def split_statistics(
    path: Path | str, file: TensorFile
) -> tuple[dict[str, Tensor], StyleStatistics | None]:
    """Tell the weights of a style file from its statistics.

    Returns:
        The other tensors, and the statistics or None where the file has none.

    Raises:
        CheckpointError: header and tensors do not go together, or are damaged.
    """
    weights = {k: v for k, v in file.tensors.items() if not k.startswith(PREFIX)}
    kept = {k.removeprefix(PREFIX): v for k, v in file.tensors.items() if k.startswith(PREFIX)}
    if not kept and "statistics" not in file.metadata:
        return weights, None
    told = parse_json(path, file.metadata, "statistics")
    if not kept or any(tensor.ndim != 2 or tensor.shape[1] < 2 for tensor in kept.values()):
        raise CheckpointError(f"{path}: its statistics are missing or misshapen; adapt it again.")
    try:
        return weights, StyleStatistics(
            quantiles=kept,
            chroma=float(str(told["chroma"])),
            encoder=str(told["encoder"]),
            encoder_sha256=str(told["encoder_sha256"]),
            style_size_px=int(str(told["style_size_px"])),
        )
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: the description of its statistics is damaged ({error}); adapt it again."
        ) from error


def _directions(channels: int, count: int) -> Tensor:
    return random_directions(channels, count, Generator().manual_seed(_SEED))
