"""Image files and image tensors: load, save, resize, crop, colour.

Inside the package an image is a float tensor (3, H, W) and a batch is
(B, 3, H, W), RGB, range [0, 1]. This file owns the way in and out of that form;
what is done with the pixels is the business of others.
"""

import importlib
import importlib.util
import logging
import math
import os
import struct
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError, features
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from .checks import require_unit_range
from .colour_profiles import srgb_profile
from .decoding import LoadedImage, RowImage, decode, decode_rows
from .deep_files import write_png, write_tiff
from .errors import ImageFileError, ShapeError
from .files import atomic_file
from .picture_metadata import PictureMetadata
from .transparency import over_white

logger = logging.getLogger(__name__)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


# Formats that Pillow learns from plugins, which are imported when a picture is opened.
_PLUGINS = {".heic": "pillow_heif", ".heif": "pillow_heif", ".jxl": "pillow_jxl"}
_PACKAGES = {"pillow_heif": "pillow-heif", "pillow_jxl": "pillow-jxl-plugin"}
JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})
_TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
IMAGE_SUFFIXES = (
    JPEG_SUFFIXES
    | _TIFF_SUFFIXES
    | {".png", ".webp", ".bmp", ".gif", ".mpo"}
    | ({".avif"} if features.check("avif") else set[str]())
    | {suffix for suffix, module in _PLUGINS.items() if _is_installed(module)}
)
SAVE_SUFFIXES = JPEG_SUFFIXES | _TIFF_SUFFIXES | {".png", ".webp"}
DEEP_SUFFIXES = _TIFF_SUFFIXES | {".png"}
MAX_PIXELS = 150_000_000  # below the size that Pillow itself refuses
_JPEG_START = b"\xff\xd8"
_MOST_READ_WHOLE = 25_000_000  # above, a JPEG that will be shrunk is read small
_SHEET_GAP_PX = 4
_ANIMATED_FORMATS = frozenset({"GIF", "WEBP", "PNG", "TIFF", "AVIF"})
# What Pillow's decoders raise at damaged files, beside the OSError that they mean to raise.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError,
    ArithmeticError, RuntimeError, struct.error,
)  # fmt: skip


def load_image(path: Path | str, *, max_pixels: int = MAX_PIXELS) -> LoadedImage:
    """Read one still picture, upright, as RGB.

    EXIF orientation is applied. Grayscale, palette and CMYK become RGB, colour profiles
    become sRGB; transparency is returned beside them, whose colour is straight. 16 bits a
    channel are kept, but for pictures with another profile than sRGB, which is applied at 8.
    Whole numbers of 32 bits, and floating-point ones outside of [0, 1], have no known white and
    are refused.

    Args:
        path: a PNG, JPEG, WebP, BMP, TIFF, AVIF or still GIF file, and HEIC or JPEG XL where
            pillow-heif or pillow-jxl-plugin is installed.
        max_pixels: refuse files that declare more than this many pixels.

    Returns:
        The pixels and, where there is transparency, the alpha channel.

    Raises:
        ImageFileError: the file is missing, not an image, damaged, animated,
            of an unsupported kind, or larger than `max_pixels`.
    """
    with _opened(Path(path), max_pixels) as (image, source):
        return decode(path, image, partial(_open, source))


def open_rows(path: Path | str, *, long_side_px: int | None = None) -> RowImage:
    """Read one still picture as `load_image`, to be taken by its rows.

    Args:
        path: see `load_image`.
        long_side_px: to which the picture will be shrunk. A JPEG of many pixels is then read
            at a half, a quarter or an eighth of its size, twice that long side at least, and
            may have more pixels than others.

    Raises:
        ImageFileError: as `load_image`.
    """
    with _opened(Path(path), MAX_PIXELS, long_side_px) as (image, source):
        return decode_rows(path, image, partial(_open, source))


