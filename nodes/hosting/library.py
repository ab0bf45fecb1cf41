"""The styles a host can offer: those that ship and those people saved.

Saved styles are named by their path below the styles folder without the suffix, shipped
ones `presets/<name>`. This file knows folders only; which they are, the host says.
"""

import base64
import binascii
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ...metastyle_core.checkpoint import read_metadata
from ...metastyle_core.errors import CheckpointError, MetaStyleError, SettingsError
from ...metastyle_core.presets import PRESET_FOLDER, preset_paths
from ...metastyle_core.style import (
    PICTURES,
    STYLE_FORMAT,
    AdaptedStyle,
    load_style,
    save_style,
)
from .folders import RESERVED_FOLDER, checked_name, place_below, safetensors_below
from .plain_words import advice_first

_MOST_COPIES = 10_000
Taken = Literal["number", "overwrite", "ask"]


class StyleNotFound(MetaStyleError):  # noqa: N818 - names the event
    """There is no style of that name, or no longer."""


@dataclass(frozen=True)
class StyleEntry:
    """One line of the gallery.

    Attributes:
        name: by which workflows choose it.
        title: what people read.
        shipped: whether it came with the pack, and so cannot be changed.
        mode: which parameters it replaces; None where the file cannot be read.
        thumbnail: whether there is a picture.
        painting: whether there is one beside it, which the user chose.
        error: why it cannot be used, or None.
        file: where it lies.
    """

    name: str
    title: str
    shipped: bool
    mode: str | None
    thumbnail: bool
    painting: bool
    error: str | None
    file: str


