"""`metastyle sweep`: one image in several styles, strengths, brushes and more."""

import argparse
import sys
from functools import partial
from pathlib import Path

from torch import Tensor

from ..drawing import USUAL_SUPERSAMPLING
from ..files import refuse_unwritable
from ..grain import USUAL_GRAIN
from ..images import load_image, save_pil
from ..stylization import stylize
from ..sweep import MOST_PICTURES, Sweep, Variant, draw_sweep, parse_numbers, require_varied
from ..touches import USUAL_ABSTRACTION
from .failures import Failures
from .image_styles import style_from_image
from .inputs import chosen_brush, crops_of, files_of_styles, find_images, open_base, resolve_styles
from .options import (
    Commands,
    add_base_option,
    add_compute_options,
    add_levels_option,
    add_style_size_option,
    non_negative_int,
    positive_int,
)
from .outputs import add_overwrite_options, refuse_existing, refuse_inputs
from .progress import progress_bar


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "sweep",
        help="draw one image in several styles, strengths, brushes and more on one sheet",
        description="Draw one image in every --style with every strength, grain, abstraction and "
        f"brush, and lay the pictures out on one labelled sheet, at most {MOST_PICTURES}.",
    )
    parser.add_argument("image", type=Path, metavar="IMAGE")
    parser.add_argument(
        "--style",
        action="append",
        required=True,
        metavar="STYLE[:WEIGHT]",
        help="a style file, a preset's name or an image; repeat it for more columns or rows. With "
        "a weight it leans towards the base (below 1) or exaggerates (above 1)",
    )
    parser.add_argument(
        "--strengths", default="1", metavar="X,X...", help="0 to 1 each (default: %(default)s)"
    )
    parser.add_argument(
        "--grains",
        default=f"{USUAL_GRAIN:g}",
        metavar="X,X...",
        help="0 to 1 each, as --grain of stylize (default: %(default)s)",
    )
    parser.add_argument(
        "--abstractions",
        default=f"{USUAL_ABSTRACTION:g}",
        metavar="X,X...",
        help="0 to 1 each, as --abstraction of stylize (default: %(default)s)",
    )
    parser.add_argument(
        "--brushes",
        default="0",
        metavar="X,X...",
        help="sizes of the strokes, 1 as adapted; 0 draws at the image's own size "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--cell",
        type=positive_int,
        default=384,
        metavar="PX",
        help="long side of a picture on the sheet; it is drawn at its own size and shrunk "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="adapt to an image that is given as --style by so many steps (default: 0)",
    )
    add_style_size_option(parser, "of the image to draw")
    add_levels_option(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    add_overwrite_options(parser)
    add_base_option(parser)
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Draw the sheet and write it."""
    output = arguments.output
    strengths = parse_numbers(arguments.strengths, "--strengths")
    grains = parse_numbers(arguments.grains, "--grains")
    abstractions = parse_numbers(arguments.abstractions, "--abstractions")
    brushes = parse_numbers(arguments.brushes, "--brushes")
    require_varied(len(arguments.style), strengths, grains, brushes, abstractions)
    found = find_images([arguments.image])
    refuse_inputs([output], [arguments.image, arguments.base, *files_of_styles(arguments.style)])
    if arguments.skip_existing and output.exists():
        sys.stdout.write(f"{output}: left as it is, for it exists already\n")
        return
    if not arguments.overwrite:
        refuse_existing([output])
    refuse_unwritable(output)
    photograph = load_image(arguments.image)
    base = open_base(arguments)
    brush = chosen_brush(arguments, found)
    contents = partial(crops_of, found, failures=Failures(1))
    from_image = partial(style_from_image, arguments, base, brush, abstractions[0], contents)
    styles = [resolve_styles(base, [request], from_image) for request in arguments.style]
    sweep = Sweep(styles, strengths, grains, brushes, arguments.cell, abstractions)
    pixels = photograph.pixels[None]
    alpha = None if photograph.alpha is None else photograph.alpha[None]
    with progress_bar(sweep.count, "drawing") as bar:

        def draw(variant: Variant) -> Tensor:
            bar.update(1)
            return stylize(
                base,
                variant.style,
                pixels,
                precision=arguments.precision,
                strength=variant.strength,
                grain=variant.grain,
                seed=arguments.seed,
                alpha=alpha,
                brush=variant.brush or None,
                abstraction=variant.abstraction,
                supersampling=USUAL_SUPERSAMPLING,
            )

        height, width = pixels.shape[-2:]
        sheet = draw_sweep(sweep, height, width, draw)
    save_pil(sheet, output)
    sys.stdout.write(f"{output}: {sweep.count} picture(s), {sheet.width}x{sheet.height} px\n")
