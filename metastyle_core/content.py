"""Pictures to adapt on: the user's own, or a few photographs that ship.

Adaptation needs some content to draw in the new style, and it must look like what will be
drawn: made-up pictures lead it astray. Whose the photographs are is said beside them.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from einops import rearrange
from torch import Generator, Tensor

from .errors import SettingsError
from .images import load_batch, resize_short_side

_PHOTOGRAPHS = Path(__file__).parent / "photographs"
# How many times the pixels of a usual crop those of a few pictures have at most.
_LARGEST = 4


def crop_contents(
    images: Sequence[Tensor],
    count: int,
    size_px: int,
    generator: Generator,
    on_content: Callable[[], None] | None = None,
) -> Tensor:
    """Random square crops of given images, each image used about equally often.

    Args:
        images: (1, 3, H, W) pictures of any sizes, [0, 1], at least one.
        count: how many crops.
        size_px: side of a crop.
        generator: the only source of chance.
        on_content: called before each crop; an exception raised in it passes through.

    Returns:
        (count, 3, size_px, size_px), [0, 1], on the device of the images.

    Raises:
        SettingsError: there is no image.
    """
    if not images:
        raise SettingsError("There is no content image; give at least one.")
    order = torch.randperm(len(images), generator=generator).tolist()
    crops: list[Tensor] = []
    for i in range(count):
        if on_content is not None:
            on_content()
        crops.append(_random_crop(images[order[i % len(order)]], size_px, generator))
    return torch.cat(crops)


def _random_crop(image: Tensor, size_px: int, generator: Generator) -> Tensor:
    short = min(image.shape[-2:])
    zoom, top, left, flip = torch.rand(4, generator=generator).tolist()
    # Between the whole short side and a close-up, half the way to the original resolution.
    scaled_short = round(size_px * (max(short, size_px) / size_px) ** (zoom * 0.5))
    scaled = resize_short_side(image, max(size_px, scaled_short))
    y = round(top * (scaled.shape[-2] - size_px))
    x = round(left * (scaled.shape[-1] - size_px))
    crop = scaled[..., y : y + size_px, x : x + size_px]
    return crop.flip(-1) if flip < 0.5 else crop


def own_contents(
    images: Sequence[Tensor],
    count: int,
    size_px: int,
    generator: Generator,
    on_content: Callable[[], None] | None = None,
) -> Tensor:
    """Crops of a user's own pictures, fewer and larger ones where there are few pictures.

    What norms see of a whole picture is not what they see of a part of it, so that a style learns
    best from a picture as it will be drawn. All crops together have about the pixels of `count`
    of `size_px`: up to a quarter as many pictures get crops of twice that side, where they are
    that large.

    Args:
        images: as `crop_contents` takes them.
        count: how many crops at most.
        size_px: their side at least.
        generator: likewise.
        on_content: likewise.

    Returns:
        (N, 3, S, S), [0, 1], as `crop_contents` gives them, with its errors.
    """
    number = min(count, max(len(images), math.ceil(count / _LARGEST)))
    largest_px = max((min(image.shape[-2:]) for image in images), default=size_px)
    side_px = max(size_px, min(round(size_px * math.sqrt(count / number)), largest_px))
    return crop_contents(images, number, side_px, generator, on_content)


def in_quarters(contents: Tensor) -> Tensor:
    """Contents of half the side at the same scale, four of each.

    Args:
        contents: (N, 3, S, S).

    Returns:
        (4 N, 3, S // 2, S // 2); of an odd side the last row and column are left out.
    """
    half = contents.shape[-1] // 2
    whole = contents[..., : 2 * half, : 2 * half]
    return rearrange(whole, "n c (down h) (across w) -> (n down across) c h w", down=2, across=2)


def shipped_contents(
    count: int, size_px: int, generator: Generator, on_content: Callable[[], None] | None = None
) -> Tensor:
    """Crops of the photographs that ship.

    Args:
        count: how many crops.
        size_px: their side.
        generator: the only source of chance; the result is the same on every device.
        on_content: called before each photograph is read and before each crop.

    Returns:
        (count, 3, size_px, size_px), float32, [0, 1], on the CPU.
    """
    images: list[Tensor] = []
    for path in sorted(_PHOTOGRAPHS.glob("*.webp")):
        if on_content is not None:
            on_content()
        images.append(load_batch(path))
    return crop_contents(images, count, size_px, generator, on_content)
