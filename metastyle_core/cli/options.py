"""Argument types and option groups that several commands share."""

import argparse
from pathlib import Path
from typing import Protocol, TypeVar

from ..encoder import ENCODER_NAMES
from ..precision import PRECISIONS
from ..training.optimizer import OPTIMIZERS

_T = TypeVar("_T", int, float)


class Commands(Protocol):
    """Where a command declares itself: what `ArgumentParser.add_subparsers` returns."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser:
        """Add the parser of one command."""
        ...


def positive_int(text: str) -> int:
    """A whole number from 1 up."""
    return _number(text, int, 1)


def non_negative_int(text: str) -> int:
    """A whole number from 0 up."""
    return _number(text, int, 0)


def positive_float(text: str) -> float:
    """A finite number above 0."""
    value = _number(text, float, 0.0)
    if value == 0:
        raise argparse.ArgumentTypeError("got 0; a number above 0 is needed")
    return value


def non_negative_float(text: str) -> float:
    """A finite number from 0 up."""
    return _number(text, float, 0.0)


def seed(text: str) -> int:
    """A whole number from 0 up that PyTorch's generators take."""
    value = non_negative_int(text)
    if value >= 2**64:
        raise argparse.ArgumentTypeError(f"got {text}; a number below 2^64 is needed")
    return value


def _number(text: str, kind: type[_T], least: _T) -> _T:
    try:
        value = kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"got '{text}'; a number is needed") from error
    if not least <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"got {text}; a finite number from {least} up is needed")
    return value


def add_compute_options(parser: argparse.ArgumentParser) -> None:
    """Add `--device`, `--precision` and `--seed`."""
    group = parser.add_argument_group("computing")
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)"
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="number format of the convolutions (default: auto, the fastest the device has)",
    )
    group.add_argument("--seed", type=seed, default=0, help="seed (default: 0)")


def add_training_data_options(parser: argparse.ArgumentParser) -> None:
    """Add the image folders and the loop's settings that `train` and `distill` share."""
    data = parser.add_argument_group("training images")
    data.add_argument("--content", type=Path, required=True, help="folder of photographs")
    data.add_argument("--style", type=Path, required=True, help="folder of paintings")
    data.add_argument(
        "--manifest", type=Path, help="CSV with columns file and source, to balance the sources"
    )
    loop = parser.add_argument_group("loop")
    loop.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    loop.add_argument("--updates", type=positive_int, default=100_000, help="updates to reach")
    loop.add_argument("--batch", type=positive_int, help="pictures or styles per update")
    loop.add_argument("--crop", type=positive_int, default=128, help="side of a crop in pixels")
    loop.add_argument(
        "--optimizer",
        choices=OPTIMIZERS,
        default="muon",
        help="Muon for kernels and matrices beside Adam for the rest, or Adam for all; Muon needs "
        "PyTorch 2.9 (default: muon)",
    )
    loop.add_argument("--lr", type=positive_float, default=1e-3, help="learning rate")
    loop.add_argument(
        "--schedule", choices=("cosine", "constant"), default="cosine", help="of the learning rate"
    )
    loop.add_argument("--warmup", type=non_negative_int, default=200, help="updates of warm-up")
    loop.add_argument(
        "--decay-from", type=non_negative_int, default=0, help="update where the cosine begins"
    )
    loop.add_argument("--clip", type=positive_float, default=1.0, help="largest gradient norm")
    loop.add_argument(
        "--average", type=non_negative_float, default=0.999, help="decay of the moving average"
    )
    loop.add_argument("--picture-every", type=non_negative_int, default=500, metavar="N")
    loop.add_argument(
        "--checkpoint-minutes", type=positive_float, default=5.0, metavar="M", help="default: 5"
    )
    loop.add_argument(
        "--max-minutes", type=non_negative_float, default=0.0, metavar="M", help="stop after this"
    )
    loop.add_argument(
        "--resume", action="store_true", help="continue the run in the output folder, if any"
    )


def add_encoder_options(parser: argparse.ArgumentParser) -> None:
    """Add the encoder of the perceptual loss and where its weights are."""
    group = parser.add_argument_group("perceptual encoder")
    group.add_argument(
        "--encoder",
        choices=ENCODER_NAMES,
        default="compact",
        help="network that judges the pictures (default: compact, which ships)",
    )
    group.add_argument(
        "--encoder-weights", type=Path, metavar="FILE", help=".safetensors file of that encoder"
    )
    group.add_argument(
        "--download-encoder-to",
        type=Path,
        metavar="DIR",
        help="let torchvision fetch the weights of vgg16 or vgg19 into this folder",
    )
