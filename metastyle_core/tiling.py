"""The network in strips: pictures of any size in bounded memory, drawn as they are drawn whole.

A strip is some rows over the whole width. An instance norm needs the mean and the variance of
its whole picture before anything behind it can run, so each layer runs over all strips before
the next one does. Kept are two feature maps at a quarter of the picture's sides, where the
network has the fewest numbers (64 bytes a pixel in float32); the wide layers before and behind
are computed again for each norm, a third more work in all, and four fifths more where there are
skip connections, which read the first layers again. Every layer sees the rows that it
sees in the whole picture, so that there is no seam.
"""

import copy
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn

from .borders import Seamless, wraps
from .low_rank import merge_updates
from .network import (
    ConvNorm,
    FastWeights,
    InstanceNorm,
    NormStatistics,
    OutputConv,
    ReflectConv,
    ResidualBlock,
    StylizationNetwork,
    UpsampleConv,
    margins,
)
from .rows import Border, Plane, Rows, bordered_rows, strips_of
from .style_distance import at_least_float32

_M = TypeVar("_M", bound=nn.Module)
# Below, the border that a strip needs is most of it.
_FEWEST_ROWS = 8
_MOST_WHOLE_ON_CPU, _MOST_WHOLE = 1536 * 1536, 36 * 1024 * 1024
# Of the feature maps, the strokes and the photograph painted over that are kept, in float32.
BYTES_PER_PIXEL = 80
_BYTES_PER_STRIP_PIXEL = 1200  # of the widest layer, thrice, and what skips read again


@dataclass(frozen=True)
class Strips:
    """How pictures are cut.

    Attributes:
        above_px: pictures of more pixels are drawn in strips, others whole; None is what a
            device draws within two seconds or holds without trouble.
        strip_px: pixels of a strip at the picture's size; it has 8 rows at least.
        folder: where files with what is kept lie; None keeps it in memory.
        on_strip: called with the share of the work that is done, from 0 to 1; to stop, it
            raises.
    """

    above_px: int | None = None
    strip_px: int = 128 * 1024
    folder: Path | None = None
    on_strip: Callable[[float], None] = lambda _: None

    def most_whole(self, device: torch.device) -> int:
        """How many pixels a picture may have that is drawn whole."""
        if self.above_px is not None:
            return self.above_px
        return _MOST_WHOLE_ON_CPU if device.type == "cpu" else _MOST_WHOLE


# For who notes what instance norms see, which must be whole pictures.
WHOLE = Strips(above_px=sys.maxsize)


def strip_bytes(width: int, strip_px: int) -> int:
    """About how much memory the drawing of a strip takes."""
    return rows_of_strip(width, strip_px) * width * _BYTES_PER_STRIP_PIXEL


