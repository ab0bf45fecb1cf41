"""`metastyle export`: a style as an ONNX file for runtimes other than PyTorch."""

import argparse
import json
import sys
from pathlib import Path

from ..errors import MetaStyleError, SettingsError
from ..export import (
    Numbers,
    export_onnx,
    require_alike_pictures,
    require_same_pictures,
    statistics_of,
)
from ..files import refuse_unwritable
from ..images import load_batch
from ..style import AdaptedStyle
from .inputs import files_of_styles, open_base, resolve_styles
from .options import Commands, add_base_option
from .outputs import add_overwrite_options, refuse_existing, refuse_inputs


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "export",
        help="write a style as an ONNX file",
        description="Write a style and its base as one ONNX graph, for ONNX Runtime, browsers and "
        "other runtimes. Pictures go in and come out as (B, 3, H, W), float32, RGB, 0 to 1, of any "
        "size from 16 px. The graph draws without grain and abstraction and in the network's own "
        "colours, as stylize --grain 0 --abstraction 0 --colour-amount 0 does. Needs: "
        "pip install 'metastyle[onnx]'.",
    )
    parser.add_argument(
        "--style",
        action="append",
        required=True,
        metavar="STYLE[:WEIGHT]",
        help="a style file or a preset's name; repeat it to add styles up, as in stylize",
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the .onnx file to write"
    )
    add_overwrite_options(parser)
    numbers = parser.add_mutually_exclusive_group()
    numbers.add_argument(
        "--half",
        action="store_const",
        dest="numbers",
        const="half",
        default="float32",
        help="store numbers in half precision, half the file; they are computed with in float32",
    )
    numbers.add_argument(
        "--int8",
        action="store_const",
        dest="numbers",
        const="int8",
        help="compute most convolutions in 8-bit integers: little more than half the time on a "
        "CPU and a quarter of the file, for pixels that differ by some 2 levels of 255 in the mean",
    )
    parser.add_argument(
        "--statistics",
        type=Path,
        metavar="PICTURE",
        help="hold contrast and colours to those of this picture, as stylize --lock does in films. "
        "All that is left then are convolutions, and each pixel depends on its surroundings alone",
    )
    parser.add_argument(
        "--strength",
        action="store_true",
        help="add an input, strength, from 0 for the picture as it is to 1 for the full style",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="draw pictures of several sizes with ONNX Runtime too; fail where a pixel is more "
        "than one level of 255 away from PyTorch's, with --int8 where their mean is 8 levels away",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_base_option(parser)
    parser.set_defaults(run=run, device="cpu")


def run(arguments: argparse.Namespace) -> None:
    """Write the file, compare if asked, and say what it is."""
    output: Path = arguments.output
    if output.suffix.lower() != ".onnx":
        raise SettingsError(f"Output is '{output}'; name a file that ends in .onnx.")
    pictures = [arguments.statistics] if arguments.statistics else []
    refuse_inputs([output], [arguments.base, *files_of_styles(arguments.style), *pictures])
    if arguments.skip_existing and output.exists():
        return
    if not arguments.overwrite:
        refuse_existing([output])
    refuse_unwritable(output)
    base = open_base(arguments)
    style = resolve_styles(base, arguments.style, _refuse_image)
    statistics = None
    if arguments.statistics:
        statistics = statistics_of(base, style, load_batch(arguments.statistics))
    strength: bool = arguments.strength
    numbers: Numbers = arguments.numbers
    report = export_onnx(
        base, style, output, statistics=statistics, strength=strength, numbers=numbers
    )
    told: dict[str, object] = {
        "output": str(output),
        "opset": report.opset,
        "bytes": report.size_bytes,
        "nodes": report.nodes,
    }
    if arguments.check and numbers == "int8":
        away = require_alike_pictures(output, base, style, statistics=statistics)
        told["mean_levels_away"] = round(away, 2)
    elif arguments.check:
        away = require_same_pictures(output, base, style, statistics=statistics, strength=strength)
        told["levels_away"] = round(away, 4)
    _announce(arguments, told)


def _refuse_image(path: Path) -> AdaptedStyle:
    raise MetaStyleError(
        f"{path} is an image; make a style of it first: metastyle adapt {path} -o "
        f"{path.stem}.safetensors"
    )


def _announce(arguments: argparse.Namespace, told: dict[str, object]) -> None:
    if arguments.json:
        sys.stdout.write(json.dumps(told) + "\n")
        return
    checked = ""
    if "levels_away" in told:
        checked = f", within {told['levels_away']} levels of 255 of PyTorch"
    if "mean_levels_away" in told:
        checked = f", {told['mean_levels_away']} levels of 255 from PyTorch in the mean"
    sys.stdout.write(
        f"{told['output']}: opset {told['opset']}, {told['bytes']} bytes, {told['nodes']} "
        f"nodes{checked}\n"
    )
