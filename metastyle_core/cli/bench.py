"""`metastyle bench`: how fast this machine stylizes and adapts."""

import argparse
import json
import sys

from ..benchmark import run_benchmark
from ..encoder import load_encoder
from .inputs import open_base
from .options import Commands, add_base_option, add_compute_options, positive_int


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "bench",
        help="time stylization and adaptation here",
        description="Time stylization and adaptation on this machine. Compared ways take turns "
        "in one run and the median of their ratios is given, so that a busy machine "
        "does not favour either.",
    )
    parser.add_argument("--rounds", type=positive_int, default=7, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_base_option(parser)
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Time everything and print the table."""
    base = open_base(arguments)
    encoder = load_encoder("compact").to(base.device)
    rows = run_benchmark(base, encoder, rounds=arguments.rounds, precision=arguments.precision)
    if arguments.json:
        sys.stdout.write(json.dumps({row.name: row.value for row in rows}) + "\n")
        return
    for row in rows:
        sys.stdout.write(f"{row.name:<58} {row.value:10.2f} {row.unit}\n")
