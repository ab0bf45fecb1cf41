"""`metastyle adapt`: turn pictures of one style into a style file."""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from ..adaptation import AdaptationSettings, StepReport, adapt_to_style
from ..checkpoint import refuse_unwritable
from ..errors import SettingsError
from ..losses import LossSettings
from ..network import ADAPTATION_MODES
from ..refinement import measure_statistics
from ..style import AdaptedStyle, load_style, save_style
from ..thumbnails import draw_thumbnail
from .inputs import (
    add_base_option,
    load_batch,
    load_contents,
    open_base,
    open_encoder,
)
from .options import (
    Commands,
    add_compute_options,
    add_encoder_options,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
)
from .progress import progress_bar

_DEFAULTS = AdaptationSettings()


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "adapt",
        help="turn one image (or several of one style) into a style file",
        description="Turn one image, or several of one style, into a reusable style file.",
    )
    parser.add_argument("style_images", nargs="+", type=Path, metavar="STYLE_IMAGE")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="STYLE",
        help="the .safetensors to write",
    )
    parser.add_argument("--name", help="name kept in the file (default: the output's stem)")
    parser.add_argument("--resume", type=Path, metavar="STYLE", help="go on from this style file")
    parser.add_argument("--half", action="store_true", help="store float16, half the file size")
    parser.add_argument(
        "--keep-statistics",
        action="store_true",
        help="store, in 48 KB, what stylize --refine needs of the style in place of its images",
    )
    parser.add_argument(
        "--mode",
        choices=ADAPTATION_MODES,
        default=_DEFAULTS.mode,
        help=f"which parameters adapt (default: {_DEFAULTS.mode})",
    )
    parser.add_argument(
        "--steps",
        type=non_negative_int,
        default=_DEFAULTS.steps,
        help=f"gradient steps; 0 is instant (default: {_DEFAULTS.steps})",
    )
    parser.add_argument(
        "--style-size",
        type=positive_int,
        default=_DEFAULTS.style_size_px,
        metavar="PX",
        help="short side of the style while adapting: the brush size "
        f"(default: {_DEFAULTS.style_size_px}; at most one megapixel is used)",
    )
    add_base_option(parser)
    add_adaptation_options(parser)
    add_encoder_options(parser)
    add_compute_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object when done")
    parser.set_defaults(run=run)


def add_adaptation_options(parser: argparse.ArgumentParser) -> None:
    """Add what `AdaptationSettings` holds, but for mode, steps and size of the style."""
    group = parser.add_argument_group("adaptation")
    group.add_argument(
        "--content",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="images or folders to adapt on (default: built-in pictures)",
    )
    group.add_argument(
        "--initialisation", choices=("predicted", "fixed"), default=_DEFAULTS.initialisation
    )
    group.add_argument(
        "--style-weight",
        type=non_negative_float,
        default=_DEFAULTS.loss.style_weight,
        help=f"style against content (default: {_DEFAULTS.loss.style_weight:g})",
    )
    group.add_argument("--tv-weight", type=non_negative_float, default=0.0, help="smoothness")
    group.add_argument(
        "--chroma-weight",
        type=non_negative_float,
        default=LossSettings.chroma_weight,
        help="against colour noise (default: %(default)g)",
    )
    group.add_argument(
        "--rank",
        type=positive_int,
        default=_DEFAULTS.rank,
        help="of the updates of convolutions in mode low_rank (default: %(default)d); a resumed "
        "style keeps its own",
    )
    group.add_argument("--lr", type=positive_float, help="learning rate (default: by mode)")
    group.add_argument("--batch", type=positive_int, default=_DEFAULTS.batch)
    group.add_argument(
        "--crop",
        type=positive_int,
        default=_DEFAULTS.content_size_px,
        metavar="PX",
        help=f"side of the contents adapted on (default: {_DEFAULTS.content_size_px})",
    )


def adaptation_settings(arguments: argparse.Namespace, *, style_size_px: int) -> AdaptationSettings:
    """The settings from `add_adaptation_options`; mode and steps stay at their defaults."""
    return AdaptationSettings(
        rank=arguments.rank,
        learning_rate=arguments.lr,
        batch=arguments.batch,
        content_size_px=arguments.crop,
        style_size_px=style_size_px,
        initialisation=arguments.initialisation,
        loss=LossSettings(
            style_weight=arguments.style_weight,
            tv_weight=arguments.tv_weight,
            chroma_weight=arguments.chroma_weight,
        ),
        seed=arguments.seed,
        precision=arguments.precision,
    )


def run(arguments: argparse.Namespace) -> None:
    """Adapt and write the style."""
    if arguments.output.suffix != ".safetensors":
        raise SettingsError(
            f"Output is '{arguments.output}'; name a file that ends in .safetensors."
        )
    refuse_unwritable(arguments.output)
    settings = replace(
        adaptation_settings(arguments, style_size_px=arguments.style_size),
        mode=arguments.mode,
        steps=arguments.steps,
    )
    resume = load_style(arguments.resume) if arguments.resume else None
    images = [load_batch(path) for path in arguments.style_images]
    contents = load_contents(arguments.content, settings)
    base = open_base(arguments)
    encoder = open_encoder(arguments, base.device)
    began_s = time.monotonic()
    with progress_bar(settings.steps, "adapting") as bar:

        def show(report: StepReport) -> None:
            bar.update(1)
            bar.set_postfix(content=report.content, style=report.style, refresh=False)

        style = adapt_to_style(
            base,
            encoder,
            images,
            contents,
            settings,
            name=arguments.name or arguments.output.stem,
            resume=resume,
            on_step=show,
        )
    elapsed_s = time.monotonic() - began_s
    if arguments.keep_statistics:
        kept = measure_statistics(encoder, images, settings.style_size_px, settings.precision)
        style = replace(style, statistics=kept)
    style = style.with_thumbnail(draw_thumbnail(base, style))
    save_style(style, arguments.output, half=arguments.half)
    _announce(arguments, style, elapsed_s)


def _announce(arguments: argparse.Namespace, style: AdaptedStyle, elapsed_s: float) -> None:
    size = arguments.output.stat().st_size
    if arguments.json:
        summary = {
            "output": str(arguments.output),
            "name": style.name,
            "mode": style.mode,
            "steps": arguments.steps,
            "bytes": size,
            "elapsed_s": round(elapsed_s, 3),
            "losses": dict(style.losses),
        }
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        did = f"{arguments.steps} steps in {elapsed_s:.1f} s, {size / 1024:.1f} KB"
        sys.stdout.write(f"{arguments.output}: {did}\n")
