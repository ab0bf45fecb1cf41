"""A style from the image that `--style` names."""

import argparse
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from ..adaptation import AdaptationSettings, StepReport, adapt_to_style
from ..base import Base
from ..encoder import load_encoder
from ..images import load_batch
from ..style import AdaptedStyle
from .options import settings_from
from .progress import progress_bar
from .stopping import LearningStop


def style_from_image(
    arguments: argparse.Namespace,
    base: Base,
    brush_px: int,
    abstraction: float,
    contents: Callable[[AdaptationSettings], Tensor],
    path: Path,
) -> AdaptedStyle:
    """Adapt to an image on what is to be drawn, or read it at once with no steps.

    Args:
        arguments: of `stylize`.
        base: of the style.
        brush_px: the style size.
        abstraction: of what is to be drawn.
        contents: crops of what is to be drawn; only asked for where there are steps.
        path: the image.
    """
    settings = settings_from(
        arguments,
        AdaptationSettings,
        style_size_px=brush_px,
        batch=AdaptationSettings.batch,
        abstraction=abstraction,
    )
    painting = load_batch(path)
    if not settings.steps:
        return adapt_to_style(base, None, [painting], settings=settings, name=path.stem)
    encoder = load_encoder("compact").to(base.device)
    crops = contents(settings)
    stop = LearningStop("the style")
    with progress_bar(settings.steps, f"adapting to {path.stem}") as bar, stop.watched():

        def count(_: StepReport) -> None:
            bar.update(1)
            stop.check()

        return adapt_to_style(
            base, encoder, [painting], crops, settings, name=path.stem, on_step=count
        )
