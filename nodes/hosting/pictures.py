"""Between the host's IMAGE (B, H, W, C) and the core's (B, 3, H, W), both in [0, 1]."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...metastyle_core.checks import require_sides, require_unit_range
from ...metastyle_core.errors import ShapeError
from ...metastyle_core.images import resize
from ...metastyle_core.mixing import shares_of_sum
from ...metastyle_core.style import AdaptedStyle
from ...metastyle_core.transparency import fill_hidden, over_white
from . import host


def require_images(images: Tensor, role: str, least_px: int = 1) -> None:
    """Refuse what is not a batch of pictures large enough.

    Args:
        images: what arrived.
        role: the input's name, for the message.
        least_px: what both sides must have.

    Raises:
        ShapeError: not (B, H, W, C) with 1, 3 or 4 channels and at least one picture,
            or too small.
    """
    if images.ndim != 4 or images.shape[-1] not in {1, 3, 4} or not len(images):
        raise ShapeError(
            f"Input '{role}' has shape {tuple(images.shape)}; a batch of pictures "
            "(B, H, W, 3) is needed. Connect an IMAGE with at least one picture."
        )
    _, height, width, _ = images.shape
    require_sides(f"Input '{role}'", height, width, least_px)


def to_core(images: Tensor, role: str) -> Tensor:
    """Colour of the host's pictures: (B, 3, H, W), float32, clamped, without alpha.

    Raises:
        ShapeError: not a batch of pictures.
        SettingsError: NaN, infinity, or a range far from [0, 1], such as 0..255.
    """
    require_images(images, role)
    colour = images[..., :3].movedim(-1, 1).float()
    require_unit_range(colour, f"Input '{role}'")
    return colour.expand(-1, 3, -1, -1).clamp(0, 1)


def alpha_to_core(images: Tensor) -> Tensor | None:
    """Alpha of the host's pictures: (B, 1, H, W), float32, clamped; None without any."""
    if images.shape[-1] < 4:
        return None
    return images[..., 3:].movedim(-1, 1).float().clamp(0, 1)


def mask_to_core(mask: Tensor) -> Tensor:
    """The host's MASK (M, H, W) or (H, W) as (M, 1, H, W), not yet checked."""
    return mask.unsqueeze(-3) if mask.ndim == 3 else mask[None, None]


def to_core_filled(images: Tensor, role: str) -> Tensor:
    """As `to_core`, colour that alpha hides filled from its neighbours."""
    colour, alpha = to_core(images, role), alpha_to_core(images)
    return colour if alpha is None else fill_hidden(colour, alpha)


def to_core_over_white(images: Tensor, role: str, least_px: int = 1) -> Tensor:
    """As `to_core`, transparent parts over white, and with a least size."""
    require_images(images, role, least_px)
    colour, alpha = to_core(images, role), alpha_to_core(images)
    return colour if alpha is None else over_white(colour, alpha)


def to_host(images: Tensor) -> Tensor:
    """The core's pictures as IMAGE, on the device and in the format the host keeps."""
    channels_last = images.clamp(0, 1).movedim(1, -1)
    return channels_last.to(host.result_device(), host.result_dtype()).contiguous()


def thumbnail_to_host(style: AdaptedStyle) -> Tensor | None:
    """The thumbnail of a style as IMAGE, or None where there is none."""
    if style.thumbnail is None:
        return None
    with Image.open(BytesIO(style.thumbnail)) as picture:
        return pil_to_host(picture)


def pil_to_host(picture: Image.Image) -> Tensor:
    """A Pillow picture as IMAGE (1, H, W, 3)."""
    pixels = np.array(picture.convert("RGB"), dtype=np.float32)
    return torch.from_numpy(pixels)[None] / 255


def mix_thumbnails(styles: Sequence[AdaptedStyle], weights: Sequence[float]) -> Tensor | None:
    """The thumbnails of styles laid over one another, each as strong as its weight.

    Args:
        styles: at least one.
        weights: one per style, used as shares of their sum, which is not 0.

    Returns:
        (1, 3, H, W), [0, 1], of the first one's size; None where a style has no thumbnail.
    """
    thumbnails = [thumbnail_to_host(style) for style in styles]
    pictures = [each.movedim(-1, 1) for each in thumbnails if each is not None]
    if len(pictures) < len(styles):
        return None
    height, width = pictures[0].shape[-2:]
    sized = torch.cat([resize(picture, height, width) for picture in pictures])
    shares = torch.tensor(shares_of_sum(weights))
    return (shares.view(-1, 1, 1, 1) * sized).sum(0, keepdim=True).clamp(0, 1)
