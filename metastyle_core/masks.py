"""Masks: where in a picture a style goes."""

import torch
from torch import Tensor

from .errors import SettingsError, ShapeError
from .images import LoadedImage, luminance, resize


def mask_from(loaded: LoadedImage) -> Tensor:
    """A picture as a mask (1, 1, H, W): its luminance, transparent parts black."""
    light = luminance(loaded.pixels[None])
    return light if loaded.alpha is None else light * loaded.alpha


def require_mask(
    mask: Tensor, count: int, height: int, width: int, *, what: str = "The mask"
) -> None:
    """Refuse a mask that cannot be laid over pictures.

    Args:
        mask: (M, 1, H, W), 1 where the style goes, 0 where the photograph stays.
        count: of the pictures; there must be one mask for all or one each.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels. A mask of another size must have their ratio,
            as far as both could be rounded to whole pixels.
        what: begins the messages.

    Raises:
        ShapeError: its shape, its number or its ratio does not fit.
        SettingsError: it is 0 everywhere, or holds NaN.
    """
    if mask.ndim != 4 or mask.shape[1] != 1 or not mask.numel():
        raise ShapeError(f"{what} has shape {tuple(mask.shape)}; (M, 1, H, W) is needed.")
    if not bool(torch.isfinite(mask).all()):
        raise SettingsError(f"{what} holds NaN or infinity; paint or load it again.")
    if not bool((mask > 0).any()):
        raise SettingsError(
            f"{what} is empty: it is 0 everywhere, so that nothing would be stylized. Paint "
            "where the style goes, or invert it."
        )
    if len(mask) not in {1, count}:
        raise ShapeError(
            f"{what} comes as {len(mask)} masks for {count} pictures; give one for all or one each."
        )
    rows, columns = mask.shape[-2:]
    rounding = (rows + columns + height + width) / 2
    if abs(columns * height - rows * width) > rounding:
        raise ShapeError(
            f"{what} is {columns}x{rows} px and the picture {width}x{height} px, of another "
            "ratio; make the mask from this picture or crop it alike."
        )


def fitted_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """A mask that `require_mask` has let pass, at the size of the pictures.

    Returns:
        (M, 1, height, width), float32, [0, 1]; soft edges stay soft.
    """
    return resize(mask.float().clamp(0, 1), height, width)
