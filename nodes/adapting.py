"""Adaptation in the host: fresh copies outside inference mode, memory, reports."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Generator, Tensor

from ..metastyle_core.adaptation import MIN_STYLE_SIDE_PX, AdaptationSettings, adapt_to_style
from ..metastyle_core.base import Base
from ..metastyle_core.content import crop_contents
from ..metastyle_core.encoder import PerceptualEncoder
from ..metastyle_core.errors import MetaStyleError
from ..metastyle_core.images import limit_long_side, load_image
from ..metastyle_core.style import AdaptedStyle
from ..metastyle_core.stylization import stylize
from ..metastyle_core.thumbnails import SCENE, draw_thumbnail
from . import host
from .model import MetaStyleModel, host_style
from .pictures import to_core_over_white
from .sockets import StyleValue, single_style
from .watching import Watcher
from .weights import open_encoder

_LOG = logging.getLogger(__name__)
_PREVIEW_PX = 768
_LIVE_PREVIEW_PX = 256
_PREVIEW_PICTURES = 4
# Per pixel of a content: 3.2 KB wait for the backward pass with the compact encoder, 4.8 KB
# with VGG-19; the rest is for gradients and the workspace of convolutions.
_BYTES_PER_PIXEL: Mapping[str, int] = {"compact": 4096}
_BYTES_PER_PIXEL_VGG = 8192


@dataclass(frozen=True)
class AdaptationRequest:
    """What the node was asked for.

    Attributes:
        style_images: IMAGE, pictures of one style.
        content_images: IMAGE to adapt on, or None for built-in contents.
        resume: style to go on from, or None.
        encoder: name of the perceptual encoder.
        settings: of the adaptation.
    """

    style_images: Tensor
    content_images: Tensor | None
    resume: StyleValue | None
    encoder: str
    settings: AdaptationSettings


@dataclass(frozen=True)
class AdaptationResult:
    """What the node gives back.

    Attributes:
        style: with a thumbnail, where the host wants it.
        preview: (B, 3, H, W), contents or our own scene in the style, [0, 1].
        report: losses and settings for people, one fact a line.
    """

    style: AdaptedStyle
    preview: Tensor
    report: str


def adapt(model: MetaStyleModel, request: AdaptationRequest, watcher: Watcher) -> AdaptationResult:
    """Adapt a copy of the model; nothing is left behind, however it ends.

    Args:
        model: not changed.
        request: what to do.
        watcher: told about every step; raises to stop.

    Raises:
        MetaStyleError: bad input, or too little memory for even one content at a time.
    """
    try:
        with host.training_mode():
            return _adapt_copy(model, request, watcher)
    finally:
        host.empty_cache()


def _adapt_copy(
    model: MetaStyleModel, request: AdaptationRequest, watcher: Watcher
) -> AdaptationResult:
    began_s = time.monotonic()
    styles = list(_pictures(request.style_images, "style_images").split(1))
    contents = None
    if request.content_images is not None:
        contents = _pictures(request.content_images, "content_images")
    host.make_room(_activation_bytes(request.encoder, request.settings))
    base = model.copy()
    encoder = open_encoder(request.encoder) if request.settings.steps else None
    style = _adapt_within_memory(base, encoder, styles, contents, request, watcher)
    preview = stylize(base, style, _shown(contents, _PREVIEW_PX))
    report = describe(style, time.monotonic() - began_s)
    with_picture = style.with_thumbnail(draw_thumbnail(base, style))
    return AdaptationResult(host_style(with_picture), preview, report)


def _pictures(images: Tensor, role: str) -> Tensor:
    # Cloned here, outside inference mode, or no gradient could flow through them.
    return to_core_over_white(images, role, MIN_STYLE_SIDE_PX).clone()


def _shown(contents: Tensor | None, long_side_px: int) -> Tensor:
    """Pictures in which people can judge the style: their own, or our scene."""
    pictures = load_image(SCENE).pixels[None] if contents is None else contents
    return limit_long_side(pictures[:_PREVIEW_PICTURES], long_side_px)


def _adapt_within_memory(
    base: Base,
    encoder: PerceptualEncoder | None,
    styles: list[Tensor],
    contents: Tensor | None,
    request: AdaptationRequest,
    watcher: Watcher,
) -> AdaptedStyle:
    """Adapt, with half the batch whenever the device has too little memory."""
    resume = _cloned(request.resume)
    start = "fixed" if base.predictor is None else "predicted"
    settings = replace(request.settings, initialisation=start)
    crops = None if contents is None else _crops(contents, settings)
    while True:
        try:
            return adapt_to_style(
                base,
                encoder,
                styles,
                crops,
                settings,
                resume=resume,
                on_step=watcher,
                preview_images=_shown(contents, _LIVE_PREVIEW_PX),
            )
        except RuntimeError as error:
            if not host.is_out_of_memory(error):
                raise
            host.let_go(error)
            settings = _with_half_the_batch(settings, error)


def _with_half_the_batch(settings: AdaptationSettings, error: Exception) -> AdaptationSettings:
    if settings.batch == 1:
        raise MetaStyleError(
            "There is not enough device memory to adapt even one content at a time. Lower "
            "brush_size, choose the encoder 'compact' or the mode 'norm', or free memory."
        ) from error
    smaller = replace(settings, batch=settings.batch // 2)
    _LOG.warning("Out of memory at %d contents per step; trying %d.", settings.batch, smaller.batch)
    return smaller


def _crops(contents: Tensor, settings: AdaptationSettings) -> Tensor:
    generator = Generator().manual_seed(settings.seed)
    images = list(contents.split(1))
    return crop_contents(images, settings.content_count, settings.content_size_px, generator)


def _cloned(resume: StyleValue | None) -> AdaptedStyle | None:
    """The style to go on from, with tensors that gradients can flow through."""
    if resume is None:
        return None
    style = single_style(resume, "resume")
    cloned = {name: tensor.detach().clone() for name, tensor in style.fast_weights.items()}
    return replace(style, fast_weights=cloned)


def _activation_bytes(encoder: str, settings: AdaptationSettings) -> int:
    pixels = settings.batch * settings.content_size_px**2
    return pixels * _BYTES_PER_PIXEL.get(encoder, _BYTES_PER_PIXEL_VGG)


def describe(style: AdaptedStyle, elapsed_s: float) -> str:
    """The loss report: one fact a line.

    Args:
        style: what came out.
        elapsed_s: how long it took.
    """
    values = sum(tensor.numel() for tensor in style.fast_weights.values())
    facts = {
        "mode": f"{style.mode}, {values:,} numbers",
        "steps": f"{style.settings['steps']} in {elapsed_s:.1f} s",
        "encoder": style.settings["encoder"] or "not needed",
        "contents": style.settings["contents"],
        "batch": style.settings["batch"],
        **{f"{name} loss": f"{value:.4g}" for name, value in style.losses.items()},
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items())
