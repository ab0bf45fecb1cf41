"""Draw how the loss fell over the hours of one or several training runs, one after another.

    python tools/draw_training_curve.py docs/images/training.svg runs/base runs/base1

A run is a folder that `metastyle train` wrote; its name labels its part of the curve. A point
is the geometric mean of the totals (+ 0.1) of 400 pictures: fewer would show the draw of the
pictures. Needs matplotlib: `pip install metastyle[docs]`.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

from matplotlib import pyplot

_PICTURES_PER_POINT = 400
_SECONDS_PER_HOUR = 3600


def main() -> None:
    """Draw the named runs into one SVG."""
    parser = argparse.ArgumentParser(description="Draw the loss of training runs over time.")
    parser.add_argument("output", type=Path)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    arguments = parser.parse_args()
    # The same runs give the same file, byte for byte.
    pyplot.rcParams["svg.hashsalt"] = "metastyle"
    figure, axes = pyplot.subplots(figsize=(8, 4))
    began_h = 0.0
    for run in arguments.runs:
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        hours, totals = _points(lines)
        axes.plot([began_h + hour for hour in hours], totals, label=run.name)
        began_h += lines[-1]["elapsed_s"] / _SECONDS_PER_HOUR
    axes.set_yscale("log")
    axes.set_yticks([2, 3, 4, 6, 8], labels=["2", "3", "4", "6", "8"])
    axes.minorticks_off()
    axes.set_xlabel("hours of training")
    axes.set_ylabel("geometric mean of total + 0.1")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(arguments.output, metadata={"Date": None})


def _points(lines: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    """Hours and geometric mean totals of a run, a point for every `_PICTURES_PER_POINT`."""
    hours: list[float] = []
    totals: list[float] = []
    logarithms: list[float] = []
    seen = 0
    for line in lines:
        logarithms.append(line["metrics"]["log_total"])
        if line["samples"] - seen >= _PICTURES_PER_POINT:
            hours.append(line["elapsed_s"] / _SECONDS_PER_HOUR)
            totals.append(math.exp(sum(logarithms) / len(logarithms)))
            seen, logarithms = line["samples"], []
    return hours, totals


if __name__ == "__main__":
    main()
