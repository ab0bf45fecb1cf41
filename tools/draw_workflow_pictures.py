"""Draw the pictures that stand for the example workflows in the host's template browser.

    python tools/draw_workflow_pictures.py FOLDER_OF_PHOTOGRAPHS

Each `example_workflows/NAME.json` gets a `NAME.jpg` of what it makes. Only our own output and
our own painting are on them; the photographs themselves are not part of the project.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import Base, load_base
from metastyle_core.encoder import load_encoder
from metastyle_core.images import load_batch, resize, to_pil
from metastyle_core.mixing import mix_styles
from metastyle_core.presets import load_preset
from metastyle_core.stylization import stylize_as_usual

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "example_workflows"
PAINTING = ROOT / "metastyle_core" / "artwork" / "style.webp"
WIDTH_PX, HEIGHT_PX = 480, 360

draw = stylize_as_usual


def main() -> None:
    """Write all of them."""
    parser = argparse.ArgumentParser(description="Draw the example workflows' pictures.")
    parser.add_argument("photographs", type=Path, help="folder of photographs, NAME.jpg")
    parser.add_argument("--steps", type=int, default=AdaptationSettings().steps)
    arguments = parser.parse_args()
    base, folder = load_base(), arguments.photographs
    pictures = {
        "1 Learn a style from a painting": _adapted(base, folder, arguments.steps),
        "2 Draw pictures in a preset style": _batch(base, folder),
        "3 Pass from one style to another": _blended(base, folder),
        "4 Style first, diffusion on top": _preset(
            base, folder, "van_gogh_starry_night", "lighthouse"
        ),
        "5 Diffusion first, style on top": _preset(base, folder, "hokusai_great_wave", "boat"),
        "6 Style first, Z-Image on top": _preset(base, folder, "seurat_circus", "timbered_houses"),
        "7 Z-Image first, style on top": _preset(base, folder, "munch_the_scream", "parrots"),
    }
    for name, picture in pictures.items():
        picture.save(TARGET / f"{name}.jpg", quality=86, optimize=True)


def _photograph(folder: Path, name: str, width: int = WIDTH_PX, height: int = HEIGHT_PX) -> Tensor:
    """The middle of a photograph in the wanted size: (1, 3, height, width)."""
    pixels = load_batch(folder / f"{name}.jpg")
    scale = max(width / pixels.shape[-1], height / pixels.shape[-2])
    rows, columns = round(pixels.shape[-2] * scale), round(pixels.shape[-1] * scale)
    scaled = resize(pixels, max(rows, height), max(columns, width))
    top, left = (scaled.shape[-2] - height) // 2, (scaled.shape[-1] - width) // 2
    return scaled[..., top : top + height, left : left + width]


def _preset(base: Base, folder: Path, style: str, photograph: str) -> Image.Image:
    return to_pil(draw(base, load_preset(style), _photograph(folder, photograph)))


def _adapted(base: Base, folder: Path, steps: int) -> Image.Image:
    """Our painting in a corner of what was learned from it."""
    painting = load_batch(PAINTING)
    settings = AdaptationSettings(steps=steps)
    style = adapt_to_style(base, load_encoder("compact"), [painting], settings=settings)
    picture = to_pil(draw(base, style, _photograph(folder, "canal_street")))
    inset = to_pil(resize(painting, 108, 108))
    corner = (12, HEIGHT_PX - 120)
    frame = (corner[0] - 4, corner[1] - 4, corner[0] + 111, corner[1] + 111)
    ImageDraw.Draw(picture).rectangle(frame, fill="white")
    picture.paste(inset, corner)
    return picture


def _batch(base: Base, folder: Path) -> Image.Image:
    """Four photographs in one preset."""
    style, sheet = load_preset("hokusai_great_wave"), Image.new("RGB", (WIDTH_PX, HEIGHT_PX))
    for place, name in enumerate(("parrots", "lighthouse", "canal_street", "timbered_houses")):
        photograph = _photograph(folder, name, WIDTH_PX // 2, HEIGHT_PX // 2)
        corner = (place % 2 * WIDTH_PX // 2, place // 2 * HEIGHT_PX // 2)
        sheet.paste(to_pil(draw(base, style, photograph)), corner)
    return sheet


def _blended(base: Base, folder: Path, strips: int = 6) -> Image.Image:
    """One photograph in strips, from one preset to another."""
    styles = [load_preset("hokusai_great_wave"), load_preset("munch_the_scream")]
    photograph = _photograph(folder, "mountain_stream")
    shares = [strip / (strips - 1) for strip in range(strips)]
    mixed = [mix_styles(styles, [1 - share, share]) for share in shares]
    drawn = draw(base, mixed, photograph.expand(strips, -1, -1, -1))
    width = WIDTH_PX // strips
    parts = [drawn[place, :, :, place * width : (place + 1) * width] for place in range(strips)]
    return to_pil(torch.cat(parts, dim=-1))


if __name__ == "__main__":
    main()
