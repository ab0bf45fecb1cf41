"""The command line: `metastyle COMMAND`.

Each command is a module with `add_parser` and `run`. This file picks the command
and turns errors into one line and an exit code: 0 done, 1 done but for the inputs
listed, 2 bad input or too little memory, 130 stopped with Ctrl-C, 141 nobody reads
the output any more.
"""

import argparse
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TextIO

# Read when PyTorch loads libgomp, whose threads otherwise wait for one another so busily that
# beside one other program on two cores an adaptation takes seven times as long.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

import torch

from ..errors import MetaStyleError, PartlyDoneError
from . import adapt, bench, demo, distill, evaluate, export, info, stylize, sweep, train

_ALLOCATOR = "DefaultCPUAllocator"  # in the words of a RuntimeError, for there is no type
_CLOSED_PIPE = 128 + 13  # what shells show of a command that SIGPIPE ended
_COMMANDS = (adapt, stylize, sweep, export, evaluate, info, demo, bench, train, distill)


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="metastyle",
        description="Turn any one image into a reusable style, then stylize pictures with it.",
    )
    parser.add_argument("--version", action="version", version=f"metastyle {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def _version() -> str:
    """The version that pyproject.toml gave the installed package."""
    try:
        return version("metastyle")
    except PackageNotFoundError:
        return "(a checkout that is not installed)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit code.

    A polite request to end (SIGTERM) is taken like Ctrl-C, so that training leaves a
    checkpoint when a scheduler ends it.
    """
    for stream in (sys.stdout, sys.stderr):
        _print_anything_on(stream)
    arguments = build_parser().parse_args(argv)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    # What Pillow warns of in spoilt pictures is said in our own words, or does not matter.
    warnings.filterwarnings("ignore", module="PIL")
    try:
        return _run(arguments)
    except BrokenPipeError:
        return _leave_closed_pipe()


def _run(arguments: argparse.Namespace) -> int:
    code, message = 0, ""
    try:
        arguments.run(arguments)
        sys.stdout.flush()
    except MetaStyleError as error:
        code, message = 1 if isinstance(error, PartlyDoneError) else 2, str(error)
    except KeyboardInterrupt:
        code, message = 130, "stopped"
    except BrokenPipeError:
        raise
    except (MemoryError, OSError, RuntimeError) as error:
        code, message = 2, _words_for(error)
    if message:
        sys.stderr.write(f"metastyle {arguments.command}: {message}\n")
    return code


def _words_for(error: Exception) -> str:
    """One line for what a machine lacks; raises again what is a mistake of ours."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"Cannot use {error.filename} ({error.strerror}); check its name and permissions."
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or _ALLOCATOR in str(error):
        return (
            "There is not enough memory; take smaller pictures (--max-size, --crop, --style-size, "
            "--supersampling 1) or fewer at once (--batch)."
        )
    raise error


def _print_anything_on(stream: TextIO) -> None:
    """Let a terminal that lacks a letter of a path show its number, in place of an error."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _leave_closed_pipe() -> int:
    """Whoever read the output has left, as `head` does: end as other commands do then."""
    # What is still unwritten would raise once more while Python shuts down.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _CLOSED_PIPE
