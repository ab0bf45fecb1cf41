"""Mixtures of styles with one another: by weights, and over the frames of a clip.

Here weights are shares of a whole, so that the base cancels out and is not needed.
Steps towards the base or beyond a style are `style.blend_styles`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .errors import BaseMismatchError, SettingsError
from .low_rank import add_up, shapes_without_rank
from .style import AdaptedStyle

Curve = Literal["linear", "smooth"]
CURVES: tuple[Curve, ...] = ("linear", "smooth")
Route = Literal["once", "there_and_back"]
ROUTES: tuple[Route, ...] = ("once", "there_and_back")


def mix_styles(styles: Sequence[AdaptedStyle], weights: Sequence[float]) -> AdaptedStyle:
    """Average styles of one base and mode.

    Args:
        styles: at least one, all of one mode; tensors may lie on different devices.
        weights: one finite number per style, used as shares of their sum.

    Returns:
        The mixture, on the device of the first style.

    Raises:
        SettingsError: no style, another number of weights, weights that are not finite
            or add up to 0, or styles of different modes.
        BaseMismatchError: the styles belong to different bases.
    """
    shares = _shares(styles, weights)
    _require_alike(styles)
    mixed = add_up([style.fast_weights for style in styles], shares)
    parts = [f"{100 * s:.0f}% {style.name}" for style, s in zip(styles, shares, strict=True)]
    return AdaptedStyle(
        fast_weights=mixed,
        base_sha256=styles[0].base_sha256,
        mode=styles[0].mode,
        name=" + ".join(parts),
        settings={"blend": parts},
    )


def _shares(styles: Sequence[AdaptedStyle], weights: Sequence[float]) -> list[float]:
    if not styles or len(styles) != len(weights):
        raise SettingsError(
            f"Got {len(styles)} styles and {len(weights)} weights; one each is needed."
        )
    total = math.fsum(weights)
    if not all(math.isfinite(weight) for weight in weights) or abs(total) < 1e-6:
        raise SettingsError(
            f"Weights are {list(weights)}; finite numbers that do not add up to 0 are needed."
        )
    return [weight / total for weight in weights]


def _require_alike(styles: Sequence[AdaptedStyle]) -> None:
    first = styles[0]
    for style in styles[1:]:
        if style.base_sha256 != first.base_sha256:
            raise BaseMismatchError(
                f"Style '{style.name}' was made for base {style.base_sha256[:12]} and "
                f"'{first.name}' for {first.base_sha256[:12]}. Adapt them again on one base."
            )
        shapes = shapes_without_rank(style.fast_weights)
        if style.mode != first.mode or shapes != shapes_without_rank(first.fast_weights):
            raise SettingsError(
                f"Style '{style.name}' is of mode {style.mode} and '{first.name}' of mode "
                f"{first.mode}; mix styles of one mode. Adapt one of them again."
            )


@dataclass(frozen=True)
class StyleSchedule:
    """Styles that pass into one another over the frames of a clip.

    Attributes:
        styles: in order of appearance, at least two of one base and mode.
        curve: `linear` passes at one speed; `smooth` rests at each style.
        route: `once` ends at the last style; `there_and_back` returns to the first.
    """

    styles: tuple[AdaptedStyle, ...]
    curve: Curve = "linear"
    route: Route = "once"

    def __post_init__(self) -> None:
        if len(self.styles) < 2:
            raise SettingsError(f"Got {len(self.styles)} styles; a schedule needs at least 2.")
        if self.curve not in CURVES or self.route not in ROUTES:
            raise SettingsError(
                f"Got curve '{self.curve}' and route '{self.route}'; choose a curve of "
                f"{', '.join(CURVES)} and a route of {', '.join(ROUTES)}."
            )
        _require_alike(self.styles)

    @property
    def name(self) -> str:
        """The names of its styles, in order."""
        return " > ".join(style.name for style in self.styles)

    def weights(self, position: float) -> tuple[float, ...]:
        """Share of every style at a position between 0, the first frame, and 1, the last."""
        travelled = position if self.route == "once" else 1 - abs(2 * position - 1)
        place = min(max(travelled, 0.0), 1.0) * (len(self.styles) - 1)
        left = min(int(place), len(self.styles) - 2)
        share = place - left
        if self.curve == "smooth":
            share = share * share * (3 - 2 * share)
        row = [0.0] * len(self.styles)
        row[left], row[left + 1] = 1 - share, share
        return tuple(row)

    def at_frame(self, frame: int, frames: int) -> AdaptedStyle:
        """The style of one frame.

        Args:
            frame: from 0 up.
            frames: how many there are; a single one gets the first style.
        """
        row = self.weights(frame / (frames - 1) if frames > 1 else 0.0)
        present = [i for i, share in enumerate(row) if share > 0]
        return mix_styles([self.styles[i] for i in present], [row[i] for i in present])
