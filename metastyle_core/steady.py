"""Free of the stride: a picture drawn several times, each shifted within the stride, and averaged.

A network with two layers of stride 2 draws on a grid of 4 px: what lies on another place of the
grid is drawn otherwise, so that strokes swim when a picture pans. The mean over all 16 places
would be the same wherever a picture lies. Two or four of them, of which none shares a row or a
column with another, come near to that; what they disagree on is lost.

Source: the idea of cycle spinning, Coifman and Donoho 1995, "Translation-invariant de-noising".
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from .borders import Seamless, wraps
from .errors import SettingsError

Steady = Literal[1, 2, 4]
STEADY: tuple[Steady, ...] = get_args(Steady)
# Down and across, px. The picture as it lies comes last: who notes what norms see of it while it
# is drawn (`noted_statistics`) keeps that of the last run.
_SHIFTS: dict[int, tuple[tuple[int, int], ...]] = {
    1: ((0, 0),),
    2: ((2, 2), (0, 0)),
    4: ((3, 3), (2, 1), (1, 2), (0, 0)),
}


def require_steady(steady: int) -> None:
    """Raise SettingsError unless it is a number of shifts that there are."""
    if steady not in STEADY:
        raise SettingsError(
            f"steady is {steady}; 1 for one drawing, or the mean of 2 or 4 is needed."
        )


def steady_mean(
    draw: Callable[[Tensor], Tensor], pictures: Tensor, steady: Steady, seamless: Seamless = "none"
) -> Tensor:
    """The mean of what is drawn of shifted pictures, each shifted back.

    Args:
        draw: (B, 3, H, W) to the same shape, of any size.
        pictures: (B, 3, H, W), both sides above 3 px.
        steady: how many shifts; 1 draws the pictures as they are.
        seamless: axes along which they wrap; along others shifts show their mirrored border.

    Returns:
        (B, 3, H, W).
    """
    drawn = [_back(draw(_shifted(pictures, by, seamless)), by, seamless) for by in _SHIFTS[steady]]
    return drawn[0] if steady == 1 else torch.stack(drawn).mean(dim=0)


def _shifted(pictures: Tensor, by: tuple[int, int], seamless: Seamless) -> Tensor:
    rolled, (down, across) = _split(by, seamless)
    if any(rolled):
        pictures = pictures.roll(rolled, (-2, -1))
    return F.pad(pictures, (across, 0, down, 0), mode="reflect") if down or across else pictures


def _back(drawn: Tensor, by: tuple[int, int], seamless: Seamless) -> Tensor:
    (rolled_down, rolled_across), (down, across) = _split(by, seamless)
    return drawn[..., down:, across:].roll((-rolled_down, -rolled_across), (-2, -1))


def _split(by: tuple[int, int], seamless: Seamless) -> tuple[tuple[int, int], tuple[int, int]]:
    """The parts of a shift along axes that wrap, and along those that do not."""
    down, across = by
    wraps_down, wraps_across = wraps(seamless, "y"), wraps(seamless, "x")
    return (
        (down * wraps_down, across * wraps_across),
        (down * (not wraps_down), across * (not wraps_across)),
    )
