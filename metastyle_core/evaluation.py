"""How good a style is: the reporting metric, and a table of modes and steps.

The metric is a yardstick that stays the same whatever the training loss: Gram and
feature distances under a named encoder, relative to the energy of their targets,
plus the structural similarity of luminance. Lower totals are better; the picture
has the last word.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .adaptation import AdaptationSettings, adapt_to_style
from .base import Base
from .encoder import PerceptualEncoder
from .errors import SettingsError
from .images import luminance
from .losses import content_loss
from .network import ADAPTATION_MODES, StylizationNetwork
from .seeding import seeded
from .style_distance import GramTarget, gram_matrix
from .stylization import stylize

STYLE_WEIGHT = 20.0
EVALUATION_MODES: tuple[str, ...] = (*ADAPTATION_MODES, "scratch")


@dataclass(frozen=True)
class Score:
    """The reporting metric of one picture.

    Attributes:
        style: mean over the style layers of the relative squared Gram error.
        content: relative squared feature error at the content layer.
        total: content + 20 * style.
        ssim: structural similarity of luminance with the content.
        style_layers: the style error layer by layer.
    """

    style: float
    content: float
    total: float
    ssim: float
    style_layers: Mapping[str, float]


@torch.inference_mode()
def score(
    encoder: PerceptualEncoder, stylized: Tensor, content: Tensor, style_image: Tensor
) -> Score:
    """Measure one stylized picture.

    Args:
        encoder: the judge, such as `vgg19_caffe`.
        stylized: (1, 3, H, W), [0, 1].
        content: (1, 3, H, W), the picture it was made from.
        style_image: (1, 3, H', W'), the style it should have.
    """
    features = encoder(stylized)
    spec = encoder.spec
    targets = encoder(content, spec.content_layers)
    layers = {
        name: float(GramTarget(gram_matrix(f)).distance(features[name], torch.Generator()))
        for name, f in encoder(style_image, spec.style_layers).items()
    }
    style = sum(layers.values()) / len(layers)
    distances = [
        float(content_loss(features[name], target, normalisation="target_energy"))
        for name, target in targets.items()
    ]
    content_error = sum(distances) / len(distances)
    similarity = structural_similarity(stylized, content)
    return Score(style, content_error, content_error + STYLE_WEIGHT * style, similarity, layers)


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


@dataclass(frozen=True)
class Entry:
    """One style at one mode and number of steps, over all contents (geometric means)."""

    style_name: str
    mode: str
    steps: int
    style: float
    content: float
    total: float
    ssim: float
    style_layers: Mapping[str, float]
    adapt_s: float


def evaluate(
    base: Base,
    adapt_encoder: PerceptualEncoder,
    judge: PerceptualEncoder,
    styles: Mapping[str, Tensor],
    contents: Sequence[Tensor],
    *,
    modes: Sequence[str],
    steps: Sequence[int],
    settings: AdaptationSettings,
    adapt_contents: Tensor | None = None,
    on_picture: Callable[[str, str, int, list[Tensor]], None] | None = None,
) -> Iterator[Entry]:
    """Adapt every style in every mode with every number of steps, and measure.

    Args:
        base: the base.
        adapt_encoder: of the loss while adapting.
        judge: of the metric.
        styles: name to (1, 3, H, W).
        contents: (1, 3, H, W) pictures that adaptation does not see.
        modes: of `EVALUATION_MODES`. `scratch` is the same network with random
            weights, all of which adapt.
        steps: numbers of steps, each with a schedule of its own.
        settings: everything else about adaptation.
        adapt_contents: (N, 3, H, W) to adapt on; None takes the built-in ones.
        on_picture: told style, mode, steps and the stylized contents.

    Yields:
        One entry per style, mode and number of steps, as soon as it is known.
    """
    for name, style_image in styles.items():
        for mode in modes:
            start, mode_settings = _start(base, mode, settings)
            for count in steps:
                began_s = time.monotonic()
                adapted = adapt_to_style(
                    start,
                    adapt_encoder,
                    [style_image],
                    adapt_contents,
                    replace(mode_settings, steps=count),
                    name=name,
                )
                adapt_s = time.monotonic() - began_s
                pictures = [stylize(start, adapted, c, precision="fp32") for c in contents]
                if on_picture is not None:
                    on_picture(name, mode, count, pictures)
                scores = [
                    score(judge, picture, content, style_image)
                    for picture, content in zip(pictures, contents, strict=True)
                ]
                yield _entry(name, mode, count, adapt_s, scores)


def _start(base: Base, mode: str, settings: AdaptationSettings) -> tuple[Base, AdaptationSettings]:
    if mode != "scratch":
        if mode not in ADAPTATION_MODES:
            raise SettingsError(f"mode is '{mode}'; choose {', '.join(EVALUATION_MODES)}.")
        return base, replace(settings, mode=mode)
    with seeded(settings.seed):
        network = StylizationNetwork(base.network.channels, base.network.blocks)
    network.requires_grad_(False).to(base.device)
    random_base = Base(network, None, sha256="random", training={})
    return random_base, replace(
        settings, mode="full", initialisation="fixed", learning_rate=settings.learning_rate or 1e-3
    )


def _entry(name: str, mode: str, steps: int, adapt_s: float, scores: Sequence[Score]) -> Entry:
    return Entry(
        style_name=name,
        mode=mode,
        steps=steps,
        style=geometric_mean([s.style for s in scores]),
        content=geometric_mean([s.content for s in scores]),
        total=geometric_mean([s.total for s in scores]),
        ssim=sum(s.ssim for s in scores) / len(scores),
        style_layers={
            layer: geometric_mean([s.style_layers[layer] for s in scores])
            for layer in scores[0].style_layers
        },
        adapt_s=adapt_s,
    )


def geometric_mean(values: Sequence[float]) -> float:
    """Exponential of the mean logarithm; zeros count as 1e-12."""
    return math.exp(sum(math.log(max(value, 1e-12)) for value in values) / len(values))


def summarise(entries: Sequence[Entry]) -> list[dict[str, object]]:
    """Geometric means over styles, one row per mode and number of steps, in order met."""
    groups: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.mode, entry.steps), []).append(entry)
    return [
        {
            "mode": mode,
            "steps": steps,
            "styles": len(group),
            "style": geometric_mean([e.style for e in group]),
            "content": geometric_mean([e.content for e in group]),
            "total": geometric_mean([e.total for e in group]),
            "ssim": sum(e.ssim for e in group) / len(group),
            "adapt_s": sum(e.adapt_s for e in group) / len(group),
        }
        for (mode, steps), group in groups.items()
    ]
