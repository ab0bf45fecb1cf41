"""The perceptual loss: content, style, smoothness and colour noise, as means.

All losses here return one value per picture, shape (B,), so that a batch may mix
styles; the caller takes the mean. Features come from an `encoder`; how the loss is
used is said in `adaptation` and `training`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from .errors import SettingsError, ShapeError
from .images import luminance

Features = Mapping[str, Tensor]
Normalisation = Literal["target_energy", "none"]


@dataclass(frozen=True)
class LossSettings:
    """Weights of the perceptual loss.

    Attributes:
        content_weight: factor of the content loss.
        style_weight: factor of the style loss. With `target_energy` 20 balances
            content and style for every style; with `none` the paper uses 1e5 at
            content weight 1 and ImageNet-normalised input.
        tv_weight: factor of the total variation.
        chroma_weight: factor of the colour noise: of what the variation of the
            colours exceeds the style's by.
        normalisation: `target_energy` divides each layer's error by the energy
            of its target, so that a weight means the same for every style;
            `none` is the paper's plain mean.
        layer_weights: optional factor per layer, by name; others have 1.
    """

    content_weight: float = 1.0
    style_weight: float = 20.0
    tv_weight: float = 0.0
    chroma_weight: float = 300.0
    normalisation: Normalisation = "target_energy"
    layer_weights: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        weights = {
            "content_weight": self.content_weight,
            "style_weight": self.style_weight,
            "tv_weight": self.tv_weight,
            "chroma_weight": self.chroma_weight,
            **self.layer_weights,
        }
        for name, value in weights.items():
            if not 0 <= value < float("inf"):
                raise SettingsError(f"{name} is {value}; a finite number from 0 up is needed.")
        if self.normalisation not in {"target_energy", "none"}:
            raise SettingsError(
                f"normalisation is '{self.normalisation}'; choose target_energy or none."
            )


@dataclass(frozen=True)
class StyleTarget:
    """What a stylized picture is compared with, without gradient.

    Attributes:
        grams: layer name to Gram matrices (B, C, C) or (1, C, C) of the style.
        chroma: (B,) or (1,), how much the style's colours vary from pixel to pixel.
    """

    grams: dict[str, Tensor]
    chroma: Tensor

    def repeat(self, times: int) -> "StyleTarget":
        """Each style `times` in a row, for a batch of several contents per style."""
        grams = {k: v.repeat_interleave(times, 0) for k, v in self.grams.items()}
        return StyleTarget(grams, self.chroma.repeat_interleave(times, 0))

    def select(self, rows: Tensor) -> "StyleTarget":
        """The styles at the given positions (N,)."""
        grams = {name: gram[rows] for name, gram in self.grams.items()}
        return StyleTarget(grams, self.chroma[rows])


@dataclass(frozen=True)
class LossTerms:
    """Unweighted terms and the weighted total, each (B,)."""

    content: Tensor
    style: Tensor
    total: Tensor

    def mean(self) -> dict[str, float]:
        """The terms averaged over the batch, as plain numbers."""
        terms = {"content": self.content, "style": self.style, "total": self.total}
        return {name: float(value.detach().mean()) for name, value in terms.items()}


def gram_matrix(features: Tensor) -> Tensor:
    """Channel correlations of a feature map, averaged over C*H*W.

    Args:
        features: (B, C, H, W), floating point, any range. Gradients flow.

    Returns:
        (B, C, C), symmetric, same dtype and device.

    Raises:
        ShapeError: `features` is not four-dimensional.

    Source:
        Johnson et al. 2016, section 3.1. Gatys et al. 2016 scale inside the loss instead.
    """
    if features.ndim != 4:
        raise ShapeError(f"Got features of shape {tuple(features.shape)}; (B, C, H, W) is needed.")
    _, channels, height, width = features.shape
    if features.is_contiguous(memory_format=torch.channels_last):
        pixels = features.permute(0, 2, 3, 1).flatten(1, 2)  # a view, as the layout is
    else:
        pixels = features.flatten(2).transpose(1, 2)
    return pixels.transpose(1, 2) @ pixels / (channels * height * width)


def style_target(features: Features, images: Tensor) -> StyleTarget:
    """What pictures of this style should have, in float32 and without gradient.

    Args:
        features: of the style pictures, layer name to (B, C, H, W).
        images: the style pictures, (B, 3, H, W), [0, 1].
    """
    grams = {k: gram_matrix(at_least_float32(v.detach())) for k, v in features.items()}
    return StyleTarget(grams, chroma_variation(at_least_float32(images.detach())))


def mean_target(targets: Sequence[StyleTarget]) -> StyleTarget:
    """What several pictures of one style have on average.

    Args:
        targets: at least one, of the same layers.
    """
    names = targets[0].grams
    grams = {k: torch.stack([target.grams[k] for target in targets]).mean(0) for k in names}
    return StyleTarget(grams, torch.stack([target.chroma for target in targets]).mean(0))


def content_loss(features: Tensor, target: Tensor, *, normalisation: Normalisation) -> Tensor:
    """Squared distance of one layer's features from the content's.

    Args:
        features: (B, C, H, W) of the stylized picture. Gradients flow.
        target: (B, C, H, W) of the content picture.
        normalisation: `none` gives the mean over C*H*W; `target_energy` divides
            that by the mean square of the target.

    Returns:
        (B,).

    Source:
        Johnson et al. 2016, equation 2.
    """
    error = (features - target).square().mean(dim=(1, 2, 3))
    if normalisation == "none":
        return error
    return error / _at_least_tiny(target.square().mean(dim=(1, 2, 3)))


def style_loss(features: Tensor, target: Tensor, *, normalisation: Normalisation) -> Tensor:
    """Squared distance of one layer's Gram matrix from the style's.

    Args:
        features: (B, C, H, W) of the stylized picture. Gradients flow.
        target: (B, C, C) or (1, C, C), from `gram_matrix`.
        normalisation: `none` gives the mean over C*C; `target_energy` divides
            that by the mean square of the target.

    Returns:
        (B,).

    Source:
        Johnson et al. 2016, equation 4, with the mean for the sum.
    """
    error = (gram_matrix(features) - target).square().mean(dim=(1, 2))
    if normalisation == "none":
        return error
    return error / _at_least_tiny(target.square().mean(dim=(1, 2)))


def total_variation(images: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels, down plus right.

    Args:
        images: (B, 3, H, W), at least 2 px on each side. Gradients flow.

    Returns:
        (B,).
    """
    down = (images[..., 1:, :] - images[..., :-1, :]).square().mean(dim=(1, 2, 3))
    right = (images[..., :, 1:] - images[..., :, :-1]).square().mean(dim=(1, 2, 3))
    return down + right


