"""`metastyle stylize`: pictures and folders in, stylized pictures out."""

import argparse
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

import torch

from ..images import opacity, save_image
from .controls import (
    add_control_options,
    colouring_of,
    files_of_controls,
    mask_of,
    seamless_of,
)
from .drawers import Drawer, StyleDrawer
from .failures import Failures
from .films import add_film_options, concern_films, stylize_films
from .image_styles import style_from_image
from .inputs import (
    ImageInput,
    chosen_brush,
    crops_of,
    files_of_styles,
    find_images,
    open_base,
)
from .large import add_memory_option, refuse_refining
from .options import (
    Commands,
    add_base_option,
    add_compute_options,
    add_style_size_option,
    non_negative_float,
    non_negative_int,
    positive_int,
)
from .outputs import (
    Job,
    add_depth_option,
    add_overwrite_options,
    chosen_depth,
    plan_jobs,
    refuse_existing,
    refuse_inputs,
    refuse_shallow,
)
from .progress import progress_bar
from .reading import groups_of_one_size, with_good_headers
from .refining import add_refinement_options
from .regions import (
    RegionDrawer,
    add_region_options,
    files_of_regions,
    require_style_or_regions,
)
from .streams import files_for_streams


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "stylize",
        help="stylize images, folders of images, and films",
        description="Stylize images, all images below folders, films, or numbered frames.",
    )
    parser.add_argument(
        "images",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="an image, a folder of images, a film, frames such as frames/%%04d.png, or - for the "
        "standard input",
    )
    parser.add_argument(
        "--style",
        action="append",
        default=[],
        metavar="STYLE[:WEIGHT]",
        help="a style file, a preset's name or an image; repeat it to add styles up, e.g. "
        "--style a --style b:0.3: what each changes of the base counts WEIGHT times, and styles "
        "without a weight share what is left to 1. Sums below 1 lean towards the base, above 1 "
        "exaggerate",
    )
    parser.add_argument(
        "--steps",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="adapt to an image that is given as --style by so many gradient steps on the images "
        "to stylize; 0 is an instant style (default: 0)",
    )
    add_style_size_option(parser, "of the first image to stylize")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="an image file, a folder, a film, frames such as frames/%%05d.png, or - for the "
        "standard output, as PNG",
    )
    add_overwrite_options(parser)
    add_depth_option(parser)
    parser.add_argument(
        "--strip",
        action="store_true",
        help="leave out what the image says of itself (EXIF with date, place and camera, "
        "copyright, DPI); otherwise it is kept",
    )
    parser.add_argument(
        "--max-size", type=positive_int, metavar="PX", help="shrink to this long side first"
    )
    parser.add_argument(
        "--strength",
        type=non_negative_float,
        default=1.0,
        metavar="0..1",
        help="0 leaves the image as it is, 1 is the full style (default: 1)",
    )
    parser.add_argument(
        "--grain",
        type=non_negative_float,
        default=0.0,
        metavar="0..1",
        help="a faint relief under the image, from which flat areas get strokes in place of a "
        "repeated pattern; the same for all images of one size and --seed (default: 0)",
    )
    parser.add_argument("--batch", type=positive_int, help="images of one size per pass")
    add_memory_option(parser)
    add_film_options(parser)
    add_base_option(parser)
    add_control_options(parser)
    add_region_options(parser)
    add_refinement_options(parser)
    add_compute_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object when done")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Stylize and write every picture, or every film."""
    require_style_or_regions(arguments)
    with files_for_streams(arguments) as words:
        if concern_films(arguments):
            stylize_films(arguments)
        else:
            _stylize_files(arguments, words)


def _stylize_files(arguments: argparse.Namespace, words: TextIO) -> None:
    inputs = find_images(arguments.images, but_not_below=Path(arguments.output))
    planned = _plan(arguments, inputs)
    failures = Failures(len(inputs))
    refuse_refining(arguments)
    inputs = with_good_headers(inputs, failures, arguments.max_size)
    jobs = [job for job in planned if job.source not in failures]
    if not jobs:
        failures.report()
        _announce(arguments, words, [], len(inputs), 0.0, 0.0)
        return
    colouring, seamless = colouring_of(arguments), seamless_of(arguments)
    mask = mask_of(arguments)
    base = open_base(arguments)
    brush = chosen_brush(arguments, inputs, arguments.max_size)
    contents = partial(crops_of, inputs, failures=Failures(len(inputs)))
    from_image = partial(style_from_image, arguments, base, brush, contents)
    drawer: Drawer = (
        RegionDrawer(arguments, base, colouring, from_image)
        if arguments.region
        else StyleDrawer(arguments, base, colouring, seamless, mask, from_image)
    )
    began_s, working_s = time.monotonic(), 0.0
    done: list[Path] = []
    small: list[Job] = []
    fits = drawer.require_fitting
    with progress_bar(len(jobs), "stylizing") as bar:
        for job in jobs:
            with failures.noting(job.source):
                seconds = drawer.draw_large(job)
                if seconds is None:
                    small.append(job)
                    continue
                working_s += seconds
                done.append(job.target)
            bar.update(1)
        for group in groups_of_one_size(small, arguments.batch, arguments.max_size, failures, fits):
            pictures = torch.stack([loaded.pixels for _, loaded in group])
            alpha = opacity([loaded for _, loaded in group])
            start_s = time.monotonic()
            results = drawer.draw(pictures, alpha)
            working_s += time.monotonic() - start_s
            for (output, loaded), result in zip(group, results, strict=True):
                save_image(
                    result,
                    output,
                    alpha=loaded.alpha,
                    depth=chosen_depth(arguments.depth, loaded.depth, output),
                    metadata=None if arguments.strip else loaded.metadata,
                )
                done.append(output)
                bar.update(1)
    if done:
        skipped = len(inputs) - len(jobs)
        _announce(arguments, words, done, skipped, working_s, time.monotonic() - began_s)
    failures.report()


def _plan(arguments: argparse.Namespace, inputs: Sequence[ImageInput]) -> list[Job]:
    """What to stylize into which files, none of which may be lost by it."""
    jobs = plan_jobs(inputs, arguments.output)
    targets = [job.target for job in jobs]
    refuse_shallow(targets, arguments.depth)
    refuse_inputs(targets, [item.path for item in inputs])
    pictures = [*(arguments.style_picture or []), *files_of_controls(arguments)]
    pictures += files_of_regions(arguments)
    refuse_inputs(targets, [arguments.base, *files_of_styles(arguments.style), *pictures])
    if arguments.skip_existing:
        return [job for job in jobs if not job.target.exists()]
    if not arguments.overwrite:
        refuse_existing(targets)
    return jobs


def _announce(
    arguments: argparse.Namespace,
    words: TextIO,
    outputs: list[Path],
    skipped: int,
    working_s: float,
    elapsed_s: float,
) -> None:
    ms_per_image = 1000 * working_s / max(1, len(outputs))
    if arguments.json:
        summary = {
            "outputs": [str(path) for path in outputs],
            "skipped": skipped,
            "ms_per_image": round(ms_per_image, 2),
            "elapsed_s": round(elapsed_s, 3),
        }
        words.write(json.dumps(summary) + "\n")
    else:
        where = outputs[0] if len(outputs) == 1 else arguments.output
        left_out = f", {skipped} left out that exist already" if skipped else ""
        words.write(f"{where}: {len(outputs)} image(s), {ms_per_image:.0f} ms each{left_out}\n")
