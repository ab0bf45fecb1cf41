"""Pictures to adapt on: the user's own, or a few photographs that ship.

Adaptation needs some content to draw in the new style, and it must look like what will be
drawn: made-up pictures lead it astray. Whose the photographs are is said beside them.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import torch
from einops import rearrange
from torch import Generator, Tensor

from .errors import SettingsError
from .images import load_batch, resize

_PHOTOGRAPHS = Path(__file__).parent / "photographs"
# How many times the pixels of a usual crop those of a few pictures have at most, and how many
# times as long as high they are.
_LARGEST, _LONGEST = 6, 4.0


def own_contents(
    images: Sequence[Tensor],
    count: int,
    size_px: int,
    generator: Generator,
    on_content: Callable[[], None] | None = None,
) -> Tensor:
    """Crops of a user's own pictures, fewer and larger ones where there are few pictures.

    What norms see of a whole picture is not what they see of a part of it, so that a style learns
    best from a picture as it will be drawn. Crops have the ratio of the pictures, of several the
    mean, and all together about the pixels of `count` squares of `size_px`: up to a sixth as many
    pictures get crops of six times as many, but no more than the largest picture has.

    Args:
        images: (1, 3, H, W) pictures of any sizes, [0, 1], at least one, each of which is used
            about equally often.
        count: how many crops at most.
        size_px: their short side at least.
        generator: the only source of chance.
        on_content: called before each crop; an exception raised in it passes through.

    Returns:
        (N, 3, H, W), [0, 1], on the device of the images.

    Raises:
        SettingsError: there is no image.
    """
    if not images:
        raise SettingsError("There is no content image; give at least one.")
    number = min(count, max(len(images), math.ceil(count / _LARGEST)))
    sides = [(image.shape[-2], image.shape[-1]) for image in images]
    ratio = fmean(math.log(width / height) for height, width in sides)
    ratio = math.exp(max(-math.log(_LONGEST), min(ratio, math.log(_LONGEST))))
    area = min(size_px**2 * count / number, max(map(math.prod, sides)))
    area = max(area, size_px**2 * max(ratio, 1 / ratio))
    size = (round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio)))
    return _random_crops(images, number, size, generator, on_content)


def _random_crops(
    images: Sequence[Tensor],
    count: int,
    size: tuple[int, int],
    generator: Generator,
    on_content: Callable[[], None] | None,
) -> Tensor:
    order = torch.randperm(len(images), generator=generator).tolist()
    crops: list[Tensor] = []
    for i in range(count):
        if on_content is not None:
            on_content()
        crops.append(_random_crop(images[order[i % len(order)]], size, generator))
    return torch.cat(crops)


def _random_crop(image: Tensor, size: tuple[int, int], generator: Generator) -> Tensor:
    zoom, top, left, flip = torch.rand(4, generator=generator).tolist()
    # Between as much of the image as goes in and a close-up, half the way to its resolution.
    factor = max(least / own for least, own in zip(size, image.shape[-2:], strict=True))
    factor = min(factor, factor ** (1 - zoom / 2))
    scaled = resize(
        image,
        *(max(s, round(own * factor)) for s, own in zip(size, image.shape[-2:], strict=True)),
    )
    y, x = (round(share * (scaled.shape[d] - size[d])) for share, d in ((top, -2), (left, -1)))
    crop = scaled[..., y : y + size[0], x : x + size[1]]
    return crop.flip(-1) if flip < 0.5 else crop


def in_quarters(contents: Tensor) -> Tensor:
    """Contents of half the sides at the same scale, four of each.

    Args:
        contents: (N, 3, H, W).

    Returns:
        (4 N, 3, H // 2, W // 2); of an odd side the last row or column is left out.
    """
    rows, columns = (side // 2 for side in contents.shape[-2:])
    whole = contents[..., : 2 * rows, : 2 * columns]
    return rearrange(whole, "n c (down h) (across w) -> (n down across) c h w", down=2, across=2)


def shipped_contents(
    count: int, size_px: int, generator: Generator, on_content: Callable[[], None] | None = None
) -> Tensor:
    """Crops of the photographs that ship, as `own_contents` makes them.

    Args:
        count: how many crops at most.
        size_px: their short side at least.
        generator: the only source of chance; the result is the same on every device.
        on_content: called before each photograph is read and before each crop.

    Returns:
        (N, 3, H, W), float32, [0, 1], on the CPU.
    """
    images: list[Tensor] = []
    for path in sorted(_PHOTOGRAPHS.glob("*.webp")):
        if on_content is not None:
            on_content()
        images.append(load_batch(path))
    return own_contents(images, count, size_px, generator, on_content)
