"""Draw the README's sheet: styles that adapt to photographs, step by step.

    python tools/draw_adaptation_sheet.py FOLDER_OF_STYLES FOLDER_OF_PHOTOGRAPHS OUT.jpg

Four paintings that training never saw meet a photograph each: drawn at once, after 10, 30 and 60
steps on crops of that photograph with the default settings, and at once with steps on the pixels.
Only our own output is on the sheet: the paintings and the photographs themselves are not part of
the project.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style, brush_for
from metastyle_core.base import Base, load_base
from metastyle_core.content import own_contents
from metastyle_core.encoder import PerceptualEncoder, load_encoder
from metastyle_core.images import load_batch, load_square
from metastyle_core.refinement import RefinementSettings, refine
from metastyle_core.sheets import SheetLayout, SheetRow, labelled_sheet
from metastyle_core.stylization import stylize_as_usual

PAIRS = {
    "00022": ("Hiroshige, Plum Park", "lighthouse"),
    "00027": ("Modigliani, Jeanne H.", "portrait"),
    "00031": ("Van Gogh, The Bedroom", "canal_street"),
    "00037": ("Gauguin, Ia Orana", "parrots"),
}
STEPS = (0, 10, 30, 60)
_PICTURE_PX, _CELL_PX = 384, 256


def main() -> None:
    """Adapt, stylize, refine and lay out."""
    parser = argparse.ArgumentParser(description="Draw the README's sheet.")
    parser.add_argument("styles", type=Path, help="folder of paintings, NUMBER.jpg")
    parser.add_argument("photographs", type=Path, help="folder of photographs, NAME.jpg")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    base, encoder = load_base(), load_encoder("compact")
    rows: list[SheetRow] = []
    for stem, (title, photograph) in PAIRS.items():
        painting = load_batch(arguments.styles / f"{stem}.jpg")
        content = load_square(arguments.photographs / f"{photograph}.jpg", _PICTURE_PX)
        rows.append(SheetRow(_pictures(base, encoder, painting, content), [title]))
    columns = ["at once", *[f"{steps} steps" for steps in STEPS[1:]], "on the pixels"]
    sheet = labelled_sheet(rows, SheetLayout(_CELL_PX), columns=columns)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(arguments.output, quality=88)


def _pictures(
    base: Base, encoder: PerceptualEncoder, painting: Tensor, content: Tensor
) -> list[Tensor]:
    """One photograph in one style: adapted for each number of steps, then refined."""
    pictures: list[Tensor] = []
    for steps in STEPS:
        brush = brush_for(_PICTURE_PX, _PICTURE_PX)
        settings = AdaptationSettings(steps=steps, style_size_px=brush)
        generator = torch.Generator().manual_seed(settings.seed)
        contents = own_contents(
            [content], settings.content_count, settings.content_size_px, generator
        )
        style = adapt_to_style(base, encoder, [painting], contents, settings)
        pictures.append(stylize_as_usual(base, style, content))
    refinement = RefinementSettings(style_size_px=_PICTURE_PX)
    return [*pictures, refine(encoder, content, pictures[0], [painting], refinement)]


if __name__ == "__main__":
    main()
