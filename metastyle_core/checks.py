"""Guards that several modules share, so that one mistake gets one wording.

Each raises what it finds wrong and returns nothing.
"""

import math
from collections.abc import Collection

import torch
from torch import Tensor

from .errors import ResultError, SettingsError, ShapeError

# Sharp resampling overshoots by a fifth at most; 0..255 and degrees of light lie far beyond.
_MOST_OVERSHOOT = 1.0


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


def require_shares(**shares: float) -> None:
    """Raise SettingsError, which names it, unless each number lies in [0, 1]."""
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise SettingsError(f"{name} is {share}; a number from 0 to 1 is needed.")


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


def require_unit_range(images: Tensor, what: str) -> None:
    """Refuse pictures whose values are not meant to lie in [0, 1].

    What sharp filters leave beyond the ends, as far as -1 and 2, is let through for the caller
    to clamp.

    Args:
        images: any shape.
        what: begins the message, such as `Style image`.

    Raises:
        SettingsError: whole numbers, NaN, infinity, or another range such as 0..255.
    """
    if not images.is_floating_point():
        raise SettingsError(
            f"{what} holds {images.dtype} numbers; floating-point numbers in [0, 1] are needed. "
            "Divide 8-bit values by 255."
        )
    least, most = value_range(images)
    if not (math.isfinite(least) and math.isfinite(most)):
        raise SettingsError(
            f"{what} holds NaN or infinity, as a failed decode leaves behind; load or render it "
            "again."
        )
    if least < -_MOST_OVERSHOOT or most > 1 + _MOST_OVERSHOOT:
        raise SettingsError(
            f"{what} holds values from {least:g} to {most:g}; [0, 1] is needed. "
            "Divide 8-bit values by 255, and bring others into this range."
        )


def require_finite_result(stylized: Tensor, style: str, precision: str) -> None:
    """Raise ResultError, which says what to try, when a stylized batch holds NaN or infinity."""
    if all(math.isfinite(value) for value in value_range(stylized)):
        return
    first = "choose precision fp32; if that does not help, " if precision != "fp32" else ""
    raise ResultError(
        f"Style '{style}' draws NaN or infinity with precision {precision}; {first}"
        "adapt the style again, or load another base."
    )


def value_range(images: Tensor) -> tuple[float, float]:
    """Smallest and largest value; NaN where there is one, zeros where there is no value."""
    if not images.numel():
        return 0.0, 0.0
    # One transfer from the device in place of two.
    least, most = torch.stack(images.detach().aminmax()).tolist()
    return least, most


def require_sides(what: object, height: int, width: int, least_px: int) -> None:
    """Raise ShapeError, which begins with `what`, unless both sides of a picture are so long."""
    if min(height, width) < least_px:
        raise ShapeError(
            f"{what} is {width}x{height} px; both sides must be at least {least_px} px. "
            "Resize it or pick a larger image."
        )
