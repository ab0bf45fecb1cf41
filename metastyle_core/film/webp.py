"""How long animated WebP files go on, which FFmpeg's encoder cannot be told."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_HEADER_BYTES = 12
# Of a frame's chunk: behind its place and its size, 24 bits each side, comes its duration.
_DURATION_AT, _DURATION_BYTES = 12, 3
_LONGEST_MS = 2 ** (8 * _DURATION_BYTES) - 1


def set_length(path: Path, length_ms: int) -> None:
    """Have the frames of an animated WebP file last for a time altogether, by its last frame.

    The encoder learns when frames begin, and gives the last one the mean duration of the others.

    Args:
        path: the file; one without frames of their own stays as it is.
        length_ms: from the beginning of the first frame to the end of the last, ms.

    Source:
        WebP Container Specification, "Animation Frame ('ANMF') Chunk".
    """
    with path.open("r+b") as file:
        places = list(_places_of_durations(file))
        durations = [_read_number(file, place) for place in places]
        if places:
            last_ms = min(length_ms - sum(durations[:-1]), _LONGEST_MS)
            file.seek(places[-1])
            file.write(last_ms.to_bytes(_DURATION_BYTES, "little"))


def _places_of_durations(file: BinaryIO) -> Iterator[int]:
    place = _HEADER_BYTES
    while header := _read_at(file, place, 8):
        kind, size = struct.unpack("<4sI", header)
        if kind == b"ANMF":
            yield place + 8 + _DURATION_AT
        place += 8 + size + size % 2


def _read_number(file: BinaryIO, place: int) -> int:
    return int.from_bytes(_read_at(file, place, _DURATION_BYTES), "little")


def _read_at(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)
