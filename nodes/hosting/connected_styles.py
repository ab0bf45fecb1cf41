"""The styles that growing sockets received, mixed or lined up over frames."""

from collections.abc import Mapping
from typing import cast

from ...metastyle_core.errors import SettingsError
from ...metastyle_core.mixing import Curve, Route, StyleSchedule, mix_styles
from ...metastyle_core.style import AdaptedStyle
from .model import host_style
from .pictures import mix_thumbnails
from .sockets import collect_styles


def mix_connected(inputs: Mapping[str, object]) -> AdaptedStyle:
    """Mix the connected styles by `weight_1` and so on, and their thumbnails in the same way.

    Raises:
        SettingsError: fewer than two styles, weights that add up to 0, or styles that do
            not go together.
    """
    styles = _require_two(collect_styles(inputs))
    weights = [float(cast(float, inputs.get(f"weight_{number}", 1.0))) for number in styles]
    mixed = mix_styles(list(styles.values()), weights)
    picture = mix_thumbnails(list(styles.values()), weights)
    return host_style(mixed if picture is None else mixed.with_thumbnail(picture))


def schedule_connected(inputs: Mapping[str, object], curve: Curve, route: Route) -> StyleSchedule:
    """Line the connected styles up over frames.

    Raises:
        SettingsError: fewer than two styles, or styles that do not go together.
    """
    return StyleSchedule(tuple(_require_two(collect_styles(inputs)).values()), curve, route)


def _require_two(styles: dict[int, AdaptedStyle]) -> dict[int, AdaptedStyle]:
    if len(styles) < 2:
        raise SettingsError(
            f"Input 'styles' has {len(styles)} connected; at least 2 are needed. Connect another."
        )
    return styles
