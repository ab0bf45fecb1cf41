"""What films cost: frames per second, and memory over a long film, from file to file.

    python -m benchmarks.film_cost --size 512 1024 --frames 12
    python -m benchmarks.film_cost --size 128 --frames 1000 --lock first

A film of a shipped photograph that pans back and forth is made, then drawn and written as
`metastyle stylize` does it. Prints a line per tenth of the film with the memory of the process,
then one line per size. Seconds of the processor stand beside those of the clock, which tell
little on a machine that others use.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import torch
from einops import rearrange

from benchmarks.methods import style_on
from benchmarks.metrics import resident_mebibytes
from metastyle_core.base import SHIPPED_BASE, base_file, load_base
from metastyle_core.cli.options import positive_int
from metastyle_core.film.drawing import FilmDrawing, draw_film
from metastyle_core.film.frames import FilmFacts, FilmFrame
from metastyle_core.film.reading import VideoFile
from metastyle_core.film.writing import film_file
from metastyle_core.images import load_image, resize
from metastyle_core.shots import Lock

_PHOTOGRAPH = SHIPPED_BASE.parents[1] / "photographs" / "coffee.webp"
_RATE = Fraction(24)
_ROOM_PX = 64
_REPORTS = 10


def main() -> None:
    """Make, draw and write a film of each size."""
    parser = argparse.ArgumentParser(description="Measure what films cost.")
    parser.add_argument("--size", type=positive_int, nargs="+", default=[512, 1024], metavar="PX")
    parser.add_argument("--frames", type=positive_int, default=12)
    parser.add_argument(
        "--style",
        default="munch_the_scream",
        help="a preset; where it is of another base, an instant style",
    )
    parser.add_argument("--base", type=base_file, default=SHIPPED_BASE)
    parser.add_argument("--lock", type=Lock.parse)
    parser.add_argument("--steady", type=int, default=1)
    arguments = parser.parse_args()
    base = load_base(arguments.base)
    # Any picture serves: the numbers of a style cost the same whatever they are.
    style = style_on(base, arguments.style, load_image(_PHOTOGRAPH).pixels[None])
    drawing = FilmDrawing(base, style, lock=arguments.lock, steady=arguments.steady)
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.size:
            source = Path(folder) / f"{size}.mp4"
            _make(source, size, arguments.frames)
            _draw(source, Path(folder) / f"{size}_drawn.mp4", drawing, size)


def _make(path: Path, size_px: int, count: int) -> None:
    facts = FilmFacts(size_px, size_px, _RATE, 1 / _RATE, count)
    with film_file(path, facts) as writer:
        for frame in _panning(size_px, count):
            writer.write(frame, frame.image())


def _panning(size_px: int, count: int) -> Iterator[FilmFrame]:
    """Windows of the photograph that move by a pixel right, and at its end back."""
    side = size_px + _ROOM_PX
    photograph = resize(load_image(_PHOTOGRAPH).pixels[None], side, side)[0]
    pixels = rearrange((255 * photograph).round().byte(), "c h w -> h w c").numpy()
    for place in range(count):
        left = abs((place + _ROOM_PX) % (2 * _ROOM_PX) - _ROOM_PX)
        window = pixels[:size_px, left : left + size_px]
        yield FilmFrame(place + 1, place / _RATE, 1 / _RATE, window)


def _draw(source: Path, target: Path, drawing: FilmDrawing, size_px: int) -> None:
    film = VideoFile(source)
    memory: list[float] = []
    every = max(1, (film.facts.count or 1) // _REPORTS)
    began_s, processor_s, frames = time.perf_counter(), time.process_time(), 0
    with film_file(target, film.facts) as writer:
        for frame, drawn in draw_film(film, drawing):
            if drawn is not None:
                writer.write(frame, drawn)
            frames += 1
            if frames % every == 0:
                memory.append(resident_mebibytes() or 0.0)
                sys.stdout.write(f"frame {frames}: {memory[-1]:.0f} MiB\n")
                sys.stdout.flush()
    clock_ms = 1000 * (time.perf_counter() - began_s) / frames
    processor_ms = 1000 * (time.process_time() - processor_s) / frames
    sys.stdout.write(
        f"{size_px} px: {1000 / clock_ms:.2f} frames per second, {clock_ms:.0f} ms each by the "
        f"clock, {processor_ms:.0f} ms by the processor, {torch.get_num_threads()} thread(s); "
        f"memory {min(memory):.0f} to {max(memory):.0f} MiB\n"
    )


if __name__ == "__main__":
    main()
