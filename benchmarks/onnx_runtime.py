"""ONNX Runtime against our own way, on the CPU: `python -m benchmarks.onnx_runtime`.

All ways take turns in one run. What is counted is the time that processors work, of all
threads together, divided by the threads: on a busy machine the clock on the wall counts what
others do as well.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import torch

from metastyle_core.base import load_base
from metastyle_core.export import export_onnx, statistics_of
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.presets import load_preset, preset_paths
from metastyle_core.stylization import stylize

_SIZES_PX = (256, 512, 1024)


def main() -> None:
    """Print a table: milliseconds of each way by size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(_SIZES_PX))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    base, style = load_base(), load_preset(min(preset_paths()))
    fixed = statistics_of(base, style, torch.rand(1, 3, 256, 256))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{name}.onnx" for name in ("plain", "fixed", "int8")]
        export_onnx(base, style, paths[0])
        export_onnx(base, style, paths[1], statistics=fixed)
        export_onnx(base, style, paths[2], numbers="int8")
        sessions = [open_session(path, arguments.threads) for path in paths]
    for size in arguments.sizes:
        images = torch.rand(1, 3, size, size)
        feeds = {"image": images.numpy()}
        as_drawn = partial(stylize, base, style, colouring=AS_DRAWN)
        ways: dict[str, Callable[[], object]] = {
            "ours": partial(as_drawn, images),
            "ours, float32": partial(as_drawn, images, precision="fp32"),
            "ONNX Runtime": lambda f=feeds: sessions[0].run(None, f),
            "ONNX Runtime, fixed statistics": lambda f=feeds: sessions[1].run(None, f),
            "ONNX Runtime, int8": lambda f=feeds: sessions[2].run(None, f),
        }
        for name, milliseconds in _timed(ways, arguments.rounds).items():
            shown = milliseconds / arguments.threads
            sys.stdout.write(f"{size:>5} px  {name:<32}{shown:9.1f} ms\n")


def open_session(path: Path, threads: int) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """A graph on the CPU, with so many threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait by spinning would count as work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _timed(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Processor milliseconds of each, the median of rounds in which all take turns."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for counted in range(-1, rounds):
        for name, work in ways.items():
            began_s = time.process_time()
            work()
            if counted >= 0:
                taken[name].append(1000 * (time.process_time() - began_s))
    return {name: statistics.median(each) for name, each in taken.items()}


if __name__ == "__main__":
    main()
