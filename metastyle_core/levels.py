"""Levels: a painting whose reproduction has faded is brought back towards full tones.

Scans and photographs of paintings are often paler and greyer than the paintings, and a style drawn
after them lays that veil over every picture.
"""

import torch
from torch import Tensor

from .images import luminance

# Of paintings, where nobody says otherwise: a veil goes, nocturnes stay dark.
USUAL_LEVELS = 0.2
# The shares of pixels below black and not above white; frames and dust are as few.
_ENDS = (0.01, 0.99)
# What is flatter has no tones to bring back.
_LEAST_RANGE = 2 / 255


def with_levels(picture: Tensor, amount: float, counting: Tensor | None = None) -> Tensor:
    """Move a picture's darkest tones towards black and its lightest towards white.

    All between them go along in a straight line; colours get as much stronger.

    Args:
        picture: (1, 3, H, W), [0, 1], of any range of tones.
        amount: how far, [0, 1]; 0 gives the picture back.
        counting: (1, 1, H, W), 1 where the picture counts; None for everywhere.

    Returns:
        (1, 3, H, W), [0, 1].
    """
    if not amount:
        return picture
    tones = luminance(picture)
    tones = tones.flatten() if counting is None else tones[counting > 0]
    darkest, lightest = tones.quantile(tones.new_tensor(_ENDS)).tolist()
    if lightest - darkest < _LEAST_RANGE:
        return picture
    spread = ((picture - darkest) / (lightest - darkest)).clamp(0, 1)
    return torch.lerp(picture, spread, amount)
