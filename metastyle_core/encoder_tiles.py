"""Tiles of a picture whose features are those of the whole picture.

Each tile is encoded with a rim as wide as its features see, on the grid of the deepest
pooling, so that cutting a picture bounds memory and changes nothing but rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from .encoder import EncoderSpec
from .style_distance import spread_out


@dataclass(frozen=True)
class Span:
    """A stretch of rows or columns, in pixels.

    Attributes:
        first: where the tile's own part begins, a multiple of the deepest stride.
        last: where it ends, exclusive.
        outer_first: where its rim begins.
        outer_last: where its rim ends, exclusive.
    """

    first: int
    last: int
    outer_first: int
    outer_last: int

    def owned(self, stride: int) -> tuple[int, int]:
        """First and last position, exclusive, that it owns of a map with this stride."""
        return self.first // stride, self.last // stride

    def within(self, stride: int) -> slice:
        """Where those positions lie in the map of the tile with its rim."""
        first, last = self.owned(stride)
        start = self.outer_first // stride
        return slice(first - start, last - start)


@dataclass(frozen=True)
class Tile:
    """A part of a picture: the rows and the columns of it."""

    rows: Span
    columns: Span

    def cut(self, images: Tensor) -> Tensor:
        """Its pixels with the rim, out of (B, C, H, W)."""
        rows, columns = self.rows, self.columns
        return images[
            ..., rows.outer_first : rows.outer_last, columns.outer_first : columns.outer_last
        ]

    def own(self, features: Tensor, stride: int) -> Tensor:
        """What it owns of a feature map of its pixels: (B, C, h, w) without the rim."""
        return features[..., self.rows.within(stride), self.columns.within(stride)]

    def holds(self, places: Tensor, width: int, stride: int) -> Tensor:
        """Which places of the whole picture's map it owns: boolean, (P,).

        Args:
            places: (P,), positions in the map row by row.
            width: of that map.
            stride: of that map.
        """
        y, x = places // width, places % width
        (top, bottom), (left, right) = self.rows.owned(stride), self.columns.owned(stride)
        return (y >= top) & (y < bottom) & (x >= left) & (x < right)

    def pick(self, features: Tensor, places: Tensor, width: int, stride: int) -> Tensor:
        """Features at places that it owns.

        Args:
            features: (1, C, h, w) of the tile with its rim. Gradients flow.
            places: (P,), positions in the whole picture's map, all owned.
            width: of that map.
            stride: of that map.

        Returns:
            (1, P, C).
        """
        y = places // width - self.rows.outer_first // stride
        x = places % width - self.columns.outer_first // stride
        return spread_out(features).index_select(1, y * features.shape[3] + x)


def plan_tiles(spec: EncoderSpec, height: int, width: int, side_px: int) -> list[Tile]:
    """Cut a picture into tiles of about equal size.

    Args:
        spec: of the encoder that will see them.
        height: of the picture.
        width: of the picture.
        side_px: most rows and columns a tile owns; its rim comes on top.
    """
    grid, rim = deepest_stride(spec), rim_px(spec)
    rows = _spans(height, side_px, grid, rim)
    columns = _spans(width, side_px, grid, rim)
    return [Tile(row, column) for row in rows for column in columns]


def stride_of(layer: str) -> int:
    """Pixels from one place of a layer such as `relu3_3` to the next."""
    return 2 ** (_block_of(layer) - 1)


def deepest_stride(spec: EncoderSpec) -> int:
    """Pixels from one place of the deepest tap to the next."""
    return max(stride_of(layer) for layer in _taps(spec))


def rim_px(spec: EncoderSpec) -> int:
    """How far the deepest tap sees around its own pixels, rounded up to its stride."""
    reach = 0
    for block, widths in enumerate(spec.blocks, start=1):
        if block > max(_block_of(layer) for layer in _taps(spec)):
            break
        stride = 2 ** (block - 1)
        # A pooling looks one place of the finer map further, each convolution one of its own.
        reach += stride * len(widths) + stride // 2
    grid = deepest_stride(spec)
    return -(-reach // grid) * grid


def map_size(height: int, width: int, layer: str) -> tuple[int, int]:
    """Rows and columns of a layer's map of a picture."""
    stride = stride_of(layer)
    return height // stride, width // stride


def gather(parts: Sequence[Tensor], held: Sequence[Tensor]) -> Tensor:
    """Put what tiles picked back into the order in which it was asked for.

    Args:
        parts: (1, P_i, C) from each tile.
        held: (P,) boolean from each tile; every place is held once.

    Returns:
        (1, P, C).
    """
    whole = parts[0].new_empty((1, held[0].shape[0], parts[0].shape[2]))
    for part, mask in zip(parts, held, strict=True):
        whole[:, mask] = part
    return whole


def _spans(length: int, side_px: int, grid: int, rim: int) -> list[Span]:
    count = -(-length // max(side_px, grid))
    cells = length // grid
    edges = [grid * round(i * cells / count) for i in range(count)] + [length]
    return [
        Span(first, last, max(0, first - rim), min(length, last + rim))
        for first, last in pairwise(edges)
        if last > first
    ]


def _taps(spec: EncoderSpec) -> tuple[str, ...]:
    return (*spec.content_layers, *spec.style_layers)


def _block_of(layer: str) -> int:
    return int(layer.removeprefix("relu").split("_")[0])
