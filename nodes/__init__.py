"""The list of nodes, and what happens once when the host loads the pack."""

import logging
from pathlib import Path

from .adapt_to_style import AdaptToStyle
from .blend_schedule import BlendSchedule
from .blend_styles import BlendStyles
from .hosting import host
from .hosting.plain_words import speaking
from .hosting.routes import add_routes, other_copy
from .hosting.sockets import ComfyExtension, io, takes_videos
from .load_metastyle import LoadMetaStyle
from .load_style import LoadAdaptedStyle
from .refine import Refine
from .regions import StylizeByRegions
from .save_style import SaveAdaptedStyle
from .stylize import Stylize
from .stylize_video import StylizeVideo
from .stylize_with_preset import StylizeWithPreset
from .sweep import SweepStyles

_LOG = logging.getLogger(__name__)
_ALL: tuple[type[io.ComfyNode], ...] = (
    StylizeWithPreset,
    LoadMetaStyle,
    AdaptToStyle,
    Stylize,
    SaveAdaptedStyle,
    LoadAdaptedStyle,
    BlendStyles,
    BlendSchedule,
    Refine,
    StylizeByRegions,
    SweepStyles,
    *((StylizeVideo,) if takes_videos() else ()),
)
NODES = tuple(speaking(node) for node in _ALL)


class MetaStyleExtension(ComfyExtension):
    """What the host asks for the node classes."""

    def __init__(self, nodes: tuple[type[io.ComfyNode], ...]) -> None:
        super().__init__()
        self._nodes = nodes

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes of the pack; none where another copy of it has brought them."""
        return list(self._nodes)


def open_extension() -> MetaStyleExtension:
    """Register folders and server routes; called once, while the host starts."""
    first = other_copy()
    if first is not None:
        _LOG.warning(
            "MetaStyle is installed twice, in %s and in %s; only the first works. Delete one of "
            "these folders and restart.",
            first,
            Path(__file__).parents[1],
        )
        return MetaStyleExtension(())
    host.register_folders()
    add_routes()
    return MetaStyleExtension(NODES)
