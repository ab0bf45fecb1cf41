"""Picture files of any size: read and written by their rows, in a few bytes a pixel."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from einops import rearrange
from PIL import Image
from torch import Tensor

from .decoding import RowImage
from .images import JPEG_SUFFIXES, open_rows, quantised, save_deep, save_pil, to_pil
from .picture_metadata import PictureMetadata
from .rows import gathered, resampled
from .transparency import filled_rows, over_white

_BYTES_PER_PIXEL, _DEEP_BYTES_PER_PIXEL = 8, 20
_STRIP_PX = 128 * 1024


def open_within(path: Path, long_side_px: int | None) -> RowImage:
    """Read a picture, shrunk to a long side where one is given.

    Raises:
        ImageFileError: as `load_image`.
    """
    opened = open_rows(path, long_side_px=long_side_px)
    height, width = opened.colour.height, opened.width
    factor = 1.0 if long_side_px is None else long_side_px / max(height, width)
    if factor >= 1:
        return opened
    size = max(1, round(height * factor)), max(1, round(width * factor))
    rows = max(1, _STRIP_PX // width)
    colour, alpha = opened.colour, opened.alpha
    if alpha is not None:
        # Shrinking would mix hidden colour into what is visible.
        colour = filled_rows(colour, alpha, width, rows)
        alpha = gathered(resampled(alpha, width, size, "triangle"), rows).rows
        alpha = alpha.map(lambda values: values.clamp(0, 1))
    shrunk = gathered(resampled(colour, width, size, "triangle"), rows).rows
    shrunk = shrunk.map(lambda values: values.clamp(0, 1))
    return replace(opened, width=size[1], colour=shrunk, alpha=alpha)


def held_bytes(height: int, width: int, depth: int) -> int:
    """What a picture that is read and one that is written take together, of so many bits."""
    return height * width * (_BYTES_PER_PIXEL if depth == 8 else _DEEP_BYTES_PER_PIXEL)


class PictureSink:
    """A picture that comes in strips and is written when all are there."""

    def __init__(self, path: Path, height: int, width: int, *, alpha: bool, depth: int) -> None:
        """Make room for it.

        Args:
            path: see `save_image`.
            height: in pixels.
            width: in pixels.
            alpha: whether it has transparency; a JPEG shows it over white.
            depth: bits a channel, 8 or 16.
        """
        self._path = path
        self._flat = alpha and path.suffix.lower() in JPEG_SUFFIXES
        with_alpha = alpha and not self._flat
        self._image = self._deep = None
        if depth == 8:
            self._image = Image.new("RGBA" if with_alpha else "RGB", (width, height))
        else:
            self._deep = np.empty((height, width, 4 if with_alpha else 3), np.uint16)

    def put(self, first: int, strip: Tensor, alpha: Tensor | None) -> None:
        """Take rows (1, 3, N, W) from one on, and their alpha (1, 1, N, W)."""
        if alpha is not None and self._flat:
            strip, alpha = over_white(strip, alpha), None
        straight = None if alpha is None else alpha[0]
        if self._image is not None:
            self._image.paste(to_pil(strip, straight), (0, first))
        if self._deep is not None:
            values = rearrange(quantised(strip, straight, 65535), "c h w -> h w c").numpy()
            self._deep[first : first + len(values)] = values

    def save(self, metadata: PictureMetadata | None) -> None:
        """Write the file; see `save_image`."""
        if self._image is not None:
            save_pil(self._image, self._path, metadata=metadata)
        if self._deep is not None:
            save_deep(self._deep, self._path, metadata=metadata)
