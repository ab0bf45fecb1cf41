"""Small pictures that show what a style does, all of the same scene."""

from pathlib import Path

from torch import Tensor

from .base import Base
from .images import load_batch
from .style import AdaptedStyle
from .stylization import stylize_as_usual

SCENE = Path(__file__).parent / "artwork" / "scene.webp"


def draw_thumbnail(base: Base, style: AdaptedStyle) -> Tensor:
    """Our own scene in a style: (1, 3, H, W), [0, 1], on the CPU.

    Args:
        base: the base of the style.
        style: the style to show.
    """
    scene = load_batch(SCENE)
    return stylize_as_usual(base, style, scene, precision="fp32")
