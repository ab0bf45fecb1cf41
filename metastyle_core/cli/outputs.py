"""Where stylized pictures go, and what may not be written over."""

import argparse
import mimetypes
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ImageFileError
from ..images import DEEP_SUFFIXES, SAVE_SUFFIXES
from .inputs import ImageInput


@dataclass(frozen=True)
class Job:
    """One picture to stylize.

    Attributes:
        source: the picture.
        target: the file to write.
    """

    source: Path
    target: Path


def add_overwrite_options(parser: argparse.ArgumentParser) -> None:
    """Add `--overwrite` and `--skip-existing`, of which one at most can be given."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that exist (an input of the same command never is)",
    )
    group.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out what has its output already, to go on after a break",
    )


def add_depth_option(parser: argparse.ArgumentParser) -> None:
    """Add `--depth`."""
    parser.add_argument(
        "--depth",
        choices=("auto", "8", "16"),
        default="auto",
        help="bits a channel; auto keeps 16 bits where the image has them and the output is PNG "
        "or TIFF (default: auto)",
    )


def chosen_depth(request: str, depth: int, target: Path) -> int:
    """Bits a channel to write.

    Args:
        request: of `--depth`.
        depth: of the picture.
        target: the file to write.
    """
    if request != "auto":
        return int(request)
    return depth if target.suffix.lower() in DEEP_SUFFIXES else 8


def refuse_shallow(targets: Iterable[Path], request: str) -> None:
    """Raise ImageFileError where 16 bits are asked for and a file cannot hold them."""
    for target in targets if request == "16" else ():
        if target.suffix.lower() not in DEEP_SUFFIXES:
            raise ImageFileError(
                f"{target} cannot hold 16 bits; name a .png or .tif, or choose --depth 8."
            )


def plan_jobs(inputs: Sequence[ImageInput], output: str) -> list[Job]:
    """Which file each picture becomes.

    Args:
        inputs: the pictures.
        output: a file for one picture, or a folder. What ends in a slash, is there, or has no
            known ending of a file is a folder.

    Raises:
        ImageFileError: the output is no place for so many pictures, or two would become one file.
    """
    jobs: dict[Path, Job] = {}
    for item in inputs:
        target = _target_of(item, output, alone=len(inputs) == 1)
        if target in jobs:
            raise ImageFileError(
                f"{jobs[target].source} and {item.path} would both be written to {target}; "
                "stylize them into different folders."
            )
        jobs[target] = Job(item.path, target)
    return list(jobs.values())


def _target_of(item: ImageInput, output: str, *, alone: bool) -> Path:
    path = Path(output)
    if _is_folder(output):
        return path / _savable_name(item.relative)
    if alone and path.suffix.lower() in SAVE_SUFFIXES:
        return path
    raise ImageFileError(
        f"Output is '{output}'; name a folder, or for one image a file that ends in .png, "
        ".jpg, .webp or .tif."
    )


def _is_folder(output: str) -> bool:
    if output.endswith(("/", os.sep)) or Path(output).is_dir():
        return True
    known = Path(output).suffix.lower() in SAVE_SUFFIXES or mimetypes.guess_type(output)[0]
    return not known


def _savable_name(relative: Path) -> Path:
    return relative if relative.suffix.lower() in SAVE_SUFFIXES else relative.with_suffix(".png")


def refuse_inputs(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise ImageFileError where a file to write is one that the command reads.

    Args:
        targets: files to write.
        inputs: files read; what does not exist is no file.
    """
    read = {_identity(path): path for path in inputs if path.is_file()}
    for target in targets:
        source = read.get(_identity(target)) if target.exists() else None
        if source is not None:
            raise ImageFileError(
                f"{target} is also an input ({source}), and inputs are never replaced; "
                "choose another output."
            )


def refuse_existing(targets: Iterable[Path]) -> None:
    """Raise ImageFileError where a file to write exists."""
    existing = [target for target in targets if target.exists()]
    if existing:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise ImageFileError(
            f"{existing[0]}{more} exists already; replace it with --overwrite, go on with "
            "--skip-existing, or choose another output."
        )


def _identity(path: Path) -> tuple[int, int]:
    """What two names of one file have in common, links and case of letters aside."""
    status = path.stat()
    return status.st_dev, status.st_ino
