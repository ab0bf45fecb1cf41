"""Quality: how long adaptation takes against how near the style comes, in one word.

A word sets steps, mode, batch and encoder together: 30 steps of `norm`, 60 of them, and 100 of
`low_rank`. What each reaches is measured in docs/training.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from .adaptation import AdaptationSettings
from .errors import SettingsError
from .network import AdaptationMode

Quality = Literal["custom", "fast", "balanced", "best"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)


@dataclass(frozen=True)
class QualityPreset:
    """What a word stands for.

    Attributes:
        steps: gradient steps.
        mode: which parameters adapt.
        batch: contents per step.
        encoder: name of the perceptual encoder; the one that ships.
    """

    steps: int
    mode: AdaptationMode
    batch: int = 2
    encoder: str = "compact"


PRESETS: Mapping[Quality, QualityPreset] = {
    "fast": QualityPreset(30, "norm"),
    "balanced": QualityPreset(60, "norm"),
    "best": QualityPreset(100, "low_rank"),
}


def with_quality(
    settings: AdaptationSettings, encoder: str, quality: Quality
) -> tuple[AdaptationSettings, str]:
    """Settings and encoder of a quality.

    Args:
        settings: what else is chosen; for `custom` all of it counts.
        encoder: what counts for `custom`.
        quality: the word.

    Raises:
        SettingsError: there is no such quality.
    """
    if quality not in QUALITIES:
        raise SettingsError(f"quality is '{quality}'; choose {', '.join(QUALITIES)}.")
    preset = PRESETS.get(quality)
    if preset is None:
        return settings, encoder
    chosen = replace(settings, steps=preset.steps, mode=preset.mode, batch=preset.batch)
    return chosen, preset.encoder
