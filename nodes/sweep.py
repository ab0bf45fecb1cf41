"""Node: one picture in several styles, strengths, brushes and more, on one sheet."""

from torch import Tensor

from ..metastyle_core.grain import USUAL_GRAIN
from ..metastyle_core.precision import Precision
from ..metastyle_core.sweep import MOST_PICTURES
from ..metastyle_core.touches import USUAL_ABSTRACTION
from .hosting.bounded_sweep import SweepRequest, connected_sweep, draw_sheet
from .hosting.model import MetaStyleModel
from .hosting.sockets import ModelSocket, growing_styles, io, node_schema
from .hosting.widgets import precision_input, seed_input

_SMALLEST_PX, _LARGEST_PX = 64, 2048


class SweepStyles(io.ComfyNode):
    """A labelled sheet to choose from."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, a picture, styles and what varies; a sheet."""
        return node_schema(
            node_id="MetaStyleSweep",
            display_name="Sweep Styles",
            description=(
                "Draws one picture in every style with every strength, grain, abstraction and "
                "brush, and lays the results out on one labelled sheet to choose from, at most "
                f"{MOST_PICTURES}."
            ),
            search_aliases=["contact sheet", "xy plot", "compare styles", "grid"],
            inputs=_inputs(),
            outputs=[io.Image.Output(display_name="sheet", tooltip="The labelled sheet.")],
        )

    @classmethod
    def execute(
        cls,
        model: MetaStyleModel,
        images: Tensor,
        strengths: str,
        grains: str,
        cell_size: int,
        precision: Precision,
        seed: int,
        brushes: str = "0",
        abstractions: str = f"{USUAL_ABSTRACTION:g}",
        **sockets: object,
    ) -> io.NodeOutput:
        """Draw the sheet."""
        sweep = connected_sweep(sockets, strengths, grains, brushes, abstractions, cell_size)
        return io.NodeOutput(draw_sheet(model, SweepRequest(images, sweep, precision, seed)))


def _inputs() -> list[io.Input]:
    """Sockets and widgets in the order in which workflows store them."""
    return [
        ModelSocket.Input("model", tooltip="From Load MetaStyle."),
        io.Image.Input("images", tooltip="What to draw: the first picture."),
        *growing_styles(1, "A style to show."),
        io.String.Input(
            "strengths",
            default="0.4, 0.7, 1",
            tooltip="Numbers from 0 to 1 with commas between. 0 is the picture, 1 the full style.",
        ),
        io.String.Input(
            "grains",
            default=f"{USUAL_GRAIN:g}",
            tooltip="Numbers from 0 to 1 with commas between: how strong the brush strokes are "
            f"that follow the forms. 0 is none, {USUAL_GRAIN:g} usual.",
        ),
        io.Int.Input(
            "cell_size",
            default=384,
            min=_SMALLEST_PX,
            max=_LARGEST_PX,
            step=32,
            tooltip="Long side of each picture on the sheet, in pixels. It is drawn at its own "
            "size and shrunk.",
        ),
        precision_input(),
        seed_input("Of the touches that grain and abstraction lay."),
        io.String.Input(
            "brushes",
            default="0",
            optional=True,
            tooltip="Numbers with commas between: how large strokes are, 1 as adapted, 2 twice as "
            "large. 0 draws at the picture's own size.",
        ),
        io.String.Input(
            "abstractions",
            default=f"{USUAL_ABSTRACTION:g}",
            optional=True,
            tooltip="Numbers from 0 to 1 with commas between: how far the picture is painted over "
            f"along its forms first. 0 keeps every detail, {USUAL_ABSTRACTION:g} is usual.",
        ),
    ]
