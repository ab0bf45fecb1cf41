"""A style and its base as one ONNX graph, for runtimes other than PyTorch.

The graph takes pictures of any size and number, pads and crops them as the network does, and
holds the style in its constants. `StylizationNetwork.forward` is written out here a second
time, in ONNX's operators and in the forms that ONNX's runtimes are quick at;
`require_same_pictures` compares the two.

Source: https://onnx.ai/onnx/operators, opset 17, which every runtime of today reads.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from . import network as architecture
from .base import Base
from .errors import CheckpointError, MetaStyleError, SettingsError, ShapeError
from .files import atomic_file
from .finishing import AS_DRAWN
from .low_rank import merge_updates
from .network import (
    ConvNorm,
    NormStatistics,
    OutputConv,
    ReflectConv,
    ResidualBlock,
    UpsampleConv,
    own_statistics,
)
from .quantization import calibration_pictures, quantized
from .style import AdaptedStyle, check_style
from .stylization import stylize

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

Numbers = Literal["float32", "half", "int8"]
OPSET = 17
# Read by every release of ONNX Runtime from 1.11 on.
_IR_VERSION = 8
# Both ends, three odd or uneven sides, and a batch.
_CHECKED_SHAPES = ((1, 16, 16), (1, 64, 96), (1, 131, 77), (2, 50, 33))
_LEVEL = 1 / 255
# Three times as far as shipped styles are, on photographs that ship.
_ALIKE_LEVELS = 8
_ALIKE_PICTURES = 4


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        opset: of ONNX.
        size_bytes: of the file.
        nodes: operators in the graph.
    """

    opset: int
    size_bytes: int
    nodes: int


def export_onnx(
    base: Base,
    style: AdaptedStyle,
    path: Path | str,
    *,
    statistics: NormStatistics | None = None,
    strength: bool = False,
    numbers: Numbers = "float32",
) -> ExportReport:
    """Write a style as an ONNX file that is whole or absent.

    The graph's input `image` and its output `stylized` are (B, 3, H, W), float32, RGB, [0, 1],
    both sides at least 16 px.

    Args:
        base: of the style.
        style: of any mode.
        path: the file.
        statistics: what instance norms normalise by, from `statistics_of`; they then disappear
            in the convolutions. None takes each picture's own.
        strength: add an input `strength`, one float32 in [0, 1], as in `stylize`.
        numbers: `half` stores them in half precision, in half the space, and computes in float32
            all the same; `int8` computes most convolutions in 8-bit integers, see
            `quantization`.

    Raises:
        MetaStyleError: the package onnx, or for `int8` onnxruntime, is not installed.
        SettingsError: `int8` with an input for the strength, by which kernels would change.
        BaseMismatchError: the style belongs to another base.
        CheckpointError: the place cannot be written.
    """
    check_style(style, base)
    if strength and numbers == "int8":
        raise SettingsError(
            "8-bit kernels cannot change with the strength; leave out one of --int8 and --strength."
        )
    with torch.inference_mode():
        half = numbers == "half"
        model = _model(base, style, statistics, strength=strength, half=half)
    if numbers == "int8":
        model = quantized(model)
    data = model.SerializeToString()
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise CheckpointError(
            f"Cannot write {path} ({error.strerror}); choose a folder that can be written."
        ) from error
    return ExportReport(OPSET, len(data), len(model.graph.node))


def statistics_of(base: Base, style: AdaptedStyle, picture: Tensor) -> dict[str, Tensor]:
    """What instance norms see while a style draws a picture.

    Args:
        base: of the style.
        style: any.
        picture: (1, 3, H, W), [0, 1].
    """
    weights = style.to(base.device).fast_weights
    with torch.inference_mode():
        noted = own_statistics(base.network, weights, picture.to(base.device))
    return {name: tensor.cpu() for name, tensor in noted.items()}


def require_same_pictures(
    path: Path | str,
    base: Base,
    style: AdaptedStyle,
    *,
    statistics: NormStatistics | None = None,
    strength: bool = False,
) -> float:
    """Draw pictures of several sizes with ONNX Runtime and with PyTorch, and compare them.

    Args:
        path: what `export_onnx` wrote with the same arguments, in `float32` or `half`.
        base: of the style.
        style: the style.
        statistics: as exported.
        strength: as exported; it is then tried at 0, 0.5 and 1.

    Returns:
        The largest difference of a pixel, in levels of 255.

    Raises:
        MetaStyleError: the package onnxruntime is not installed, or a pixel is farther away
            than a level.
    """
    session = _session(path)
    strengths = (0.0, 0.5, 1.0) if strength else (1.0,)
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for count, height, width in _CHECKED_SHAPES:
        images = torch.rand(count, 3, height, width, generator=generator)
        for share in strengths:
            feeds = {"image": images.numpy()}
            if strength:
                feeds["strength"] = torch.tensor(share).numpy()
            theirs = torch.from_numpy(session.run(None, feeds)[0])
            ours = stylize(
                base, style, images,
                precision="fp32", strength=share, statistics=statistics, colouring=AS_DRAWN,
            )  # fmt: skip
            if theirs.shape != ours.shape:
                raise ShapeError(f"{path} makes {tuple(theirs.shape)} of {tuple(ours.shape)}.")
            worst = max(worst, (theirs - ours).abs().max().item() / _LEVEL)
    if worst > 1:
        raise MetaStyleError(
            f"{path} draws pixels {worst:.1f} levels of 255 away from PyTorch's, more than 1; "
            "export it without --half, and with this version of MetaStyle."
        )
    return worst


