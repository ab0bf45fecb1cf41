"""The list of nodes, and what happens once when the host loads the pack."""

from .adapt_to_style import AdaptToStyle
from .blend_schedule import BlendSchedule
from .blend_styles import BlendStyles
from .hosting import host
from .hosting.routes import add_routes
from .hosting.sockets import ComfyExtension, io, takes_videos
from .load_metastyle import LoadMetaStyle
from .load_style import LoadAdaptedStyle
from .refine import Refine
from .regions import StylizeByRegions
from .save_style import SaveAdaptedStyle
from .stylize import Stylize
from .stylize_video import StylizeVideo
from .sweep import SweepStyles

NODES: tuple[type[io.ComfyNode], ...] = (
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


class MetaStyleExtension(ComfyExtension):
    """What the host asks for the node classes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """All nodes of the pack."""
        return list(NODES)


def open_extension() -> MetaStyleExtension:
    """Register folders and server routes; called once, while the host starts."""
    host.register_folders()
    add_routes()
    return MetaStyleExtension()
