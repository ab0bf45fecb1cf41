"""Files below the model folders: what is there, and which names are allowed."""

import os
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from ...metastyle_core.errors import CheckpointError, SettingsError

SUFFIX = ".safetensors"
RESERVED_FOLDER = "presets"
_LONGEST_NAME = 200
# File systems count bytes, mostly 255 of them; the rest is for the suffix and a number.
_LONGEST_PART = 200
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff<>:"|?*\\]')
_DATE = re.compile(r"%date:([^%]+)%")
_TIME = re.compile(r"yyyy|yy|MM?|dd?|hh?|mm?|ss?")
_REMEDY = "Choose another name"
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

    The suffix of style files may stand at the end; it is left out.

    Raises:
        SettingsError: empty, too long, with characters some systems forbid, leading out
            of the folder, or inside the folder of the shipped styles. The message says
            which, and names what must go.
    """
    parts = _without_suffix(name.strip()).split("/")
    faults = [fault for part in parts if (fault := _fault(part))]
    if len(name) > _LONGEST_NAME:
        faults.append(f"it has {len(name)} letters and at most {_LONGEST_NAME} are possible")
    if parts[0].lower() == RESERVED_FOLDER:
        faults.append(f"'{RESERVED_FOLDER}/' is for the styles that ship with MetaStyle")
    if faults:
        raise SettingsError(f"Name is '{name[:_LONGEST_NAME]}', but {faults[0]}. {_REMEDY}.")
    return "/".join(parts)


def fill_dates(name: str, now: datetime) -> str:
    """Fill in `%date:yyyy-MM-dd%`, as the host's interface does for the names of images.

    Args:
        name: in which y, M, d, h, m and s stand for parts of the time, written twice with
            a leading zero and `yyyy` in full.
        now: the time.
    """
    return _DATE.sub(lambda found: _TIME.sub(lambda part: _part(part[0], now), found[1]), name)


def _part(letters: str, now: datetime) -> str:
    values = (now.year, now.month, now.day, now.hour, now.minute, now.second)
    value = dict(zip("yMdhms", values, strict=True))[letters[0]]
    return str(value).zfill(len(letters))[-max(2, len(letters)) :]


def place_below(folder: Path, name: str) -> Path:
    """The file of a checked name below a folder, wherever links lead.

    Raises:
        SettingsError: it would lie outside the folder.
    """
    path = folder / f"{checked_name(name)}{SUFFIX}"
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise SettingsError(f"Name is '{name}', which leads out of {folder.name}. Choose another.")
    return path


def _without_suffix(name: str) -> str:
    return name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name


def _fault(part: str) -> str | None:
    """What keeps a part of a name from being one on some system, or None."""
    length = len(part.encode("utf-8", "surrogatepass"))
    forbidden = _FORBIDDEN.search(part)
    faults = {
        "a part of it is empty": not part,
        f"'{part}' begins or ends with a space": part != part.strip(),
        f"'{part}' begins with a dot": part.startswith("."),
        f"'{part}' ends with a dot": part.endswith("."),
        f"{_described(forbidden)} is in it, which some systems forbid": forbidden is not None,
        f"Windows keeps '{part}' for a device": _DEVICE_NAMES.fullmatch(part) is not None,
        f"'{part[:20]}...' takes {length} bytes and at most {_LONGEST_PART} are possible "
        "(a letter outside of English takes two or three)": length > _LONGEST_PART,
    }
    return next((fault for fault, found in faults.items() if found), None)


def _described(character: re.Match[str] | None) -> str:
    found = character.group() if character else ""
    return f"the character {found}" if found.isprintable() else "an invisible character"
