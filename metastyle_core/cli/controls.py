"""What designers ask of `stylize` beside the style: colours, edges that join."""

import argparse
from pathlib import Path

from ..borders import SEAMLESS, Seamless
from ..colour import COLOURS, Colouring
from ..errors import SettingsError
from ..images import load_batch
from .inputs import image_of_style
from .options import non_negative_float


def add_control_options(parser: argparse.ArgumentParser) -> None:
    """Add what `colouring_of` and `seamless_of` read."""
    group = parser.add_argument_group("controls")
    group.add_argument(
        "--colour",
        choices=COLOURS,
        default="style",
        help="whose colours: those of the style as it is drawn, the photograph's under the light "
        "and dark of the drawing, or the palette of the painting or any other picture "
        "(default: style)",
    )
    group.add_argument(
        "--colour-amount",
        type=non_negative_float,
        default=1.0,
        metavar="0..1",
        help="how far --colour goes (default: 1)",
    )
    group.add_argument(
        "--palette",
        type=Path,
        metavar="PATH",
        help="the picture whose colours --colour match takes (default: the image that --style "
        "names)",
    )
    group.add_argument(
        "--seamless",
        choices=SEAMLESS,
        default="none",
        help="axes along which copies of the picture join without an edge, where those of the "
        "image do: x for panoramas, both for textures (default: none)",
    )


def files_of_controls(arguments: argparse.Namespace) -> list[Path]:
    """The files that these options read."""
    return [path for path in (arguments.palette,) if path is not None]


def colouring_of(arguments: argparse.Namespace) -> Colouring:
    """Whose colours a run gives its pictures.

    Raises:
        SettingsError: a palette without a use, or none where one is needed.
        ImageFileError: the palette cannot be read.
    """
    if arguments.colour != "match":
        if arguments.palette:
            raise SettingsError(
                f"--palette {arguments.palette} has no use with --colour {arguments.colour}; add "
                "--colour match or leave it out."
            )
        return Colouring(arguments.colour, arguments.colour_amount)
    path = arguments.palette or image_of_style(arguments.style)
    if path is None:
        raise SettingsError(
            "--colour match needs a picture to take colours from, and --style names no single "
            "image; add --palette with the painting or any other picture."
        )
    return Colouring("match", arguments.colour_amount, load_batch(path))


def refuse_for_films(arguments: argparse.Namespace) -> None:
    """Raise SettingsError where a control is asked for that only stills have."""
    plain = {"--colour": "style", "--palette": None, "--seamless": "none"}
    asked = [name for name, value in plain.items() if getattr(arguments, name.strip("-")) != value]
    if asked:
        raise SettingsError(
            f"{asked[0]} is for stills; leave it out, or write frames first and give the folder."
        )


def seamless_of(arguments: argparse.Namespace) -> Seamless:
    """The axes along which pictures wrap.

    Raises:
        SettingsError: they are to be refined too, which does not wrap.
    """
    if arguments.seamless != "none" and arguments.refine:
        raise SettingsError(
            f"--seamless {arguments.seamless} and --refine {arguments.refine} cannot be used "
            "together, as refining draws edges of its own; leave one out."
        )
    return arguments.seamless
