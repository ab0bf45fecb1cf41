"""Pictures that come through a pipe, and one that leaves by the standard output."""

import argparse
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

STANDARD_STREAM = "-"


@contextmanager
def files_for_streams(arguments: argparse.Namespace) -> Generator[TextIO]:
    """Inside the block, `images` and `output` of the arguments name files only.

    Pipes and the standard input are read to their ends first, because a picture is opened
    more than once. A picture for the standard output is written there as PNG when the block
    ends well.

    Args:
        arguments: with `images` and `output`, which are replaced.

    Yields:
        Where words go: the standard output, unless the picture goes there.
    """
    with TemporaryDirectory(prefix="metastyle-") as name:
        folder = Path(name)
        arguments.images = [_as_file(path, folder) for path in arguments.images]
        if arguments.output != STANDARD_STREAM:
            yield sys.stdout
            return
        arguments.output = str(folder / "output.png")
        yield sys.stderr
        sys.stdout.buffer.write(Path(arguments.output).read_bytes())


def _as_file(path: Path, folder: Path) -> Path:
    if str(path) == STANDARD_STREAM:
        copy, data = folder / "stdin", sys.stdin.buffer.read()
    elif path.is_fifo():
        copy, data = folder / f"pipe-{path.name}", path.read_bytes()
    else:
        return path
    copy.write_bytes(data)
    return copy
