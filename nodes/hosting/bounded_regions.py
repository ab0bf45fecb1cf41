"""Regions in bounded memory: one picture after another, each in several styles."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ...metastyle_core.drawing import enlargement
from ...metastyle_core.errors import MetaStyleError, SettingsError
from ...metastyle_core.network import MIN_SIDE_PX
from ...metastyle_core.regions import Region, RegionSettings, require_regions, stylize_regions
from ...metastyle_core.style import AdaptedStyle, check_style
from . import host
from .model import MetaStyleModel, style_patchers
from .pictures import alpha_to_core, mask_to_core, require_images, to_core
from .sockets import StyleValue, collect_masks, collect_styles, single_style

# At the widest layer with its maps of scales and shifts, in float32, and the workspace of
# convolutions.
_BYTES_PER_PIXEL = 2048


@dataclass(frozen=True)
class RegionRequest:
    """What the node was asked for.

    Attributes:
        images: IMAGE (B, H, W, C).
        regions: styles with masks (M, 1, H, W).
        rest: the style of all other places, or None for the pictures themselves.
        settings: of the drawing.
    """

    images: Tensor
    regions: list[Region]
    rest: AdaptedStyle | None
    settings: RegionSettings


def connected_regions(inputs: Mapping[str, object]) -> list[Region]:
    """The styles and masks that growing sockets received, pair by pair.

    Raises:
        SettingsError: there is none, or one without the other.
    """
    styles, masks = collect_styles(inputs), collect_masks(inputs)
    for number in sorted(styles.keys() ^ masks.keys()):
        given, missing = ("style", "mask") if number in styles else ("mask", "style")
        raise SettingsError(
            f"Input '{given}_{number}' is connected and '{missing}_{number}' is not; each style "
            "needs the mask of the same number. Connect it, or take the other away."
        )
    return [Region(style, mask_to_core(masks[number])) for number, style in styles.items()]


def rest_style(inputs: Mapping[str, object]) -> AdaptedStyle | None:
    """The style of what the masks leave free, or None where nothing is connected."""
    rest = cast("StyleValue | None", inputs.get("rest"))
    return None if rest is None else single_style(rest, "rest")


def draw_regions(model: MetaStyleModel, request: RegionRequest) -> Tensor:
    """Draw the host's pictures one after another.

    Args:
        model: not changed.
        request: what to do.

    Returns:
        IMAGE of the same shape, where the host keeps results; an alpha channel passes through.

    Raises:
        MetaStyleError: bad input, or too little memory for one picture.
    """
    images = request.images
    require_images(images, "images", MIN_SIDE_PX)
    require_regions(request.regions, *images.shape[:3])
    styles = [region.style for region in request.regions]
    styles += [] if request.rest is None else [request.rest]
    for style in styles:
        check_style(style, model.base())
    factor = enlargement(min(images.shape[1:3]), request.settings.supersampling)
    pixels = round(math.prod(images.shape[1:3]) * factor**2)
    host.load([model.patcher, *style_patchers(*styles)], pixels * _BYTES_PER_PIXEL)
    channels = max(3, images.shape[-1])
    result = torch.empty(
        (*images.shape[:3], channels), device=host.result_device(), dtype=host.result_dtype()
    )
    progress = host.Progress(len(images))
    for number in range(len(images)):
        host.stop_if_interrupted()
        result[number] = _draw_one(model, request, number)
        progress.show(number + 1)
    return result


def _draw_one(model: MetaStyleModel, request: RegionRequest, number: int) -> Tensor:
    base, chosen = model.base(), request.images[number : number + 1]
    regions = _present(request, number)
    if not regions:
        return chosen[0]
    try:
        drawn = stylize_regions(
            base,
            regions,
            to_core(chosen, "images").to(base.device),
            request.settings,
            rest=request.rest,
            alpha=alpha_to_core(chosen.to(base.device)),
        )
    except RuntimeError as error:
        host.recover(error)
        height, width = chosen.shape[1:3]
        raise MetaStyleError(
            f"There is not enough device memory for one picture of {width}x{height} px. Make the "
            "input 'images' smaller, or set supersampling to 1 or precision to bf16."
        ) from error
    return torch.cat([drawn.movedim(1, -1), chosen[..., 3:].to(drawn)], dim=-1)[0]


def _present(request: RegionRequest, number: int) -> list[Region]:
    """The regions that a picture has: of its own masks some may be empty."""
    masks = [each.mask if len(each.mask) == 1 else each.mask[[number]] for each in request.regions]
    pairs = zip(request.regions, masks, strict=True)
    present = [Region(region.style, mask) for region, mask in pairs if bool((mask > 0).any())]
    if present or request.rest is None:
        return present
    return [Region(request.rest, torch.ones_like(masks[0]))]
