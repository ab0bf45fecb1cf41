"""The command line: `metastyle COMMAND`.

Each command is a module with `add_parser` and `run`. This file picks the command
and turns errors into one line and an exit code: 0 done, 1 done but for the inputs
listed, 2 bad input, 130 stopped with Ctrl-C.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from ..errors import MetaStyleError, PartlyDoneError
from . import adapt, bench, demo, distill, evaluate, info, stylize, train

_COMMANDS = (adapt, stylize, evaluate, info, demo, bench, train, distill)


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
    arguments = build_parser().parse_args(argv)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        arguments.run(arguments)
    except MetaStyleError as error:
        sys.stderr.write(f"metastyle {arguments.command}: {error}\n")
        return 1 if isinstance(error, PartlyDoneError) else 2
    except KeyboardInterrupt:
        sys.stderr.write(f"metastyle {arguments.command}: stopped\n")
        return 130
    return 0
