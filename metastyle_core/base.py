"""The base: one trained network, with the predictor that starts its styles.

A base is never changed by adaptation; any number of styles share it. This file
owns its form in memory and on disk. The hash names the network, so that a style
can tell whether it belongs.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

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
_WEIGHTS = Path(__file__).parent / "weights"
# By the names that people choose them by; every one has a predictor.
SHIPPED_BASES: Mapping[str, Path] = MappingProxyType(
    {"main": _WEIGHTS / "base.safetensors", "fast": _WEIGHTS / "fast.safetensors"}
)
SHIPPED_BASE = SHIPPED_BASES["main"]


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
    size = {
        "channels": network.channels,
        "blocks": network.blocks,
        "reads_grain": network.reads_grain,
        "skips": network.skips,
        "smoothing": network.smoothing,
    }
    metadata = {"architecture": json.dumps(size), "training": json.dumps(training)}
    if predictor is not None:
        parts = {"predictor": predictor.network, "predictor_encoder": predictor.encoder}
        for part, module in parts.items():
            tensors |= {f"{part}.{k}": v.half() for k, v in module.state_dict().items()}
        metadata["predictor_encoder"] = json.dumps(predictor.encoder.spec.to_json())
        metadata["predictor"] = json.dumps(asdict(predictor.network.size))
    write_tensors(path, tensors, file_format=BASE_FORMAT, metadata=metadata)


def base_file(source: Path | str) -> Path:
    """The file that a base's name or a path stands for, whether or not it is there.

    Args:
        source: a string that is the name of a shipped base is that base; a file called like
            one is given as a `Path`, or on the command line as `./fast`.
    """
    if isinstance(source, str) and source in SHIPPED_BASES:
        return SHIPPED_BASES[source]
    return Path(source)


@cache
def shipped_name(sha256: str) -> str | None:
    """The name of the shipped base with a hash; None for other bases."""
    return next((name for name in SHIPPED_BASES if _shipped_hash(name) == sha256), None)


@cache
def _shipped_hash(name: str) -> str | None:
    """What `Base.sha256` is of a shipped base, without building it; None where it cannot be read.

    The file may be missing or damaged, which is no matter to whoever asks for another's name.
    """
    try:
        file = read_tensors(SHIPPED_BASES[name], file_format=BASE_FORMAT)
    except CheckpointError:
        return None
    part = "network."
    own = {k.removeprefix(part): v for k, v in file.tensors.items() if k.startswith(part)}
    return content_hash(own)


# What is drawn at random while building is overwritten; the caller's generator stays as it was.
@torch.random.fork_rng(devices=[])
def load_base(source: Path | str = SHIPPED_BASE) -> Base:
    """Read a base, frozen and in float32, on the CPU.

    Args:
        source: the file or the name of a shipped base (see `base_file`); the main one when
            left out.

    Raises:
        CheckpointError: the file is missing, damaged or of another kind.
    """
    path = base_file(source)
    _require_there(path)
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


def _require_there(path: Path) -> None:
    with suppress(OSError):  # what keeps it from being seen is said where it is read
        if not path.exists():
            raise CheckpointError(
                f"Base {path} does not exist; name a .safetensors file, or one that ships: "
                f"{', '.join(SHIPPED_BASES)}."
            )


def _sized_network(path: Path | str, metadata: Mapping[str, str]) -> StylizationNetwork:
    size = parse_json(path, metadata, "architecture")
    channels, blocks = size.get("channels"), size.get("blocks")
    reads_grain, skips = size.get("reads_grain", False), size.get("skips", False)
    smoothing = size.get("smoothing", 0.0)
    if not (
        isinstance(channels, int)
        and isinstance(blocks, int)
        and isinstance(reads_grain, bool)
        and isinstance(skips, bool)
        and isinstance(smoothing, float)
        and 0 <= smoothing <= 1
    ):
        raise CheckpointError(
            f"{path}: header entry 'architecture' is damaged; download or save it again."
        )
    if not (1 <= channels <= MAX_CHANNELS and 1 <= blocks <= MAX_BLOCKS):
        raise CheckpointError(
            f"{path} asks for {channels} channels and {blocks} blocks; choose another base."
        )
    return StylizationNetwork(
        channels, blocks, reads_grain=reads_grain, skips=skips, smoothing=smoothing
    )


def _predictor_size(path: Path | str, metadata: Mapping[str, str]) -> PredictorSize:
    size = parse_json(path, metadata, "predictor")
    # Predictors could once read covariances too; headers of that time, as those that ship, say 0.
    hidden, covariances = size.get("hidden"), size.get("covariances", 0)
    if not (isinstance(hidden, int) and isinstance(covariances, int)):
        raise CheckpointError(
            f"{path}: header entry 'predictor' is damaged; download or save it again."
        )
    if covariances:
        raise CheckpointError(
            f"{path}: its predictor reads {covariances} covariances, which none can any more; "
            "choose another base."
        )
    try:
        return PredictorSize(hidden)
    except SettingsError as error:
        raise CheckpointError(
            f"{path}: header entry 'predictor' is damaged ({error}); download or save it again."
        ) from error