def require_alike_pictures(
    path: Path | str,
    base: Base,
    style: AdaptedStyle,
    *,
    statistics: NormStatistics | None = None,
) -> float:
    """Draw photographs that ship with an `int8` graph and with PyTorch, and compare them.

    Args:
        path: what `export_onnx` wrote with the same arguments.
        base: of the style.
        style: the style.
        statistics: as exported.

    Returns:
        The mean difference of a pixel, in levels of 255.

    Raises:
        MetaStyleError: the package onnxruntime is not installed, or the mean is above 8 levels.
    """
    images = calibration_pictures()[:_ALIKE_PICTURES]
    theirs = torch.from_numpy(_session(path).run(None, {"image": images.numpy()})[0])
    ours = stylize(base, style, images, precision="fp32", statistics=statistics, colouring=AS_DRAWN)
    apart = (theirs - ours).abs().mean().item() / _LEVEL
    if apart > _ALIKE_LEVELS:
        raise MetaStyleError(
            f"{path} draws pixels {apart:.1f} levels of 255 away from PyTorch's in the mean, more "
            f"than {_ALIKE_LEVELS}; export it without --int8."
        )
    return apart


def _session(path: Path | str) -> Any:  # noqa: ANN401 - onnxruntime has no types
    try:
        import onnxruntime
    except ImportError as error:
        raise MetaStyleError(
            'The check needs ONNX Runtime; install it with: pip install "metastyle[onnx]"'
        ) from error
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def _model(
    base: Base,
    style: AdaptedStyle,
    statistics: NormStatistics | None,
    *,
    strength: bool,
    half: bool,
) -> "ModelProto":
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise MetaStyleError(
            'Export needs the package onnx; install it with: pip install "metastyle[onnx]"'
        ) from error
    graph = _Graph(half=half)
    writer = _Writer(graph, base, style, statistics, strength=strength)
    writer.write()
    shape = ["batch", 3, "height", "width"]
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    if strength:
        inputs.append(helper.make_tensor_value_info("strength", TensorProto.FLOAT, []))
    outputs = [helper.make_tensor_value_info("stylized", TensorProto.FLOAT, shape)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "metastyle", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="metastyle",
    )
    told = {
        "style": style.name,
        "base_sha256": base.sha256,
        "mode": style.mode,
        "strength": json.dumps(strength),
        "statistics": "fixed" if statistics else "of each picture",
    }
    helper.set_model_props(model, told)
    return model


class _Graph:
    """Nodes and constants as they are added, each value with a name of its own."""

    def __init__(self, *, half: bool) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._half = half

    def add(
        self,
        operator: str,
        *inputs: str,
        output: str = "",
        **attributes: Any,  # noqa: ANN401 - of the operator
    ) -> str:
        """Append a node; gives the name of its output."""
        from onnx import helper

        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, value: Tensor) -> str:
        """Append a constant, whole numbers as int64; gives its name."""
        from onnx import TensorProto, numpy_helper

        name = f"constant_{len(self.constants)}"
        floating = value.is_floating_point()
        stored = value.half() if floating and self._half else value.float() if floating else value
        array = stored.detach().cpu().contiguous().numpy()
        self.constants.append(numpy_helper.from_array(array, name))
        if stored.dtype == torch.float16:
            return self.add("Cast", name, to=TensorProto.FLOAT)
        return name

    def integers(self, *values: int) -> str:
        """A constant of whole numbers."""
        return self.constant(torch.tensor(values, dtype=torch.int64))


def _as_it_is(values: Tensor) -> Tensor:
    return values


