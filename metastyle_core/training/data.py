"""Training images in memory, and crops of them drawn at random.

`ImagePool` holds one folder. Drawing is split in two: `draw` decides which crops,
using only the generator, and `read` cuts them. So every process of a distributed
run can draw the same crops and read only its own.
"""

import csv
import itertools
import logging
import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from ..errors import ImageFileError, TrainingError
from ..images import list_images, load_batch, resize_short_side

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Crop:
    """One square crop of one image, before it is read.

    Attributes:
        index: position of the image in its pool.
        scale: resizing factor applied to the image before cropping.
        top: position of the crop, as a fraction of the free height, [0, 1].
        left: position of the crop, as a fraction of the free width, [0, 1].
        flip: mirror left to right.
    """

    index: int
    scale: float
    top: float
    left: float
    flip: bool


class ImagePool:
    """Decoded pictures of one folder, drawn by source so that no source dominates."""

    def __init__(self, images: Sequence[Tensor], sources: Sequence[str] | None = None) -> None:
        """Hold pictures.

        Args:
            images: (3, H, W) tensors, uint8.
            sources: where each picture comes from; sources are drawn in
                proportion to the square root of their size. None: all alike.
        """
        if not images:
            raise TrainingError("There is no training image; name a folder that holds some.")
        self._sizes = [(image.shape[1], image.shape[2]) for image in images]
        # All pixels in a row, so that any crops can be cut at once.
        self._pixels = torch.cat([image.flatten() for image in images])
        ends = itertools.accumulate(image.numel() for image in images)
        self._starts = [0, *ends][: len(images)]
        self._weights = _balanced_weights(sources or [""] * len(images))

    @classmethod
    def from_folder(
        cls,
        folder: Path | str,
        *,
        manifest: Path | str | None = None,
        max_short_side_px: int = 512,
        unreadable: list[str] | None = None,
    ) -> "ImagePool":
        """Decode every readable image below a folder.

        Args:
            folder: searched recursively.
            manifest: optional CSV with columns `file` and `source`; `file` ends
                in the image's path below `folder`'s parent's parent, such as
                `style/train/00001.jpg`.
            max_short_side_px: larger pictures are shrunk to this when loaded.
            unreadable: gets a line for every picture that cannot be read and is left out.

        Raises:
            ImageFileError: no readable image.
            TrainingError: the manifest names none of the images.
        """
        paths = list_images(folder)
        with ThreadPoolExecutor() as workers:
            loaded = list(workers.map(_load_bytes, paths, [max_short_side_px] * len(paths)))
        results = list(zip(paths, loaded, strict=True))
        readable = [(p, image) for p, image in results if isinstance(image, Tensor)]
        if unreadable is not None:
            unreadable += [result for result in loaded if isinstance(result, str)]
        if len(readable) < len(paths):
            logger.warning("%d unreadable images were left out", len(paths) - len(readable))
        if not readable:
            raise ImageFileError(f"{folder} holds no readable image; name another folder.")
        sources = _read_sources(manifest, [p for p, _ in readable]) if manifest else None
        return cls([image for _, image in readable], sources)

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def device(self) -> torch.device:
        """Where the pictures are."""
        return self._pixels.device

    def to(self, device: torch.device) -> "ImagePool":
        """The pool with its pictures on a device, where crops are then cut and resized."""
        moved = copy(self)
        moved._pixels = self._pixels.to(device)
        return moved

    def draw(
        self, count: int, size_px: int, generator: Generator, *, max_scale: float = 1.0
    ) -> list[Crop]:
        """Decide on `count` random crops of `size_px` pixels.

        The image is first scaled by a factor drawn log-uniformly between the
        smallest at which the crop fits and `max_scale`.

        Args:
            count: number of crops.
            size_px: side of the square.
            generator: the only source of chance.
            max_scale: largest enlargement of a picture that is larger than the crop.
        """
        indices = torch.multinomial(self._weights, count, replacement=True, generator=generator)
        chances = torch.rand(count, 4, generator=generator).tolist()
        crops: list[Crop] = []
        for index, (zoom, top, left, flip) in zip(indices.tolist(), chances, strict=True):
            smallest = size_px / min(self._sizes[index])
            largest = max(smallest, max_scale)
            scale = math.exp(math.log(smallest) + zoom * math.log(largest / smallest))
            crops.append(Crop(index, scale, top, left, flip < 0.5))
        return crops

    def read(self, crops: Sequence[Crop], size_px: int) -> Tensor:
        """Cut crops out of their pictures and resize them, all at once.

        Returns:
            (len(crops), 3, size_px, size_px), float32, [0, 1], on the device of the pool; what
            `resize` makes of each crop, up to rounding.
        """
        if not crops:
            return torch.empty(0, 3, size_px, size_px, device=self.device)
        squares = [self._square(crop, size_px) for crop in crops]
        table = torch.tensor(squares).to(self.device)[..., None, None, None]
        first, plane, width, side, top, left, flip = table.unbind(1)
        largest = max(square[3] for square in squares)
        place = torch.arange(largest, device=self.device)
        inside = place.minimum(side - 1)
        rows, columns = (top + inside).mT * width, left + inside
        channels = torch.arange(3, device=self.device).view(3, 1, 1) * plane
        pixels = self._pixels[first + channels + rows + columns].float() / 255.0
        down = _resizing(side, size_px, largest)
        right = torch.where(flip > 0, down.flip(-2), down)
        return (down @ pixels @ right.mT).clamp(0, 1)

    def _square(self, crop: Crop, size_px: int) -> tuple[int, ...]:
        """A crop in whole pixels: where its picture and the square in it begin, and their sizes."""
        height, width = self._sizes[crop.index]
        side = min(height, width, max(1, round(size_px / crop.scale)))
        top, left = round(crop.top * (height - side)), round(crop.left * (width - side))
        start = self._starts[crop.index]
        return start, height * width, width, side, top, left, int(crop.flip)


