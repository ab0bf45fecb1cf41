"""From a picture as Pillow opens it to tensors: depths, transparency and colour.

Pillow decodes colour of 16 bits to 8. Its decoders can be told the order of the two bytes of
a number, so the same data read in the other order gives the low bytes that are missing.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile
from torch import Tensor

from .colour_profiles import is_srgb, to_srgb
from .errors import ImageFileError
from .picture_metadata import PictureMetadata, read_picture_metadata
from .rows import Rows, rows_of

_SIXTEEN_BIT_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_WHITE_16 = 65535
_WHITE_SIGNED_16 = 32767
_BITS_TAG, _FORMAT_TAG, _SIGNED = 258, 339, 2
_OTHER = "B" if sys.byteorder == "little" else "L"
# How Pillow names the layout of 16-bit colour, and the same layout with its bytes swapped.
_SWAPPED_LAYOUTS = {
    f"{colours};16{order}": f"{colours};16{swapped}"
    for colours in ("RGB", "RGBA")
    for order, swapped in (("B", "L"), ("L", "B"), ("N", _OTHER))
}


@dataclass(frozen=True)
class LoadedImage:
    """One decoded picture.

    Attributes:
        pixels: (3, H, W), float32, [0, 1]; beside an alpha channel straight, as in the file.
        alpha: (1, H, W), float32, [0, 1], or None where the file has no transparency.
        depth: bits a channel that the pixels have, 8 or 16.
        metadata: what else the file says, to be kept with what is made of it.
    """

    pixels: Tensor
    alpha: Tensor | None
    depth: int = 8
    metadata: PictureMetadata = field(default_factory=PictureMetadata)


@dataclass(frozen=True)
class RowImage:
    """One decoded picture by its rows, each as in `LoadedImage`.

    Attributes:
        width: in pixels.
        colour: rows (1, 3, N, W).
        alpha: rows (1, 1, N, W), or None where the file has no transparency.
        depth: bits a channel.
        metadata: what else the file says.
    """

    width: int
    colour: Rows
    alpha: Rows | None
    depth: int
    metadata: PictureMetadata


def decode_rows(name: object, image: ImageFile, reopen: Callable[[], ImageFile]) -> RowImage:
    """As `decode`, where 8 bits a channel take 4 bytes a pixel, with alpha 8, and not 12 or 16."""
    if _layout(image) in _SWAPPED_LAYOUTS or image.mode in _SIXTEEN_BIT_MODES | {"I", "F"}:
        whole = decode(name, image, reopen)
        alpha = None if whole.alpha is None else rows_of(whole.alpha[None])
        width = whole.pixels.shape[-1]
        return RowImage(width, rows_of(whole.pixels[None]), alpha, whole.depth, whole.metadata)
    metadata = read_picture_metadata(image)
    ImageOps.exif_transpose(image, in_place=True)
    colour, alpha = _parts(image)
    rows = None if alpha is None else _rows_of_image(alpha)
    return RowImage(colour.width, _rows_of_image(colour), rows, 8, metadata)


def _rows_of_image(image: Image.Image) -> Rows:
    image.load()
    return Rows(image.height, lambda a, b: _to_tensor(image.crop((0, a, image.width, b)))[None])


def decode(name: object, image: ImageFile, reopen: Callable[[], ImageFile]) -> LoadedImage:
    """The pixels of an open picture, upright, in sRGB.

    Args:
        name: of its file, for messages.
        image: not loaded yet.
        reopen: opens the same picture once more.

    Raises:
        ImageFileError: its numbers have no known white.
    """
    # First, for it is gone when the pixels are there, and a PNG may have EXIF behind them.
    layout = _layout(image)
    metadata = read_picture_metadata(image)
    if layout in _SWAPPED_LAYOUTS and is_srgb(image):
        values = _sixteen_bits(image, reopen)
        return _loaded(*_parted(values, image.info.get("transparency")), 16, metadata)
    if image.mode == "I" or image.mode in _SIXTEEN_BIT_MODES:
        gray, alpha = _gray(name, image)
        return _loaded(gray.expand(3, -1, -1), alpha, 16, metadata)
    if image.mode == "F":
        return _loaded(_floating(name, image).expand(3, -1, -1), None, 16, metadata)
    return _eight_bits(ImageOps.exif_transpose(image), metadata)


def _layout(image: ImageFile) -> str:
    if not image.tile:
        return ""
    arguments = image.tile[0][3] or ""
    return arguments if isinstance(arguments, str) else str(arguments[0])


def _sixteen_bits(image: ImageFile, reopen: Callable[[], ImageFile]) -> Tensor:
    """(C, H, W), whole numbers from 0 to 65535."""
    with reopen() as again:
        again.tile = [_with_swapped_layout(tile) for tile in again.tile]
        low = _values(again)
    return _values(image) * 256 + low


def _with_swapped_layout(tile: tuple[Any, ...]) -> Any:  # noqa: ANN401 - Pillow's own kind
    arguments = tile[3]
    if isinstance(arguments, str):
        swapped = _SWAPPED_LAYOUTS[arguments]
    else:
        swapped = (_SWAPPED_LAYOUTS[arguments[0]], *arguments[1:])
    # A named tuple from Pillow 11 on.
    return getattr(tile, "_make", tuple)((*tile[:3], swapped))


def _parted(values: Tensor, transparent: object) -> tuple[Tensor, Tensor | None]:
    """Colour and alpha, [0, 1]; without a channel for it one colour may be transparent."""
    colour = values[:3].float() / _WHITE_16
    if len(values) == 4:
        return colour, values[3:].float() / _WHITE_16
    if isinstance(transparent, tuple):
        clear = values.new_tensor(transparent).view(3, 1, 1)
        return colour, (values != clear).any(0, keepdim=True).float()
    return colour, None


def _gray(name: object, image: Image.Image) -> tuple[Tensor, Tensor | None]:
    """Grey of 16 bits and its alpha, each (1, H, W), [0, 1]."""
    tags = getattr(image, "tag_v2", {})
    if max(tags.get(_BITS_TAG, (16,))) > 16:
        raise ImageFileError(
            f"{name} holds 32-bit whole numbers, of which none is known to be white; "
            "export it with 8 or 16 bits."
        )
    values = _values(image)
    least, most = (int(value) for value in values.aminmax())
    white = _WHITE_SIGNED_16 if _SIGNED in tags.get(_FORMAT_TAG, ()) else _WHITE_16
    if least < 0 or most > white:
        raise ImageFileError(
            f"{name} holds values from {least} to {most}; 0 to {white} are needed. "
            "Export it with 8 or 16 bits."
        )
    transparent = image.info.get("transparency")
    alpha = (values != transparent).float() if isinstance(transparent, int) else None
    return values.float() / white, alpha


def _floating(name: object, image: Image.Image) -> Tensor:
    """Grey as floating-point numbers, (1, H, W), [0, 1]."""
    values = torch.from_numpy(np.array(ImageOps.exif_transpose(image), np.float32))[None]
    least, most = (float(value) for value in values.aminmax())
    if not (least >= 0 and most <= 1):
        raise ImageFileError(
            f"{name} has floating-point values from {least:g} to {most:g}; [0, 1] is needed. "
            "Scale them, or export it with 8 or 16 bits."
        )
    return values


def _values(image: Image.Image) -> Tensor:
    """(C, H, W), int32, upright."""
    array = np.array(ImageOps.exif_transpose(image)).astype(np.int32)
    return torch.from_numpy(array if array.ndim == 3 else array[..., None]).permute(2, 0, 1)


def _eight_bits(image: Image.Image, metadata: PictureMetadata) -> LoadedImage:
    colour, alpha = _parts(image)
    shown = None if alpha is None else _to_tensor(alpha)
    return _loaded(_to_tensor(colour), shown, 8, metadata)


def _parts(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Colour in sRGB and alpha of a picture of 8 bits a channel."""
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        opaque = rgba.convert("RGB") if image.mode != "LA" else image.getchannel("L")
        opaque.info = image.info
        return to_srgb(opaque), rgba.getchannel("A")
    return (image if image.mode == "RGB" and is_srgb(image) else to_srgb(image)), None


def _to_tensor(image: Image.Image) -> Tensor:
    array = np.array(image, dtype=np.uint8)
    values = torch.from_numpy(array if array.ndim == 3 else array[..., None])
    return rearrange(values, "h w c -> c h w").float().div_(255.0).contiguous()


def _loaded(
    colour: Tensor, alpha: Tensor | None, depth: int, metadata: PictureMetadata
) -> LoadedImage:
    kept = None if alpha is None else alpha.contiguous()
    return LoadedImage(colour.contiguous(), kept, depth, metadata)
