"""Draw the gallery of shipped styles: one photograph in each, with their titles.

    python tools/draw_gallery.py PHOTOGRAPH docs/images/gallery.jpg

Run it again after `adapt_presets.py`.
"""

import argparse
from pathlib import Path

from metastyle_core.base import load_base
from metastyle_core.images import load_square
from metastyle_core.presets import load_preset, preset_paths
from metastyle_core.sheets import SheetLayout, SheetRow, labelled_sheet
from metastyle_core.stylization import stylize_as_usual

_COLUMNS, _PICTURE_PX, _CELL_PX, _GAP_PX = 6, 384, 224, 8


def main() -> None:
    """Lay out every shipped style."""
    parser = argparse.ArgumentParser(description="Draw the gallery of shipped styles.")
    parser.add_argument("photograph", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    base, photograph = load_base(), load_square(arguments.photograph, _PICTURE_PX)
    styles = [load_preset(name) for name in preset_paths()]
    lines = [styles[first : first + _COLUMNS] for first in range(0, len(styles), _COLUMNS)]
    rows = [
        SheetRow(
            [stylize_as_usual(base, style, photograph) for style in line],
            [style.name for style in line],
        )
        for line in lines
    ]
    sheet = labelled_sheet(rows, SheetLayout(_CELL_PX, _GAP_PX))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.output, quality=84)


if __name__ == "__main__":
    main()
