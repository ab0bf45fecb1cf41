"""Files below the model folders: what is there, and which names are allowed."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ...metastyle_core.errors import CheckpointError, SettingsError

SUFFIX = ".safetensors"
RESERVED_FOLDER = "presets"
_LONGEST_NAME = 200
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')
_DEVICE_NAMES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safetensors_below(folders: Iterable[Path]) -> dict[str, Path]:
    """All .safetensors files, by their path below the folder without the suffix.

    Args:
        folders: the first that holds a name wins; missing ones are passed over.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for root, _, files in os.walk(folder, followlinks=True):
            for file in files:
                path = Path(root) / file
                if path.suffix == SUFFIX and not file.startswith("."):
                    found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
    return dict(sorted(found.items()))


def fingerprint(path: Path) -> str:
    """Changes when the file does.

    Raises:
        CheckpointError: it is gone.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path.name} is gone; restore it or choose another.") from error
    return f"{status.st_size}-{status.st_mtime_ns}"


def checked_name(name: str) -> str:
    """A name that can be saved under: parts joined by `/`, the last one the file's.

    Raises:
        SettingsError: empty, too long, with characters some systems forbid, leading out
            of the folder, or inside the folder of the shipped styles.
    """
    parts = name.strip().split("/")
    refused = [part for part in parts if not _is_plain(part)]
    if refused or len(name) > _LONGEST_NAME:
        raise SettingsError(
            f"Name is '{name[:_LONGEST_NAME]}'; up to {_LONGEST_NAME} letters, digits, spaces, "
            "- and _ are needed, with / between subfolders and no part empty or beginning "
            "with a dot. Choose another name."
        )
    if parts[0].lower() == RESERVED_FOLDER:
        raise SettingsError(
            f"Name is '{name}', but '{RESERVED_FOLDER}/' is for the styles that ship with "
            "MetaStyle. Choose another name."
        )
    return "/".join(parts)


def place_below(folder: Path, name: str) -> Path:
    """The file of a checked name below a folder, wherever links lead.

    Raises:
        SettingsError: it would lie outside the folder.
    """
    path = folder / f"{checked_name(name)}{SUFFIX}"
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise SettingsError(f"Name is '{name}', which leads out of {folder.name}. Choose another.")
    return path


def _is_plain(part: str) -> bool:
    return (
        bool(part)
        and part == part.strip()
        and not part.startswith(".")
        and not part.endswith(".")
        and not _FORBIDDEN.search(part)
        and not _DEVICE_NAMES.fullmatch(part)
    )