def load_batch(path: Path | str) -> Tensor:
    """One picture as a batch (1, 3, H, W), [0, 1], transparency over white; see `load_image`."""
    loaded = load_image(path)
    pixels = loaded.pixels if loaded.alpha is None else over_white(loaded.pixels, loaded.alpha)
    return pixels[None]


def opacity(images: Sequence[LoadedImage]) -> Tensor | None:
    """Alpha of pictures of one size, (B, 1, H, W); None where none has transparency."""
    if all(image.alpha is None for image in images):
        return None
    opaque = torch.ones(1, *images[0].pixels.shape[-2:])
    return torch.stack([opaque if image.alpha is None else image.alpha for image in images])


def load_square(path: Path | str, size_px: int) -> Tensor:
    """The central square of a picture file as (1, 3, size_px, size_px); see `load_image`."""
    return center_crop(resize_short_side(load_batch(path), size_px), size_px)


def image_size(path: Path | str, *, long_side_px: int | None = None) -> tuple[int, int]:
    """Height and width that a picture file declares, in pixels, before EXIF turns it.

    Args:
        path: of the file.
        long_side_px: to which it will be shrunk; the size is that to which it is read then.

    Raises:
        ImageFileError: as `open_rows`, as far as the header tells.
    """
    with _opened(Path(path), MAX_PIXELS, long_side_px) as (image, _):
        return image.height, image.width


@contextmanager
def _opened(
    path: Path, max_pixels: int, long_side_px: int | None = None
) -> Generator[tuple[ImageFile, Path | bytes]]:
    """A picture whose header is in order; what fails inside the block becomes ImageFileError.

    Where it will be shrunk to a long side, a large JPEG is told to decode itself smaller.

    Yields:
        The open picture, and what `_open` opens it from once more.
    """
    _register_plugins()
    try:
        if path.is_dir():
            raise ImageFileError(f"{path} is a folder; an image file is needed.")
        if not path.exists():
            raise ImageFileError(f"{path} does not exist; check the name of the image file.")
        # A pipe cannot go back, as decoders do.
        source = path.read_bytes() if path.is_fifo() else path
        with _open(source) if long_side_px is None else _open_to_shrink(source) as image:
            if long_side_px is not None and image.width * image.height > _MOST_READ_WHOLE:
                image.draft(image.mode, _twice(image, long_side_px))
            _refuse_unsupported(path, image, max_pixels)
            yield image, source
    except UnidentifiedImageError as error:
        raise ImageFileError(f"{path} is not an image that can be read; {_remedy(path)}") from error
    except Image.DecompressionBombError as error:
        raise ImageFileError(
            f"{path} declares more than {max_pixels:,} pixels; resize it first."
        ) from error
    except DECODER_ERRORS as error:
        raise ImageFileError(_reason(path, error)) from error


def _open(source: Path | bytes) -> ImageFile:
    with warnings.catch_warnings():
        # Pillow warns of sizes that `_refuse_unsupported` decides on.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(BytesIO(source) if isinstance(source, bytes) else source)


def _open_to_shrink(source: Path | bytes) -> ImageFile:
    """Open a picture that will be read small, even one of more pixels than Pillow opens."""
    try:
        return _open(source)
    except Image.DecompressionBombError:
        start = source[:2] if isinstance(source, bytes) else _first_bytes(source)
        if start != _JPEG_START:
            raise
        return JpegImageFile(BytesIO(source) if isinstance(source, bytes) else source)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2)


def _twice(image: Image.Image, long_side_px: int) -> tuple[int, int]:
    """Twice the size of a picture that is shrunk to a long side."""
    factor = 2 * long_side_px / max(image.size)
    return math.ceil(image.width * factor), math.ceil(image.height * factor)


def _remedy(path: Path) -> str:
    plugin = _PLUGINS.get(path.suffix.lower())
    if plugin is not None and not _is_installed(plugin):
        return f"install {_PACKAGES[plugin]}, which reads such files, or save it as PNG."
    return "save it as PNG, JPEG, WebP or TIFF, the latter with 8 or 16 bits."


