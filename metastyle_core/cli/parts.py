"""`--shard` and `--frames`: the part of a run that one machine of a farm does."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import FilmError, SettingsError
from ..film.sequences import NumberedName
from ..sharding import FrameRange, Share
from .outputs import Job


def add_part_options(parser: argparse.ArgumentParser) -> None:
    """Add what `own_jobs` and `own_frames` read."""
    group = parser.add_argument_group(
        "farms", "one part of a folder or of numbered frames; see docs/scale.md"
    )
    group.add_argument(
        "--shard",
        metavar="i/n|slurm",
        help="the i-th of n equal shares, i from 1 to n; slurm takes both from the job array. All "
        "shares together write the same bytes as one run, as long as the folder stays as it is",
    )
    group.add_argument(
        "--frames",
        metavar="A-B",
        help="frames A to B of a pattern such as frames/%%04d.png, by their numbers",
    )


def own_jobs(arguments: argparse.Namespace, jobs: Sequence[Job]) -> list[Job]:
    """The pictures of this process's share.

    Raises:
        SettingsError: there is nothing to share, or the share does not exist.
    """
    if arguments.frames is not None:
        FrameRange.parse(arguments.frames)
        raise SettingsError(
            f"--frames {arguments.frames} picks numbered frames; name them by a pattern such as "
            "frames/%04d.png."
        )
    share = _share_of(arguments)
    if share is None:
        return list(jobs)
    if len(arguments.images) == 1 and arguments.images[0].is_file():
        raise SettingsError(_cannot_share(arguments, f"{arguments.images[0]} is one picture"))
    return share.of(jobs)


def own_frames(
    arguments: argparse.Namespace, name: Path, files: Path | dict[int, Path]
) -> Path | dict[int, Path]:
    """What of a film this process draws.

    Args:
        arguments: of `stylize`.
        name: of what was given.
        files: a film's file, or pictures by number.

    Raises:
        SettingsError: a film cannot be taken apart like this.
        FilmError: no frame has such a number.
    """
    share, frames = _share_of(arguments), arguments.frames
    if share is None and frames is None:
        return files
    option = f"--frames {frames}" if share is None else f"--shard {arguments.shard}"
    if arguments.start or arguments.end:
        raise SettingsError(
            f"{option} and --start or --end cannot be used together; leave one out."
        )
    if frames is not None:
        files = _in_range(FrameRange.parse(frames), name, files)
    if share is None:
        return files
    if isinstance(files, Path):
        raise SettingsError(_cannot_share(arguments, f"{name} is one film"))
    if arguments.lock:
        raise SettingsError(
            f"{option} and --lock cannot be used together, for a lock looks at whole shots; give "
            "each machine whole shots with --frames A-B."
        )
    return {number: files[number] for number in share.of(list(files))}


def refuse_one_film(arguments: argparse.Namespace) -> None:
    """Raise SettingsError where shares would all be written into one film."""
    if arguments.shard:
        raise SettingsError(_cannot_share(arguments, f"{arguments.output} would be one film"))


def _share_of(arguments: argparse.Namespace) -> Share | None:
    if arguments.shard is None:
        return None
    if arguments.shard == "slurm":
        return Share.of_slurm_array(os.environ)
    return Share.parse(arguments.shard)


def _cannot_share(arguments: argparse.Namespace, why: str) -> str:
    return (
        f"--shard {arguments.shard} takes a share of many pictures, but {why}; name a folder, or "
        "frames by a pattern such as frames/%04d.png."
    )


def _in_range(frames: FrameRange, name: Path, files: Path | dict[int, Path]) -> dict[int, Path]:
    if isinstance(files, Path) or NumberedName.parse(name) is None:
        raise SettingsError(
            f"--frames picks numbered frames, and {name} has none; name them by a pattern such as "
            "frames/%04d.png, or cut a film with --start and --end."
        )
    chosen = {number: path for number, path in files.items() if number in frames}
    if not chosen:
        raise FilmError(
            f"{name} has frames {min(files)} to {max(files)}, none of them from {frames.first} to "
            f"{frames.last}; check --frames."
        )
    return chosen
