"""Draw the pictures of the node help from photographs and paintings.

    python tools/draw_help_pictures.py PAINTINGS PHOTOS [--steps N]

Only stylized results are written, to web/docs/. Run it again when the base changes.
"""

import argparse
import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import Base, load_base
from metastyle_core.colour import Colouring
from metastyle_core.drawing import USUAL_SUPERSAMPLING
from metastyle_core.encoder import load_encoder
from metastyle_core.grain import USUAL_GRAIN
from metastyle_core.images import contact_sheet, load_batch, load_square, save_image
from metastyle_core.mixing import StyleSchedule
from metastyle_core.network import ADAPTATION_MODES
from metastyle_core.presets import load_preset
from metastyle_core.refinement import RefinementSettings, refine
from metastyle_core.regions import Region, RegionSettings, stylize_regions
from metastyle_core.style import AdaptedStyle
from metastyle_core.stylization import stylize_as_usual
from metastyle_core.touches import USUAL_ABSTRACTION

OUTPUT = Path(__file__).parents[1] / "web" / "docs"
SIDE_PX = 256
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
BRUSHES_PX = (128, 256, 512)
BLEND_FRAMES = 5
REFINED_STEPS = (0, 20, 80)
REGION_STYLES = ("munch_the_scream", "van_gogh_starry_night", "hokusai_great_wave")
FEATHERS_PX = (0.0, 16.0, 64.0)
BRUSHES = (0.5, 1.0, 2.0)
GRAINS = (0.0, 0.5, 1.0)
ABSTRACTIONS = (0.0, USUAL_ABSTRACTION, 0.4, 1.0)
LEVELS = (0.0, 0.4, 0.8)
OWN_PHOTOGRAPH = Path(__file__).parents[1] / "metastyle_core" / "photographs" / "coffee.webp"
_LOG = logging.getLogger(__name__)

draw = stylize_as_usual


def main() -> None:
    """Draw every picture."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paintings", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--steps", type=int, default=60, help="steps of adaptation (default: 60)")
    arguments = parser.parse_args()
    base, encoder = load_base(), load_encoder("compact")
    wave = load_batch(arguments.paintings / "hokusai_great_wave.jpg")
    scream = load_batch(arguments.paintings / "munch_the_scream.jpg")
    night = load_batch(arguments.paintings / "van_gogh_starry_night.jpg")
    house = _square(arguments.photos / "timbered_houses.jpg")
    boat = _square(arguments.photos / "boat.jpg")

    def adapt(style: Tensor, settings: AdaptationSettings) -> AdaptedStyle:
        return adapt_to_style(base, encoder, [style], settings=settings)

    learned = AdaptationSettings(steps=arguments.steps)
    ends = adapt(wave, learned), adapt(scream, replace(learned, levels=0.8))
    _write("strength", [draw(base, ends[1], house, strength=s) for s in STRENGTHS])
    schedule = StyleSchedule(ends)
    between = [schedule.at_frame(frame, BLEND_FRAMES) for frame in range(BLEND_FRAMES)]
    _write("blend", [draw(base, style, boat) for style in between])
    brushes = [adapt(night, replace(learned, style_size_px=size)) for size in BRUSHES_PX]
    _write("brush_size", [draw(base, style, boat) for style in brushes])
    toned = [AdaptationSettings(steps=0, levels=amount) for amount in LEVELS]
    _write("levels", [draw(base, adapt(scream, settings), boat) for settings in toned])
    modes = [adapt(night, replace(learned, mode=mode)) for mode in ADAPTATION_MODES]
    _write("modes", [draw(base, style, house) for style in modes])
    settings = [RefinementSettings(steps=steps) for steps in REFINED_STEPS]
    drawn = draw(base, adapt(night, AdaptationSettings(steps=0)), boat)
    _write("refine", [refine(encoder, boat, drawn, [night], each) for each in settings])
    _write("regions", _draw_regions(base, house))
    painted = [draw(base, ends[1], house, abstraction=amount) for amount in ABSTRACTIONS]
    _write("abstraction", painted)
    for name, pictures in draw_controls(base, _square(OWN_PHOTOGRAPH)).items():
        _write(name, pictures)


def draw_controls(base: Base, photograph: Tensor) -> dict[str, list[Tensor]]:
    """What the controls of Stylize do to a photograph that ships, for parts of it stay as they are.

    Args:
        base: of the shipped styles.
        photograph: (1, 3, H, W), [0, 1].

    Returns:
        By the picture's name, pictures to be laid side by side.
    """
    scream, night = (load_preset(name) for name in REGION_STYLES[:2])
    screaming = partial(draw, base, scream, photograph)
    height, width = photograph.shape[-2:]
    ramp = torch.linspace(0, 1, width).expand(1, 1, height, width)
    wave = load_preset(REGION_STYLES[2])
    palette = Colouring("match", palette=draw(base, wave, photograph))
    seamless = [screaming(), screaming(seamless="both")]
    halves = (height // 2, width // 2)
    return {
        "colour": [
            screaming(),
            screaming(colouring=Colouring("photograph")),
            screaming(colouring=palette),
        ],
        "mask": [screaming(mask=ramp), screaming(mask=(ramp > 0.5).float())],
        "seamless": [picture.roll(halves, (2, 3)) for picture in seamless],
        "brush": [draw(base, night, photograph, brush=size) for size in BRUSHES],
        "grain": [draw(base, night, photograph, grain=amount) for amount in GRAINS],
    }


def _draw_regions(base: Base, photograph: Tensor) -> list[Tensor]:
    """Three presets in slanting stripes, with passages of several widths."""
    ramp = torch.linspace(0, 1, SIDE_PX)
    place = ramp[None, :] + 0.3 * (ramp[:, None] - 0.5)
    styles = [load_preset(name) for name in REGION_STYLES]
    masks = [(place < 1 / 3).float()[None, None], (place > 2 / 3).float()[None, None]]
    regions = [Region(*pair) for pair in zip(styles[:2], masks, strict=True)]
    usual = RegionSettings(
        grain=USUAL_GRAIN, abstraction=USUAL_ABSTRACTION, supersampling=USUAL_SUPERSAMPLING
    )
    settings = [replace(usual, feather_px=width) for width in FEATHERS_PX]
    return [stylize_regions(base, regions, photograph, each, rest=styles[2]) for each in settings]


def _square(path: Path) -> Tensor:
    return load_square(path, SIDE_PX)


def _write(name: str, pictures: list[Tensor]) -> None:
    path = OUTPUT / f"{name}.webp"
    save_image(contact_sheet([[picture[0] for picture in pictures]]), path)
    _LOG.info("%s", path)


if __name__ == "__main__":
    main()