def rows_of_strip(width: int, strip_px: int) -> int:
    """How many rows a strip has."""
    rows = max(_FEWEST_ROWS, strip_px // width)
    return rows - rows % 4


def draw_in_strips(
    network: StylizationNetwork,
    fast_weights: FastWeights,
    picture: Rows,
    width: int,
    strips: Strips,
    *,
    statistics: NormStatistics | None = None,
    seamless: Seamless = "none",
) -> Iterator[tuple[int, Tensor]]:
    """Run the network over one picture.

    Args:
        network: the base; it is not changed.
        fast_weights: see `stylize_with`; one style.
        picture: rows (1, 3, N, W), [0, 1], or with grain, on the device of the network.
        width: W.
        strips: how it is cut.
        statistics: see `stylize_with`.
        seamless: likewise.

    Yields:
        From the top down the first row of a strip and the strip, (1, 3, N, W), [0, 1], float32.
        Gradients do not flow.
    """
    run = _Run(_with_weights(network, fast_weights, statistics), width, strips, seamless)
    kept, seen = run.encode(picture)
    spare = Plane(kept.height, strips.folder)
    for block in run.network.residual:
        run.change(kept, spare, _of_kind(block, ResidualBlock))
    del spare
    features = run.decode(kept.rows, seen)
    top, _ = margins(picture.height, wraps(seamless, "y"))
    left, _ = margins(width, wraps(seamless, "x"))
    logits = run.convolved(run.network.output, features)
    for first, last in run.strips(picture.height, 1):
        rows = logits.read(top + first, top + last)[..., left : left + width]
        yield first, torch.sigmoid(rows.float())


def _with_weights(
    network: StylizationNetwork, fast_weights: FastWeights, statistics: NormStatistics | None
) -> StylizationNetwork:
    """A copy of the network that is of one style."""
    twin = copy.deepcopy(network)
    own = dict(network.named_parameters())
    twin.load_state_dict({**own, **merge_updates(own, fast_weights)})
    for name, value in (statistics or {}).items():
        owner, _, buffer = name.rpartition(".")
        setattr(twin.get_submodule(owner), buffer, value)
    return twin


class _Run:
    """One picture on its way through a network of its own."""

    def __init__(
        self, network: StylizationNetwork, width: int, strips: Strips, seamless: Seamless
    ) -> None:
        self.network = network
        self._seamless: Seamless = seamless
        self._how = strips
        self._rows = rows_of_strip(width, strips.strip_px)
        self._passes = 7 + 3 * len(network.residual)
        self._done = 0

    def strips(self, height: int, stride: int) -> Iterator[tuple[int, int]]:
        """Strips of one pass, and word of each that is done.

        Args:
            height: of the map that is computed.
            stride: its strips have so many times fewer rows.
        """
        for first, last in strips_of(height, self._rows // stride):
            yield first, last
            self._how.on_strip((self._done + last / height) / self._passes)
        self._done += 1

    def encode(self, picture: Rows) -> tuple[Plane, list[Rows]]:
        """From the picture to the map at a quarter of its sides, and the wider ones before it."""
        features = self._with_margins(picture)
        *wide, last = self.network.encoder
        narrow = _of_kind(last, ConvNorm)
        seen: list[Rows] = []
        for stride, module in enumerate(wide):
            layer = _of_kind(module, ConvNorm)
            raw = self.convolved(layer.convolution, features)
            self._measure(layer.norm, raw, 1 + stride)
            features = _normed(layer.norm, raw)
            seen.append(features)
        raw = self.convolved(narrow.convolution, features)
        kept = Plane(raw.height, self._how.folder)
        self._measure(narrow.norm, raw, 4, kept)
        for first, end in self.strips(kept.height, 1):
            kept.put(first, F.relu(narrow.norm(kept.read(first, end))))
        return kept, seen

    def change(self, kept: Plane, spare: Plane, block: ResidualBlock) -> None:
        """Add a residual block's change to what is kept."""
        raw = self.convolved(block.first.convolution, kept.rows)
        self._measure(block.first.norm, raw, 1, spare)
        features = _normed(block.first.norm, _with_lasting_top(spare))
        raw = self.convolved(block.second.convolution, features)
        self._measure(block.second.norm, raw, 1, spare)
        for first, last in self.strips(kept.height, 1):
            changed = kept.read(first, last) + block.second.norm(spare.read(first, last))
            kept.put(first, changed)

    def decode(self, features: Rows, seen: list[Rows]) -> Rows:
        """From the map at a quarter of the sides to the widest one, as it is read."""
        for module, earlier in zip(self.network.decoder, reversed(seen), strict=True):
            layer = _of_kind(module, ConvNorm)
            if self.network.smoothing:
                features = Rows(features.height, self._smoothing(features))
            raw = self.convolved(layer.convolution, features)
            if layer.skip is not None:
                raw = _added(raw, earlier.map(layer.skip))
            self._measure(layer.norm, raw, 1)
            features = _normed(layer.norm, raw)
        return features

    def convolved(self, layer: nn.Module, source: Rows) -> Rows:
        """What a convolution makes of rows."""
        if isinstance(layer, UpsampleConv):
            return Rows(2 * source.height, self._enlarging(layer, source))
        reflecting = _of_kind(layer, ReflectConv)
        height = -(-source.height // reflecting.stride[0])
        return Rows(height, self._reading(reflecting, source))

    def _reading(self, layer: ReflectConv, source: Rows) -> Callable[[int, int], Tensor]:
        (kernel, _), (stride, _) = layer.kernel_size, layer.stride
        border = kernel // 2
        group = 2 if isinstance(layer, OutputConv) else 1

        def read(first: int, last: int) -> Tensor:
            start, stop = _grouped(first, last, group)
            ends = start * stride - border, (stop - 1) * stride - border + kernel
            wide = self._bordered(source, *ends, border, "reflect")
            return layer.convolve(wide)[:, :, first - start : last - start]

        return read

    def _smoothing(self, source: Rows) -> Callable[[int, int], Tensor]:
        def read(first: int, last: int) -> Tensor:
            wide = self._bordered(source, first - 1, last + 1, 1, "replicate")
            return self.network.smoothed(wide)

        return read

    def _enlarging(self, layer: UpsampleConv, source: Rows) -> Callable[[int, int], Tensor]:
        def read(first: int, last: int) -> Tensor:
            start, stop = _grouped(first, last, 2)
            wide = self._bordered(source, start // 2 - 1, stop // 2 + 1, 1, "replicate")
            return layer.convolve(wide)[:, :, first - start : last - start]

        return read

    def _bordered(self, source: Rows, first: int, last: int, across: int, mode: Border) -> Tensor:
        """Rows, some of them beyond an end, with a border at both sides."""
        down: Border = "circular" if wraps(self._seamless, "y") else mode
        block = bordered_rows(source, first, last, down)
        sides = "circular" if wraps(self._seamless, "x") else mode
        return F.pad(block, (across, across, 0, 0), mode=sides)

    def _with_margins(self, picture: Rows) -> Rows:
        """The picture with what the network draws around it and cuts off."""
        top, bottom = margins(picture.height, wraps(self._seamless, "y"))

        def read(first: int, last: int) -> Tensor:
            block = bordered_rows(picture, first - top, last - top, "reflect")
            block = self.network.completed(block)
            left, right = margins(block.shape[-1], wraps(self._seamless, "x"))
            return F.pad(block, (left, right, 0, 0), mode="reflect")

        return Rows(top + picture.height + bottom, read)

    def _measure(
        self, norm: InstanceNorm, source: Rows, stride: int, store: Plane | None = None
    ) -> None:
        """Read all rows, give the norm their statistics unless it has some, and keep them.

        `store` may be what `source` reads: rows are put when those below them are read.
        """
        moments, waiting = _Moments(), None
        for first, last in self.strips(source.height, stride):
            rows = source.read(first, last)
            moments.add(rows)
            if store is not None:
                if waiting is not None:
                    store.put(*waiting)
                waiting = first, rows
        if store is not None and waiting is not None:
            store.put(*waiting)
        if norm.mean is None:
            moments.give_to(norm)


def _of_kind(module: nn.Module, kind: type[_M]) -> _M:
    """A module of which the network's lists say no more than that it is one."""
    if not isinstance(module, kind):
        raise TypeError(f"A {type(module).__name__} stands where a {kind.__name__} should.")
    return module


def _grouped(first: int, last: int, group: int) -> tuple[int, int]:
    """The stretch of rows that holds another and begins and ends with a group."""
    return first - first % group, last + -last % group


def _added(source: Rows, other: Rows) -> Rows:
    def read(first: int, last: int) -> Tensor:
        # First what needs the more room on the way.
        passed = other.read(first, last)
        return source.read(first, last) + passed

    return Rows(source.height, read)


def _normed(norm: InstanceNorm, source: Rows) -> Rows:
    return source.map(lambda rows: F.relu(norm(rows)))


def _with_lasting_top(plane: Plane) -> Rows:
    """Rows of a plane that is being changed; the first stays for the last, which may wrap."""
    top = plane.read(0, 1).clone()
    return Rows(plane.height, lambda first, last: top if last == 1 else plane.read(first, last))


class _Moments:
    """Mean and variance of channels, strip by strip.

    Source: the update of Chan, Golub and LeVeque 1979.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = torch.zeros((), dtype=torch.float64)
        self._squares = torch.zeros((), dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Take in (1, C, N, W)."""
        count = rows.shape[2] * rows.shape[3]
        found = torch.var_mean(at_least_float32(rows), dim=(0, 2, 3), correction=0)
        variance, mean = torch.stack(found).cpu().double()
        whole = self._count + count
        away = mean - self._mean
        self._squares = self._squares + count * variance + away**2 * (self._count * count / whole)
        self._mean = self._mean + away * (count / whole)
        self._count = whole

    def give_to(self, norm: InstanceNorm) -> None:
        """Have a norm normalise by them."""
        norm.mean = self._mean.to(norm.weight)
        norm.variance = (self._squares / self._count).to(norm.weight)


def needed_bytes(height: int, width: int) -> int:
    """How much memory, or room in a folder, the maps that are kept take, in float32."""
    return BYTES_PER_PIXEL * math.prod(side + 16 for side in (height, width))
