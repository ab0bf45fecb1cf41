"""The base: one trained network, with the predictor that starts its styles.

A base is never changed by adaptation; any number of styles share it. This file
owns its form in memory and on disk. The hash names the network, so that a style
can tell whether it belongs.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from .checkpoint import (
    content_hash,
    fill_module,
    parse_json,
    read_tensors,
    write_tensors,
)
from .encoder import PerceptualEncoder, build_encoder
from .errors import CheckpointError, SettingsError
from .initialisation import PredictorSize, StylePredictor
from .network import MAX_BLOCKS, MAX_CHANNELS, StylizationNetwork
from .precision import Precision, autocast

BASE_FORMAT = "metastyle.base"
SHIPPED_BASE = Path(__file__).parent / "weights" / "base.safetensors"


@dataclass(frozen=True)
class Predictor:
    """A style predictor and the encoder whose features it was trained to read."""

    network: StylePredictor
    encoder: PerceptualEncoder

    @torch.no_grad()
    def statistics(
        self,
        styles: Tensor,
        precision: Precision = "auto",
        *,
        gradients: bool = False,
        counted: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]] = dict,
    ) -> Tensor:
        """What the predictor reads off styles, a picture of each: (B, S), without gradient.

        Args:
            styles: (B, 3, H, W), [0, 1].
            precision: of the encoder.
            gradients: compute as where gradients flow; see `compute_dtype`.
            counted: leaves of the features what counts; see `StylePicture.counted`.
        """
        with autocast(precision, styles.device, gradients=gradients):
            features = self.encoder(styles, self.encoder.spec.style_layers)
        return self.network.statistics(counted(features))


@dataclass(frozen=True)
class Base:
    """A trained base, frozen.

    Attributes:
        network: the image transformation network.
        predictor: gives the predicted initialisation; None where the base has only
            the fixed one.
        sha256: of the network's parameters.
        training: how the base was made, from the file's header.
    """

    network: StylizationNetwork
    predictor: Predictor | None
    sha256: str
    training: Mapping[str, object]

    def to(self, device: torch.device) -> "Base":
        """Move network, predictor and its encoder; the hash stays."""
        self.network.to(device)
        if self.predictor is not None:
            self.predictor.network.to(device)
            self.predictor.encoder.to(device)
        return self

    @property
    def device(self) -> torch.device:
        """Where the network's parameters are."""
        return next(self.network.parameters()).device


def save_base(
    path: Path | str,
    network: StylizationNetwork,
    predictor: Predictor | None,
    training: Mapping[str, object],
) -> None:
    """Write a base in half precision.

    Args:
        path: the file.
        network: the trained network.
        predictor: its predictor, if any. The encoder that it reads is kept in the file, so
            that the base stands on its own.
        training: settings and results, kept in the header as JSON.

    Raises:
        CheckpointError: the place cannot be written.
    """
    tensors = {f"network.{k}": v.half() for k, v in network.state_dict().items()}
    size = {"channels": network.channels, "blocks": network.blocks}
    metadata = {"architecture": json.dumps(size), "training": json.dumps(training)}
    if predictor is not None:
        parts = {"predictor": predictor.network, "predictor_encoder": predictor.encoder}
        for part, module in parts.items():
            tensors |= {f"{part}.{k}": v.half() for k, v in module.state_dict().items()}
        metadata["predictor_encoder"] = json.dumps(predictor.encoder.spec.to_json())
        metadata["predictor"] = json.dumps(asdict(predictor.network.size))
    write_tensors(path, tensors, file_format=BASE_FORMAT, metadata=metadata)


# What is drawn at random while building is overwritten; the caller's generator stays as it was.
@torch.random.fork_rng(devices=[])
def load_base(path: Path | str = SHIPPED_BASE) -> Base:
    """Read a base, frozen and in float32, on the CPU.

    Args:
        path: the file; the shipped base when left out.

    Raises:
        CheckpointError: the file is missing, damaged or of another kind.
    """
    file = read_tensors(path, file_format=BASE_FORMAT)
    network = _sized_network(path, file.metadata)
    parts: dict[str, dict[str, Tensor]] = {
        "network": {}, "predictor": {}, "predictor_encoder": {}, "": {},
    }  # fmt: skip
    for key, tensor in file.tensors.items():
        part, _, name = key.partition(".")
        parts[part if part in parts else ""][name] = tensor
    if parts[""]:
        raise CheckpointError(
            f"{path} has unknown tensors {sorted(parts[''])[:3]}; choose another base."
        )
    fill_module(path, network, parts["network"])
    predictor = None
    if parts["predictor"]:
        spec = parse_json(path, file.metadata, "predictor_encoder")
        encoder = build_encoder(path, spec, parts["predictor_encoder"])
        module = StylePredictor(network, encoder, _predictor_size(path, file.metadata))
        fill_module(path, module, parts["predictor"])
        predictor = Predictor(module.requires_grad_(False).eval(), encoder)
    network.requires_grad_(False).eval()
    return Base(
        network,
        predictor,
        content_hash(network.state_dict()),
        parse_json(path, file.metadata, "training"),
    )


def _sized_network(path: Path | str, metadata: Mapping[str, str]) -> StylizationNetwork:
    size = parse_json(path, metadata, "architecture")
    channels, blocks = size.get("channels"), size.get("blocks")
    if not (isinstance(channels, int) and isinstance(blocks, int)):
        raise CheckpointError(
            f"{path}: header entry 'architecture' is damaged; download or save it again."
        )
    if not (1 <= channels <= MAX_CHANNELS and 1 <= blocks <= MAX_BLOCKS):
        raise CheckpointError(
            f"{path} asks for {channels} channels and {blocks} blocks; choose another base."
        )
    return StylizationNetwork(channels, blocks)


def _predictor_size(path: Path | str, metadata: Mapping[str, str]) -> PredictorSize:
    size = parse_json(path, metadata, "predictor")
    hidden, covariances = size.get("hidden"), size.get("covariances")
    if not (isinstance(hidden, int) and isinstance(covariances, int)):
        raise CheckpointError(
            f"{path}: header entry 'predictor' is damaged; download or save it again."
        )
    try:
        return PredictorSize(hidden, covariances)
    except SettingsError as error:
        raise CheckpointError(
            f"{path}: header entry 'predictor' is damaged ({error}); download or save it again."
        ) from error
