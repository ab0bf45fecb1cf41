"""`metastyle demo`: adapt live, stylize photographs, and show the result on one sheet."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from ..adaptation import AdaptationSettings, adapt_to_style
from ..base import Base, load_base
from ..encoder import load_encoder
from ..errors import SettingsError
from ..images import center_crop, load_batch, resize_short_side, save_image, save_pil
from ..precision import Precision, resolve_device
from ..presets import load_preset, preset_paths
from ..sheets import SheetLayout, SheetRow, labelled_sheet
from ..style import AdaptedStyle, save_style
from ..stylization import stylize_as_usual
from .options import (
    Commands,
    add_compute_options,
    add_setting,
    non_negative_int,
    settings_from,
)
from .progress import progress_bar

ARTWORK = Path(__file__).parent.parent / "artwork" / "style.webp"
_PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
_SIZE_PX = 384
_CELL_PX = 256


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
    painting = load_batch(ARTWORK)
    photographs = {name: _photograph(name) for name in _PHOTOGRAPHS}
    clock.stage("load")
    settings = settings_from(arguments, AdaptationSettings)
    with progress_bar(settings.steps, "adapting") as bar:

        def show(_: object) -> None:
            bar.update(1)

        adapted = adapt_to_style(
            base, encoder, [painting], settings=settings, name="our painting",
            on_step=show,
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
    image = rearrange(torch.from_numpy(array), "h w c -> 1 c h w")
    return center_crop(resize_short_side(image, _SIZE_PX), _SIZE_PX)


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
        results = [
            stylize_as_usual(base, style, p, precision=precision) for p in photographs.values()
        ]
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
    """A labelled grid: photographs on top, one row per style, the painting before the first."""
    adapted, *presets = [style.name for style in styles]
    square = center_crop(resize_short_side(painting, _CELL_PX), _CELL_PX)
    first = SheetRow([square, *rows[0]], [f"{adapted} (adapted now)"])
    shipped = [SheetRow([name, *row]) for name, row in zip(presets, rows[1:], strict=True)]
    columns = ["", *["photograph"] * len(photographs)]
    layout = SheetLayout(_CELL_PX)
    return labelled_sheet([SheetRow(["", *photographs]), first, *shipped], layout, columns=columns)
