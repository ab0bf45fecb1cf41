"""Perceptual encoders: fixed networks whose features say how alike pictures are.

One class, several named specs. `compact` is ours and ships with the package;
`vgg16` and `vgg19` use torchvision's weights, `vgg19_caffe` a file of the
original release. What is done with the features is said in `losses`.
"""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn

from .checkpoint import fill_module, parse_json, read_tensors, write_tensors
from .checks import require_pictures
from .errors import CheckpointError, EncoderWeightsError, SettingsError

ENCODER_FORMAT = "metastyle.encoder"
COMPACT_WEIGHTS = Path(__file__).parent / "weights" / "compact.safetensors"
_MAX_WIDTH = 4096
_PAPER_STYLE_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")


@dataclass(frozen=True)
class EncoderSpec:
    """Everything that defines an encoder except the values of its weights.

    Attributes:
        name: the name users choose it by.
        blocks: output channels of the 3x3 convolutions, block by block; a 2x2
            maximum pooling stands between blocks. Layers are called `conv2_1`
            and, after the rectifier, `relu2_1`.
        channel_order: order in which the first convolution expects colours.
        scale: factor applied to [0, 1] input before mean and std.
        mean: subtracted per channel, in `channel_order`, after scaling.
        std: divisor per channel, in `channel_order`.
        content_layers: taps of the plain content loss, which the yardstick has too.
        style_layers: taps of the style loss.
        projected_channels: taps that pass through a 1x1 convolution, and the
            number of channels it gives. Empty for VGG.
    """

    name: str
    blocks: tuple[tuple[int, ...], ...]
    channel_order: Literal["rgb", "bgr"] = "rgb"
    scale: float = 1.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    content_layers: tuple[str, ...] = ("relu2_2",)
    style_layers: tuple[str, ...] = _PAPER_STYLE_LAYERS
    projected_channels: Mapping[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        widths = [width for row in self.blocks for width in (len(row), *row)]
        counts = [len(self.blocks), *widths, *self.projected_channels.values()]
        if not all(1 <= count <= _MAX_WIDTH for count in counts):
            raise SettingsError(
                f"Encoder {self.name} has blocks {self.blocks}; 1 to {_MAX_WIDTH} channels and "
                "layers are possible."
            )
        taps = {*self.content_layers, *self.style_layers}
        strays = (taps | self.projected_channels.keys()) - self._layers()
        if strays or not (self.content_layers and self.style_layers):
            raise SettingsError(f"Encoder {self.name} has no layers {sorted(strays)} to read.")
        numbers = (self.scale, *self.mean, *self.std)
        if len(numbers) != 7 or not all(map(math.isfinite, numbers)) or min(self.std) <= 0:
            raise SettingsError(
                f"Encoder {self.name} scales colours by {numbers}; a scale, three means and three "
                "deviations above 0 are needed."
            )

    def _layers(self) -> set[str]:
        return {
            f"relu{block}_{index}"
            for block, widths in enumerate(self.blocks, start=1)
            for index in range(1, len(widths) + 1)
        }

    def to_json(self) -> dict[str, object]:
        """The spec as plain values for a file header."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "EncoderSpec":
        """Rebuild a spec from `to_json`.

        Raises:
            TypeError, KeyError, ValueError: the values are not those of a spec.
        """
        rows = cast("list[list[int]]", values["blocks"])
        triple = {name: tuple(float(v) for v in values[name]) for name in ("mean", "std")}
        layers = {
            name: tuple(str(v) for v in values[name]) for name in ("content_layers", "style_layers")
        }
        return cls(
            name=str(values["name"]),
            blocks=tuple(tuple(int(width) for width in row) for row in rows),
            channel_order="bgr" if values["channel_order"] == "bgr" else "rgb",
            scale=float(values["scale"]),
            mean=cast("tuple[float, float, float]", triple["mean"]),
            std=cast("tuple[float, float, float]", triple["std"]),
            content_layers=layers["content_layers"],
            style_layers=layers["style_layers"],
            projected_channels={str(k): int(v) for k, v in values["projected_channels"].items()},
        )


_VGG19_BLOCKS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512))
ENCODER_SPECS: dict[str, EncoderSpec] = {
    "vgg16": EncoderSpec("vgg16", ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512))),
    "vgg19": EncoderSpec("vgg19", _VGG19_BLOCKS),
    "vgg19_caffe": EncoderSpec(
        "vgg19_caffe",
        _VGG19_BLOCKS,
        channel_order="bgr",
        scale=255.0,
        mean=(103.939, 116.779, 123.68),
        std=(1.0, 1.0, 1.0),
    ),
    "compact": EncoderSpec(
        "compact",
        # Deep layers are wide: there are few pixels left, and relu4_3 is the hardest to copy.
        ((16, 32), (32, 64), (96, 128, 192), (256, 320, 384)),
        projected_channels={"relu1_2": 32, "relu2_2": 64, "relu3_3": 128, "relu4_3": 256},
    ),
}
ENCODER_NAMES = tuple(ENCODER_SPECS)


class PerceptualEncoder(nn.Module):
    """A stack of 3x3 convolutions that returns features by layer name.

    Gradients flow from the features to the images. The caller decides whether
    the weights train; `load_encoder` freezes them.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        super().__init__()
        self.spec = spec
        self.convolutions = nn.ModuleDict()
        self.projections = nn.ModuleDict()
        channels = 3
        for block, widths in enumerate(spec.blocks, start=1):
            for index, width in enumerate(widths, start=1):
                self.convolutions[f"conv{block}_{index}"] = nn.Conv2d(
                    channels, width, kernel_size=3, padding=1
                )
                channels = width
                projected = spec.projected_channels.get(f"relu{block}_{index}")
                if projected is not None:
                    self.projections[f"relu{block}_{index}"] = nn.Conv2d(
                        width, projected, kernel_size=1, bias=False
                    )
        shape = (1, 3, 1, 1)
        self.register_buffer("mean", torch.tensor(spec.mean).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(spec.std).view(shape), persistent=False)
        self.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    @property
    def taps(self) -> tuple[str, ...]:
        """Layers of the content and the style loss, shallowest first."""
        wanted = {*self.spec.content_layers, *self.spec.style_layers}
        return tuple(sorted(wanted))

    def channels_of(self, layer: str) -> int:
        """Number of feature channels of a tap such as `relu3_3`.

        Raises:
            SettingsError: the layer is not in this encoder.
        """
        if layer in self.spec.projected_channels:
            return self.spec.projected_channels[layer]
        name = layer.replace("relu", "conv")
        if name not in self.convolutions:
            raise SettingsError(f"Encoder {self.spec.name} has no layer {layer}.")
        return cast(nn.Conv2d, self.convolutions[name]).out_channels

    def forward(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Features of the named layers; nothing deeper is computed.

        Args:
            images: (B, 3, H, W), RGB, [0, 1].
            layers: names such as `relu2_2`; None takes `taps`.

        Returns:
            Layer name to (B, C, H', W'). H' and W' halve, rounding down, at
            every block after the first.

        Raises:
            ShapeError: `images` is not a batch of RGB pictures.
            SettingsError: a layer is not in this encoder.
        """
        require_pictures(images)
        wanted = set(self.taps if layers is None else layers)
        unknown = wanted - {name.replace("conv", "relu") for name in self.convolutions}
        if unknown:
            raise SettingsError(f"Encoder {self.spec.name} has no layer {sorted(unknown)}.")
        features: dict[str, Tensor] = {}
        hidden = self._normalise(images)
        block = "1"
        for name, convolution in self.convolutions.items():
            if len(features) == len(wanted):
                break
            layer, this_block = name.replace("conv", "relu"), name[4:].split("_")[0]
            if this_block != block:
                hidden, block = F.max_pool2d(hidden, 2), this_block
            hidden = F.relu(convolution(hidden))
            if layer in wanted:
                tap = self.projections[layer](hidden) if layer in self.projections else hidden
                features[layer] = tap
        return features

    def _normalise(self, images: Tensor) -> Tensor:
        # Channels last is faster here, on the CPU and on tensor cores alike.
        images = images.contiguous(memory_format=torch.channels_last)
        ordered = images.flip(1) if self.spec.channel_order == "bgr" else images
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return (ordered * self.spec.scale - mean) / std


def features_at_scales(
    encoder: PerceptualEncoder,
    images: Tensor,
    scales: int,
    layers: Collection[str] | None = None,
) -> dict[str, Tensor]:
    """Features of pictures at full size, half of it, a quarter, and so on.

    The coarser sizes see strokes and shapes that are larger than what the deepest layer
    spans at full size.

    Args:
        encoder: reads every size alike.
        images: (B, 3, H, W), [0, 1].
        scales: how many sizes, from 1 up.
        layers: as in `PerceptualEncoder.forward`; the coarser sizes give the style layers.

    Returns:
        Layer name to features; those of the coarser sizes are called `relu2_2/2`, `relu2_2/4`.
    """
    features = encoder(images, layers)
    for factor in (2**i for i in range(1, scales)):
        smaller = encoder(F.avg_pool2d(images, factor), encoder.spec.style_layers)
        features |= {f"{name}/{factor}": tensor for name, tensor in smaller.items()}
    return features


# What is drawn at random while building is overwritten; the caller's generator stays as it was.
@torch.random.fork_rng(devices=[])
def load_encoder(
    name: str,
    *,
    weights: Path | str | None = None,
    download_folder: Path | str | None = None,
) -> PerceptualEncoder:
    """Build a named encoder with its weights, frozen, on the CPU.

    Args:
        name: `compact`, `vgg16`, `vgg19` or `vgg19_caffe`.
        weights: a .safetensors file. Keys may be ours (`conv1_1.weight`) or
            torchvision's (`features.0.weight`); deeper layers are ignored.
            None takes the shipped file for `compact`.
        download_folder: only for `vgg16` and `vgg19`: let torchvision look for
            its weights in this folder and download them there when absent.

    Raises:
        SettingsError: unknown name.
        EncoderWeightsError: no weights were given, or the file is missing.
        CheckpointError: the file is damaged or holds another network.
    """
    if name not in ENCODER_SPECS:
        raise SettingsError(
            f"There is no encoder '{name}'; choose one of {', '.join(ENCODER_NAMES)}."
        )
    if name == "compact":
        return _load_compact(Path(weights) if weights else COMPACT_WEIGHTS)
    if weights is None and download_folder is not None and name in {"vgg16", "vgg19"}:
        state = _download_torchvision_weights(name, Path(download_folder))
        return _fill_vgg(ENCODER_SPECS[name], state, source=download_folder)
    path = _require_weights(name, weights)
    return _fill_vgg(ENCODER_SPECS[name], read_tensors(path).tensors, source=path)


def _require_weights(name: str, weights: Path | str | None) -> Path:
    origin = (
        "the original Caffe release converted to safetensors (keys conv1_1.weight, ...)"
        if name == "vgg19_caffe"
        else f"torchvision's {name} weights saved as safetensors, or a download folder"
    )
    remedy = (
        f"Pass a file with --encoder-weights: {origin}. "
        "The encoder 'compact' needs none: it ships with MetaStyle."
    )
    if weights is None:
        raise EncoderWeightsError(f"Encoder {name} needs its weights. {remedy}")
    if not Path(weights).is_file():
        raise EncoderWeightsError(f"Encoder weights {weights} do not exist. {remedy}")
    return Path(weights)


def _load_compact(path: Path) -> PerceptualEncoder:
    if not path.is_file():
        raise EncoderWeightsError(
            f"Encoder weights {path} do not exist; install MetaStyle again, "
            "or name the file with --encoder-weights."
        )
    file = read_tensors(path, file_format=ENCODER_FORMAT)
    return build_encoder(path, parse_json(path, file.metadata, "spec"), file.tensors)


def save_encoder(
    path: Path | str,
    encoder: PerceptualEncoder,
    training: Mapping[str, object],
    *,
    half: bool,
) -> None:
    """Write an encoder that `load_encoder("compact", weights=path)` reads.

    Args:
        path: the file; folders are created.
        encoder: of any spec.
        training: how it was made, kept in the header as JSON.
        half: store float16, otherwise float32.

    Raises:
        CheckpointError: the place cannot be written.
    """
    tensors = encoder.state_dict()
    write_tensors(
        path,
        {name: tensor.half() for name, tensor in tensors.items()} if half else tensors,
        file_format=ENCODER_FORMAT,
        metadata={"spec": json.dumps(encoder.spec.to_json()), "training": json.dumps(training)},
    )


def build_encoder(
    path: Path | str, spec: Mapping[str, object], tensors: Mapping[str, Tensor]
) -> PerceptualEncoder:
    """An encoder, frozen, from what a file says about it.

    Args:
        path: of the file, for messages.
        spec: from `EncoderSpec.to_json`.
        tensors: its weights by name, any float type.

    Raises:
        CheckpointError: description or weights are damaged or do not go together.
    """
    try:
        encoder = PerceptualEncoder(EncoderSpec.from_json(spec))
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: the encoder's description is damaged; download or save it again."
        ) from error
    fill_module(path, encoder, tensors)
    return encoder.requires_grad_(False).eval()


def _fill_vgg(
    spec: EncoderSpec, state: Mapping[str, Tensor], *, source: Path | str
) -> PerceptualEncoder:
    encoder = PerceptualEncoder(spec)
    names = _torchvision_names(spec) if "features.0.weight" in state else {}
    loaded: dict[str, Tensor] = {}
    for key, own in encoder.state_dict().items():
        layer, kind = key.removeprefix("convolutions.").split(".")
        there = f"{names.get(layer, layer)}.{kind}"
        if there not in state:
            raise CheckpointError(
                f"{source} lacks '{there}'; it does not hold the weights of {spec.name}. "
                "Choose another file."
            )
        if state[there].shape != own.shape:
            raise CheckpointError(
                f"{source}: '{there}' has shape {tuple(state[there].shape)}; {spec.name} "
                f"needs {tuple(own.shape)}. Choose another file."
            )
        loaded[key] = state[there].float()
    encoder.load_state_dict(loaded)
    return encoder.requires_grad_(False).eval()


def _torchvision_names(spec: EncoderSpec) -> dict[str, str]:
    names: dict[str, str] = {}
    position = 0
    for block, widths in enumerate(spec.blocks, start=1):
        for index in range(1, len(widths) + 1):
            names[f"conv{block}_{index}"] = f"features.{position}"
            position += 2  # a rectifier follows every convolution
        position += 1  # the pooling
    return names


def _download_torchvision_weights(name: str, folder: Path) -> Mapping[str, Tensor]:
    # torchvision costs a second to import, and only this path needs it.
    from torchvision.models import VGG16_Weights, VGG19_Weights

    weights = VGG16_Weights.IMAGENET1K_V1 if name == "vgg16" else VGG19_Weights.IMAGENET1K_V1
    try:
        return weights.get_state_dict(model_dir=str(folder), progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise EncoderWeightsError(
            f"torchvision could not fetch the weights of {name} into {folder} ({error}). "
            "Try again with a network, or choose the encoder 'compact', which needs none."
        ) from error
