"""Adaptation in bounded memory: fresh copies outside inference mode, smaller batches, reports."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Generator, Tensor

from ...metastyle_core.adaptation import (
    MAX_STYLE_PIXELS,
    MIN_STYLE_SIDE_PX,
    AdaptationSettings,
    adapt_to_style,
    brush_for,
    refining_brush,
)
from ...metastyle_core.base import Base
from ...metastyle_core.content import in_quarters, own_contents
from ...metastyle_core.encoder import PerceptualEncoder
from ...metastyle_core.errors import MetaStyleError, SettingsError
from ...metastyle_core.refinement import measure_statistics
from ...metastyle_core.style import AdaptedStyle
from . import host
from .adaptation_request import AdaptationRequest, AdaptationResult
from .made_styles import key_of_style, made_before, remember
from .model import MetaStyleModel, host_style
from .pictures import require_images, to_core_over_white
from .previews import draw_preview, pictures_to_show, shrink, with_picture
from .sockets import StyleValue, single_style
from .watcher import Watcher
from .weights import open_encoder

_LOG = logging.getLogger(__name__)
_LIVE_PREVIEW_PX = 256
# Per pixel of a content: 3.2 KB wait for the backward pass with the compact encoder, 4.8 KB
# with VGG-19; the rest is for gradients and the workspace of convolutions.
_BYTES_PER_PIXEL: Mapping[str, int] = {"compact": 4096}
_BYTES_PER_PIXEL_VGG = 8192
# A pass without gradients, as over a style picture or a preview, needs this part of it.
_FORWARD_SHARE = 0.25


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


def brush_or_default(brush_size: int, content_images: Sequence[Tensor]) -> int:
    """The style size that a node asks for; 0 follows the contents, where there are any.

    Args:
        brush_size: in pixels, or 0.
        content_images: batches IMAGE (B, H, W, C); the first is followed.

    Raises:
        SettingsError: it is too small to read a picture at.
    """
    if brush_size and brush_size < MIN_STYLE_SIDE_PX:
        raise SettingsError(
            f"Input 'brush_size' is {brush_size}; 0 or at least {MIN_STYLE_SIDE_PX} is needed."
        )
    if brush_size:
        return brush_size
    if not content_images:
        return AdaptationSettings.style_size_px
    return brush_for(*content_images[0].shape[1:3])


def _adapt_copy(
    model: MetaStyleModel, request: AdaptationRequest, watcher: Watcher
) -> AdaptationResult:
    began_s = time.monotonic()
    batches = [_pictures(batch, "style_images") for batch in request.style_images]
    styles = [picture for batch in batches for picture in batch.split(1)]
    contents = _crops(request.content_images, request.settings)
    shown = pictures_to_show(request.content_images)
    read = [] if contents is None else [contents]
    key = key_of_style(model, request, {"style": styles, "content": read, "shown": [shown]})
    known = made_before(key, watcher)
    if known is not None:
        return known
    host.make_room(_activation_bytes(request, contents, shown))
    base = model.copy()
    encoder = open_encoder(request.encoder) if request.settings.steps else None
    style, as_asked = _adapt_within_memory(base, encoder, styles, contents, shown, request, watcher)
    if request.keep_statistics:
        style = _with_statistics(style, encoder or open_encoder(request.encoder), styles, request)
        as_asked = as_asked and style.statistics is not None
    preview = draw_preview(base, style, shown, request.settings.abstraction)
    report = describe(style, time.monotonic() - began_s)
    style = with_picture(base, style)
    result = AdaptationResult(host_style(style), preview.pictures, report)
    # With more memory another time, the same pictures and settings give more than this.
    if as_asked and preview.is_whole and style.thumbnail is not None:
        remember(key, result, watcher)
    return result


def _pictures(images: Tensor, role: str) -> Tensor:
    # Cloned here, outside inference mode, or no gradient could flow through them.
    return to_core_over_white(images, role, MIN_STYLE_SIDE_PX).clone()


def _crops(batches: Sequence[Tensor], settings: AdaptationSettings) -> Tensor | None:
    """Crops to learn on out of the user's pictures; None where there are none.

    Of a long clip only as many frames are read as there are crops, evenly picked.
    """
    if not batches:
        return None
    for batch in batches:
        require_images(batch, "content_images", MIN_STYLE_SIDE_PX)
    images = [row for batch in batches for row in batch.split(1)]
    count = min(len(images), settings.content_count)
    picked = torch.linspace(0, len(images) - 1, count).round().int().tolist()
    frames = [_pictures(images[i], "content_images") for i in picked]
    generator = Generator().manual_seed(settings.seed)
    count, size_px = settings.content_count, settings.content_size_px
    return own_contents(frames, count, size_px, generator, host.stop_if_interrupted)


def _adapt_within_memory(
    base: Base,
    encoder: PerceptualEncoder | None,
    styles: list[Tensor],
    contents: Tensor | None,
    shown: Tensor,
    request: AdaptationRequest,
    watcher: Watcher,
) -> tuple[AdaptedStyle, bool]:
    """Adapt; with too little memory on quarters of large contents, then with half the batch.

    Returns:
        The style, and whether memory sufficed to learn it as it was asked for.
    """
    resume = _cloned(request.resume)
    start = "fixed" if base.predictor is None else "predicted"
    settings = replace(request.settings, initialisation=start)
    masks = None if request.style_masks is None else [each.clone() for each in request.style_masks]
    as_asked = True
    while True:
        try:
            style = adapt_to_style(
                base,
                encoder,
                styles,
                contents,
                settings,
                resume=resume,
                on_step=watcher,
                on_content=host.stop_if_interrupted,
                preview_images=shrink(shown, _LIVE_PREVIEW_PX),
                style_masks=masks,
            )
        except RuntimeError as error:
            host.recover(error)
            as_asked = False
            if contents is not None and min(contents.shape[-2:]) > settings.content_size_px:
                height, width = contents.shape[-2:]
                _LOG.warning("Out of memory at %dx%d px; trying quarters.", width, height)
                contents = in_quarters(contents)
            else:
                settings = _with_half_the_batch(settings, request.encoder, error)
        else:
            return style, as_asked


def _with_statistics(
    style: AdaptedStyle,
    encoder: PerceptualEncoder,
    styles: list[Tensor],
    request: AdaptationRequest,
) -> AdaptedStyle:
    """The style with what refining needs of its pictures, or as it is where memory is short."""
    settings = request.settings
    try:
        kept = measure_statistics(
            encoder,
            styles,
            refining_brush(settings.style_size_px),
            settings.precision,
            request.style_masks,
            settings.levels,
        )
    except RuntimeError as error:
        host.recover(error)
        _LOG.warning("Out of memory for the statistics; the style keeps none.")
        return style
    return replace(style, statistics=kept)


def _with_half_the_batch(
    settings: AdaptationSettings, encoder: str, error: Exception
) -> AdaptationSettings:
    if settings.batch == 1:
        raise MetaStyleError(
            "There is not enough device memory to adapt even one content at a time; "
            f"{' or '.join(_remedies(settings, encoder))}."
        ) from error
    smaller = replace(settings, batch=settings.batch // 2)
    _LOG.warning("Out of memory at %d contents per step; trying %d.", settings.batch, smaller.batch)
    return smaller


def _remedies(settings: AdaptationSettings, encoder: str) -> list[str]:
    """What lowers the memory that one content needs; the mode does not."""
    remedies = ["close other programs that use the device"]
    if encoder != "compact":
        remedies.insert(0, "choose the encoder 'compact'")
    if settings.style_size_px**2 * _FORWARD_SHARE > settings.content_size_px**2:
        remedies.insert(0, "lower brush_size")
    return remedies


def _cloned(resume: StyleValue | None) -> AdaptedStyle | None:
    """The style to go on from, with tensors that gradients can flow through."""
    if resume is None:
        return None
    style = single_style(resume, "resume")
    cloned = {name: tensor.detach().clone() for name, tensor in style.fast_weights.items()}
    return replace(style, fast_weights=cloned)


def _activation_bytes(request: AdaptationRequest, contents: Tensor | None, shown: Tensor) -> int:
    """Memory for the largest of: a step, a pass over a style picture, a preview."""
    settings = request.settings
    sizes = [batch.shape[1:3] for batch in request.style_images]
    scaled = settings.style_size_px**2 * max(max(size) / min(size) for size in sizes)
    preview = shown.shape[-2] * shown.shape[-1]
    one = 0 if contents is None else contents.shape[-2] * contents.shape[-1]
    step = max(settings.batch * settings.content_size_px**2, one)
    pixels = max(step, _FORWARD_SHARE * max(preview, min(scaled, MAX_STYLE_PIXELS)))
    return round(pixels * _BYTES_PER_PIXEL.get(request.encoder, _BYTES_PER_PIXEL_VGG))


def _steps_done(style: AdaptedStyle) -> str:
    steps = style.settings["steps"]
    stopped_after = style.settings.get("stopped_after")
    return f"{steps}" if stopped_after is None else f"{stopped_after} of {steps}, then stopped,"


def describe(style: AdaptedStyle, elapsed_s: float) -> str:
    """The loss report: one fact a line.

    Args:
        style: what came out.
        elapsed_s: how long it took.
    """
    values = sum(tensor.numel() for tensor in style.fast_weights.values())
    loss = cast("Mapping[str, object]", style.settings["loss"])
    facts = {
        "mode": f"{style.mode}, {values:,} numbers",
        "steps": f"{_steps_done(style)} in {elapsed_s:.1f} s",
        "style weight": loss["style_weight"],
        "brush": f"{style.settings['style_size_px']} px",
        "seed": style.settings["seed"],
        "encoder": style.settings["encoder"] or "not needed",
        "contents": style.settings["contents"],
        "batch": style.settings["batch"],
        **({} if style.statistics is None else {"statistics": "kept for Refine"}),
        **{f"{name} loss": f"{value:.4g}" for name, value in style.losses.items()},
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items())
