"""Adapt the shipped styles again, for example after the base has changed.

    python tools/adapt_presets.py FOLDER_OF_PAINTINGS [NAME ...] [--encoder NAME ...]

Each painting NAME.jpg becomes metastyle_core/styles/NAME.safetensors with its title, what
refining needs of it and a thumbnail of our own scene. The paintings themselves are not part of
the project.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from torch import Tensor

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style, refining_brush
from metastyle_core.base import load_base
from metastyle_core.cli.inputs import open_encoder
from metastyle_core.cli.options import add_encoder_options, positive_int
from metastyle_core.encoder import load_encoder
from metastyle_core.images import load_batch
from metastyle_core.losses import LossSettings
from metastyle_core.presets import PRESET_FOLDER
from metastyle_core.refinement import measure_statistics
from metastyle_core.style import save_style
from metastyle_core.thumbnails import draw_thumbnail

# Twice the usual one, as such styles go half of the way that they are led.
_STYLE_WEIGHT = 16.0
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


@dataclass(frozen=True)
class View:
    """What of a painting makes the style, chosen by look.

    Attributes:
        left, top, right, bottom: the part without frames, mounts and writing, as shares of the
            painting's width and height.
        levels: see `AdaptationSettings`; of several paintings in one style those of the first.
        style_size_px: likewise; small dots need a large one.
        brushwork: likewise, of several paintings the mean; None measures it, of all of them.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 1.0
    bottom: float = 1.0
    levels: float = 0.0
    style_size_px: int = AdaptationSettings.style_size_px
    brushwork: float | None = None

    def of(self, scan: Tensor) -> Tensor:
        """This part of a scan (1, 3, H, W)."""
        height, width = scan.shape[-2:]
        rows = slice(round(self.top * height), round(self.bottom * height))
        columns = slice(round(self.left * width), round(self.right * width))
        return scan[..., rows, columns]


VIEWS = {
    "bosch_garden_of_earthly_delights": View(0.27, 0.04, 0.74, 0.97, levels=0.7, brushwork=0.1),
    "cezanne_mont_sainte_victoire": View(levels=0.6),
    "durer_young_hare": View(0.04, 0.04, 0.96, 0.96, levels=0.6),
    "gauguin_tahitian_women": View(levels=0.5),
    "hiroshige_naruto_whirlpools": View(0.06, 0.05, 0.94, 0.95, levels=0.7, brushwork=0.1),
    "hiroshige_sudden_shower": View(0.07, 0.08, 0.93, 0.95, levels=0.8, brushwork=0.1),
    "hokusai_great_wave": View(levels=0.5),
    "hokusai_red_fuji": View(0.04, 0.05, 0.96, 0.95, levels=0.7),
    "huang_gongwang_fuchun": View(0.03, 0.02, 0.92, 0.97, levels=0.8, brushwork=0.5),
    "jakuchu_rooster": View(0.08, 0.05, 0.92, 0.95, levels=0.8, brushwork=0.2),
    "kandinsky_composition_vii": View(levels=0.4),
    "klee_senecio": View(levels=0.7),
    "marc_large_blue_horses": View(levels=0.4),
    "mondrian_red_blue_yellow": View(0.02, 0.02, 0.98, 0.97, style_size_px=384),
    "monet_impression_sunrise": View(levels=0.6),
    "monet_japanese_footbridge": View(0.01, 0.01, 0.98, 0.98, levels=0.5),
    "munch_the_scream": View(0.02, 0.02, 0.92, 0.98, levels=0.9),
    "schiele_four_trees": View(levels=0.7),
    "seurat_circus": View(0.02, 0.02, 0.98, 0.98, levels=0.7, style_size_px=768),
    "seurat_grande_jatte": View(0.03, 0.03, 0.97, 0.97, levels=0.5, style_size_px=768),
    "turner_rain_steam_and_speed": View(levels=0.6, brushwork=0.5),
    "turner_shipwreck": View(levels=0.3, brushwork=0.5),
    "van_gogh_cafe_terrace": View(0.02, 0.02, 0.98, 0.98, levels=0.7),
    "van_gogh_irises": View(0.02, 0.02, 0.98, 0.97, levels=0.5),
    "van_gogh_starry_night": View(levels=0.3),
    "wang_ximeng_thousand_li": View(0.0, 0.42, 1.0, 1.0, levels=0.7, brushwork=0.2),
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


def mean_brushwork(views: Sequence[View]) -> float | None:
    """What is said of the brushwork of some paintings; None where one is to be measured."""
    said = [view.brushwork for view in views if view.brushwork is not None]
    return fmean(said) if len(said) == len(views) else None


def main() -> None:
    """Adapt the named paintings, or all that have a title."""
    parser = argparse.ArgumentParser(description="Adapt the shipped styles again.")
    parser.add_argument("folder", type=Path, help="folder of paintings, NAME.jpg")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument(
        "--steps", type=positive_int, default=AdaptationSettings.steps, help="default: %(default)s"
    )
    add_encoder_options(parser)
    arguments = parser.parse_args()
    base = load_base()
    encoder = open_encoder(arguments, base.device)
    compact = load_encoder("compact")
    for name in arguments.names or TITLES:
        sources = TOGETHER.get(name, (name,))
        views = [VIEWS[source] for source in sources]
        scans = [load_batch(arguments.folder / f"{source}.jpg") for source in sources]
        paintings = [view.of(scan) for view, scan in zip(views, scans, strict=True)]
        settings = AdaptationSettings(
            steps=arguments.steps,
            style_size_px=views[0].style_size_px,
            levels=views[0].levels,
            brushwork=mean_brushwork(views),
            loss=LossSettings(style_weight=_STYLE_WEIGHT),
        )
        style = adapt_to_style(base, encoder, paintings, settings=settings, name=TITLES[name])
        style = style.with_thumbnail(draw_thumbnail(base, style))
        # Refining looks with the encoder that ships, whatever adapted the style.
        brush = refining_brush(settings.style_size_px)
        kept = measure_statistics(compact, paintings, brush, levels=settings.levels)
        path = PRESET_FOLDER / f"{name}.safetensors"
        save_style(replace(style, statistics=kept), path, half=True)
        sys.stdout.write(
            f"{name}: total {style.losses['total']:.2f}, {path.stat().st_size} bytes\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
