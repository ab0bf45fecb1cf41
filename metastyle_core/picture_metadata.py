"""What a picture file says of itself beside its pixels, from one file to another.

Who took it, when, where, whose it is and how large it prints. What described the old
pixels is left behind: orientation, which is applied, the camera's small preview, sizes.
"""

import logging
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image, IptcImagePlugin
from PIL.ImageFile import ImageFile

logger = logging.getLogger(__name__)

_COPYRIGHT = 0x8298
_RESOLUTIONS = frozenset({0x011A, 0x011B, 0x0128})
_DESCRIPTIONS = frozenset({0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, _COPYRIGHT})
_EXIF_BLOCK, _GPS_BLOCK = 0x8769, 0x8825
_COLOUR_SPACE, _WIDTH, _HEIGHT, _MAKER_NOTE, _INTEROPERABILITY = (
    0xA001, 0xA002, 0xA003, 0x927C, 0xA005,
)  # fmt: skip
_SRGB = 1
_MOST_EXIF_BYTES = 65_000  # a JPEG holds 64 KB in one place
_SPOILT = (OSError, SyntaxError, ValueError, LookupError, TypeError, AttributeError, struct.error)


@dataclass(frozen=True)
class PictureMetadata:
    """What is kept of a picture file beside its pixels.

    Attributes:
        exif: a block of EXIF without orientation and preview; empty where there is none.
        dpi: pixels per inch, across and down, or None.
    """

    exif: bytes = b""
    dpi: tuple[float, float] | None = None

    def tags(self) -> Mapping[int, object]:
        """What EXIF says, by the tags that TIFF has in common with it."""
        exif = Image.Exif()
        if self.exif:
            exif.load(self.exif)
        # Pillow reads text as Latin-1, and would write question marks for what is no ASCII.
        tags = {
            tag: value.encode("latin-1", "replace") if isinstance(value, str) else value
            for tag, value in exif.items()
            if tag in _DESCRIPTIONS
        }
        blocks = {tag: dict(exif.get_ifd(tag)) for tag in (_EXIF_BLOCK, _GPS_BLOCK)}
        return tags | {tag: block for tag, block in blocks.items() if block}

    def options_for(self, image_format: str) -> dict[str, object]:
        """Arguments of `Image.save` that write it."""
        options: dict[str, object] = {"exif": self.exif} if self.exif else {}
        if self.dpi is not None and image_format != "WEBP":
            options["dpi"] = self.dpi
        return options


def read_picture_metadata(image: ImageFile) -> PictureMetadata:
    """What to keep of an open picture; what is spoilt is left out with a warning."""
    dpi = image.info.get("dpi")
    try:
        exif = _kept_exif(image)
    except _SPOILT as error:
        logger.warning("The EXIF data of a picture is spoilt (%s) and left out.", error)
        exif = b""
    return PictureMetadata(exif, _dpi(dpi))


def _dpi(found: object) -> tuple[float, float] | None:
    match found:
        # A TIFF without a unit of length comes as one pixel per inch.
        case (x, y) if float(x) > 1 and float(y) > 1:
            return float(x), float(y)
        case _:
            return None


def _kept_exif(image: ImageFile) -> bytes:
    found, kept = image.getexif(), Image.Exif()
    for tag, value in found.items():
        if tag in _DESCRIPTIONS:
            # Pillow reads text as Latin-1, and would write question marks for what is no ASCII.
            kept[tag] = value.encode("latin-1", "replace") if isinstance(value, str) else value
        elif tag in _RESOLUTIONS:
            kept[tag] = value
    copyright_notice = None if _COPYRIGHT in kept else _copyright_elsewhere(image)
    if copyright_notice:
        kept[_COPYRIGHT] = copyright_notice
    stale = {_INTEROPERABILITY, _WIDTH, _HEIGHT}
    block = {tag: v for tag, v in found.get_ifd(_EXIF_BLOCK).items() if tag not in stale}
    if block:
        kept[_EXIF_BLOCK] = block | {_COLOUR_SPACE: _SRGB}
    place = found.get_ifd(_GPS_BLOCK)
    if place:
        kept[_GPS_BLOCK] = dict(place)
    return _short_enough(kept, block)


def _short_enough(kept: Image.Exif, block: dict[int, object]) -> bytes:
    if not len(kept):
        return b""
    data = kept.tobytes()
    if len(data) > _MOST_EXIF_BYTES and _MAKER_NOTE in block:
        rest = {tag: value for tag, value in block.items() if tag != _MAKER_NOTE}
        kept[_EXIF_BLOCK] = rest | {_COLOUR_SPACE: _SRGB}
        data = kept.tobytes()
    if len(data) > _MOST_EXIF_BYTES:
        logger.warning("The EXIF data of a picture has %d bytes and is left out.", len(data))
        return b""
    return data


def _copyright_elsewhere(image: ImageFile) -> bytes | None:
    """The notice in a PNG's text or in IPTC, where EXIF has none."""
    text = image.info.get("Copyright")
    if isinstance(text, str):
        return text.encode()
    press = IptcImagePlugin.getiptcinfo(image) or {}
    notice = press.get((2, 116))
    return notice if isinstance(notice, bytes) else None
