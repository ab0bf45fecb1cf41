"""Sweeps in bounded memory: one picture of the sheet after another."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ...metastyle_core.errors import SettingsError
from ...metastyle_core.network import MIN_SIDE_PX
from ...metastyle_core.precision import Precision
from ...metastyle_core.sweep import Sweep, Variant, draw_sweep, parse_numbers
from .bounded_stylization import StylizationSettings, stylize_images
from .model import MetaStyleModel
from .pictures import pil_to_host, require_images
from .sockets import collect_styles


@dataclass(frozen=True)
class SweepRequest:
    """What the node was asked for.

    Attributes:
        images: IMAGE, of which the first is drawn.
        sweep: which pictures.
        precision: of the convolutions.
        seed: of the grain.
    """

    images: Tensor
    sweep: Sweep
    precision: Precision
    seed: int


def connected_sweep(
    inputs: Mapping[str, object],
    strengths: str,
    grains: str,
    brushes: str,
    abstractions: str,
    cell_px: int,
) -> Sweep:
    """What varies, from growing sockets and what people wrote.

    Raises:
        SettingsError: no style is connected, or a row of numbers is none.
    """
    styles = list(collect_styles(inputs).values())
    if not styles:
        raise SettingsError("Input 'styles' has none connected; at least 1 is needed. Connect one.")
    return Sweep(
        styles,
        parse_numbers(strengths, "Input 'strengths'"),
        parse_numbers(grains, "Input 'grains'"),
        parse_numbers(brushes, "Input 'brushes'"),
        cell_px,
        parse_numbers(abstractions, "Input 'abstractions'"),
    )


def draw_sheet(model: MetaStyleModel, request: SweepRequest) -> Tensor:
    """Draw the sheet: IMAGE (1, H, W, 3).

    Raises:
        MetaStyleError: bad input, or too little memory for one picture.
    """
    require_images(request.images, "images", MIN_SIDE_PX)
    first = request.images[:1]

    def draw(variant: Variant) -> Tensor:
        settings = StylizationSettings(
            variant.strength,
            request.precision,
            grain=variant.grain,
            seed=request.seed,
            brush=variant.brush,
            abstraction=variant.abstraction,
        )
        drawn = stylize_images(model, variant.style, first, settings)
        return drawn[..., :3].movedim(-1, 1).float()

    height, width = first.shape[1:3]
    return pil_to_host(draw_sweep(request.sweep, height, width, draw))
