"""Adapt the shipped styles again, for example after the base has changed.

    python tools/adapt_presets.py FOLDER_OF_PAINTINGS [NAME ...] [--encoder NAME ...]

Each painting NAME.jpg becomes metastyle_core/styles/NAME.safetensors with its title and a
thumbnail of our own scene. The paintings themselves are not part of the project.
"""

import argparse
import sys
from pathlib import Path

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import load_base
from metastyle_core.cli.inputs import open_encoder
from metastyle_core.cli.options import add_encoder_options, positive_int
from metastyle_core.images import load_batch
from metastyle_core.presets import PRESET_FOLDER
from metastyle_core.style import save_style
from metastyle_core.thumbnails import draw_thumbnail

TITLES = {
    "bosch_garden_of_earthly_delights": "Bosch, The Garden of Earthly Delights",
    "cezanne_mont_sainte_victoire": "Cézanne, Mont Sainte-Victoire",
    "durer_young_hare": "Dürer, Young Hare",
    "gauguin_tahitian_women": "Gauguin, Tahitian Women on the Beach",
    "hiroshige_naruto_whirlpools": "Hiroshige, Naruto Whirlpools",
    "hiroshige_sudden_shower": "Hiroshige, Sudden Shower",
    "hokusai_great_wave": "Hokusai, The Great Wave off Kanagawa",
    "hokusai_red_fuji": "Hokusai, Red Fuji",
    "huang_gongwang_fuchun": "Huang Gongwang, Dwelling in the Fuchun Mountains",
    "jakuchu_rooster": "Jakuchū, Rooster",
    "kandinsky_composition_vii": "Kandinsky, Composition VII",
    "klee_senecio": "Klee, Senecio",
    "marc_large_blue_horses": "Marc, The Large Blue Horses",
    "mondrian_red_blue_yellow": "Mondrian, Composition with Red, Blue and Yellow",
    "monet_impression_sunrise": "Monet, Impression, Sunrise",
    "monet_japanese_footbridge": "Monet, The Japanese Footbridge",
    "munch_the_scream": "Munch, The Scream",
    "schiele_four_trees": "Schiele, Four Trees",
    "seurat_circus": "Seurat, The Circus",
    "seurat_grande_jatte": "Seurat, A Sunday on La Grande Jatte",
    "turner_rain_steam_and_speed": "Turner, Rain, Steam and Speed",
    "turner_shipwreck": "Turner, The Shipwreck",
    "van_gogh_cafe_terrace": "Van Gogh, Café Terrace at Night",
    "van_gogh_irises": "Van Gogh, Irises",
    "van_gogh_starry_night": "Van Gogh, The Starry Night",
    "wang_ximeng_thousand_li": "Wang Ximeng, A Thousand Li of Rivers and Mountains",
}

# These come out pale or in one colour unless the network sees them this small.
SMALL = {
    "hokusai_red_fuji",
    "mondrian_red_blue_yellow",
    "monet_impression_sunrise",
    "schiele_four_trees",
    "turner_rain_steam_and_speed",
    "wang_ximeng_thousand_li",
}
SIDE_PX, SMALL_SIDE_PX = 192, 128


def main() -> None:
    """Adapt the named paintings, or all that have a title."""
    parser = argparse.ArgumentParser(description="Adapt the shipped styles again.")
    parser.add_argument("folder", type=Path, help="folder of paintings, NAME.jpg")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--steps", type=positive_int, default=40, help="default: %(default)s")
    add_encoder_options(parser)
    arguments = parser.parse_args()
    base = load_base()
    encoder = open_encoder(arguments, base.device)
    for name in arguments.names or TITLES:
        side_px = SMALL_SIDE_PX if name in SMALL else SIDE_PX
        settings = AdaptationSettings(steps=arguments.steps, style_size_px=side_px)
        painting = load_batch(arguments.folder / f"{name}.jpg")
        style = adapt_to_style(base, encoder, [painting], settings=settings, name=TITLES[name])
        style = style.with_thumbnail(draw_thumbnail(base, style))
        path = PRESET_FOLDER / f"{name}.safetensors"
        save_style(style, path, half=True)
        sys.stdout.write(
            f"{name}: total {style.losses['total']:.2f}, {path.stat().st_size} bytes\n"
        )


if __name__ == "__main__":
    main()
