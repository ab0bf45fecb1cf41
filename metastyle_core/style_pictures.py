"""The pictures that a style is learned from, and which of their places count.

A mask leaves out what is no part of the style: a frame, a signature, a bare sky. What it hides is
filled from its surroundings before an encoder sees it, so that features beside it do not know of
it, and places of feature maps that lie below it are left out of every statistic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from .errors import ShapeError
from .images import resize
from .levels import with_levels
from .masks import fitted_mask, require_mask
from .transparency import fill_hidden

# A place counts where its mask is at least this part of the mask's highest value.
_COUNTS_FROM = 0.5


@dataclass(frozen=True)
class StylePicture:
    """A picture of a style.

    Attributes:
        pixels: (1, 3, H, W), float32, [0, 1]; what does not count is filled.
        mask: (1, 1, H, W), 1 where it counts and 0 elsewhere; None where all of it does.
    """

    pixels: Tensor
    mask: Tensor | None = None

    def resized(self, height: int, width: int) -> "StylePicture":
        """The picture at another size."""
        pixels = resize(self.pixels, height, width)
        if self.mask is None:
            return StylePicture(pixels)
        return StylePicture(pixels, _counting(fitted_mask(self.mask, height, width)))

    def with_levels(self, amount: float) -> "StylePicture":
        """The picture brought so far towards full tones, by those of what counts."""
        return StylePicture(with_levels(self.pixels, amount, self.mask), self.mask)

    def counted(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Its feature maps (1, C, H, W) by layer, as (1, C, 1, N) where only some places count."""
        if self.mask is None:
            return dict(features)
        return {layer: _places_below(each, self.mask) for layer, each in features.items()}

    def share(self) -> float:
        """Which part of the picture counts."""
        return 1.0 if self.mask is None else float(self.mask.mean())


def style_pictures(
    images: Sequence[Tensor], masks: Sequence[Tensor] | None, least_px: int
) -> list[StylePicture]:
    """Pictures with their masks.

    Args:
        images: (1, 3, H, W), [0, 1], checked.
        masks: (1, 1, H, W), [0, 1], on any device: one for all pictures or one each, of the
            picture's ratio; None where all of every picture counts. A place counts where its
            mask has at least half of the mask's highest value.
        least_px: side of the square that must count of each picture.

    Raises:
        ShapeError: the number of the masks, or a shape, does not fit, or too little counts.
        SettingsError: a mask is 0 everywhere or holds NaN.
    """
    if masks is None:
        return [StylePicture(image) for image in images]
    if len(masks) not in {1, len(images)}:
        raise ShapeError(
            f"Got {len(masks)} style masks for {len(images)} style images; give one for all or "
            "one each."
        )
    each = masks if len(masks) == len(images) else [masks[0]] * len(images)
    return [_masked(image, mask, least_px) for image, mask in zip(images, each, strict=True)]


def _masked(image: Tensor, mask: Tensor, least_px: int) -> StylePicture:
    height, width = image.shape[-2:]
    require_mask(mask, 1, height, width, what="The style mask")
    fitted = _counting(fitted_mask(mask.to(image.device), height, width))
    counted = int(fitted.sum())
    if counted < least_px**2:
        raise ShapeError(
            f"The style mask leaves {counted} pixels of a style image; as many as {least_px}x"
            f"{least_px} are needed. Paint more of it white."
        )
    return StylePicture(fill_hidden(image, fitted), fitted)


def _counting(mask: Tensor) -> Tensor:
    return (mask >= _COUNTS_FROM * mask.amax()).to(mask)


def _places_below(features: Tensor, mask: Tensor) -> Tensor:
    """The columns (1, C, 1, N) of a feature map where the mask counts, at least one."""
    small = F.interpolate(mask, features.shape[-2:], mode="area")
    chosen = torch.nonzero(_counting(small).flatten()).flatten()
    return features.flatten(2).index_select(2, chosen)[:, :, None]
