"""Measures of a stylized picture that no loss here minimises as they stand.

The yardstick is the sliced total under VGG-19; beside it stand the paper's side (Gram),
the structure, what the eye complains of first (softness, weave) and what film shows
(flicker). Every measure takes pictures (1, 3, H, W), RGB, [0, 1].
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Generator, Tensor

from .encoder import PerceptualEncoder
from .errors import SettingsError
from .images import gaussian_blur, luminance
from .losses import (
    FINEST_SIGMA_PX,
    blotches,
    chroma_variation,
    content_loss,
    fine_repetition,
    hatching,
)
from .style_distance import (
    GramTarget,
    at_least_float32,
    gram_matrix,
    random_directions,
    spread,
    spread_out,
)

STYLE_WEIGHT = 20.0
BANDS = 4
_YARDSTICK_DIRECTIONS = 128
_DIRECTIONS_AT_ONCE = 16
_WEAVE_SIGMAS_PX = (FINEST_SIGMA_PX, 6.0)
_WEAVE_WINDOW_PX = 64
_WEAVE_LAGS_PX = (3, 24)
_STRUCTURE_TEMPERATURE = 0.1
_STRUCTURE_PLACES_PER_SIDE = 24
_PAN_FRAMES = 4
_PAN_STEPS_PX = (1, 2, 3)


@torch.inference_mode()
def measure(
    encoder: PerceptualEncoder, stylized: Tensor, content: Tensor, style_image: Tensor
) -> dict[str, float]:
    """Measure one stylized picture against its content and its style.

    Args:
        encoder: the judge, such as `vgg19_caffe`.
        stylized: (1, 3, H, W), both sides at least 64 px.
        content: (1, 3, H, W), the picture it was made from.
        style_image: (1, 3, H', W'), the style it should have.

    Returns:
        `style`, the mean of the sliced distances of the style layers, which stand beside it
        as `style_relu1_2` and so on; `content`, the relative squared feature error;
        `total`, content + 20 style; `gram_style` and `gram_total`, the same by Gram matrices;
        `ssim`, `structure`, `weave`, `blotches`, `hatching` of the finest octave against the
        style's, `colour_noise` (root of the chroma's variation, levels of 255), `band_1`
        (finest) to `band_4`.
    """
    spec = encoder.spec
    own, of_content = encoder(stylized), encoder(content, spec.content_layers)
    of_style = encoder(style_image, spec.style_layers)
    layers = {f"style_{k}": sliced_distance(own[k], wanted) for k, wanted in of_style.items()}
    gram_style = _mean(
        [
            float(GramTarget(gram_matrix(wanted)).distance(own[name], Generator()))
            for name, wanted in of_style.items()
        ]
    )
    content_error = _mean(
        [
            float(content_loss(own[name], wanted, normalisation="target_energy"))
            for name, wanted in of_content.items()
        ]
    )
    style = _mean(list(layers.values()))
    bands = band_energies(stylized, style_image)
    return {
        "style": style,
        "content": content_error,
        "total": content_error + STYLE_WEIGHT * style,
        "gram_style": gram_style,
        "gram_total": content_error + STYLE_WEIGHT * gram_style,
        "ssim": structural_similarity(stylized, content),
        "structure": structure_distance(encoder, stylized, content),
        "weave": weave(stylized, content),
        "blotches": float(blotches(stylized, content)),
        "hatching": float(hatching(fine_repetition(stylized), fine_repetition(style_image))),
        "colour_noise": 255 * float(chroma_variation(stylized).sqrt()),
        **{f"band_{number}": ratio for number, ratio in enumerate(bands, start=1)},
        **layers,
    }


def over_pictures(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Geometric means of errors and ratios, arithmetic means of the rest.

    Args:
        measured: at least one, of the same names.
    """
    return {
        name: (geometric_mean if is_geometric(name) else _mean)([row[name] for row in measured])
        for name in measured[0]
    }


def is_geometric(name: str) -> bool:
    """Whether a measure is averaged geometrically: errors that span orders of magnitude."""
    return name.startswith(("style", "content", "total", "gram", "band"))


