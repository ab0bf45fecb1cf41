"""Adapt the shipped styles again, for example after the base has changed.

    python tools/adapt_presets.py FOLDER_OF_PAINTINGS [NAME ...] [--encoder NAME ...]

Each painting NAME.jpg becomes metastyle_core/styles/NAME.safetensors with its title, what
refining needs of it and a thumbnail of our own scene. The paintings themselves are not part of
the project.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import load_base
from metastyle_core.cli.inputs import open_encoder
from metastyle_core.cli.options import add_encoder_options, positive_int
from metastyle_core.encoder import load_encoder
from metastyle_core.images import load_batch
from metastyle_core.presets import PRESET_FOLDER
from metastyle_core.refinement import measure_statistics
from metastyle_core.style import save_style
from metastyle_core.thumbnails import draw_thumbnail

TITLES = {
    "bosch_garden_of_earthly_delights": "Bosch, The Garden of Earthly Delights",
    "cezanne_mont_sainte_victoire": "Cézanne, Mont Sainte-Victoire",
    "durer_young_hare": "Dürer, Young Hare",
    "gauguin_tahitian_women": "Gauguin, Tahitian Women on the Beach",
    "hiroshige_naruto_whirlpools": "Hiroshige, Naruto Whirlpools",
    "hiroshige_sudden_shower": "Hiroshige, Sudden Shower",
    "hiroshige_two_prints": "Hiroshige, from two prints",
    "hokusai_great_wave": "Hokusai, The Great Wave off Kanagawa",
    "hokusai_red_fuji": "Hokusai, Red Fuji",
    "hokusai_two_prints": "Hokusai, from two prints",
    "huang_gongwang_fuchun": "Huang Gongwang, Dwelling in the Fuchun Mountains",
    "jakuchu_rooster": "Jakuchū, Rooster",
    "kandinsky_composition_vii": "Kandinsky, Composition VII",
    "klee_senecio": "Klee, Senecio",
    "marc_large_blue_horses": "Marc, The Large Blue Horses",
    "mondrian_red_blue_yellow": "Mondrian, Composition with Red, Blue and Yellow",
    "monet_impression_sunrise": "Monet, Impression, Sunrise",
    "monet_japanese_footbridge": "Monet, The Japanese Footbridge",
    "monet_two_paintings": "Monet, from two paintings",
    "munch_the_scream": "Munch, The Scream",
    "schiele_four_trees": "Schiele, Four Trees",
    "seurat_circus": "Seurat, The Circus",
    "seurat_grande_jatte": "Seurat, A Sunday on La Grande Jatte",
    "seurat_two_paintings": "Seurat, from two paintings",
    "turner_rain_steam_and_speed": "Turner, Rain, Steam and Speed",
    "turner_shipwreck": "Turner, The Shipwreck",
    "turner_two_paintings": "Turner, from two paintings",
    "van_gogh_cafe_terrace": "Van Gogh, Café Terrace at Night",
    "van_gogh_irises": "Van Gogh, Irises",
    "van_gogh_starry_night": "Van Gogh, The Starry Night",
    "van_gogh_three_paintings": "Van Gogh, from three paintings",
    "wang_ximeng_thousand_li": "Wang Ximeng, A Thousand Li of Rivers and Mountains",
}

# Frames, mounts and seals round the painting, as a share of each side that is cut off.
TRIMS = {
    "bosch_garden_of_earthly_delights": 0.06,
    "hiroshige_naruto_whirlpools": 0.08,
    "hiroshige_sudden_shower": 0.08,
    "hokusai_red_fuji": 0.05,
    "jakuchu_rooster": 0.05,
    "munch_the_scream": 0.04,
}
# One style from several paintings of a hand.
TOGETHER = {
    "hiroshige_two_prints": ("hiroshige_naruto_whirlpools", "hiroshige_sudden_shower"),
    "hokusai_two_prints": ("hokusai_great_wave", "hokusai_red_fuji"),
    "monet_two_paintings": ("monet_impression_sunrise", "monet_japanese_footbridge"),
    "seurat_two_paintings": ("seurat_circus", "seurat_grande_jatte"),
    "turner_two_paintings": ("turner_rain_steam_and_speed", "turner_shipwreck"),
    "van_gogh_three_paintings": (
        "van_gogh_cafe_terrace",
        "van_gogh_irises",
        "van_gogh_starry_night",
    ),
}


def main() -> None:
    """Adapt the named paintings, or all that have a title."""
    parser = argparse.ArgumentParser(description="Adapt the shipped styles again.")
    parser.add_argument("folder", type=Path, help="folder of paintings, NAME.jpg")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--steps", type=positive_int, default=60, help="default: %(default)s")
    add_encoder_options(parser)
    arguments = parser.parse_args()
    base = load_base()
    encoder = open_encoder(arguments, base.device)
    compact = load_encoder("compact")
    settings = AdaptationSettings(steps=arguments.steps)
    for name in arguments.names or TITLES:
        sources = TOGETHER.get(name, (name,))
        paintings = [_trimmed(load_batch(arguments.folder / f"{s}.jpg"), s) for s in sources]
        style = adapt_to_style(base, encoder, paintings, settings=settings, name=TITLES[name])
        style = style.with_thumbnail(draw_thumbnail(base, style))
        # Refining looks with the encoder that ships, whatever adapted the style.
        kept = measure_statistics(compact, paintings, settings.style_size_px)
        path = PRESET_FOLDER / f"{name}.safetensors"
        save_style(replace(style, statistics=kept), path, half=True)
        sys.stdout.write(
            f"{name}: total {style.losses['total']:.2f}, {path.stat().st_size} bytes\n"
        )
        sys.stdout.flush()


def _trimmed(painting: Tensor, name: str) -> Tensor:
    """A painting (1, 3, H, W) without its frame."""
    height, width = painting.shape[-2:]
    down, right = (round(TRIMS.get(name, 0.0) * side) for side in (height, width))
    return painting[..., down : height - down, right : width - right]


if __name__ == "__main__":
    main()