def chroma_variation(images: Tensor) -> Tensor:
    """Total variation of the colours alone: of what is left without the luminance.

    VGG hardly sees colours that change from pixel to pixel, so its Gram matrices let
    a network fill flat areas with them; photographs and paintings have few.

    Args:
        images: (B, 3, H, W), RGB, [0, 1], at least 2 px on each side. Gradients flow.

    Returns:
        (B,).
    """
    return total_variation(images - luminance(images))


def perceptual_loss(
    stylized: Tensor,
    features: Features,
    content_targets: Features,
    target: StyleTarget,
    settings: LossSettings,
    style_weights: Tensor | None = None,
) -> LossTerms:
    """Content, style, smoothness and colour noise of stylized pictures, weighted and added.

    Args:
        stylized: (B, 3, H, W), [0, 1]; used by the two variations.
        features: of `stylized`, layer name to (B, C, H, W). Gradients flow.
        content_targets: of the contents; its names are the content layers.
        target: of the styles; its names are the style layers.
        settings: weights and normalisation.
        style_weights: (B,) in place of the one style weight of `settings`.

    Returns:
        Terms of shape (B,), float32. Layers are averaged with their weights.

    Source:
        Johnson et al. 2016, equation 5.
    """
    norm, weights = settings.normalisation, settings.layer_weights
    content = torch.stack(
        [
            weights.get(k, 1.0)
            * content_loss(at_least_float32(features[k]), at_least_float32(v), normalisation=norm)
            for k, v in content_targets.items()
        ]
    ).mean(0)
    style = torch.stack(
        [
            weights.get(k, 1.0) * style_loss(at_least_float32(features[k]), v, normalisation=norm)
            for k, v in target.grams.items()
        ]
    ).mean(0)
    style_weight = settings.style_weight if style_weights is None else style_weights
    total = settings.content_weight * content + style_weight * style
    if settings.tv_weight:
        total = total + settings.tv_weight * total_variation(at_least_float32(stylized))
    if settings.chroma_weight:
        excess = (chroma_variation(at_least_float32(stylized)) - target.chroma).clamp_min(0)
        total = total + settings.chroma_weight * excess
    return LossTerms(content, style, total)


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32, or as they are in float64."""
    return values if values.dtype == torch.float64 else values.float()


def _at_least_tiny(energy: Tensor) -> Tensor:
    # An all-black style has no energy at all; the ratio must stay finite.
    return energy.clamp_min(1e-8)