@torch.inference_mode()
def sliced_distance(features: Tensor, wanted: Tensor) -> float:
    """Sliced Wasserstein-2 distance of two feature maps, relative to the spread of the second.

    All places along 128 fixed directions. Where the maps differ in size, the values of the
    second along each direction are interpolated to the number of the first.

    Args:
        features: (1, C, H, W).
        wanted: (1, C, H', W').
    """
    generator = Generator().manual_seed(0)
    directions = random_directions(features.shape[1], _YARDSTICK_DIRECTIONS, generator)
    costs: list[Tensor] = []
    spreads: list[Tensor] = []
    # A few directions at a time: at 768 px all of them would fill 300 MB, several times.
    for some in directions.to(features.device).split(_DIRECTIONS_AT_ONCE, dim=1):
        own, other = (_ordered_along(some, f) for f in (features, wanted))
        if other.shape != own.shape:
            other = F.interpolate(other, own.shape[2], mode="linear", align_corners=False)
        costs.append((own - other).square().mean())
        spreads.append(spread(other))
    return float(torch.stack(costs).mean() / torch.cat(spreads).mean())


def _ordered_along(directions: Tensor, features: Tensor) -> Tensor:
    """Values of (1, C, H, W) along each of (C, K), sorted: (1, K, H*W), on the CPU."""
    values = directions.T @ at_least_float32(spread_out(features))[0].T
    # NumPy sorts rows of this length several times as fast as PyTorch.
    return torch.from_numpy(np.sort(values.cpu().numpy(), axis=1))[None]


