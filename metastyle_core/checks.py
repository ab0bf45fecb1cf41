"""Guards that several modules share, so that one mistake gets one wording.

Each raises what it finds wrong and returns nothing.
"""

import math
from collections.abc import Collection

from .errors import SettingsError


def require_from(settings: object, least: float, *names: str, most: float = math.inf) -> None:
    """Refuse numbers that are not finite or lie outside of a range.

    Args:
        settings: what has the numbers as attributes.
        least: the smallest legal value; written as an int it asks for whole numbers.
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
        raise SettingsError(f"{name} is '{value}'; choose {' or '.join(choices)}.")
