"""PNG of 16 bits a channel and TIFF with EXIF, which Pillow reads but does not write.

Sources: PNG specification, third edition, chapters 9 and 11; TIFF 6.0, sections 2 and 8.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from .picture_metadata import PictureMetadata

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR_TYPES = {3: 2, 4: 6}
_UP_FILTER = 2
_INCHES_PER_METRE = 1 / 0.0254
_DEFLATE, _RGB, _UNASSOCIATED_ALPHA, _INCH = 8, 2, 2, 2


def write_png(
    file: BinaryIO, pixels: NDArray[np.uint16], profile: bytes, metadata: PictureMetadata
) -> None:
    """Write a PNG.

    Args:
        file: open for writing.
        pixels: (H, W, 3), or (H, W, 4) with transparency.
        profile: ICC.
        metadata: what the file says beside its pixels.
    """
    height, width, channels = pixels.shape
    size = struct.pack(">II", width, height)
    file.write(_PNG_START)
    chunks = {
        b"IHDR": size + bytes((16, _PNG_COLOUR_TYPES[channels], 0, 0, 0)),
        b"iCCP": b"ICC Profile\0\0" + zlib.compress(profile),
    }
    if metadata.dpi is not None:
        across, down = (round(dots * _INCHES_PER_METRE) for dots in metadata.dpi)
        chunks[b"pHYs"] = struct.pack(">IIB", across, down, 1)
    if metadata.exif:
        chunks[b"eXIf"] = metadata.exif.removeprefix(b"Exif\0\0")
    chunks[b"IDAT"] = zlib.compress(b"".join(_filtered_rows(pixels)))
    chunks[b"IEND"] = b""
    for name, data in chunks.items():
        file.write(struct.pack(">I", len(data)) + name + data)
        file.write(struct.pack(">I", zlib.crc32(name + data)))


def _filtered_rows(pixels: NDArray[np.uint16]) -> Iterator[bytes]:
    """Rows as bytes less those of the row above, each behind the filter's number."""
    rows = pixels.astype(">u2").reshape(len(pixels), -1).view(np.uint8)
    above = np.zeros_like(rows[0])
    for row in rows:
        yield bytes((_UP_FILTER,)) + (row - above).tobytes()
        above = row


def write_tiff(
    file: BinaryIO,
    pixels: NDArray[np.uint16] | NDArray[np.uint8],
    profile: bytes,
    metadata: PictureMetadata,
) -> None:
    """Write a TIFF of 8 or 16 bits, compressed without loss; arguments as those of `write_png`."""
    height, width, channels = pixels.shape
    bits = 8 * pixels.itemsize
    data = zlib.compress(pixels.astype(f"<u{pixels.itemsize}").tobytes())
    tags = ImageFileDirectory_v2()
    for tag, value in metadata.tags().items():
        tags[tag] = value
    layout = {
        256: width, 257: height, 258: (bits,) * channels, 259: _DEFLATE, 262: _RGB, 273: 0,
        277: channels, 278: height, 279: len(data), 284: 1, 34675: profile,
    }  # fmt: skip
    if channels == 4:
        layout[338] = _UNASSOCIATED_ALPHA
    if metadata.dpi is not None:
        layout |= {282: metadata.dpi[0], 283: metadata.dpi[1], 296: _INCH}
    for tag, value in layout.items():
        tags[tag] = value
    tags.save(file)
    file.write(data)
