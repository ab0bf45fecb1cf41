"""Node: steps on the pixels of stylized pictures, for stills."""

from torch import Tensor

from ..metastyle_core.adaptation import MIN_STYLE_SIDE_PX
from ..metastyle_core.refinement import RefinementSettings
from .hosting.bounded_refinement import RefinementRequest, refine_images
from .hosting.model import MetaStyleModel
from .hosting.pictures import to_host
from .hosting.sockets import ModelSocket, StyleSocket, StyleValue, io, node_schema
from .hosting.watcher import Watcher
from .hosting.widgets import seed_input, strokes_input

_DEFAULTS = RefinementSettings()
_LARGEST_BRUSH_PX = 2048


class Refine(io.ComfyNode):
    """Gradient steps on pixels, one picture after another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, style and photographs; pictures."""
        return node_schema(
            node_id="MetaStyleRefine",
            display_name="Refine",
            description=(
                "Draws photographs in a style and goes on with steps on the pixels themselves: "
                "stills come nearer to the painting than one pass of the network can, in half a "
                "minute each."
            ),
            search_aliases=["style transfer", "optimise", "polish", "Gatys", "neural style"],
            inputs=_inputs(),
            outputs=[io.Image.Output(display_name="images", tooltip="The refined pictures.")],
            hidden=[io.Hidden.unique_id],
            essentials_category="Image Tools",
            has_intermediate_output=True,
        )

    @classmethod
    def execute(
        cls,
        model: MetaStyleModel,
        style: StyleValue,
        images: Tensor,
        steps: int,
        style_weight: float,
        brush_size: int,
        seed: int,
        stylized: Tensor | None = None,
        style_images: Tensor | None = None,
        strokes: float = _DEFAULTS.nearest_weight,
    ) -> io.NodeOutput:
        """Refine, with progress and losses on the way."""
        settings = RefinementSettings(
            steps=steps,
            style_weight=style_weight,
            nearest_weight=strokes,
            style_size_px=brush_size or None,
            seed=seed,
        )
        request = RefinementRequest(style, images, stylized, style_images, settings)
        watcher = Watcher(str(cls.hidden.unique_id))
        refined = refine_images(model, request, watcher)
        losses = {"metastyle_losses": watcher.curve()}
        return io.NodeOutput(to_host(refined), ui=losses)


def _inputs() -> list[io.Input]:
    """Sockets and widgets in the order in which workflows store them."""
    return [
        ModelSocket.Input("model", tooltip="From Load MetaStyle."),
        StyleSocket.Input("style", tooltip="From Adapt to Style or Load Adapted Style."),
        io.Image.Input(
            "images",
            tooltip="The photographs. Size and transparency stay as they are.",
        ),
        *_widgets(),
        io.Image.Input(
            "stylized",
            optional=True,
            tooltip="What Stylize made of the photographs, to go on from; without it they are "
            "drawn here.",
        ),
        io.Image.Input(
            "style_images",
            optional=True,
            tooltip="The pictures whose style it is, best those it was learned from. A style "
            "that keeps statistics, an option of Adapt to Style, can do without. "
            f"At least {MIN_STYLE_SIDE_PX} px on each side.",
        ),
        strokes_input(_DEFAULTS.nearest_weight),
    ]


def _widgets() -> list[io.Input]:
    """How long, how strongly, with which brush, and the seed."""
    return [
        io.Int.Input(
            "steps",
            default=_DEFAULTS.steps,
            min=0,
            max=1000,
            tooltip="Steps on the pixels. 0 changes nothing, 30 is quick, 80 is good. Above "
            "512 px each size twice as large takes half as many more.",
        ),
        io.Float.Input(
            "style_weight",
            default=_DEFAULTS.style_weight,
            min=0.0,
            max=1000.0,
            step=1.0,
            tooltip="How far the picture gives way to the style. Lower keeps more of the "
            "picture, higher paints more freely.",
        ),
        io.Int.Input(
            "brush_size",
            default=0,
            min=0,
            max=_LARGEST_BRUSH_PX,
            step=16,
            tooltip="Short side of the style picture beside the photograph, in pixels: smaller "
            "gives finer strokes, larger broader ones. 0 makes both equally large.",
        ),
        seed_input("Chance of what is compared. The same seed gives the same picture."),
    ]
