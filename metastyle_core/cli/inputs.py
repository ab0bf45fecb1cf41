"""From arguments to values: images, contents, styles, base and encoder."""

import argparse
import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from ..adaptation import AdaptationSettings, brush_for
from ..base import Base, load_base
from ..checks import require_sides
from ..content import own_contents
from ..drawing import USUAL_SUPERSAMPLING
from ..encoder import PerceptualEncoder, load_encoder
from ..errors import ImageFileError, MetaStyleError, SettingsError, ShapeError
from ..images import image_size, is_image_name, list_images, load_batch
from ..mixing import add_styles
from ..network import MIN_SIDE_PX
from ..precision import resolve_device
from ..presets import load_preset, preset_paths
from ..style import AdaptedStyle, load_style
from .failures import Failures

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageInput:
    """One picture to stylize.

    Attributes:
        path: where it is.
        relative: its path below the folder that was named, or just its name.
    """

    path: Path
    relative: Path


def open_base(arguments: argparse.Namespace) -> Base:
    """The chosen base on the chosen device."""
    return load_base(arguments.base).to(resolve_device(arguments.device))


def open_encoder(arguments: argparse.Namespace, device: torch.device) -> PerceptualEncoder:
    """The encoder of `add_encoder_options` on a device."""
    encoder = load_encoder(
        arguments.encoder,
        weights=arguments.encoder_weights,
        download_folder=arguments.download_encoder_to,
    )
    return encoder.to(device)


def find_images(paths: Sequence[Path], *, but_not_below: Path | None = None) -> list[ImageInput]:
    """Files and the images below folders, in order.

    Args:
        paths: files and folders.
        but_not_below: a folder of results; when it lies in one of the folders, what an
            earlier run left there is no input.

    Raises:
        ImageFileError: a path is missing, or a folder holds no image.
    """
    found: list[ImageInput] = []
    for path in paths:
        _refuse_address(str(path))
        if path.is_dir():
            everything = list_images(path)
            inside = [p for p in everything if not _lies_below(p, path, but_not_below)]
            if len(inside) < len(everything):
                logger.warning(
                    "%d images below %s are taken for results of before and left out",
                    len(everything) - len(inside), but_not_below,
                )  # fmt: skip
            found += [ImageInput(p, p.relative_to(path)) for p in inside]
        elif path.is_file():
            found.append(ImageInput(path, Path(path.name)))
        else:
            raise ImageFileError(f"{path} does not exist; check the name of the image or folder.")
    if not found:
        raise ImageFileError(f"All images given lie below {but_not_below}; name other ones.")
    return found


def _lies_below(image: Path, folder: Path, results: Path | None) -> bool:
    if results is None or results.resolve() == folder.resolve():
        return False
    return image.resolve().is_relative_to(results.resolve())


def chosen_brush(
    arguments: argparse.Namespace,
    images: Sequence[ImageInput],
    max_size_px: int | None = None,
    supersampling: float = USUAL_SUPERSAMPLING,
) -> int:
    """The style size asked for, or the one that suits the first of some pictures.

    Args:
        arguments: from `add_style_size_option`.
        images: what will be drawn; only headers are read, up to the first good one.
        max_size_px: the long side to which they are shrunk before that.
        supersampling: with which they will be drawn.

    Returns:
        Pixels; the default of `AdaptationSettings` where neither is known.
    """
    if arguments.style_size_px is not None:
        return arguments.style_size_px
    size = _first_size(images, max_size_px)
    if size is None:
        return AdaptationSettings.style_size_px
    height, width = size
    scale = min(1.0, max_size_px / max(height, width)) if max_size_px else 1.0
    return brush_for(round(height * scale), round(width * scale), supersampling)


def _first_size(images: Sequence[ImageInput], max_size_px: int | None) -> tuple[int, int] | None:
    for image in images:
        with suppress(ImageFileError, ShapeError):
            size = image_size(image.path, long_side_px=max_size_px)
            require_sides(image.path, *size, MIN_SIDE_PX)
            return size
    return None