def _resizing(sides: Tensor, size_px: int, largest: int) -> Tensor:
    """Matrices (B, 1, size_px, largest) that resize so many of `largest` pixels to `size_px`.

    The antialiased bilinear filter of `resize`: a triangle as wide as a pixel of the coarser
    side, cut off at the border.
    """
    scale = sides.float() / size_px
    centre = (torch.arange(size_px, device=sides.device)[:, None] + 0.5) * scale
    place = torch.arange(largest, device=sides.device)
    distance = (place + 0.5 - centre).abs() / scale.clamp_min(1.0)
    weights = (1 - distance).clamp_min(0) * (place < sides)
    return weights / weights.sum(-1, keepdim=True)


def _load_bytes(path: Path, max_short_side_px: int) -> Tensor | str:
    """A picture, (3, H, W), uint8, or why there is none."""
    try:
        pixels = load_batch(path)
    except ImageFileError as error:
        logger.warning("%s", error)
        return str(error)
    if min(pixels.shape[-2:]) > max_short_side_px:
        pixels = resize_short_side(pixels, max_short_side_px)
    return pixels[0].mul(255.0).round().to(torch.uint8)


def _balanced_weights(sources: Sequence[str]) -> Tensor:
    sizes = Counter(sources)
    return torch.tensor([sizes[source] ** -0.5 for source in sources], dtype=torch.float64)


def _read_sources(manifest: Path | str, paths: Sequence[Path]) -> list[str]:
    try:
        with Path(manifest).open(newline="", encoding="utf-8") as file:
            table = {row["file"]: row["source"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise TrainingError(
            f"Cannot read the manifest {manifest} ({error}); a CSV file with the columns "
            "'file' and 'source' is needed."
        ) from error
    sources = [table.get("/".join(path.parts[-3:]), "") for path in paths]
    if not any(sources):
        raise TrainingError(
            f"The manifest {manifest} names none of the images; its column 'file' must hold "
            f"paths such as {'/'.join(paths[0].parts[-3:])}."
        )
    return sources
