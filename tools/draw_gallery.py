"""Draw the gallery of shipped styles from their thumbnails, with their titles.

    python tools/draw_gallery.py docs/images/gallery.jpg

Run it again after `adapt_presets.py`.
"""

import argparse
import textwrap
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from metastyle_core.cli.demo import without_accents
from metastyle_core.presets import load_preset, preset_paths

_COLUMNS, _CELL_PX, _LABEL_PX, _GAP_PX = 7, 192, 40, 8


def main() -> None:
    """Lay out every shipped style."""
    parser = argparse.ArgumentParser(description="Draw the gallery of shipped styles.")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    styles = [load_preset(name) for name in preset_paths()]
    rows = -(-len(styles) // _COLUMNS)
    width, height = _CELL_PX + _GAP_PX, _CELL_PX + _LABEL_PX
    sheet = Image.new("RGB", (_COLUMNS * width - _GAP_PX, rows * height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for place, style in enumerate(styles):
        left, top = place % _COLUMNS * width, place // _COLUMNS * height
        with Image.open(BytesIO(style.thumbnail or b"")) as thumbnail:
            sheet.paste(thumbnail, (left, top))
        title = "\n".join(textwrap.wrap(without_accents(style.name), 27)[:2])
        draw.text((left + 2, top + _CELL_PX + 3), title, "black", font)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.output, quality=88)


if __name__ == "__main__":
    main()
