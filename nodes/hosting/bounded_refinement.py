"""Refinement in the host: outside inference mode, in tiles that device memory holds."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...metastyle_core.adaptation import (
    MIN_STYLE_SIDE_PX,
    StepReport,
    StopLearning,
    wants_to_stop,
)
from ...metastyle_core.encoder import PerceptualEncoder
from ...metastyle_core.errors import MetaStyleError, SettingsError, ShapeError
from ...metastyle_core.network import MIN_SIDE_PX
from ...metastyle_core.refinement import RefinementSettings, refine
from ...metastyle_core.style import AdaptedStyle
from ...metastyle_core.style_statistics import StyleStatistics
from . import host
from .bounded_stylization import StylizationSettings, stylize_images
from .model import MetaStyleModel
from .pictures import require_images, to_core, to_core_filled, to_core_over_white
from .sockets import StyleValue, single_style
from .weights import open_encoder

_LOG = logging.getLogger(__name__)
_SMALLEST_TILE_PX = 128
# As in adaptation, of a tile with its rims: what waits for the compact encoder's backward pass.
_BYTES_PER_PIXEL = 4096
_RIMS_PX = 128

OnStep = Callable[[StepReport], None]


@dataclass(frozen=True)
class RefinementRequest:
    """What the node was asked for.

    Attributes:
        style: in which the pictures are drawn.
        images: IMAGE, the photographs.
        stylized: IMAGE to go on from, or None to draw it.
        style_images: IMAGE, pictures of the style, or None to use its statistics.
        settings: of the refinement.
    """

    style: StyleValue
    images: Tensor
    stylized: Tensor | None
    style_images: Tensor | None
    settings: RefinementSettings


def refine_images(model: MetaStyleModel, request: RefinementRequest, on_step: OnStep) -> Tensor:
    """Refine the host's pictures one after another.

    Args:
        model: not changed.
        request: what to do.
        on_step: told about every step over all pictures; `StopLearning` keeps what is
            refined and leaves the rest as drawn, other exceptions pass through.

    Returns:
        (B, 3 or 4, H, W), [0, 1]; an alpha channel passes through.

    Raises:
        MetaStyleError: bad input, nothing to refine by, or too little memory.
    """
    require_images(request.images, "images", MIN_SIDE_PX)
    goal = _goal(request) if request.settings.steps else []
    starts = _starts(model, request)
    if not request.settings.steps:
        return starts.movedim(-1, 1)
    try:
        with host.training_mode():
            refined = _refine_all(request, starts, goal, on_step)
    finally:
        host.empty_cache()
    alpha = request.images[..., 3:].movedim(-1, 1)
    return torch.cat([refined, alpha.to(refined)], dim=1)


def _goal(request: RefinementRequest) -> list[Tensor] | StyleStatistics:
    """Pictures given by hand, or what the style keeps of its own."""
    if request.style_images is not None:
        pictures = to_core_over_white(request.style_images, "style_images", MIN_STYLE_SIDE_PX)
        return list(pictures.split(1))
    style = single_style(request.style, "style")
    if style.statistics is None:
        raise SettingsError(
            f"Style '{style.name}' keeps no statistics to refine by. Connect the picture it was "
            "learned from to 'style_images', or adapt it again with keep_statistics."
        )
    return style.statistics


def _starts(model: MetaStyleModel, request: RefinementRequest) -> Tensor:
    """What to go on from: IMAGE of the photographs' size and number."""
    if request.stylized is None:
        settings = StylizationSettings(strength=1.0, precision=request.settings.precision)
        return stylize_images(model, request.style, request.images, settings)
    require_images(request.stylized, "stylized", MIN_SIDE_PX)
    if request.stylized.shape[:3] != request.images.shape[:3]:
        raise ShapeError(
            f"Input 'stylized' is {_described(request.stylized)} and 'images' "
            f"{_described(request.images)}; connect what Stylize made of these photographs."
        )
    return request.stylized


def _described(images: Tensor) -> str:
    count, height, width, _ = images.shape
    return f"{count} of {width}x{height} px"


def _refine_all(
    request: RefinementRequest,
    starts: Tensor,
    goal: list[Tensor] | StyleStatistics,
    on_step: OnStep,
) -> Tensor:
    # Cloned, outside inference mode, or no gradient could flow through them.
    if isinstance(goal, list):
        goal = [image.clone() for image in goal]
    encoder = open_encoder("compact" if isinstance(goal, list) else goal.encoder)
    levels = request.style.levels if isinstance(request.style, AdaptedStyle) else 0.0
    settings = replace(request.settings, levels=levels)
    count, refined = len(request.images), list[Tensor]()
    for number in range(count):
        rows = slice(number, number + 1)
        photograph = to_core_filled(request.images[rows], "images").clone()
        start = to_core(starts[rows], "stylized").clone()
        told = _Over(on_step, number, count)
        refined.append(_refine_within_memory(encoder, photograph, start, goal, settings, told))
        if told.stopped:
            rest = slice(number + 1, count)
            refined.append(starts[rest, ..., :3].movedim(-1, 1).to(refined[0]))
            break
    return torch.cat(refined)


@dataclass
class _Over:
    """Counts the steps of one picture as part of those of all, and notes where they end."""

    on_step: OnStep
    number: int
    count: int
    stopped: bool = False

    def __call__(self, report: StepReport) -> None:
        done = self.number * report.steps + report.step
        all_steps = replace(report, step=done, steps=self.count * report.steps)
        self.stopped = wants_to_stop(self.on_step, all_steps)
        if self.stopped:
            raise StopLearning


def _refine_within_memory(
    encoder: PerceptualEncoder,
    photograph: Tensor,
    start: Tensor,
    goal: list[Tensor] | StyleStatistics,
    settings: RefinementSettings,
    on_step: OnStep,
) -> Tensor:
    """Refine one picture, in smaller tiles whenever the device has too little memory."""
    while True:
        pixels = min(
            photograph.shape[-2] * photograph.shape[-1], (settings.tile_px + _RIMS_PX) ** 2
        )
        host.make_room(pixels * _BYTES_PER_PIXEL)
        try:
            return refine(
                encoder,
                photograph,
                start,
                goal,
                settings,
                on_step=on_step,
                on_tile=host.stop_if_interrupted,
            )
        except RuntimeError as error:
            host.recover(error)
            settings = _with_smaller_tiles(settings, photograph, error)


def _with_smaller_tiles(
    settings: RefinementSettings, photograph: Tensor, error: Exception
) -> RefinementSettings:
    if settings.tile_px <= _SMALLEST_TILE_PX:
        height, width = photograph.shape[-2:]
        raise MetaStyleError(
            f"There is not enough device memory to refine a picture of {width}x{height} px; make "
            "the input 'images' smaller, or close other programs that use the device."
        ) from error
    smaller = replace(settings, tile_px=settings.tile_px // 2)
    _LOG.warning("Out of memory in tiles of %d px; trying %d.", settings.tile_px, smaller.tile_px)
    return smaller
