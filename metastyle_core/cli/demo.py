"""`metastyle demo`: adapt live, stylize photographs, and show the result on one sheet."""

import argparse
import sys
import textwrap
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..adaptation import AdaptationSettings, adapt_to_style
from ..base import Base, load_base
from ..encoder import load_encoder
from ..errors import SettingsError
from ..images import center_crop, load_image, resize_short_side, save_image, save_pil, to_pil
from ..precision import Precision, resolve_device
from ..presets import load_preset, preset_paths
from ..style import AdaptedStyle, save_style
from ..stylization import stylize
from .options import (
    Commands,
    add_compute_options,
    add_setting,
    non_negative_int,
    settings_from,
)
from .progress import advance, progress_bar

ARTWORK = Path(__file__).parent.parent / "artwork" / "style.webp"
_PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
_SIZE_PX = 384
_CELL_PX = 256
_LABEL_PX = 22


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "demo",
        help="adapt to a painting live and stylize real photographs",
        description="Adapt the shipped base to our own painting, stylize photographs of "
        "scikit-image with it and with shipped styles, and lay them out on one sheet.",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("output/demo"), metavar="DIR")
    add_setting(
        parser,
        AdaptationSettings,
        "--steps",
        kind=non_negative_int,
        help="gradient steps of the painting",
    )
    parser.add_argument(
        "--presets", type=non_negative_int, default=5, metavar="N", help="shipped styles to show"
    )
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run all stages and print where the pictures are and how long each stage took."""
    clock = _Clock()
    base = load_base().to(resolve_device(arguments.device))
    encoder = load_encoder("compact").to(base.device)
    painting = load_image(ARTWORK).pixels[None]
    photographs = {name: _photograph(name) for name in _PHOTOGRAPHS}
    clock.stage("load")
    settings = settings_from(arguments, AdaptationSettings)
    with progress_bar(settings.steps, "adapting") as bar:
        adapted = adapt_to_style(
            base, encoder, [painting], settings=settings, name="our painting",
            on_step=lambda _: advance(bar),
        )  # fmt: skip
    save_style(adapted, arguments.output / "our_painting.safetensors")
    clock.stage("adapt", lambda took_s: f"{settings.steps / took_s:.1f} steps per second")
    names = list(preset_paths())
    styles = [adapted, *(load_preset(name) for name in _spread(names, arguments.presets))]
    rows = _stylize_all(base, styles, photographs, arguments.output, arguments.precision)
    count = len(styles) * len(photographs)
    clock.stage("stylize", lambda took_s: f"{1000 * took_s / count:.0f} ms per {_SIZE_PX} px image")
    sheet = _sheet(list(photographs.values()), styles, rows, painting)
    sheet_path = arguments.output / "contact_sheet.png"
    save_pil(sheet, sheet_path)
    clock.stage("lay out")
    sys.stdout.write(
        f"{clock.table()}\n{count} pictures are in {arguments.output}, "
        f"all of them on {sheet_path}\n"
    )


class _Clock:
    """Seconds per stage."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._rows: list[str] = []

    def stage(self, name: str, remark: Callable[[float], str] = lambda _: "") -> None:
        """Close the stage that just ended; the remark is made of the seconds it took."""
        now_s = time.monotonic()
        took_s, self._started_s = now_s - self._started_s, now_s
        self._rows.append(f"{name:<10} {took_s:6.1f} s  {remark(took_s)}".rstrip())

    def table(self) -> str:
        return "\n".join(self._rows)


def _photograph(name: str) -> Tensor:
    try:
        from skimage import data
    except ImportError as error:
        raise SettingsError(
            "The demo's photographs come with scikit-image; install it with: "
            "pip install 'metastyle[demo]'."
        ) from error
    array = np.asarray(getattr(data, name)(), dtype=np.float32) / 255.0
    image = torch.from_numpy(array).permute(2, 0, 1)[None]
    return center_crop(resize_short_side(image, _SIZE_PX), _SIZE_PX)


def without_accents(text: str) -> str:
    """The text in plain letters: Pillow's own font has no others."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")


def _spread(names: Sequence[str], count: int) -> list[str]:
    count = min(count, len(names))
    return [names[i * len(names) // count] for i in range(count)]


def _stylize_all(
    base: Base,
    styles: Sequence[AdaptedStyle],
    photographs: dict[str, Tensor],
    folder: Path,
    precision: Precision,
) -> list[list[Tensor]]:
    rows: list[list[Tensor]] = []
    for style in styles:
        results = [stylize(base, style, p, precision=precision) for p in photographs.values()]
        for name, result in zip(photographs, results, strict=True):
            save_image(result, folder / f"{name}-{style.name.replace(' ', '_')}.png")
        rows.append(results)
    return rows


def _sheet(
    photographs: Sequence[Tensor],
    styles: Sequence[AdaptedStyle],
    rows: Sequence[Sequence[Tensor]],
    painting: Tensor,
) -> Image.Image:
    """A labelled grid: photographs on top, one row per style, the painting in its corner."""
    columns = len(photographs) + 1
    size = (columns * _CELL_PX, (len(styles) + 1) * (_CELL_PX + _LABEL_PX))
    sheet = Image.new("RGB", size, "white")
    font = ImageFont.load_default(14)
    draw = ImageDraw.Draw(sheet)

    def paste(picture: Tensor | Image.Image, column: int, row: int, label: str) -> None:
        if isinstance(picture, Tensor):
            picture = to_pil(center_crop(resize_short_side(picture.cpu(), _CELL_PX), _CELL_PX))
        left, top = column * _CELL_PX, row * (_CELL_PX + _LABEL_PX)
        sheet.paste(picture.resize((_CELL_PX, _CELL_PX)), (left, top + _LABEL_PX))
        draw.text((left + 4, top + 3), label, fill="black", font=font)

    for column, photograph in enumerate(photographs, start=1):
        paste(photograph, column, 0, "photograph")
    for row, (style, results) in enumerate(zip(styles, rows, strict=True), start=1):
        if row == 1:
            paste(painting, 0, row, f"{style.name} (adapted now)")
        else:
            middle = row * (_CELL_PX + _LABEL_PX) + _CELL_PX // 2
            title = "\n".join(textwrap.wrap(without_accents(style.name), 34))
            draw.text((4, middle), title, "black", font)
        for column, result in enumerate(results, start=1):
            paste(result, column, row, "")
    return sheet