def crops_of(
    found: Sequence[ImageInput], settings: AdaptationSettings, failures: Failures
) -> Tensor:
    """Crops of pictures to adapt on.

    Args:
        found: the pictures.
        settings: how many crops, of which size, and the seed.
        failures: where pictures that cannot be read are noted; others take their places.

    Returns:
        (N, 3, H, W), [0, 1].

    Raises:
        ImageFileError: the only picture cannot be read.
        PartlyDoneError: none of several can.
    """
    generator = Generator().manual_seed(settings.seed)
    images: list[Tensor] = []
    # No more is decoded than is used: the folder may hold all frames of a clip.
    for index in torch.randperm(len(found), generator=generator).tolist():
        if len(images) == settings.content_count:
            break
        with failures.noting(found[index].path):
            images.append(load_batch(found[index].path))
    if not images:
        failures.report()
    return own_contents(images, settings.content_count, settings.content_size_px, generator)


def resolve_styles(
    base: Base, requests: Sequence[str], from_image: Callable[[Path], AdaptedStyle]
) -> AdaptedStyle:
    """Turn `--style` arguments into one style.

    Each is a style file, a preset's name or an image, with an optional `:WEIGHT`, and what it
    changes of the base is added with that weight (see `mixing.add_styles`). Weights left out
    share what remains to 1.

    Args:
        base: of the styles.
        requests: the arguments.
        from_image: makes a style of an image.

    Raises:
        SettingsError: an unknown name, or a weight that is no number.
        MetaStyleError: a file that cannot be read.
    """
    parsed = [_split_weight(request) for request in requests]
    styles = [_find_style(source, from_image) for source, _ in parsed]
    given = [weight for _, weight in parsed if weight is not None]
    open_places = len(parsed) - len(given)
    share = (1.0 - sum(given)) / open_places if open_places else 0.0
    weights = [share if weight is None else weight for _, weight in parsed]
    if len(styles) == 1 and weights == [1.0]:
        return styles[0]
    return add_styles(base, styles, weights)


def files_of_styles(requests: Sequence[str]) -> list[Path]:
    """The files that `--style` arguments name; what is a preset's name names none."""
    sources = [Path(_split_weight(request)[0]) for request in requests]
    return [source for source in sources if source.is_file()]


def image_of_style(requests: Sequence[str]) -> Path | None:
    """The image that is the style where `--style` names one image and nothing else."""
    if len(requests) != 1:
        return None
    only = Path(requests[0])
    return only if is_image_name(only) else None


def _split_weight(request: str) -> tuple[str, float | None]:
    """A `--style` argument as what it names and its weight, if it has one."""
    source, colon, weight = request.rpartition(":")
    if not colon or Path(request).exists():
        return request, None
    try:
        return source, float(weight)
    except ValueError as error:
        if _is_place(weight):
            return request, None
        raise SettingsError(
            f"--style {request}: '{weight}' is no number; write STYLE or STYLE:0.5."
        ) from error


def _is_place(text: str) -> bool:
    """Whether words are a path rather than a name: they have a slash or a file's ending."""
    return bool(re.search(r"[/\\]|\.[a-zA-Z]\w*$", text))


def _refuse_address(text: str) -> None:
    # A Path has one slash where an address has two.
    if re.match(r"[a-z][a-z+.-]+:/", text, re.IGNORECASE):
        raise ImageFileError(
            f"{text} is an address, and nothing is fetched; download it and name the file."
        )


def _find_style(source: str, from_image: Callable[[Path], AdaptedStyle]) -> AdaptedStyle:
    if source in preset_paths():
        return load_preset(source)
    _refuse_address(source)
    path = Path(source)
    if path.suffix.lower() == ".safetensors":
        return load_style(path)
    if is_image_name(path) or path.is_fifo():
        return from_image(path)
    if path.is_file():
        raise MetaStyleError(f"{path} is neither a .safetensors style nor an image file.")
    if _is_place(source):
        raise MetaStyleError(
            f"{path} does not exist; name a .safetensors style, an image file or a preset."
        )
    try:
        return load_preset(source)
    except SettingsError as error:
        raise MetaStyleError(f"{error} Or name a .safetensors style or an image file.") from error