class _Writer:
    """Writes the network's forward pass into a graph."""

    def __init__(
        self,
        graph: _Graph,
        base: Base,
        style: AdaptedStyle,
        statistics: NormStatistics | None,
        *,
        strength: bool,
    ) -> None:
        own = {name: tensor.cpu() for name, tensor in base.network.named_parameters()}
        fast = {name: tensor.float().cpu() for name, tensor in style.fast_weights.items()}
        self._graph, self._network, self._statistics = graph, base.network, statistics
        self._base: Mapping[str, Tensor] = _without_grain(own)
        self._styled: Mapping[str, Tensor] = _without_grain(own | merge_updates(own, fast))
        self._strength = strength
        self._lightness = self._add_lightness() if strength else None

    def _add_lightness(self) -> str:
        """How much of the style is drawn: (1 + strength) / 2; see `stylize`."""
        add, constant = self._graph.add, self._graph.constant
        half = constant(torch.tensor(0.5))
        return add("Add", add("Mul", "strength", half), half)

    def write(self) -> None:
        """Write it all, from `image` to `stylized`."""
        features, sides = self._padded()
        seen: list[str] = []
        for index, layer in enumerate(self._network.encoder):
            features = self._relu(self._conv_norm(f"encoder.{index}", layer, features))
            seen.append(features)
        for index, block in enumerate(self._network.residual):
            features = self._block(f"residual.{index}", block, features)
        for index, layer in enumerate(self._network.decoder):
            if self._network.smoothing:
                features = self._smoothed(features, 4 // (1 + index))
            drawn = self._conv_norm(f"decoder.{index}", layer, features, seen[1 - index])
            features = self._relu(drawn)
        logits = self._convolution("output", self._network.output, features, None)
        self._finish(self._cropped(logits, sides))

    def _padded(self) -> tuple[str, str]:
        """The picture with its margins, and its own height and width."""
        graph, margin = self._graph, architecture.MARGIN_PX
        sides = graph.add("Shape", "image", start=2)
        beyond = graph.add("Mod", graph.add("Neg", sides), graph.integers(architecture.STRIDE_PX))
        behind = graph.add("Add", beyond, graph.integers(margin))
        before = graph.integers(0, 0, margin, margin, 0, 0)
        pads = graph.add("Concat", before, behind, axis=0)
        return graph.add("Pad", "image", pads, mode="reflect"), sides

    def _cropped(self, logits: str, sides: str) -> str:
        graph, margin = self._graph, architecture.MARGIN_PX
        ends = graph.add("Add", sides, graph.integers(margin))
        return graph.add(
            "Slice", logits, graph.integers(margin, margin), ends, graph.integers(2, 3)
        )

    def _finish(self, logits: str) -> None:
        add = self._graph.add
        if not self._strength:
            add("Sigmoid", logits, output="stylized")
            return
        drawn = add("Sigmoid", logits)
        change = add("Mul", add("Sub", drawn, "image"), "strength")
        add("Add", "image", change, output="stylized")

    def _block(self, name: str, block: nn.Module, features: str) -> str:
        assert isinstance(block, ResidualBlock)  # noqa: S101 - our own network
        inside = self._relu(self._conv_norm(f"{name}.first", block.first, features))
        change = self._conv_norm(f"{name}.second", block.second, inside)
        return self._graph.add("Add", features, change)

    def _smoothed(self, features: str, width: int) -> str:
        channels = width * self._network.channels
        kernel = architecture.smoothing_kernel(self._network.smoothing)
        weights = self._graph.constant(kernel.expand(channels, 1, 3, 3).contiguous())
        wide = self._bordered(features, 1, "edge")
        return self._graph.add("Conv", wide, weights, group=channels)

    def _relu(self, features: str) -> str:
        return self._graph.add("Relu", features)

    def _conv_norm(
        self, name: str, layer: nn.Module, features: str, earlier: str | None = None
    ) -> str:
        assert isinstance(layer, ConvNorm)  # noqa: S101 - our own network
        convolution, norm = f"{name}.convolution", f"{name}.norm"
        skip = earlier if layer.skip is not None else None
        if self._statistics is None:
            drawn = self._convolution(convolution, layer.convolution, features, None)
            drawn = self._with_skip(name, drawn, skip, None)
            weight, bias = self._value(f"{norm}.weight"), self._value(f"{norm}.bias")
            return self._graph.add(
                "InstanceNormalization", drawn, weight, bias, epsilon=architecture.NORM_EPSILON
            )
        mean = self._statistics[f"{norm}.mean"].cpu()
        scale = (self._statistics[f"{norm}.variance"].cpu() + architecture.NORM_EPSILON).rsqrt()
        if not self._strength:
            fixed = _Affine(
                scale, mean, self._styled[f"{norm}.weight"], self._styled[f"{norm}.bias"]
            )
            drawn = self._convolution(convolution, layer.convolution, features, fixed)
            return self._with_skip(name, drawn, skip, fixed)
        plain = _Affine(scale, mean, torch.ones_like(mean), torch.zeros_like(mean))
        drawn = self._convolution(convolution, layer.convolution, features, plain)
        drawn = self._with_skip(name, drawn, skip, plain)
        weight = self._value(f"{norm}.weight", _per_channel)
        bias = self._value(f"{norm}.bias", _per_channel)
        return self._graph.add("Add", self._graph.add("Mul", drawn, weight), bias)

    def _with_skip(
        self, name: str, drawn: str, earlier: str | None, fixed: "_Affine | None"
    ) -> str:
        """What is drawn, and what passes of an earlier layer through the same affine map."""
        if earlier is None:
            return drawn
        kernel = _as_it_is if fixed is None else fixed.of_kernel
        passed = self._graph.add("Conv", earlier, self._value(f"{name}.skip.weight", kernel))
        return self._graph.add("Add", drawn, passed)

    def _convolution(
        self, name: str, layer: nn.Module, features: str, fixed: "_Affine | None"
    ) -> str:
        """A convolution with its border, and an affine map of its channels folded in."""
        kernel = _as_it_is if fixed is None else fixed.of_kernel
        bias = _as_it_is if fixed is None else fixed.of_bias
        if isinstance(layer, UpsampleConv):
            return self._enlargement(name, features, kernel, bias)
        assert isinstance(layer, ReflectConv)  # noqa: S101 - our own network
        border = layer.kernel_size[0] // 2
        wide = self._bordered(features, border, "reflect")
        if isinstance(layer, OutputConv):
            weights = self._value(f"{name}.weight", architecture.spread_over_blocks)
            shifts = self._value(f"{name}.bias", _for_each_of_four)
            blocks = self._graph.add("Conv", wide, weights, shifts, strides=[2, 2])
            return self._graph.add("DepthToSpace", blocks, blocksize=2, mode="CRD")
        weights = self._value(f"{name}.weight", kernel)
        shifts = self._value(f"{name}.bias", bias)
        return self._graph.add("Conv", wide, weights, shifts, strides=list(layer.stride))

    def _enlargement(
        self,
        name: str,
        features: str,
        kernel: Callable[[Tensor], Tensor],
        bias: Callable[[Tensor], Tensor],
    ) -> str:
        """`UpsampleConv` around the corners of pixels: what meets there is four output pixels.

        A transposed convolution says the same, and runtimes are slower at it.
        """
        wide = self._bordered(features, 1, "edge")
        weights = self._value(f"{name}.weight", lambda w: _spread_over_corners(kernel(w)))
        shifts = self._value(f"{name}.bias", lambda b: _for_each_of_four(bias(b)))
        corners = self._graph.add("Conv", wide, weights, shifts)
        enlarged = self._graph.add("DepthToSpace", corners, blocksize=2, mode="CRD")
        integers = self._graph.integers
        return self._graph.add("Slice", enlarged, integers(1, 1), integers(-1, -1), integers(2, 3))

    def _bordered(self, features: str, border: int, mode: str) -> str:
        pads = self._graph.integers(0, 0, border, border, 0, 0, border, border)
        return self._graph.add("Pad", features, pads, mode=mode)

    def _value(self, name: str, change: Callable[[Tensor], Tensor] = _as_it_is) -> str:
        """A parameter in the style, through a map that is linear but for a constant."""
        styled = change(self._styled[name])
        if self._lightness is None or torch.equal(self._styled[name], self._base[name]):
            return self._graph.constant(styled)
        base = change(self._base[name])
        add, constant = self._graph.add, self._graph.constant
        return add("Add", constant(base), add("Mul", self._lightness, constant(styled - base)))


def _without_grain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a network that reads three channels and draws what this one does at no grain."""
    first = "encoder.0.convolution.weight"
    return {**weights, first: weights[first][:, :3]}


@dataclass(frozen=True)
class _Affine:
    """A norm with fixed statistics: (features - mean) * scale * weight + bias, by channel."""

    scale: Tensor
    mean: Tensor
    weight: Tensor
    bias: Tensor

    def of_kernel(self, kernel: Tensor) -> Tensor:
        """The kernel (C', C, K, K) of a convolution that does both."""
        return kernel * (self.scale * self.weight)[:, None, None, None]

    def of_bias(self, bias: Tensor) -> Tensor:
        """Its bias."""
        return (bias - self.mean) * self.scale * self.weight + self.bias


def _per_channel(values: Tensor) -> Tensor:
    return values[:, None, None]


def _for_each_of_four(values: Tensor) -> Tensor:
    return values.repeat_interleave(4)


def _spread_over_corners(kernel: Tensor) -> Tensor:
    """The (4C', C, 2, 2) kernel around corners equal to enlarging and then (C', C, 3, 3)."""
    parts = [half for rows in _halves(kernel, 2) for half in _halves(rows, 3)]
    return torch.stack(parts, dim=1).flatten(0, 1)


def _halves(kernel: Tensor, axis: int) -> list[Tensor]:
    """Three taps as two pixels see them: before the corner, and behind it."""
    first, middle, last = kernel.split(1, axis)
    return [torch.cat((first + middle, last), axis), torch.cat((first, middle + last), axis)]