@dataclass(frozen=True)
class StyleLibrary:
    """Styles in folders.

    Attributes:
        folders: of saved styles; the first takes new ones.
        presets: of shipped styles.
    """

    folders: tuple[Path, ...]
    presets: Path = PRESET_FOLDER

    def paths(self) -> dict[str, Path]:
        """Name to file, saved styles first."""
        saved = safetensors_below(self.folders)
        shipped = {f"{RESERVED_FOLDER}/{k}": v for k, v in preset_paths(self.presets).items()}
        return saved | shipped

    def find(self, name: str) -> Path:
        """The file of a style.

        Raises:
            StyleNotFound: there is none.
        """
        path = self.paths().get(name)
        if path is None:
            raise StyleNotFound(
                f"Style '{name}' is not in models/metastyle_styles and does not ship with "
                "MetaStyle; it may have been deleted or renamed. Choose another style."
            )
        return path

    def load(self, name: str) -> AdaptedStyle:
        """Read a style; a saved one is called what its file is called.

        Raises:
            StyleNotFound: there is none of that name.
            CheckpointError: its file is damaged.
        """
        path = self.find(name)
        try:
            style = load_style(path)
        except CheckpointError as error:
            reason = str(error).replace(str(path), path.name)
            raise CheckpointError(f"Style '{name}' cannot be used: {reason}") from error
        return style if _is_shipped(name) else replace(style, name=path.stem)

    def entries(self) -> list[StyleEntry]:
        """All styles; one that cannot be read says why and hides no other."""
        return [_entry(name, path) for name, path in self.paths().items()]

    def picture(self, name: str, kind: str = "thumbnail") -> bytes:
        """A WebP picture of a style.

        Args:
            name: of the style.
            kind: the thumbnail, or the painting beside it.

        Raises:
            StyleNotFound: there is no such style, or it has no such picture.
            CheckpointError: its file is damaged.
        """
        header = read_metadata(self.find(name), file_format=STYLE_FORMAT)
        encoded = header.get(kind) if kind in PICTURES else None
        if encoded is None:
            raise StyleNotFound(f"Style '{name}' has no {kind[:20]}; save it with a picture.")
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise CheckpointError(
                f"The {kind} of '{name}' is damaged ({error}). Save the style again."
            ) from error

    def place(self, name: str, taken: Taken) -> Path:
        """Where a new style of a name goes.

        Args:
            name: as for saving.
            taken: what happens where there is one of that name.

        Raises:
            SettingsError: the name is not allowed, or taken and `taken` is "ask".
        """
        path = place_below(self.folders[0], name)
        if taken == "ask" and path.exists():
            raise SettingsError(
                f"There is a style '{name}' already. Choose 'overwrite' or 'number' in the "
                "input 'overwrite', or another name."
            )
        return _free_place(path) if taken == "number" else path

    def save(self, style: AdaptedStyle, name: str, *, half: bool, taken: Taken) -> AdaptedStyle:
        """Write a style, whole or not at all, and return it under its new name.

        Args:
            style: what to write.
            name: with `/` between subfolders.
            half: store float16.
            taken: what happens where there is one of that name; "number" gives the new
                one a number behind its name.

        Raises:
            SettingsError: the name is not allowed, or taken and `taken` is "ask".
            CheckpointError: the folder cannot be written or is full.
        """
        path = self.place(name, taken)
        renamed = replace(style, name=path.stem)
        save_style(renamed, path, half=half)
        return renamed

    def add(self, name: str, data: bytes) -> str:
        """Take a style file in, byte for byte, once it has been read as one.

        Args:
            name: as for saving; the suffix may be there. One that is taken gets a number.
            data: the whole file.

        Returns:
            The name that it has here.

        Raises:
            SettingsError: the name is not allowed.
            CheckpointError: it is no style, or is damaged, or the folder cannot be written.
        """
        path = self.place(checked_name(name), "number")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_style(path, data)
        except OSError as error:
            raise CheckpointError(
                f"Cannot write '{name}' ({error.strerror}). Make the styles folder writable."
            ) from error
        return "/".join([*checked_name(name).split("/")[:-1], path.stem])

    def duplicate(self, name: str) -> str:
        """Copy a style, a shipped one too, to the saved ones; the copy's name.

        Raises:
            StyleNotFound: there is none.
            CheckpointError: it is damaged, or the folder cannot be written.
        """
        data = self.find(name).read_bytes()
        return self.add(name.removeprefix(f"{RESERVED_FOLDER}/"), data)

    def rename(self, name: str, new_name: str) -> str:
        """Give a saved style another name; it stays in the folder that holds it.

        Returns:
            The name that it has now, by which workflows choose it.

        Raises:
            SettingsError: it ships with the pack, or the new name is taken or not allowed.
            StyleNotFound: there is none.
            CheckpointError: the folder cannot be written.
        """
        source = self._own(name)
        folder = source.parents[name.count("/")]
        new_name = checked_name(new_name)
        target = place_below(folder, new_name)
        # On a disk that ignores case, 'Wave' exists where 'wave' does.
        taken = target.exists() and not target.samefile(source)
        if taken or new_name in self.paths():
            raise SettingsError(f"There is a style '{new_name}' already; choose another name.")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
        except OSError as error:
            raise CheckpointError(
                f"Cannot rename '{name}' ({error.strerror}). Make the styles folder writable."
            ) from error
        return new_name

    def delete(self, name: str) -> None:
        """Remove a saved style.

        Raises:
            SettingsError: it ships with the pack.
            StyleNotFound: there is none.
            CheckpointError: the folder cannot be written.
        """
        try:
            self._own(name).unlink()
        except OSError as error:
            raise CheckpointError(
                f"Cannot delete '{name}' ({error.strerror}). Make the styles folder writable."
            ) from error

    def _own(self, name: str) -> Path:
        if _is_shipped(name):
            raise SettingsError(
                f"Style '{name}' ships with MetaStyle and cannot be changed; save a copy instead."
            )
        path = self.find(name)
        inside = (path.parent.resolve().is_relative_to(f.resolve()) for f in self.folders)
        if not any(inside):
            raise SettingsError(
                f"Style '{name}' lies behind a link outside the styles folder. Change it there."
            )
        return path


def _is_shipped(name: str) -> bool:
    return name.startswith(f"{RESERVED_FOLDER}/")


def _write_style(path: Path, data: bytes) -> None:
    """Write a file that is read as a style before it gets its name."""
    number, part = tempfile.mkstemp(".part", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
        load_style(part)
        Path(part).replace(path)
    except CheckpointError as error:
        reason = str(error).replace(part, path.name)
        raise CheckpointError(reason) from error
    finally:
        Path(part).unlink(missing_ok=True)


def _free_place(path: Path) -> Path:
    numbered = (path.with_stem(f"{path.stem}_{number}") for number in range(2, _MOST_COPIES))
    return next((place for place in (path, *numbered) if not place.exists()), path)


def _entry(name: str, path: Path) -> StyleEntry:
    shipped = _is_shipped(name)
    try:
        header = read_metadata(path, file_format=STYLE_FORMAT)
    except CheckpointError as error:
        reason = _without_path(error, path)
        return StyleEntry(name, path.stem, shipped, None, False, False, reason, str(path))
    title = header.get("name", path.stem) if shipped else path.stem
    pictures = ("thumbnail" in header, "painting" in header)
    return StyleEntry(name, title, shipped, header.get("mode"), *pictures, None, str(path))


def _without_path(error: CheckpointError, path: Path) -> str:
    return advice_first(str(error).replace(str(path), path.name))
