"""The styles that growing sockets received, mixed or lined up over frames."""

import logging
from collections.abc import Mapping
from typing import cast

from ...metastyle_core.errors import SettingsError
from ...metastyle_core.mixing import (
    Curve,
    Route,
    StyleSchedule,
    common_mode,
    growth_note,
    mix_styles,
    widened,
)
from ...metastyle_core.style import AdaptedStyle
from .model import MetaStyleModel, host_style
from .pictures import mix_thumbnails
from .sockets import collect_styles

_LOG = logging.getLogger(__name__)


def mix_connected(inputs: Mapping[str, object]) -> AdaptedStyle:
    """Mix the connected styles by `weight_1` and so on, and their thumbnails in the same way.

    Raises:
        SettingsError: fewer than two styles, weights that add up to 0, or styles that do
            not go together.
    """
    styles = _common(_require_two(collect_styles(inputs)), inputs)
    weights = [float(cast(float, inputs.get(f"weight_{number}", 1.0))) for number in styles]
    mixed = mix_styles(list(styles.values()), weights)
    _tell_of_growth(collect_styles(inputs), mixed)
    picture = mix_thumbnails(list(styles.values()), weights)
    return host_style(mixed if picture is None else mixed.with_thumbnail(picture))


def schedule_connected(inputs: Mapping[str, object], curve: Curve, route: Route) -> StyleSchedule:
    """Line the connected styles up over frames.

    Raises:
        SettingsError: fewer than two styles, or styles that do not go together.
    """
    styles = _common(_require_two(collect_styles(inputs)), inputs)
    return StyleSchedule(tuple(host_style(each) for each in styles.values()), curve, route)


def _common(
    styles: dict[int, AdaptedStyle], inputs: Mapping[str, object]
) -> dict[int, AdaptedStyle]:
    """The styles in one mode, where they differ and the model is connected."""
    model = cast("MetaStyleModel | None", inputs.get("model"))
    if model is None or len({style.mode for style in styles.values()}) == 1:
        return styles
    mode, base = common_mode(list(styles.values())), model.base()
    return {number: widened(base, style, mode) for number, style in styles.items()}


def _tell_of_growth(styles: Mapping[int, AdaptedStyle], mixed: AdaptedStyle) -> None:
    note = growth_note(list(styles.values()), mixed)
    if note is not None:
        _LOG.warning("%s", note)


def _require_two(styles: dict[int, AdaptedStyle]) -> dict[int, AdaptedStyle]:
    if len(styles) < 2:
        raise SettingsError(
            f"Input 'styles' has {len(styles)} connected; at least 2 are needed. Connect another."
        )
    return styles
