"""Draw the pictures of the node help from photographs and paintings.

    python tools/draw_help_pictures.py PAINTINGS PHOTOS [--steps N]

Only stylized results are written, to web/docs/. Run it again when the base changes.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import Base, load_base
from metastyle_core.encoder import load_encoder
from metastyle_core.images import (
    center_crop,
    contact_sheet,
    load_image,
    resize_short_side,
    save_image,
)
from metastyle_core.mixing import StyleSchedule
from metastyle_core.network import ADAPTATION_MODES
from metastyle_core.style import AdaptedStyle
from metastyle_core.stylization import stylize

OUTPUT = Path(__file__).parents[1] / "web" / "docs"
SIDE_PX = 256
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
BRUSHES_PX = (128, 256, 512)
BLEND_FRAMES = 5
INSTANT = AdaptationSettings(steps=0)
_LOG = logging.getLogger(__name__)


def main() -> None:
    """Draw every picture."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paintings", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--steps", type=int, default=100, help="steps of adaptation of the modes")
    arguments = parser.parse_args()
    base, encoder = load_base(), load_encoder("compact")
    wave = load_image(arguments.paintings / "hokusai_great_wave.jpg").pixels[None]
    scream = load_image(arguments.paintings / "munch_the_scream.jpg").pixels[None]
    night = load_image(arguments.paintings / "van_gogh_starry_night.jpg").pixels[None]
    house = _square(arguments.photos / "timbered_houses.jpg")
    boat = _square(arguments.photos / "boat.jpg")

    instant = [adapt_to_style(base, None, [style], settings=INSTANT) for style in (wave, scream)]
    _write("strength", [stylize(base, instant[1], house, strength=s) for s in STRENGTHS])
    brushes = [replace(INSTANT, style_size_px=size) for size in BRUSHES_PX]
    _write(
        "brush_size",
        _draw(base, [adapt_to_style(base, None, [night], settings=s) for s in brushes], boat),
    )
    schedule = StyleSchedule(tuple(instant))
    _write(
        "blend",
        _draw(base, [schedule.at_frame(f, BLEND_FRAMES) for f in range(BLEND_FRAMES)], boat),
    )
    modes = [
        adapt_to_style(
            base, encoder, [night], settings=AdaptationSettings(mode=mode, steps=arguments.steps)
        )
        for mode in ADAPTATION_MODES
    ]
    _write("modes", _draw(base, modes, house))


def _square(path: Path) -> Tensor:
    return center_crop(resize_short_side(load_image(path).pixels[None], SIDE_PX), SIDE_PX)


def _draw(base: Base, styles: list[AdaptedStyle], photo: Tensor) -> list[Tensor]:
    return [stylize(base, style, photo) for style in styles]


def _write(name: str, pictures: list[Tensor]) -> None:
    path = OUTPUT / f"{name}.webp"
    save_image(contact_sheet([[picture[0] for picture in pictures]]), path)
    _LOG.info("%s", path)


if __name__ == "__main__":
    main()
