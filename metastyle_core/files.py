"""Files that appear whole or not at all, whatever is in them."""

import errno
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from .errors import CheckpointError


class atomic_file:  # noqa: N801 - used like a function, in a with statement
    """Write beside the target, then rename; on any error leave nothing behind.

    Gives the temporary path. The target appears only when the block ends well. Where it is a
    link, the file that it names is written. A new file gets the permissions that the process
    gives to files, one that is replaced keeps its own.
    """

    def __init__(self, path: Path | str) -> None:
        self._target = Path(os.path.realpath(path))

    def __enter__(self) -> Path:
        # Short, because the target's own name may be as long as names can be.
        self._temporary = self._target.parent / f".{secrets.token_hex(8)}.part"
        # Not tempfile, which lets nobody but the owner read.
        os.close(os.open(self._temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                if self._target.is_file():
                    shutil.copymode(self._target, self._temporary)
                self._temporary.replace(self._target)
        finally:
            self._temporary.unlink(missing_ok=True)


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file that appears whole or not at all.

    Raises:
        CheckpointError: the place cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CheckpointError(
            f"Cannot write {path} ({error.strerror}); choose a folder that can be written."
        ) from error


def refuse_unwritable(path: Path | str) -> None:
    """Try, before long work, whether a file can be written at `path`; leaves no file.

    Raises:
        CheckpointError: it cannot.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise CheckpointError(
            f"Cannot write {path} ({error.strerror}); name a file in a folder that can be written."
        ) from error
