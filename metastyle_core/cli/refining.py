"""`--refine`: options and what `stylize` does with them."""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from ..adaptation import StepReport
from ..encoder import PerceptualEncoder
from ..errors import SettingsError
from ..images import load_batch
from ..losses import LossSettings
from ..refinement import RefinementSettings, refine
from ..style import AdaptedStyle
from ..style_statistics import StyleStatistics
from ..transparency import fill_hidden
from .inputs import image_of_style, open_encoder
from .options import (
    add_encoder_options,
    non_negative_float,
    non_negative_int,
    settings_from,
)
from .progress import progress_bar
from .stopping import LearningStop

_DEFAULTS = RefinementSettings()


def add_refinement_options(parser: argparse.ArgumentParser) -> None:
    """Add what `RefinementSettings` holds, the style's pictures and the encoder."""
    group = parser.add_argument_group(
        "refining",
        "gradient steps on the pixels of each picture: better stills, but seconds each. Ctrl-C "
        "ends those of the picture at hand and keeps it; a second one ends the run",
    )
    group.add_argument(
        "--refine",
        type=non_negative_int,
        default=0,
        metavar="STEPS",
        help=f"steps; {_DEFAULTS.steps} is good, 0 leaves the picture as it is drawn (default: 0). "
        "Above 512 px each size twice as large takes half as many more",
    )
    group.add_argument(
        "--style-picture",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="pictures of the style to refine by (default: the image that --style names, or what "
        "the style file keeps of its own)",
    )
    group.add_argument(
        "--style-weight",
        type=non_negative_float,
        metavar="X",
        help="style against content, while adapting to an image that --style names (default: "
        f"{LossSettings.style_weight:g}) and while refining (default: {_DEFAULTS.style_weight:g})",
    )
    group.add_argument(
        "--nearest-weight",
        type=non_negative_float,
        metavar="X",
        help="how much of the style loss asks of each place whether the painting has anything like "
        f"it, which gives strokes; while adapting (default: {LossSettings.nearest_weight:g}) and "
        f"while refining (default: {_DEFAULTS.nearest_weight:g}); 0 leaves it out",
    )
    group.add_argument(
        "--blotch-weight",
        type=non_negative_float,
        metavar="X",
        help="how much fog, bands and stains cost that follow nothing in the photograph, while "
        f"adapting and refining (default: {_DEFAULTS.blotch_weight:g}); 0 leaves them to the "
        "painting",
    )
    add_encoder_options(parser)


class Refiner:
    """Refines every picture of a run by one style."""

    def __init__(
        self, arguments: argparse.Namespace, style: AdaptedStyle, device: torch.device
    ) -> None:
        """Open the encoder and find what to refine by.

        Raises:
            SettingsError: the style has neither pictures nor statistics.
            CheckpointError: its statistics belong to another encoder.
        """
        self._settings = settings_from(
            arguments, RefinementSettings, steps=arguments.refine, levels=style.levels
        )
        self._goal = _find_goal(arguments, style)
        self._encoder: PerceptualEncoder = open_encoder(arguments, device)
        if isinstance(self._goal, StyleStatistics):
            self._goal.targets(self._encoder)

    def refine(self, photographs: Tensor, stylized: Tensor, alpha: Tensor | None = None) -> Tensor:
        """Refine a batch (B, 3, H, W), one picture after another.

        Args:
            photographs: what was drawn from.
            stylized: what was drawn, at full strength.
            alpha: (B, 1, H, W) of photographs with transparency.
        """
        contents = photographs if alpha is None else fill_hidden(photographs, alpha)
        pairs = zip(contents.split(1), stylized.split(1), strict=True)
        return torch.cat([self._refine_one(photo, start) for photo, start in pairs])

    def _refine_one(self, photograph: Tensor, start: Tensor) -> Tensor:
        stop = LearningStop("the picture")
        with progress_bar(self._settings.steps, "refining") as bar, stop.watched():

            def show(report: StepReport) -> None:
                bar.total = report.steps
                bar.update(1)
                bar.set_postfix(content=report.content, style=report.style, refresh=False)
                stop.check()

            return refine(
                self._encoder, photograph, start, self._goal, self._settings, on_step=show
            )


def _find_goal(
    arguments: argparse.Namespace, style: AdaptedStyle
) -> list[Tensor] | StyleStatistics:
    """Pictures given by hand or the image that is the style, or the style's statistics."""
    painting = image_of_style(arguments.style)
    paintings = arguments.style_picture or ([] if painting is None else [painting])
    if paintings:
        return [load_batch(path) for path in paintings]
    if style.statistics is None:
        raise SettingsError(
            f"Style '{style.name}' has neither its picture nor statistics to refine by; name the "
            "picture with --style-picture, or adapt it again with --keep-statistics."
        )
    return style.statistics