@lru_cache(maxsize=1)
def _register_plugins() -> None:
    """Teach Pillow the formats that installed plugins bring."""
    if _is_installed("pillow_heif"):
        importlib.import_module("pillow_heif").register_heif_opener()
    if _is_installed("pillow_jxl"):
        importlib.import_module("pillow_jxl")


def _reason(path: Path, error: Exception) -> str:
    """What is wrong with a file that cannot be read: the place or the picture."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"Cannot read {path} ({error.strerror}); check its name, permissions and disk."
    text = str(error) or type(error).__name__
    return f"{path} is damaged or cut short ({text}); export or download it again."


def _refuse_unsupported(path: Path, image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageFileError(
            f"{path} is {width}x{height} px, more than {max_pixels:,} pixels; resize it first."
        )
    frames = getattr(image, "n_frames", 1)
    if image.format in _ANIMATED_FORMATS and frames > 1:
        raise ImageFileError(
            f"{path} holds {frames} frames or pages; a still picture is needed. "
            "Extract the frames into a folder first."
        )


def list_images(folder: Path | str) -> list[Path]:
    """All image files below a folder, in a fixed order; links to folders are followed.

    Names that begin with a dot are left out, of folders too: they are hidden, and macOS
    keeps what is no picture under `._photo.jpg`.

    Raises:
        ImageFileError: the folder is missing or holds no image file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageFileError(f"{folder} is not a folder; a folder of images is needed.")
    files = sorted(_visible_files(folder))
    paths = [path for path in files if is_image_name(path)]
    if paths and len(paths) < len(files):
        kinds = sorted({path.suffix.lower() or path.name for path in files} - IMAGE_SUFFIXES)
        logger.warning(
            "%s: %d files are no images that can be read and are left out (%s)",
            folder, len(files) - len(paths), ", ".join(kinds[:8]),
        )  # fmt: skip
    if not paths:
        raise ImageFileError(
            f"{folder} holds no image; put PNG, JPEG or WebP files there or name another folder."
        )
    return paths


