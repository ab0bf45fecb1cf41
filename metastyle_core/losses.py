"""The perceptual loss: content, style and penalties of noise and softness, as means.

All losses here return one value per picture, shape (B,), so that a batch may mix
styles; the caller takes the mean. Features come from an `encoder`; how the loss is
used is said in `adaptation` and `training`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Generator, Tensor

from .checks import require_from, require_one_of
from .encoder import EncoderSpec
from .images import gaussian_blur, luminance
from .style_distance import (
    NORMALISATIONS,
    STYLE_DISTANCES,
    LayerTarget,
    Normalisation,
    SlicedTarget,
    StyleDistance,
    at_least_float32,
    layer_target,
)

Features = Mapping[str, Tensor]
ContentDistance = Literal["standardised", "plain"]
CONTENT_DISTANCES: tuple[ContentDistance, ...] = get_args(ContentDistance)
# What a Gaussian of this deviation takes away is the finest octave.
FINEST_SIGMA_PX = 0.7
# A style that is next to flat asks for next to nothing.
_LEAST_DETAIL = 1e-4
_TINY = 1e-8
# Beside the variance of a channel, as a share of the mean over channels: what hardly varies
# hardly counts.
_VARIANCE_FLOOR = 1e-2
# How far the finest octave is asked whether it repeats itself.
_REPETITION_PX = 6
# Over which colours are averaged before they are asked for blotches: wider than strokes. Small
# pictures have cells enough to tell a map of colours from chance.
_CELL_PX, _LEAST_CELLS = 16, 8
# Beside the sums of squares of the map's terms and of the colours, per cell.
_RIDGE, _FLAT = 1e-4, (2 / 255) ** 2


@dataclass(frozen=True)
class LossSettings:
    """Weights of the perceptual loss.

    Attributes:
        content_weight: factor of the content loss.
        content_distance: `standardised` compares features without the mean and the deviation
            of their channel, so that other colours and contrasts cost nothing and shapes that
            dissolve do; `plain` is the paper's. See `content_layers`.
        style_weight: factor of the style loss. With `target_energy` 8 keeps the picture
            readable and 20 paints more freely, for every style alike; with `none`,
            `gram` and `plain` the paper uses 1e5 at content weight 1 and ImageNet-normalised input.
        style_distance: `sliced` compares whole distributions of features, `gram` is the
            paper's; see `style_distance`.
        palette_weight: factor, in the style loss, of the layer that sees few pixels and so little
            but colours: the first, at every size, where there are others. Below 1 a picture takes
            the colours of the style and may hold more or less of each than the style does.
        nearest_weight: factor, beside the sliced distance, of how far the features of each place
            are from the nearest of the style's, in all style layers but the first: places get
            strokes of the style where the sliced distance gives all of them its textures
            together. Gram matrices keep no places, and beside them it counts nothing. See
            `relaxed_earth_movers`.
        style_scales: at how many sizes the style is compared, each half of the one before;
            see `features_at_scales`.
        tv_weight: factor of the total variation.
        chroma_weight: factor of the penalty on colour noise: what the variation of the
            colours exceeds the style's by.
        detail_weight: factor of the softness: the squared share of the style's finest
            octave that is missing.
        hatching_weight: factor of the hatching: how much more, or otherwise, the finest octave
            repeats itself than the style's does; see `fine_repetition`. Encoders forgive a
            grating of 3 px, and a network that is charged for softness draws it.
        blotch_weight: factor of the blotches: the share of the colours that those of the content
            do not explain; see `blotches`. The style distance does not ask where the light and
            dark of a painting go, and a network puts them as fog and bands on whatever is there.
        normalisation: `target_energy` divides each layer's error by the energy or
            spread of its target, so that a weight means the same for every style;
            `none` is the paper's plain mean. A standardised content has its own.
    """

    content_weight: float = 1.0
    content_distance: ContentDistance = "standardised"
    style_weight: float = 8.0
    style_distance: StyleDistance = "sliced"
    palette_weight: float = 0.3
    nearest_weight: float = 0.2
    style_scales: int = 1
    tv_weight: float = 0.0
    chroma_weight: float = 300.0
    detail_weight: float = 0.5
    hatching_weight: float = 0.1
    blotch_weight: float = 2.0
    normalisation: Normalisation = "target_energy"

    def __post_init__(self) -> None:
        require_from(self, 0.0, "content_weight", "style_weight")
        require_from(self, 0.0, "palette_weight", "nearest_weight")
        require_from(self, 0.0, "tv_weight", "chroma_weight", "detail_weight", "hatching_weight")
        require_from(self, 0.0, "blotch_weight")
        require_from(self, 1, "style_scales", most=3)
        require_one_of(self, "content_distance", CONTENT_DISTANCES)
        require_one_of(self, "style_distance", STYLE_DISTANCES)
        require_one_of(self, "normalisation", NORMALISATIONS)


@dataclass(frozen=True)
class StyleTarget:
    """What a stylized picture is compared with, without gradient.

    Attributes:
        layers: layer name to what its features should be like.
        chroma: (B,) or (1,), how much the style's colours vary from pixel to pixel.
        detail: (B,) or (1,), how strong the finest octave of the style is.
        repetition: (B, 7, 13) or (1, 7, 13), how it repeats itself.
    """

    layers: Mapping[str, LayerTarget]
    chroma: Tensor
    detail: Tensor
    repetition: Tensor = field(
        default_factory=lambda: torch.zeros(1, _REPETITION_PX + 1, 2 * _REPETITION_PX + 1)
    )

    def repeat(self, times: int) -> "StyleTarget":
        """Each style `times` in a row, for a batch of several contents per style."""
        layers = {name: layer.repeat(times) for name, layer in self.layers.items()}
        others = (self.chroma, self.detail, self.repetition)
        return StyleTarget(layers, *(v.repeat_interleave(times, 0) for v in others))


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


def style_target(
    features: Sequence[Features],
    images: Sequence[Tensor],
    distance: StyleDistance,
    generator: Generator,
    shares: Sequence[float] | None = None,
) -> StyleTarget:
    """What pictures of a style should have, in float32 and without gradient.

    Args:
        features: of each picture of the style, layer name to (B, C, H, W). Several
            pictures of one style are pooled; B different styles stand side by side.
        images: those pictures, (B, 3, H, W), [0, 1], at least one, sizes may differ.
        distance: what the target is for.
        generator: on the CPU; draws what is kept of the features.
        shares: which part of each picture counts, the rest of it being smooth; None for all.
    """
    layers = {
        name: layer_target(distance, [each[name] for each in features], generator)
        for name in features[0]
    }
    pictures = [at_least_float32(image.detach()) for image in images]
    parts = [1.0] * len(pictures) if shares is None else shares
    chroma = [chroma_variation(each) / part for each, part in zip(pictures, parts, strict=True)]
    detail = [fine_detail(each) / part**0.5 for each, part in zip(pictures, parts, strict=True)]
    repetition = [fine_repetition(each) for each in pictures]
    return StyleTarget(layers, *(torch.stack(v).mean(0) for v in (chroma, detail, repetition)))


def content_layers(spec: EncoderSpec, distance: ContentDistance) -> tuple[str, ...]:
    """The layers at which an encoder compares pictures with their contents.

    `plain` takes those of its spec. `standardised` has no colours to spare and takes the
    style layers behind the first, which are there anyway; a single one stands for itself.
    """
    if distance == "plain":
        return spec.content_layers
    return spec.style_layers[1:] or spec.style_layers


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


def standardised_content_loss(features: Tensor, target: Tensor) -> Tensor:
    """Squared distance of one layer's features from the content's, each channel standardised.

    Args:
        features: (B, C, H, W) of the stylized picture. Gradients flow, twice too.
        target: (B, C, H, W) of the content picture.

    Returns:
        (B,), 0 to 4.

    Source:
        Park and Lee 2019 (SANet), the content loss, which normalises features so; the
        floor of the variance is ours.
    """
    own, wanted = (f - f.mean((2, 3), keepdim=True) for f in (features, target))
    return standardised_error(
        own.square().mean((2, 3)), (own * wanted).mean((2, 3)), wanted.square().mean((2, 3))
    )


def standardised_error(variance: Tensor, covariance: Tensor, wanted: Tensor) -> Tensor:
    """The standardised content loss of features of which these moments are known.

    Args:
        variance: (B, C), of the channels of the stylized picture. Gradients flow.
        covariance: (B, C), with those of the content. Gradients flow.
        wanted: (B, C), variance of the content's.

    Returns:
        (B,).
    """
    own, other = (v + _VARIANCE_FLOOR * v.mean(1, keepdim=True) + _TINY for v in (variance, wanted))
    error = variance / own + wanted / other - 2 * covariance * (own * other).rsqrt()
    return error.mean(1)


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


def fine_detail(images: Tensor) -> Tensor:
    """How strong the finest octave is: the deviation of luminance from its Gaussian of 0.7 px.

    Args:
        images: (B, 3, H, W), [0, 1], at least 4 px on each side. Gradients flow, twice too.

    Returns:
        (B,).
    """
    gray = luminance(images)
    fine = gray - gaussian_blur(gray, FINEST_SIGMA_PX)
    # The root of a flat picture has no gradient at zero; a millionth does not matter.
    return (fine.square().mean(dim=(1, 2, 3)) + 1e-12).sqrt()


def fine_repetition(images: Tensor) -> Tensor:
    """How the finest octave repeats itself: its autocorrelation up to 6 px down and right.

    Args:
        images: (B, 3, H, W), [0, 1], at least 16 px on each side. Gradients flow, twice too.

    Returns:
        (B, 7, 13), -1 to 1: row and column say how many pixels down, from 0, and right, from
        -6, a copy is moved; what leaves the picture comes in on the other side. 1 where it is
        not moved.

    Source:
        The Wiener-Khinchin theorem.
    """
    gray = luminance(images)
    fine = (gray - gaussian_blur(gray, FINEST_SIGMA_PX))[:, 0]
    power = torch.view_as_real(torch.fft.rfft2(fine)).square().sum(-1)
    moved = torch.fft.irfft2(power, s=fine.shape[-2:])
    near = moved[:, : _REPETITION_PX + 1]
    near = torch.cat([near[..., -_REPETITION_PX:], near[..., : _REPETITION_PX + 1]], dim=-1)
    return near / (moved[:, :1, :1] + _TINY)


def hatching(repetition: Tensor, wanted: Tensor) -> Tensor:
    """Squared distance (B,) of two results of `fine_repetition`, over all shifts up to 6 px."""
    # A shift and its reverse are one; those along the row are there twice.
    error = (repetition - wanted).square()
    return 2 * error[:, 1:].sum((1, 2)) + error[:, 0].sum(1)


def blotches(images: Tensor, contents: Tensor) -> Tensor:
    """The share of the colours of pictures that the colours of their contents do not explain.

    Colours are averaged over cells of 16 px, and those of the picture fitted by a polynomial of
    degree two in those of the content. What is left is fog, bands and stains: places that look
    alike in the content and otherwise in the picture. Any palette is free.

    Args:
        images: (B, 3, H, W), RGB, [0, 1], at least 8 px on each side. Gradients flow, twice too.
        contents: of the same shape.

    Returns:
        (B,), 0 to 1.

    Source:
        Polynomial regression, and its coefficient of determination, of which this is the rest.
    """
    cell = max(1, min(_CELL_PX, *(side // _LEAST_CELLS for side in images.shape[-2:])))
    colours, own = (F.avg_pool2d(v, cell).flatten(2).mT for v in (contents.detach(), images))
    terms = _quadratic(colours - colours.mean(1, keepdim=True))
    own = own - own.mean(1, keepdim=True)
    ridge = _RIDGE * terms.shape[1] * torch.eye(9, dtype=terms.dtype, device=terms.device)
    # Never singular, so that no device need wait to hear whether it was.
    fit, _ = torch.linalg.solve_ex(terms.mT @ terms + ridge, terms.mT @ own)
    rest = (own - terms @ fit).square().mean((1, 2))
    return rest / (own.square().mean((1, 2)) + _FLAT)


def _quadratic(colours: Tensor) -> Tensor:
    """The terms (B, N, 9) of a polynomial of degree two in (B, N, 3), each without its mean."""
    products = colours[..., :, None] * colours[..., None, :]
    rows, columns = torch.triu_indices(3, 3, device=colours.device)
    terms = torch.cat([colours, products[..., rows, columns]], dim=-1)
    return terms - terms.mean(1, keepdim=True)


def perceptual_loss(
    stylized: Tensor,
    contents: Tensor,
    features: Features,
    content_targets: Features,
    target: StyleTarget,
    settings: LossSettings,
    generator: Generator,
    style_weights: Tensor | None = None,
) -> LossTerms:
    """Content, style and penalties of stylized pictures, weighted and added.

    Args:
        stylized: (B, 3, H, W), [0, 1]; used by the penalties.
        contents: (B, 3, H, W), [0, 1]; likewise.
        features: of `stylized`, layer name to (B, C, H, W). Gradients flow.
        content_targets: of the contents; its names are the content layers, see
            `content_layers`.
        target: of the styles; its names are the style layers.
        settings: weights and normalisation.
        generator: on the CPU; draws what the style distance looks at.
        style_weights: (B,) in place of the one style weight of `settings`.

    Returns:
        Terms of shape (B,), float32. Layers are averaged.

    Source:
        Johnson et al. 2016, equation 5.
    """
    norm, strokes = settings.normalisation, stroke_layers(target.layers)
    content = torch.stack(
        [
            _content_distance(at_least_float32(features[k]), at_least_float32(v), settings)
            for k, v in content_targets.items()
        ]
    ).mean(0)
    style = torch.stack(
        [
            (1.0 if k in strokes else settings.palette_weight)
            * layer.distance(features[k], generator, normalisation=norm)
            for k, layer in target.layers.items()
        ]
    ).mean(0)
    if settings.nearest_weight:
        style = style + settings.nearest_weight * nearest_distance(features, target, generator)
    style_weight = settings.style_weight if style_weights is None else style_weights
    total = settings.content_weight * content + style_weight * style
    if settings.tv_weight:
        total = total + settings.tv_weight * total_variation(at_least_float32(stylized))
    if settings.chroma_weight:
        excess = (chroma_variation(at_least_float32(stylized)) - target.chroma).clamp_min(0)
        total = total + settings.chroma_weight * excess
    if settings.hatching_weight:
        repetition = fine_repetition(at_least_float32(stylized))
        total = total + settings.hatching_weight * hatching(repetition, target.repetition)
    if settings.blotch_weight:
        stained = blotches(at_least_float32(stylized), at_least_float32(contents))
        total = total + settings.blotch_weight * stained
    if settings.detail_weight:
        missing = (target.detail - fine_detail(at_least_float32(stylized))).clamp_min(0)
        share = missing / (target.detail + _LEAST_DETAIL)
        total = total + settings.detail_weight * share.square()
    return LossTerms(content, style, total)


def nearest_distance(features: Features, target: StyleTarget, generator: Generator) -> Tensor:
    """Mean relaxed earth mover's distance over the style layers that see strokes.

    Args:
        features: layer name to (B, C, H, W). Gradients flow, twice too.
        target: of the styles. Layers of which no places are kept count nothing.
        generator: on the CPU; draws the places that are compared.

    Returns:
        (B,); zero where no layer keeps places.
    """
    layers = {name: target.layers[name] for name in stroke_layers(target.layers)}
    distances = [
        layer.nearest(features[name], generator)
        for name, layer in layers.items()
        if isinstance(layer, SlicedTarget)
    ]
    return torch.stack(distances).mean(0) if distances else torch.zeros_like(target.chroma)


def stroke_layers(style_layers: Collection[str]) -> list[str]:
    """The style layers, of every size, that see more than a few pixels: all but the first.

    A single one stands for itself.
    """
    first = next(iter(style_layers))
    deeper = [name for name in style_layers if name.partition("/")[0] != first]
    return deeper or list(style_layers)


def _content_distance(features: Tensor, target: Tensor, settings: LossSettings) -> Tensor:
    if settings.content_distance == "standardised":
        return standardised_content_loss(features, target)
    return content_loss(features, target, normalisation=settings.normalisation)


def _at_least_tiny(energy: Tensor) -> Tensor:
    # An all-black style has no energy at all; the ratio must stay finite.
    return energy.clamp_min(_TINY)
