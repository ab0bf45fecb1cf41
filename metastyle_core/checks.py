"""Guards that several modules share, so that one mistake gets one wording.

Each raises what it finds wrong and returns nothing.
"""

import math
from collections.abc import Collection

from torch import Tensor

from .errors import SettingsError, ShapeError


def require_from(settings: object, least: float, *names: str, most: float = math.inf) -> None:
    """Refuse numbers that are not finite or lie outside of a range.

    Args:
        settings: what has the numbers as attributes.
        least: the smallest legal value; where it is an int the message asks for whole numbers.
        names: of the attributes.
        most: the largest legal value.

    Raises:
        SettingsError: one of them is out of range; the message names it.
    """
    kind = "a whole number" if isinstance(least, int) else "a finite number"
    bounds = f"from {least:g} up" if most == math.inf else f"from {least:g} to {most:g}"
    for name in names:
        value = getattr(settings, name)
        if not (least <= value <= most and value < math.inf):
            raise SettingsError(f"{name} is {value}; {kind} {bounds} is needed.")


def require_above_zero(settings: object, *names: str) -> None:
    """Raise SettingsError unless the named attributes are finite numbers above 0."""
    for name in names:
        value = getattr(settings, name)
        if not 0 < value < math.inf:
            raise SettingsError(f"{name} is {value}; a finite number above 0 is needed.")


def require_one_of(settings: object, name: str, choices: Collection[str]) -> None:
    """Raise SettingsError unless the named attribute is one of the choices."""
    value = getattr(settings, name)
    if value not in choices:
        *others, last = choices
        raise SettingsError(f"{name} is '{value}'; choose {', '.join(others)} or {last}.")


def require_pictures(images: Tensor, what: str = "images") -> None:
    """Raise ShapeError unless a tensor is a batch of RGB pictures, which may be empty."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ShapeError(f"Got {what} of shape {tuple(images.shape)}; (B, 3, H, W) is needed.")


def require_sides(what: object, height: int, width: int, least_px: int) -> None:
    """Raise ShapeError, which begins with `what`, unless both sides of a picture are so long."""
    if min(height, width) < least_px:
        raise ShapeError(
            f"{what} is {width}x{height} px; both sides must be at least {least_px} px. "
            "Resize it or pick a larger image."
        )