def is_image_name(path: Path) -> bool:
    """Whether a file's name ends as those of images do."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def _visible_files(folder: Path) -> Iterator[Path]:
    """Files below a folder, without hidden ones; every folder once, whatever links to it."""
    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=_warn_of_folder):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(place, name) for name in names if not name.startswith("."))
        yield from (path for path in paths if path.is_file())


def _warn_of_folder(error: OSError) -> None:
    logger.warning("Cannot look into %s (%s); it is left out.", error.filename, error.strerror)


def spread_paths(paths: Sequence[Path], count: int | None) -> list[Path]:
    """At most `count` of the paths, evenly spaced, so that a folder's groups all appear."""
    if count is None or count >= len(paths):
        return list(paths)
    return [paths[i * len(paths) // count] for i in range(count)]


def to_pil(image: Tensor, alpha: Tensor | None = None) -> Image.Image:
    """Convert one image tensor to a Pillow picture of 8 bits per channel.

    Args:
        image: (3, H, W) or (1, 3, H, W), any float type, [0, 1]; what sharp filters leave a
            little beyond the ends is clamped.
        alpha: optional (1, H, W), clamped to [0, 1].

    Raises:
        ShapeError: `image` is not one RGB picture.
        SettingsError: it holds whole numbers, NaN or another range, such as 0..255.
    """
    values = quantised(image, alpha, 255).to(torch.uint8)
    return Image.fromarray(rearrange(values, "c h w -> h w c").contiguous().numpy())


def quantised(image: Tensor, alpha: Tensor | None, white: int) -> Tensor:
    """Whole numbers from 0 to `white`, (3, H, W) or (4, H, W) with alpha, on the CPU."""
    if image.ndim == 4 and image.shape[0] == 1:
        image = image[0]
    if image.ndim != 3 or image.shape[0] != 3:
        raise ShapeError(f"Got a tensor of shape {tuple(image.shape)}; (3, H, W) is needed.")
    require_unit_range(image, "Picture")
    channels = image if alpha is None else torch.cat([image, alpha.to(image)])
    return channels.detach().float().clamp(0, 1).mul(white).round().to(torch.int32).cpu()


def save_image(
    image: Tensor,
    path: Path | str,
    *,
    alpha: Tensor | None = None,
    depth: int = 8,
    metadata: PictureMetadata | None = None,
) -> None:
    """Write one picture, with a profile of sRGB, so that the file is either whole or absent.

    Args:
        image: (3, H, W) or (1, 3, H, W), [0, 1].
        path: ends in .png, .tif, .tiff, .webp, .jpg, .jpeg, .jpe or .jfif; folders are created.
        alpha: optional (1, H, W); JPEG has no transparency and shows it over white.
        depth: bits a channel, 8, or 16 for PNG and TIFF.
        metadata: what the file says beside its pixels.

    Raises:
        ImageFileError: unknown suffix, one that holds no 16 bits, or the place cannot be
            written.
        ShapeError: `image` is not one RGB picture.
        SettingsError: its values are not in [0, 1]; see `to_pil`.
    """
    path = Path(path)
    suffix = _checked_suffix(path)
    if alpha is not None and suffix in JPEG_SUFFIXES:
        image, alpha = over_white(image, alpha.to(image)), None
    if depth == 8:
        save_pil(to_pil(image, alpha), path, metadata=metadata)
        return
    values = rearrange(quantised(image, alpha, 65535), "c h w -> h w c").numpy().astype(np.uint16)
    save_deep(values, path, metadata=metadata)


def save_deep(
    values: NDArray[np.uint16], path: Path | str, *, metadata: PictureMetadata | None = None
) -> None:
    """Write (H, W, 3 or 4) of 16 bits in sRGB as `save_image` does.

    Raises:
        ImageFileError: a suffix that holds no 16 bits, or the place cannot be written.
    """
    path = Path(path)
    suffix = _checked_suffix(path)
    if suffix not in DEEP_SUFFIXES:
        raise ImageFileError(f"{path} cannot hold 16 bits; name a .png or .tif, or take 8 bits.")
    write = write_png if suffix == ".png" else write_tiff
    with _written_whole(path) as temporary, temporary.open("wb") as file:
        write(file, values, srgb_profile(), metadata or PictureMetadata())


def save_pil(
    picture: Image.Image, path: Path | str, *, metadata: PictureMetadata | None = None
) -> None:
    """Write a Pillow picture in sRGB as `save_image` does.

    Raises:
        ImageFileError: unknown suffix, or the place cannot be written.
    """
    path = Path(path)
    suffix, told = _checked_suffix(path), metadata or PictureMetadata()
    if suffix in _TIFF_SUFFIXES:
        values = np.asarray(picture if picture.mode in {"RGB", "RGBA"} else picture.convert("RGB"))
        with _written_whole(path) as temporary, temporary.open("wb") as file:
            write_tiff(file, values, srgb_profile(), told)
        return
    image_format, options = _encoding(suffix)
    options |= told.options_for(image_format)
    with _written_whole(path) as temporary:
        picture.save(temporary, format=image_format, icc_profile=srgb_profile(), **options)


@contextmanager
def _written_whole(path: Path) -> Generator[Path]:
    """A file beside the one to write, as `atomic_file`; what fails becomes ImageFileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            yield temporary
    except OSError as error:
        raise ImageFileError(
            f"Cannot write {path} ({error.strerror or error}); choose a folder that can be written."
        ) from error


def _encoding(suffix: str) -> tuple[str, dict[str, object]]:
    """Pillow's name of a format and its options."""
    if suffix == ".png":
        return "PNG", {}
    if suffix == ".webp":
        return "WEBP", {"quality": 92, "method": 4}
    return "JPEG", {"quality": 95, "subsampling": 0}


def _checked_suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SAVE_SUFFIXES:
        raise ImageFileError(
            f"{path.name} ends in '{suffix}'; name one that ends in .png, .jpg, .webp or .tif."
        )
    return suffix


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resize a batch with an antialiased bilinear filter.

    Args:
        images: (B, 3, H, W), [0, 1].
        height: new height in pixels, at least 1.
        width: new width in pixels, at least 1.

    Returns:
        (B, 3, height, width), [0, 1]; the same tensor when nothing changes.
    """
    if images.shape[-2:] == (height, width):
        return images
    return F.interpolate(
        images, size=(height, width), mode="bilinear", antialias=True, align_corners=False
    ).clamp(0, 1)


def resize_short_side(images: Tensor, size_px: int) -> Tensor:
    """Scale so that the short side has `size_px` pixels; aspect ratio kept."""
    height, width = images.shape[-2:]
    factor = size_px / min(height, width)
    return resize(images, max(1, round(height * factor)), max(1, round(width * factor)))


def limit_long_side(images: Tensor, size_px: int) -> Tensor:
    """Shrink so that the long side has at most `size_px` pixels; never enlarge."""
    height, width = images.shape[-2:]
    factor = size_px / max(height, width)
    if factor >= 1:
        return images
    return resize(images, max(1, round(height * factor)), max(1, round(width * factor)))


def center_crop(images: Tensor, size_px: int) -> Tensor:
    """Cut the central square of `size_px` pixels out of (B, 3, H, W)."""
    height, width = images.shape[-2:]
    if min(height, width) < size_px:
        raise ShapeError(f"Got {width}x{height} px; a crop of {size_px} px does not fit.")
    top, left = (height - size_px) // 2, (width - size_px) // 2
    return images[..., top : top + size_px, left : left + size_px]


def luminance(images: Tensor) -> Tensor:
    """Rec. 601 luma of (B, 3, H, W) as (B, 1, H, W), same range."""
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def gaussian_blur(images: Tensor, sigma_px: float) -> Tensor:
    """Blur (B, C, H, W) by a Gaussian, reflected at the borders; cut off at four deviations."""
    radius = min(math.ceil(4 * sigma_px), min(images.shape[-2:]) - 1)
    places = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = (-places.square() / (2 * sigma_px**2)).exp()
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    channels = images.shape[1]
    wide = F.pad(images, (radius, radius, radius, radius), mode="reflect")
    return F.conv2d(
        F.conv2d(wide, kernel, groups=channels), kernel.transpose(2, 3), groups=channels
    )


def contact_sheet(rows: Iterable[Iterable[Tensor]]) -> Tensor:
    """Lay out pictures of one size in a grid on white, 4 px apart.

    Args:
        rows: rows of (3, H, W) pictures, all of one size; rows may differ in length.

    Returns:
        (3, H', W'), [0, 1].

    Raises:
        ShapeError: there is no picture, or sizes differ.
    """
    grid = [list(row) for row in rows]
    shapes = {picture.shape for row in grid for picture in row}
    if len(shapes) != 1:
        raise ShapeError(f"Got pictures of {len(shapes)} different sizes; one size is needed.")
    _, height, width = next(iter(shapes))
    columns = max(len(row) for row in grid)
    down, across = height + _SHEET_GAP_PX, width + _SHEET_GAP_PX
    sheet = torch.ones(3, len(grid) * down - _SHEET_GAP_PX, columns * across - _SHEET_GAP_PX)
    for y, row in enumerate(grid):
        for x, picture in enumerate(row):
            top, left = y * down, x * across
            sheet[:, top : top + height, left : left + width] = picture.float().clamp(0, 1)
    return sheet


def fit_within(height: int, width: int, max_pixels: int) -> tuple[int, int]:
    """Largest (height, width) of the same aspect ratio with at most `max_pixels` pixels."""
    factor = min(1.0, math.sqrt(max_pixels / (height * width)))
    return max(1, math.floor(height * factor)), max(1, math.floor(width * factor))
