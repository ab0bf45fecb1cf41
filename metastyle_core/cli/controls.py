"""What designers ask of `stylize` beside the style: colours, edges that join, masks."""

import argparse
from pathlib import Path

from torch import Tensor

from ..borders import SEAMLESS, Seamless
from ..colour import COLOURS, Colouring
from ..drawing import USUAL_SUPERSAMPLING
from ..errors import SettingsError, ShapeError
from ..grain import USUAL_GRAIN
from ..images import load_batch, load_image
from ..masks import fitted_mask, mask_from, require_mask
from ..touches import USUAL_ABSTRACTION
from .inputs import image_of_style
from .options import positive_float, share, supersampling


def add_control_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that the functions of this module read."""
    group = parser.add_argument_group("controls")
    group.add_argument(
        "--grain",
        type=share,
        metavar="0..1",
        help="brush strokes along the forms of the picture, outlines, hair and folds, and sweeps "
        "where there are none, as in skies, fewer in styles whose own strokes hardly show; --seed "
        "draws them (default: "
        f"{USUAL_GRAIN:g}; 0 for films, where they stand still while things move)",
    )
    group.add_argument(
        "--abstraction",
        type=share,
        metavar="0..1",
        help="paint the picture over along its forms before it is drawn, so that grass, hair and "
        "other texture become strokes and outlines stay, less in styles whose own strokes hardly "
        "show; 0 keeps every detail (default: "
        f"{USUAL_ABSTRACTION:g}; 0 for films, whose frames it makes slower)",
    )
    group.add_argument(
        "--supersampling",
        type=supersampling,
        metavar="1..2",
        help="how many times as large a picture is drawn before it is reduced: contours lose their "
        "steps and flat areas their weave, strokes get finer; 1 is twice as fast, and from a "
        "short side of 512 px on it is less, as large pictures need none (default: "
        f"{USUAL_SUPERSAMPLING:g}; films are drawn at their own size)",
    )
    group.add_argument(
        "--colour",
        choices=COLOURS,
        default="style",
        help="whose colours: those of the style, as they are drawn and half of the way to those of "
        "its paintings, the photograph's under the light and dark of the drawing, or the palette "
        "of the painting or any other picture (default: style)",
    )
    group.add_argument(
        "--colour-amount",
        type=share,
        default=1.0,
        metavar="0..1",
        help="how far --colour goes; at 0 all stays as it is drawn (default: 1)",
    )
    group.add_argument(
        "--palette",
        type=Path,
        metavar="PATH",
        help="the picture whose colours --colour match takes (default: the image that --style "
        "names)",
    )
    group.add_argument(
        "--brush",
        type=positive_float,
        metavar="SIZE",
        help="how large strokes are in the finished picture, whatever its size in pixels: 1 as "
        "large as the style was adapted, beside the short side, 0.5 half of that (default: as the "
        "network draws at the picture's size, finer the larger it is)",
    )
    group.add_argument(
        "--seamless",
        choices=SEAMLESS,
        default="none",
        help="axes along which copies of the picture join without an edge, where those of the "
        "image do: x for panoramas, both for textures (default: none)",
    )
    group.add_argument(
        "--mask",
        type=Path,
        metavar="PATH",
        help="a picture that is white where the style goes, and black or transparent where the "
        "image stays; grey mixes. Another size is scaled where the ratio fits",
    )


def files_of_controls(arguments: argparse.Namespace) -> list[Path]:
    """The files that these options read."""
    return [path for path in (arguments.palette, arguments.mask) if path is not None]


def grain_of(arguments: argparse.Namespace) -> float:
    """The grain of images: what was asked for, or the usual one."""
    return USUAL_GRAIN if arguments.grain is None else arguments.grain


def abstraction_of(arguments: argparse.Namespace) -> float:
    """The abstraction of images: what was asked for, or the usual one."""
    return USUAL_ABSTRACTION if arguments.abstraction is None else arguments.abstraction


def supersampling_of(arguments: argparse.Namespace) -> float:
    """The supersampling of images: what was asked for, or the usual one."""
    chosen = arguments.supersampling
    return USUAL_SUPERSAMPLING if chosen is None else chosen


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
    plain: dict[str, object] = {"--region": [], "--brush": None, "--max-memory": None}
    asked = [
        name
        for name, value in plain.items()
        if getattr(arguments, name.strip("-").replace("-", "_")) != value
    ]
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


def mask_of(arguments: argparse.Namespace) -> Tensor | None:
    """The mask of a run at its own size, (1, 1, H, W), or None.

    Raises:
        SettingsError: it is black everywhere.
        ImageFileError: it cannot be read.
    """
    if arguments.mask is None:
        return None
    mask = mask_from(load_image(arguments.mask))
    require_mask(mask, 1, *mask.shape[-2:])
    return mask


def check_controls(arguments: argparse.Namespace) -> None:
    """Raise what `colouring_of`, `seamless_of` and `mask_of` would, before a style is learned.

    A pipe can be read only once, and is left to them.
    """
    seamless_of(arguments)
    if not any(path.is_fifo() for path in files_of_controls(arguments)):
        colouring_of(arguments)
        mask_of(arguments)


def require_fitting(mask: Tensor | None, path: Path, height: int, width: int) -> None:
    """Raise ShapeError, which names the file, unless a picture has the ratio of a run's mask."""
    if mask is None:
        return
    try:
        require_mask(mask, 1, height, width)
    except ShapeError as error:
        raise ShapeError(f"{path}: {error}") from error


def mask_over(mask: Tensor | None, pictures: Tensor) -> Tensor | None:
    """The mask of a run at the size of pictures (B, 3, H, W), all of its ratio."""
    return None if mask is None else fitted_mask(mask, *pictures.shape[-2:])
