"""Colour profiles: what a picture's numbers mean, and sRGB, which ours mean.

Cameras and printers give pictures in Display P3, Adobe RGB, ProPhoto, CMYK or Lab, and a
profile that says so. Little CMS, which Pillow brings, converts them.
"""

import logging
from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageCms

logger = logging.getLogger(__name__)

_SPACE = slice(16, 20)  # of a profile, where its header names the kind of colours
_MODES_OF_SPACES = {b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "LAB", b"GRAY": "L"}
# Profiles of sRGB differ among makers by less; what they tag stays as it is to the last bit.
_MOST_LIKE_SRGB = 2


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """An ICC profile of sRGB, the same bytes on every day."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes(12)  # when it was made
    profile[84:100] = bytes(16)  # a digest, which counts the date in
    return bytes(profile)


def to_srgb(image: Image.Image) -> Image.Image:
    """A picture without transparency as 8-bit RGB in sRGB.

    Colours are matched by relative colorimetry with black point compensation, as viewers do.
    Without a profile RGB and grey are taken for sRGB, Lab for that of D50. A profile that
    cannot be used is left out with a warning.

    Args:
        image: any mode of 8 bits a channel; its profile lies in `info`.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "LAB" and not profile:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    if not profile:
        return image.convert("RGB")
    try:
        return _converted(image, profile)
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        if image.mode == "LAB":
            raise
        logger.warning("A colour profile cannot be used (%s); sRGB is taken for it.", error)
        return image.convert("RGB")


def is_srgb(image: Image.Image) -> bool:
    """Whether the numbers of an RGB picture are sRGB as they are."""
    profile = image.info.get("icc_profile")
    if not profile:
        return True
    try:
        return _is_like_srgb(profile)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False


def _converted(image: Image.Image, profile: bytes) -> Image.Image:
    opened = ImageCms.ImageCmsProfile(BytesIO(profile))
    mode = _MODES_OF_SPACES.get(profile[_SPACE])
    if mode is None:
        raise ImageCms.PyCMSError(f"its colours are {profile[_SPACE]}")
    if mode == "RGB" and _is_like_srgb(profile):
        return image.convert("RGB")
    if image.mode != mode:
        # Grey and palettes may carry a profile for RGB; ink and Lab are never made up.
        if mode in {"CMYK", "LAB"} or image.mode in {"CMYK", "LAB"}:
            raise ImageCms.PyCMSError(f"it is for {mode}, the picture is {image.mode}")
        image = image.convert(mode)
    return _transformed(image, opened)


@lru_cache(maxsize=32)
def _is_like_srgb(profile: bytes) -> bool:
    """Whether a profile for RGB moves no colour of a grid by more than makers' own sRGB do."""
    levels = range(0, 256, 51)
    colours = bytes(value for r in levels for g in levels for b in levels for value in (r, g, b))
    grid = Image.frombytes("RGB", (len(colours) // 3, 1), colours)
    moved = _transformed(grid, ImageCms.ImageCmsProfile(BytesIO(profile))).tobytes()
    return max(abs(a - b) for a, b in zip(colours, moved, strict=True)) <= _MOST_LIKE_SRGB


def _transformed(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    converted = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.ImageCmsProfile(BytesIO(srgb_profile())),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if converted is None:
        raise ImageCms.PyCMSError("no picture came back")
    return converted
