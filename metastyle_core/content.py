"""Pictures to adapt on: the user's own, or built-in ones that need no download.

Adaptation needs some content to draw in the new style. Given images are cropped;
without any, `procedural_contents` makes pictures with the statistics that matter:
edges at all scales, smooth shading, texture, and crops of the style itself.

Source: the dead-leaves model is Matheron 1968; its use in place of photographs
follows Baradad et al. 2021.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Generator, Tensor

from .errors import SettingsError
from .images import resize_short_side

_STYLE_CROPS = 0.25
_SHAPES = 110
_LARGE_SHAPES = 12
_RADII = (0.05, 0.9)  # of half the picture's side


def crop_contents(
    images: Sequence[Tensor], count: int, size_px: int, generator: Generator
) -> Tensor:
    """Random square crops of given images, each image used about equally often.

    Args:
        images: (1, 3, H, W) pictures of any sizes, [0, 1], at least one.
        count: how many crops.
        size_px: side of a crop.
        generator: the only source of chance.

    Returns:
        (count, 3, size_px, size_px), [0, 1], on the device of the images.

    Raises:
        SettingsError: there is no image.
    """
    if not images:
        raise SettingsError("There is no content image; give at least one.")
    order = torch.randperm(len(images), generator=generator).tolist()
    crops = [_random_crop(images[order[i % len(order)]], size_px, generator) for i in range(count)]
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


def procedural_contents(
    count: int, size_px: int, style_images: Sequence[Tensor], generator: Generator
) -> Tensor:
    """Built-in content: dead leaves with shading and texture, and crops of the style.

    Args:
        count: how many pictures.
        size_px: their side.
        style_images: (1, 3, H, W) pictures of the style, [0, 1]; a quarter of the
            contents are crops of them. May be empty.
        generator: the only source of chance; the result is the same on every device.

    Returns:
        (count, 3, size_px, size_px), float32, [0, 1], on the CPU.
    """
    from_style = round(count * _STYLE_CROPS) if style_images else 0
    leaves = [_dead_leaves(size_px, generator) for _ in range(count - from_style)]
    if not from_style:
        return torch.cat(leaves)
    on_cpu = [image.detach().float().cpu() for image in style_images]
    return torch.cat([*leaves, crop_contents(on_cpu, from_style, size_px, generator)])


def _dead_leaves(size_px: int, generator: Generator) -> Tensor:
    """Shaded and textured shapes that cover one another, large ones behind small."""
    key = torch.rand(3, generator=generator)  # brightness, contrast and colourfulness
    canvas = _surface(size_px, key, generator)
    grid = torch.linspace(-1, 1, size_px)
    y, x = torch.meshgrid(grid, grid, indexing="ij")
    chances = torch.rand(_SHAPES, 7, generator=generator)
    # The cube law of sizes makes the picture look alike at every scale.
    low, high = _RADII
    radii = (high**-2 + chances[:, 0] * (low**-2 - high**-2)) ** -0.5
    radii[:_LARGE_SHAPES] = high * (0.5 + 0.5 * chances[:_LARGE_SHAPES, 0])
    for index in radii.argsort(descending=True):
        mask = _shape_mask(x, y, float(radii[index]), chances[index])
        canvas = torch.lerp(canvas, _surface(size_px, key, generator), mask)
    light = 1 + 0.25 * _pink_noise(size_px, generator, finest=0)
    return (canvas * light).clamp(0, 1)


def _shape_mask(x: Tensor, y: Tensor, radius: float, chance: Tensor) -> Tensor:
    """Where one shape covers: (size, size), [0, 1], sharp or out of focus."""
    centre_x, centre_y, turn, stretch, corner, focus = (float(c) for c in chance[1:])
    angle = turn * math.pi
    dx, dy = x - (2 * centre_x - 1) * 1.2, y - (2 * centre_y - 1) * 1.2
    along = (dx * math.cos(angle) + dy * math.sin(angle)).abs() * (0.4 + stretch)
    across = (dy * math.cos(angle) - dx * math.sin(angle)).abs() / (0.4 + stretch)
    power = 2.0 if corner < 0.5 else 8.0  # ellipses and rounded boxes
    distance = (along**power + across**power) ** (1 / power)
    softness = 2.0 / x.shape[0] + 0.3 * radius * focus**4
    return ((radius - distance) / softness + 0.5).clamp(0, 1)


def _surface(size_px: int, key: Tensor, generator: Generator) -> Tensor:
    """One colour with texture: (1, 3, size, size). `key` is the mood of the whole picture."""
    brightness, contrast, colourfulness = (float(k) for k in key)
    draw = torch.randn(5, generator=generator)
    gray = 0.25 + 0.5 * brightness + (0.1 + 0.25 * contrast) * draw[0]
    colour = gray + (0.02 + 0.12 * colourfulness) * draw[1:4]
    roughness = 0.1 * float(draw[4].abs())
    return colour.view(1, 3, 1, 1) + roughness * _pink_noise(size_px, generator, finest=4)


def _pink_noise(size_px: int, generator: Generator, *, finest: int) -> Tensor:
    """Noise whose contrast falls to 0.7 with every halving of scale: (1, 1, size, size)."""
    total = torch.zeros(1, 1, size_px, size_px)
    for octave in range(finest + 1):
        cells = 3 * 2**octave
        noise = torch.randn(1, 1, cells, cells, generator=generator)
        field = F.interpolate(noise, (size_px, size_px), mode="bilinear", align_corners=False)
        total += field * 0.7**octave
    return total
