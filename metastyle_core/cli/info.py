"""`metastyle info`: what a file of ours is and how it was made."""

import argparse
import json
import sys
from pathlib import Path

from ..base import BASE_FORMAT, SHIPPED_BASES, base_file, load_base
from ..checkpoint import CHECKSUM, JSON_ERRORS, TensorFile, read_tensors
from ..encoder import ENCODER_FORMAT
from ..errors import CheckpointError
from ..style import PICTURES, STYLE_FORMAT
from ..style_statistics import split_statistics
from .options import Commands

_FORMATS = (BASE_FORMAT, ENCODER_FORMAT, STYLE_FORMAT)


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "info",
        help="describe a base, encoder or style file",
        description="Describe a base, encoder or style file of MetaStyle.",
    )
    parser.add_argument(
        "file",
        type=base_file,
        metavar="FILE",
        help=f"the file, or the name of a base that ships: {', '.join(SHIPPED_BASES)}",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the description."""
    file = read_tensors(arguments.file)
    kind = file.metadata.get("format")
    if kind not in _FORMATS:
        raise CheckpointError(
            f"{arguments.file} is a '{kind or 'plain safetensors'}' file; "
            f"{', '.join(_FORMATS)} can be described."
        )
    description = describe(arguments.file, file)
    if arguments.json:
        sys.stdout.write(json.dumps(description) + "\n")
        return
    for key, value in description.items():
        shown = json.dumps(value) if isinstance(value, (dict, list)) else value
        sys.stdout.write(f"{key}: {shown}\n")


def describe(path: Path, file: TensorFile) -> dict[str, object]:
    """What a base, encoder or style file says and holds.

    Raises:
        CheckpointError: its parts do not go together.
    """
    kind = file.metadata.get("format")
    tensors, statistics = file.tensors, None
    if kind == STYLE_FORMAT:
        tensors, statistics = split_statistics(path, file)
    description: dict[str, object] = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "dtype": ", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values()})),
    }
    if CHECKSUM not in file.metadata:
        description[CHECKSUM] = "none, the file is older than checksums: damage may go unseen"
    for key, text in file.metadata.items():
        description[key] = f"{len(text)} characters" if key in PICTURES else _parsed(text)
    if statistics is not None:
        description["statistics"] = statistics.summary()
    if kind == BASE_FORMAT:
        description["sha256"] = load_base(path).sha256
    return description


def _parsed(text: str) -> object:
    try:
        value = json.loads(text)
    except JSON_ERRORS:
        return text
    return value if isinstance(value, (dict, list)) else text
