"""Draw the README's sheet: styles by photographs, as they adapt.

    python tools/draw_adaptation_sheet.py FOLDER_OF_STYLES FOLDER_OF_PHOTOGRAPHS OUT.jpg

Each row is one painting that training never saw; each group of four pictures is one
photograph after 0, 10, 30 and 100 steps with the default settings. Only our own output is
on the sheet: the paintings and the photographs themselves are not part of the project.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import load_base
from metastyle_core.encoder import load_encoder
from metastyle_core.grain import USUAL_GRAIN
from metastyle_core.images import center_crop, load_batch, resize_short_side
from metastyle_core.network import ADAPTATION_MODES
from metastyle_core.sheets import SheetLayout, SheetRow, labelled_sheet
from metastyle_core.stylization import stylize

STYLES = {
    "00022": "Hiroshige\nPlum Park",
    "00027": "Modigliani\nJeanne H.",
    "00028": "Rousseau\nSleeping Gypsy",
    "00031": "Van Gogh\nThe Bedroom",
    "00032": "Delacroix\nLiberty",
    "00034": "Seurat\nBathers",
    "00037": "Gauguin\nIa Orana",
    "00038": "Monet\nRouen Cathedral",
}
PHOTOGRAPHS = ("canal_street", "portrait", "parrots", "lighthouse")
STEPS = (0, 10, 30, 100)
_PICTURE_PX, _CELL_PX = 288, 144

draw = partial(stylize, grain=USUAL_GRAIN)


def main() -> None:
    """Adapt, stylize and lay out."""
    parser = argparse.ArgumentParser(description="Draw the README's sheet.")
    parser.add_argument("styles", type=Path, help="folder of paintings, NUMBER.jpg")
    parser.add_argument("photographs", type=Path, help="folder of photographs, NAME.jpg")
    parser.add_argument("output", type=Path)
    parser.add_argument("--mode", choices=ADAPTATION_MODES, default=AdaptationSettings().mode)
    arguments = parser.parse_args()
    base, encoder = load_base(), load_encoder("compact")
    contents = [
        center_crop(
            resize_short_side(load_batch(arguments.photographs / f"{name}.jpg"), _PICTURE_PX),
            _PICTURE_PX,
        )
        for name in PHOTOGRAPHS
    ]
    rows: list[SheetRow] = []
    for stem, title in STYLES.items():
        style_image = load_batch(arguments.styles / f"{stem}.jpg")
        settings = [replace(AdaptationSettings(), steps=n, mode=arguments.mode) for n in STEPS]
        styles = [adapt_to_style(base, encoder, [style_image], settings=each) for each in settings]
        cells = [draw(base, style, content) for content in contents for style in styles]
        rows.append(SheetRow([title, *cells]))
    columns = ["", *[f"{steps} steps" for _ in contents for steps in STEPS]]
    breaks = range(1, len(columns), len(STEPS))
    sheet = labelled_sheet(rows, SheetLayout(_CELL_PX, 0, breaks), columns=columns)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.output, quality=88)


if __name__ == "__main__":
    main()
