"""Draw the gallery of shipped styles from their thumbnails, with their titles.

    python tools/draw_gallery.py docs/images/gallery.jpg

Run it again after `adapt_presets.py`.
"""

import argparse
from io import BytesIO
from pathlib import Path

from PIL import Image

from metastyle_core.presets import load_preset, preset_paths
from metastyle_core.sheets import SheetLayout, SheetRow, labelled_sheet
from metastyle_core.style import AdaptedStyle

_COLUMNS, _CELL_PX, _GAP_PX = 7, 192, 8


def main() -> None:
    """Lay out every shipped style."""
    parser = argparse.ArgumentParser(description="Draw the gallery of shipped styles.")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    styles = [load_preset(name) for name in preset_paths()]
    lines = [styles[first : first + _COLUMNS] for first in range(0, len(styles), _COLUMNS)]
    rows = [
        SheetRow([_thumbnail(style) for style in line], [style.name for style in line])
        for line in lines
    ]
    sheet = labelled_sheet(rows, SheetLayout(_CELL_PX, _GAP_PX))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.output, quality=88)


def _thumbnail(style: AdaptedStyle) -> Image.Image:
    with Image.open(BytesIO(style.thumbnail or b"")) as picture:
        return picture.convert("RGB")


if __name__ == "__main__":
    main()
