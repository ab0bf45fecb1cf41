"""Made-up styles of two colours: halftones, dither, stripes, checks, dots, and flat paper.

Designers take such pictures for styles, and hardly any collection of paintings holds one.
A predictor that never saw them answers with anything.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ..images import luminance

_LARGEST_PERIOD_PX = 32.0
_SMALLEST_PERIOD_PX = 3.0


def as_pattern(picture: Tensor, generator: Generator) -> Tensor:
    """Draw a pattern, some kinds after a picture.

    Args:
        picture: (1, 3, H, W), [0, 1]; halftone and dither follow its luminance.
        generator: on the CPU, the only source of chance.

    Returns:
        (1, 3, H, W), [0, 1], on the device of the picture: a mask of one kind between two
        colours, black and white in half of all cases.
    """
    kind = _KINDS[int(torch.randint(len(_KINDS), (), generator=generator))]
    mask = kind(luminance(picture), generator)
    colours = torch.rand(2, 3, 1, 1, generator=generator)
    if bool(torch.rand((), generator=generator) < 0.5):
        colours = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    dark, light = colours.to(picture).unsqueeze(1)
    return (dark + (light - dark) * mask).expand(1, 3, *picture.shape[-2:])


def _waves(gray: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Sines of one random period along two directions at right angles, each [-1, 1]."""
    turn, zoom = torch.rand(2, generator=generator).tolist()
    period = _SMALLEST_PERIOD_PX * (_LARGEST_PERIOD_PX / _SMALLEST_PERIOD_PX) ** zoom
    height, width = gray.shape[-2:]
    y = torch.arange(height, device=gray.device)[:, None]
    x = torch.arange(width, device=gray.device)
    # Half of all patterns lie along the axes.
    angle = math.pi * max(0.0, turn - 0.5)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    return (along * 2 * math.pi / period).sin(), (across * 2 * math.pi / period).sin()


def _noise(gray: Tensor, generator: Generator) -> Tensor:
    return torch.rand(gray.shape, generator=generator).to(gray)


def _halftone(gray: Tensor, generator: Generator) -> Tensor:
    first, second = _waves(gray, generator)
    return (gray > 0.5 + 0.5 * first * second).float()


def _dither(gray: Tensor, generator: Generator) -> Tensor:
    return (gray > _noise(gray, generator)).float()


def _stripes(gray: Tensor, generator: Generator) -> Tensor:
    first, _ = _waves(gray, generator)
    level = 1.4 * float(torch.rand((), generator=generator)) - 0.7
    return (first > level).float().expand_as(gray)


def _checks(gray: Tensor, generator: Generator) -> Tensor:
    first, second = _waves(gray, generator)
    return (first * second > 0).float().expand_as(gray)


def _dots(gray: Tensor, generator: Generator) -> Tensor:
    share = 0.5 * float(torch.rand((), generator=generator)) ** 2
    return (_noise(gray, generator) > share).float()


def _flat(gray: Tensor, generator: Generator) -> Tensor:
    return torch.rand((), generator=generator).to(gray).expand_as(gray)


_KINDS: tuple[Callable[[Tensor, Generator], Tensor], ...] = (
    _halftone,
    _dither,
    _stripes,
    _checks,
    _dots,
    _flat,
)
