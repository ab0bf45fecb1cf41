"""One sheet of what every family drew, from the pictures that `benchmarks.quality` kept.

    python -m benchmarks.sheet OUT.jpg --runs RUN [RUN ...] --styles NAME ... --contents NAME ...

Neither the paintings nor the photographs themselves are on it, so that it may be published
where they may not.
"""

import argparse
import sys
from pathlib import Path

from PIL import Image

from benchmarks.quality import picture_path
from metastyle_core.sheets import SheetLayout, SheetRow, labelled_sheet

METHODS = {
    "Gatys, 500 iterations": "Gatys\n500 iterations",
    "Johnson, 1000 steps": "Johnson\n1,000 steps",
    "AdaIN": "AdaIN\nour training",
    "MetaStyle, instant": "MetaStyle\ninstant",
    "MetaStyle, norm, 100 steps": "MetaStyle\nnorm, 100 steps",
    "MetaStyle, low_rank, 100 steps": "MetaStyle\nlow_rank, 100 steps",
    "MetaStyle, full, 100 steps": "MetaStyle\nfull, 100 steps",
}


def main() -> None:
    """Lay out one row per style and photograph, one column per method."""
    parser = argparse.ArgumentParser(description="Draw a sheet of all methods.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="output folders")
    parser.add_argument("--styles", nargs="+", required=True, help="names without ending")
    parser.add_argument("--contents", nargs="+", required=True, help="names without ending")
    arguments = parser.parse_args()
    rows = [
        [_open(arguments.runs, style, method, content) for method in METHODS]
        for style in arguments.styles
        for content in arguments.contents
    ]
    layout = SheetLayout(rows[0][0].width)
    sheet = labelled_sheet(
        [SheetRow(pictures) for pictures in rows], layout, columns=list(METHODS.values())
    )
    sheet.save(arguments.output, quality=88)


def _open(runs: list[Path], style: str, method: str, content: str) -> Image.Image:
    for run in runs:
        path = picture_path(run, style, method, content)
        if path.is_file():
            return Image.open(path).convert("RGB")
    sys.exit(f"No run holds '{method}' of {style} and {content}; run benchmarks.quality first.")


if __name__ == "__main__":
    main()