def structural_similarity(first: Tensor, second: Tensor) -> float:
    """SSIM of the luminance of two (1, 3, H, W) pictures, as scikit-image computes it.

    Raises:
        SettingsError: scikit-image is not installed.

    Source:
        Wang et al. 2004, with their Gaussian window.
    """
    try:
        from skimage.metrics import structural_similarity as ssim
    except ImportError as error:
        raise SettingsError(
            "Measuring SSIM needs scikit-image; install it with: pip install 'metastyle[train]'."
        ) from error
    pictures = [luminance(picture.float())[0, 0].cpu().numpy() for picture in (first, second)]
    similarity: Any = ssim(
        *pictures, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(similarity)


def band_energies(stylized: Tensor, style_image: Tensor) -> list[float]:
    """How strong the four finest octaves of luminance are, relative to the style's.

    Below 1 in the first is softness, above it is noise.

    Args:
        stylized: (1, 3, H, W).
        style_image: (1, 3, H', W'), at the size at which it was read.

    Returns:
        Ratios of standard deviations, finest octave first: what a Gaussian of 0.7 px takes
        away, then what each Gaussian of twice the width takes away besides.
    """
    own, wanted = (_band_deviations(luminance(image)) for image in (stylized, style_image))
    return [a / max(b, 1e-6) for a, b in zip(own, wanted, strict=True)]


def _band_deviations(gray: Tensor) -> list[float]:
    blurred = [gray, *(gaussian_blur(gray, FINEST_SIGMA_PX * 2**i) for i in range(BANDS))]
    return [float((fine - coarse).std()) for fine, coarse in itertools.pairwise(blurred)]


def weave(stylized: Tensor, content: Tensor) -> float:
    """How strong a repeated pattern is where the photograph is flat, in levels of 255.

    In windows of 64 px where the photograph varies least (a third of them): the deviation of
    the band between Gaussians of 0.7 and 6 px, times the highest second peak of its
    autocorrelation at lags of 3 to 24 px (a peak is higher than all within 2 px). The mean.

    Args:
        stylized: (1, 3, H, W), both sides at least 64 px.
        content: (1, 3, H, W), the photograph.
    """
    fine, coarse = _WEAVE_SIGMAS_PX

    def windows(image: Tensor) -> Tensor:
        gray = 255 * luminance(image.float())
        band = gaussian_blur(gray, fine) - gaussian_blur(gray, coarse)
        side = _WEAVE_WINDOW_PX
        return F.unfold(band, side, stride=side)[0].T.unflatten(1, (side, side))

    own, flatness = windows(stylized), windows(content).flatten(1).std(dim=1)
    chosen = flatness.argsort()[: max(1, len(flatness) // 3)]
    strengths = [float(w.std()) * _second_peak(w) for w in own[chosen]]
    return _mean(strengths)


def _second_peak(window: Tensor) -> float:
    """Highest local maximum of the normalised autocorrelation of (N, N) away from the middle."""
    side, (nearest, farthest) = window.shape[0], _WEAVE_LAGS_PX
    centred = window - window.mean()
    power = torch.fft.rfft2(centred, s=(2 * side, 2 * side)).abs().square()
    products = torch.fft.irfft2(power, s=(2 * side, 2 * side)).roll((side, side), (0, 1))
    lags = torch.arange(-farthest - 2, farthest + 3, device=window.device)
    overlap = side - lags.abs()
    middle = slice(side - farthest - 2, side + farthest + 3)
    mean = products[middle, middle] / (overlap[:, None] * overlap[None, :])
    correlation = mean / centred.square().mean().clamp_min(1e-12)
    highest = F.max_pool2d(correlation[None, None], 5, stride=1, padding=2)[0, 0]
    away = torch.maximum(lags.abs()[:, None], lags.abs()[None, :])
    peaks = (correlation == highest) & (away >= nearest) & (away <= farthest)
    return float(correlation[peaks].max().clamp_min(0)) if bool(peaks.any()) else 0.0


@torch.inference_mode()
def structure_distance(encoder: PerceptualEncoder, stylized: Tensor, content: Tensor) -> float:
    """How far the picture's self-similarity has moved from the content's.

    Each place of the feature map has a distribution over all other places: the softmax of
    its cosine similarities, divided by a temperature without which all would look alike.
    The result is the mean Kullback-Leibler divergence of the stylized picture's from the
    content's. Colours and textures may change freely as long as what looked alike still
    does.

    Args:
        encoder: VGG; the first layer of its last block is read, relu4_1.
        stylized: (1, 3, H, W).
        content: (1, 3, H, W).

    Source:
        The idea of CFSD, "content feature structural distance" (Chung et al. 2024).
    """
    log_p, log_q = (_log_similarity(encoder, image) for image in (content, stylized))
    return float(F.kl_div(log_q, log_p, log_target=True, reduction="batchmean"))


def _log_similarity(encoder: PerceptualEncoder, image: Tensor) -> Tensor:
    layer = f"relu{len(encoder.spec.blocks)}_1"
    features = encoder(image, [layer])[layer]
    grid = F.adaptive_avg_pool2d(features, _STRUCTURE_PLACES_PER_SIDE)
    places = F.normalize(grid.flatten(2)[0].T, dim=1)
    return F.log_softmax(places @ places.T / _STRUCTURE_TEMPERATURE, dim=1)


def pan_error(
    stylize: Callable[[Tensor], Tensor], photograph: Tensor, size_px: int, step_px: int
) -> float:
    """How much a style changes beyond the motion when the picture pans, in levels of 255.

    A window of the photograph moves right and down by whole pixels. Each stylized frame,
    moved as the content moved, is compared with the next, away from the borders.

    Args:
        stylize: (1, 3, size, size) to the same shape.
        photograph: (1, 3, H, W), at least `size_px` plus three steps.
        size_px: side of the window.
        step_px: by how much the window moves from frame to frame, 1 up.

    Returns:
        Mean absolute difference over all pairs of frames.
    """
    frames = [
        stylize(photograph[..., at : at + size_px, at : at + size_px])
        for at in range(0, _PAN_FRAMES * step_px, step_px)
    ]
    margin = size_px // 16
    inner = slice(margin, -margin)
    changes = [
        (before[..., step_px:, step_px:] - after[..., :-step_px, :-step_px])[..., inner, inner]
        for before, after in itertools.pairwise(frames)
    ]
    return 255 * _mean([float(change.abs().mean()) for change in changes])


def pan_errors(stylize: Callable[[Tensor], Tensor], photograph: Tensor) -> dict[str, float]:
    """`pan_error` for steps of 1, 2 and 3 px, `pan_1` and so on, within a square photograph."""
    size_px = min(photograph.shape[-2:]) - _PAN_FRAMES * max(_PAN_STEPS_PX)
    return {f"pan_{step}": pan_error(stylize, photograph, size_px, step) for step in _PAN_STEPS_PX}


def geometric_mean(values: Sequence[float]) -> float:
    """Exponential of the mean logarithm; zeros count as 1e-12."""
    return math.exp(_mean([math.log(max(value, 1e-12)) for value in values]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
