"""`metastyle adapt`: turn pictures of one style into a style file."""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from ..adaptation import AdaptationSettings, StepReport, adapt_to_style, refining_brush
from ..errors import SettingsError
from ..files import refuse_unwritable
from ..images import load_batch, load_image
from ..masks import mask_from
from ..refinement import measure_statistics
from ..style import AdaptedStyle, load_style, save_style
from ..thumbnails import draw_thumbnail
from .failures import Failures
from .inputs import chosen_brush, crops_of, find_images, open_base, open_encoder
from .options import (
    Commands,
    add_adaptation_options,
    add_base_option,
    add_compute_options,
    add_encoder_options,
    add_quality_option,
    add_setting,
    add_style_size_option,
    non_negative_int,
    settings_from,
)
from .outputs import add_overwrite_options, refuse_existing, refuse_inputs
from .progress import progress_bar
from .stopping import LearningStop


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "adapt",
        help="turn one image (or several of one style) into a style file",
        description="Turn one image, or several of one style, into a reusable style file. Ctrl-C "
        "ends the steps and keeps the best style so far; a second one gives it up.",
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
    add_overwrite_options(parser)
    parser.add_argument("--name", help="name kept in the file (default: the output's stem)")
    parser.add_argument("--resume", type=Path, metavar="STYLE", help="go on from this style file")
    parser.add_argument("--half", action="store_true", help="store float16, half the file size")
    parser.add_argument(
        "--keep-statistics",
        action="store_true",
        help="store, in 48 KB, what stylize --refine needs of the style in place of its images",
    )
    parser.add_argument(
        "--style-mask",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a picture that is white where the style image counts, and black on what is no part "
        "of the style, such as a frame or a signature; one for all style images or one each",
    )
    add_quality_option(parser)
    add_setting(parser, AdaptationSettings, "--mode", help="which parameters adapt")
    add_setting(
        parser,
        AdaptationSettings,
        "--steps",
        kind=non_negative_int,
        help="gradient steps; 0 is instant",
    )
    add_style_size_option(parser, "of --content")
    add_base_option(parser)
    add_adaptation_options(parser)
    add_encoder_options(parser)
    add_compute_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object when done")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Adapt and write the style."""
    if arguments.output.suffix != ".safetensors":
        raise SettingsError(
            f"Output is '{arguments.output}'; name a file that ends in .safetensors."
        )
    refuse_inputs([arguments.output], _files_read(arguments))
    if arguments.skip_existing and arguments.output.exists():
        sys.stdout.write(f"{arguments.output}: left as it is, for it exists already\n")
        return
    if not arguments.overwrite:
        refuse_existing([arguments.output])
    refuse_unwritable(arguments.output)
    given = find_images(arguments.content) if arguments.content else []
    brush = chosen_brush(arguments, given)
    settings = settings_from(arguments, AdaptationSettings, style_size_px=brush)
    resume = load_style(arguments.resume) if arguments.resume else None
    images = [load_batch(path) for path in arguments.style_images]
    masks = [mask_from(load_image(path)) for path in arguments.style_mask or []] or None
    failures = Failures(len(given))
    contents = crops_of(given, settings, failures) if given else None
    base = open_base(arguments)
    encoder = open_encoder(arguments, base.device)
    began_s = time.monotonic()
    stop = LearningStop("the style")
    with stop.watched(), progress_bar(settings.steps, "adapting") as bar:

        def show(report: StepReport) -> None:
            bar.update(1)
            bar.set_postfix(content=report.content, style=report.style, refresh=False)
            stop.check()

        style = adapt_to_style(
            base,
            encoder,
            images,
            contents,
            settings,
            name=arguments.name or arguments.output.stem,
            resume=resume,
            on_step=show,
            style_masks=masks,
        )
    elapsed_s = time.monotonic() - began_s
    if arguments.keep_statistics:
        kept = measure_statistics(
            encoder,
            images,
            refining_brush(settings.style_size_px),
            settings.precision,
            masks,
            settings.levels,
        )
        style = replace(style, statistics=kept)
    style = style.with_thumbnail(draw_thumbnail(base, style))
    save_style(style, arguments.output, half=arguments.half)
    _announce(arguments, style, elapsed_s)
    failures.report()


def _files_read(arguments: argparse.Namespace) -> list[Path]:
    named = (arguments.resume, arguments.base, arguments.encoder_weights)
    masks = arguments.style_mask or []
    return [*arguments.style_images, *masks, *(path for path in named if path)]


def _announce(arguments: argparse.Namespace, style: AdaptedStyle, elapsed_s: float) -> None:
    size, steps = arguments.output.stat().st_size, style.settings.get("stopped_after")
    done = arguments.steps if steps is None else steps
    if arguments.json:
        summary = {
            "output": str(arguments.output),
            "name": style.name,
            "mode": style.mode,
            "steps": done,
            "bytes": size,
            "elapsed_s": round(elapsed_s, 3),
            "losses": dict(style.losses),
        }
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        did = f"{done} steps in {elapsed_s:.1f} s, {size / 1024:.1f} KB"
        sys.stdout.write(f"{arguments.output}: {did}\n")
