"""Pictures and feature maps that give their rows on demand, so that none need be whole.

This file owns reading rows with a border, scaling them, and keeping them in memory or in a
file. It knows neither networks nor styles.
"""

import math
import tempfile
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import torch
from torch import Tensor

Border = Literal["reflect", "replicate", "circular"]
Kernel = Literal["cubic", "sharp", "triangle", "area"]
_PIXELS_AT_ONCE = 2**18  # that are read of a picture which is reduced
# The sharpness of PyTorch's bicubic filter, and of the one that reduces without aliasing.
_CUBIC, _SHARP = -0.75, -0.5


@dataclass(frozen=True)
class Rows:
    """Something with rows.

    Attributes:
        height: how many there are.
        read: gives those from a first up to a last, exclusive: (1, C, last - first, W).
    """

    height: int
    read: Callable[[int, int], Tensor]

    def map(self, change: Callable[[Tensor], Tensor]) -> "Rows":
        """The same rows, each pixel of them changed."""
        return Rows(self.height, lambda first, last: change(self.read(first, last)))


def rows_of(whole: Tensor) -> Rows:
    """The rows of (1, C, H, W)."""
    return Rows(whole.shape[-2], lambda first, last: whole[..., first:last, :])


def strips_of(height: int, rows: int) -> Iterator[tuple[int, int]]:
    """First and last row, exclusive, of strips from the top down."""
    for first in range(0, height, rows):
        yield first, min(height, first + rows)


def bordered_rows(source: Rows, first: int, last: int, mode: Border) -> Tensor:
    """Rows from `first` up to `last`, exclusive, of which some may lie beyond an end.

    Args:
        source: whose rows.
        first: may be negative.
        last: may be beyond the height; as far as the border that the mode can give.
        mode: what lies beyond the ends, as in `torch.nn.functional.pad`.
    """
    height = source.height
    if mode == "circular":
        return torch.cat([source.read(*run) for run in _runs(first, last, height)], dim=-2)
    places = torch.arange(first, last)
    if mode == "reflect":
        places = height - 1 - (height - 1 - places.abs()).abs()
    places = places.clamp(0, height - 1)
    least, most = int(places.min()), int(places.max()) + 1
    block = source.read(least, most)
    if (first, last) == (least, most):
        return block
    return block.index_select(-2, (places - least).to(block.device))


def _runs(first: int, last: int, height: int) -> Iterator[tuple[int, int]]:
    """Stretches of rows, counted round and round, as they lie in the picture."""
    while first < last:
        start = first % height
        length = min(last - first, height - start)
        yield start, start + length
        first += length


