"""Socket types, and the single import of the host's node interface.

Hosts differ in what their interface offers; the differences end in this file.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, cast

from comfy_api import latest
from comfy_api.latest import ComfyExtension, io, ui
from torch import Tensor

from ...metastyle_core.errors import SettingsError
from ...metastyle_core.mixing import StyleSchedule
from ...metastyle_core.style import AdaptedStyle

__all__ = [
    "ComfyExtension",
    "ModelSocket",
    "StyleSocket",
    "StyleValue",
    "VideoValue",
    "collect_masks",
    "collect_styles",
    "growing_masks",
    "growing_styles",
    "io",
    "node_schema",
    "single_style",
    "takes_videos",
    "ui",
    "video_from_file",
]

CATEGORY = "MetaStyle"
MOST_STYLES = 6
ModelSocket = io.Custom("METASTYLE_MODEL")
StyleSocket = io.Custom("METASTYLE_STYLE")
StyleValue = AdaptedStyle | StyleSchedule


class VideoValue(Protocol):
    """What the host sends for VIDEO; newer ones know of more."""

    def get_stream_source(self) -> str | BytesIO:
        """The file that it is of, which may be longer or larger than the video."""
        ...

    def get_dimensions(self) -> tuple[int, int]:
        """Width and height in pixels."""
        ...

    def save_to(self, path: str) -> None:
        """Write it to a file, trimmed."""
        ...


_STYLE_TOOLTIP = "A style to mix in. All must belong to one base."


def node_schema(
    *,
    node_id: str,
    display_name: str,
    description: str,
    search_aliases: Sequence[str],
    inputs: Sequence[io.Input],
    outputs: Sequence[io.Output],
    hidden: Sequence[io.Hidden] = (),
    is_output_node: bool = False,
    essentials_category: str | None = None,
    has_intermediate_output: bool = False,
    is_input_list: bool = False,
) -> io.Schema:
    """A schema of this pack's category, without the keywords that an older host lacks.

    `essentials_category` puts a node among the host's everyday ones. With `is_input_list` a list
    of pictures is one run and not as many. `has_intermediate_output` has what a node shows sent
    again when the node itself came from the cache; a page that was opened since has not seen it.
    """
    keywords: dict[str, Any] = {
        "node_id": node_id,
        "display_name": display_name,
        "category": CATEGORY,
        "description": description,
        "search_aliases": list(search_aliases),
        "inputs": list(inputs),
        "outputs": list(outputs),
        "hidden": list(hidden),
        "is_output_node": is_output_node,
        "essentials_category": essentials_category,
        "has_intermediate_output": has_intermediate_output,
        "is_input_list": is_input_list,
    }
    known = {field.name for field in dataclasses.fields(io.Schema)}
    return io.Schema(**{name: value for name, value in keywords.items() if name in known})


def takes_videos() -> bool:
    """Whether the host has sockets for videos."""
    return hasattr(io, "Video") and hasattr(latest, "InputImpl")


def video_from_file(path: Path) -> object:
    """A file as the host's VIDEO."""
    return latest.InputImpl.VideoFromFile(str(path))


def growing_styles(least: int = 2, tooltip: str = _STYLE_TOOLTIP) -> list[io.Input]:
    """Style sockets, six at most; see `_growing`."""
    return _growing("style", StyleSocket.Input, least, tooltip)


def growing_masks(least: int, tooltip: str) -> list[io.Input]:
    """Mask sockets, six at most; see `_growing`."""
    return _growing("mask", io.Mask.Input, least, tooltip)


def _growing(kind: str, socket: type[io.Input], least: int, tooltip: str) -> list[io.Input]:
    """Sockets of one kind: growing where the host can, else all of them shown.

    The ids are the same on both kinds of host, so that workflows travel.
    """
    if hasattr(io, "Autogrow"):
        first = socket(kind, tooltip=tooltip)
        template = io.Autogrow.TemplateNames(first, names=_slots(kind), min=least)
        return [io.Autogrow.Input(f"{kind}s", template=template, tooltip=tooltip)]
    return [
        socket(f"{kind}s.{slot}", display_name=slot, optional=n > least, tooltip=tooltip)
        for n, slot in enumerate(_slots(kind), start=1)
    ]


def _slots(kind: str) -> list[str]:
    return [f"{kind}_{number}" for number in range(1, MOST_STYLES + 1)]


def collect_styles(inputs: Mapping[str, object]) -> dict[int, AdaptedStyle]:
    """What `growing_styles` received: number of the socket to style, in order.

    Args:
        inputs: the arguments of `execute`; growing sockets arrive as one mapping under
            `styles`, fixed ones as `styles.style_1` and so on.
    """
    return {
        number: single_style(cast(StyleValue, style), f"style_{number}")
        for number, style in _collect("style", inputs).items()
    }


def collect_masks(inputs: Mapping[str, object]) -> dict[int, Tensor]:
    """What `growing_masks` received: number of the socket to MASK, in order."""
    return {number: cast(Tensor, mask) for number, mask in _collect("mask", inputs).items()}


def _collect(kind: str, inputs: Mapping[str, object]) -> dict[int, object]:
    grown = cast("Mapping[str, object]", inputs.get(f"{kind}s") or {})
    given = [grown.get(slot, inputs.get(f"{kind}s.{slot}")) for slot in _slots(kind)]
    return {number: each for number, each in enumerate(given, start=1) if each is not None}


def single_style(style: StyleValue, role: str) -> AdaptedStyle:
    """Refuse a schedule where one style is needed.

    Raises:
        SettingsError: `style` changes over frames.
    """
    if isinstance(style, StyleSchedule):
        raise SettingsError(
            f"Input '{role}' is a blend over frames; a single style is needed. "
            "Connect the blend to Stylize, and its styles here."
        )
    return style
