"""Borders: what a convolution sees beyond the edge of a picture."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

Seamless = Literal["none", "x", "y", "both"]
SEAMLESS: tuple[Seamless, ...] = get_args(Seamless)


def wraps(seamless: Seamless, axis: Literal["x", "y"]) -> bool:
    """Whether a picture goes on at its other edge along an axis, so that copies join there."""
    return seamless in {axis, "both"}


def bordered(
    features: Tensor,
    border_px: int,
    seamless: Seamless = "none",
    mode: Literal["reflect", "replicate"] = "reflect",
) -> Tensor:
    """Add a border all round, from the other edge along the axes that wrap.

    Args:
        features: (B, C, H, W), both sides above `border_px`.
        border_px: its width.
        seamless: the axes that wrap.
        mode: of the border along the others.

    Returns:
        (B, C, H + 2 * border_px, W + 2 * border_px).
    """
    across = "circular" if wraps(seamless, "x") else mode
    down = "circular" if wraps(seamless, "y") else mode
    with _own_dtype(features):
        if across == down:
            return F.pad(features, (border_px,) * 4, mode=across)
        wide = F.pad(features, (border_px, border_px, 0, 0), mode=across)
        return F.pad(wide, (0, 0, border_px, border_px), mode=down)


def _own_dtype(features: Tensor) -> AbstractContextManager[object]:
    """Where no gradient flows, keep CPU autocast from padding in float32 between two conversions.

    Copies are exact in any format; gradients, which are sums, are not.
    """
    if torch.is_grad_enabled():
        return nullcontext()
    return torch.autocast(features.device.type, enabled=False)