def resampled(
    source: Rows,
    width: int,
    size: tuple[int, int],
    kernel: Kernel,
    wrapping: tuple[bool, bool] = (False, False),
) -> Rows:
    """Rows of a picture at another size.

    Args:
        source: rows of a picture.
        width: of the picture.
        size: the new height and width.
        kernel: `triangle` averages all that a pixel covers, for reducing, as `images.resize`
            does, and enlarges linearly; `sharp` reduces like a cubic filter that covers as much,
            and `cubic` keeps enlargements sharp, both unclamped; `area` takes means. All are as
            `interpolate` does it.
        wrapping: whether the picture goes on at the other end, down and across.

    Returns:
        The rows, scaled as they are read.
    """
    height = size[0]
    columns = _taps(0, size[1], width, size[1], kernel, wrapping[1])
    at_once = max(1, _PIXELS_AT_ONCE * height // (max(height, source.height) * width))

    def read(first: int, last: int) -> Tensor:
        parts = strips_of(last - first, at_once)
        return torch.cat([read_some(first + a, first + b) for a, b in parts], dim=-2)

    def read_some(first: int, last: int) -> Tensor:
        places, weights = _taps(first, last, source.height, height, kernel, wrapping[0])
        least, most = int(places.min()), int(places.max()) + 1
        mode: Border = "circular" if wrapping[0] else "replicate"
        block = bordered_rows(source, least, most, mode)
        down = _weighted(block, places - least, weights, -2)
        across = columns[0] % width if wrapping[1] else columns[0].clamp(0, width - 1)
        return _weighted(down, across, columns[1], -1)

    return Rows(height, read)


def _taps(
    first: int, last: int, source: int, target: int, kernel: Kernel, wrapping: bool
) -> tuple[Tensor, Tensor]:
    """What new pixels are made of: places in the source and their weights, (last - first, K)."""
    if kernel == "area":
        return _windows(first, last, source, target)
    scale = source / target
    stretch = max(1.0, scale) if kernel != "cubic" else 1.0
    reach = stretch * (1 if kernel == "triangle" else 2)
    centres = (torch.arange(first, last, dtype=torch.float64) + 0.5) * scale - 0.5
    places = (centres - reach).floor().long()[:, None] + torch.arange(math.ceil(2 * reach) + 2)
    distances = (places - centres[:, None]).abs() / stretch
    if kernel == "cubic":
        return places, _cubic(distances, _CUBIC).float()
    weights = _cubic(distances, _SHARP) if kernel == "sharp" else (1 - distances).clamp(min=0)
    if not wrapping:
        weights = torch.where((places >= 0) & (places < source), weights, 0.0)
    return places, (weights / weights.sum(1, keepdim=True)).float()


def _windows(first: int, last: int, source: int, target: int) -> tuple[Tensor, Tensor]:
    """As `_taps`, each new pixel the mean of all that it touches."""
    new = torch.arange(first, last)
    starts, ends = new * source // target, -(-(new + 1) * source // target)
    places = starts[:, None] + torch.arange(int((ends - starts).max()))
    weights = (places < ends[:, None]).float()
    return places, weights / weights.sum(1, keepdim=True)


def _cubic(distances: Tensor, sharpness: float) -> Tensor:
    near = ((sharpness + 2) * distances - (sharpness + 3)) * distances.square() + 1
    far = sharpness * (((distances - 5) * distances + 8) * distances - 4)
    return torch.where(distances <= 1, near, torch.where(distances < 2, far, 0.0))


def _weighted(block: Tensor, places: Tensor, weights: Tensor, axis: Literal[-1, -2]) -> Tensor:
    """Sum of K pixels of `block` along an axis for each new one."""
    shape = (-1, 1) if axis == -2 else (-1,)
    places, weights = places.to(block.device), weights.to(block.device)
    used = [k for k in range(places.shape[1]) if bool(weights[:, k].any())]
    total = None
    for k in used:
        share = block.index_select(axis, places[:, k]) * weights[:, k].view(shape)
        total = share if total is None else total.add_(share)
    return block if total is None else total


def gathered(
    source: Rows,
    rows: int,
    folder: "Path | None" = None,
    on_strip: Callable[[float], None] = lambda _: None,
) -> "Plane":
    """All rows of a picture, read so many at a time and kept.

    Args:
        source: of any height.
        rows: how many are read at a time.
        folder: see `Plane`.
        on_strip: called with the share of the rows that are kept, up to 1; to stop, it raises.
    """
    plane = Plane(source.height, folder)
    for first, last in strips_of(source.height, rows):
        plane.put(first, source.read(first, last))
        on_strip(last / source.height)
    return plane


class Plane:
    """Rows that are kept: in memory, or in a file that nobody else sees and that goes with it."""

    def __init__(self, height: int, folder: Path | None = None) -> None:
        """Make room for a picture or a feature map.

        Args:
            height: how many rows it will have. Their width and number format are those of the
                first that are put.
            folder: where the file lies; None keeps the rows in memory.
        """
        self.height = height
        self._folder = folder
        self._whole: Tensor | None = None
        self._file: IO[bytes] | None = None
        self._row: Tensor | None = None

    @property
    def rows(self) -> Rows:
        """Its rows, as they are when they are read."""
        return Rows(self.height, self.read)

    def put(self, first: int, rows: Tensor) -> None:
        """Keep rows (1, C, N, W) from one on."""
        if self._folder is None:
            if self._whole is None:
                self._whole = rows.new_empty((*rows.shape[:2], self.height, rows.shape[3]))
            self._whole[:, :, first : first + rows.shape[2]] = rows
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - kept open
            weakref.finalize(self, self._file.close)
            self._row = rows[:, :, :0]
        self._file.seek(first * self._bytes_of(rows[:, :, :1]))
        values = rows.movedim(2, 0).contiguous().cpu().view(torch.uint8)
        self._file.write(values.numpy().reshape(-1).data)

    def read(self, first: int, last: int) -> Tensor:
        """Rows that were put; in memory they are a view."""
        if self._whole is not None:
            return self._whole[:, :, first:last]
        if self._file is None or self._row is None:
            raise RuntimeError("Rows are read that were never put.")
        _, channels, _, width = self._row.shape
        shape = (last - first, 1, channels, width)
        values = torch.empty(shape, dtype=self._row.dtype)
        size = values.element_size() * channels * width
        self._file.seek(first * size)
        self._file.readinto(values.view(torch.uint8).numpy().reshape(-1).data)  # pyright: ignore
        return values.to(self._row.device).movedim(0, 2)

    @staticmethod
    def _bytes_of(rows: Tensor) -> int:
        return rows.element_size() * rows.numel()
