"""`metastyle stylize`: pictures and folders in, stylized pictures out."""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TextIO

from ..base import Base
from .controls import (
    abstraction_of,
    add_control_options,
    check_controls,
    colouring_of,
    files_of_controls,
    supersampling_of,
)
from .drawers import StyleDrawer
from .drawing import PictureDrawing, PictureReport
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
    resolve_styles,
)
from .large import add_memory_option, refuse_refining
from .options import (
    Commands,
    add_base_option,
    add_compute_options,
    add_levels_option,
    add_style_size_option,
    non_negative_int,
    positive_int,
    share,
)
from .outputs import (
    Job,
    add_depth_option,
    add_overwrite_options,
    plan_jobs,
    refuse_existing,
    refuse_inputs,
    refuse_shallow,
)
from .parts import add_part_options, own_jobs
from .progress import progress_bar
from .ray_run import add_ray_options, draw_on_ray, refuse_ray_for_films
from .reading import with_good_headers
from .refining import add_refinement_options
from .regions import (
    RegionDrawer,
    add_region_options,
    files_of_regions,
    require_style_or_regions,
)
from .streams import files_for_streams
from .telling import Telling


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
    add_levels_option(parser)
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
        type=share,
        default=1.0,
        metavar="0..1",
        help="0 leaves the image as it is, 1 is the full style (default: 1)",
    )
    parser.add_argument("--batch", type=positive_int, help="images of one size per pass")
    add_memory_option(parser)
    add_film_options(parser)
    add_part_options(parser)
    add_ray_options(parser)
    add_base_option(parser)
    add_control_options(parser)
    add_region_options(parser)
    add_refinement_options(parser)
    add_compute_options(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print a line of JSON of each picture as it is done (input, output, seconds of "
        "drawing, size, error) and one of the run (images, skipped, failed, ms_per_image, "
        "elapsed_s); of films only the last",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Stylize and write every picture, or every film."""
    require_style_or_regions(arguments)
    with files_for_streams(arguments) as words:
        if concern_films(arguments):
            refuse_ray_for_films(arguments)
            stylize_films(arguments)
        else:
            _stylize_files(arguments, words)


def _stylize_files(arguments: argparse.Namespace, words: TextIO) -> None:
    inputs = find_images(arguments.images, but_not_below=Path(arguments.output))
    refuse_refining(arguments)
    planned = own_jobs(arguments, plan_jobs(inputs, arguments.output))
    jobs = _waiting(arguments, planned, inputs)
    telling = Telling(arguments, words, skipped=len(planned) - len(jobs))
    failures = Failures(len(inputs), telling.failed)
    if arguments.ray is None:
        jobs = with_good_headers(jobs, failures, arguments.max_size)
    if jobs:
        base = open_base(arguments)
        with progress_bar(len(jobs), "stylizing") as bar:
            for report in _drawn(arguments, base, inputs, jobs, failures):
                telling.done(report)
                bar.update(1)
    telling.end()
    failures.report()


def _drawn(
    arguments: argparse.Namespace,
    base: Base,
    inputs: Sequence[ImageInput],
    jobs: Sequence[Job],
    failures: Failures,
) -> Iterator[PictureReport]:
    """Draw and write pictures here or on workers, with styles that all inputs decide.

    So each share of the inputs is drawn in the same styles.
    """
    brush = chosen_brush(arguments, inputs, arguments.max_size, supersampling_of(arguments))
    contents = partial(crops_of, inputs, failures=Failures(len(inputs)))
    abstraction = abstraction_of(arguments)
    from_image = partial(style_from_image, arguments, base, brush, abstraction, contents)
    if arguments.region:
        drawer = RegionDrawer(arguments, base, colouring_of(arguments), from_image)
        return PictureDrawing(arguments, drawer).draw(jobs, failures)
    check_controls(arguments)
    style = resolve_styles(base, arguments.style, from_image)
    if arguments.ray is not None:
        return draw_on_ray(arguments, base, style, jobs, failures)
    return PictureDrawing(arguments, StyleDrawer(arguments, base, style)).draw(jobs, failures)


def _waiting(
    arguments: argparse.Namespace, jobs: Sequence[Job], inputs: Sequence[ImageInput]
) -> list[Job]:
    """What is still to do; no file may be lost by it."""
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
    return list(jobs)
