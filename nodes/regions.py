"""Node: several styles in one picture, each where its mask says."""

from torch import Tensor

from ..metastyle_core.colour import COLOURS, Colour
from ..metastyle_core.drawing import USUAL_SUPERSAMPLING
from ..metastyle_core.grain import USUAL_GRAIN
from ..metastyle_core.precision import Precision
from ..metastyle_core.regions import RegionSettings
from ..metastyle_core.touches import USUAL_ABSTRACTION
from .hosting.bounded_regions import RegionRequest, connected_regions, draw_regions, rest_style
from .hosting.bounded_stylization import colouring_of
from .hosting.model import MetaStyleModel
from .hosting.sockets import (
    ModelSocket,
    StyleSocket,
    growing_masks,
    growing_styles,
    io,
    node_schema,
)
from .hosting.widgets import (
    abstraction_input,
    advanced,
    precision_input,
    seed_input,
    share_input,
    supersampling_input,
)

_WIDEST_PX = 512


class StylizeByRegions(io.ComfyNode):
    """Styles side by side in one picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, pictures, styles and their masks; pictures."""
        return node_schema(
            node_id="MetaStyleRegions",
            display_name="Stylize by Regions",
            description=(
                "Draws pictures in up to six styles at once, each where its mask says. Strokes "
                "run across the borders; what no mask covers has a style of its own or stays."
            ),
            search_aliases=["regional style", "masked style", "style mask", "several styles"],
            inputs=_inputs(),
            outputs=[io.Image.Output(display_name="images", tooltip="The pictures in the styles.")],
        )

    @classmethod
    def execute(
        cls,
        model: MetaStyleModel,
        images: Tensor,
        feather: float,
        strength: float,
        precision: Precision,
        grain: float,
        seed: int,
        colour: Colour,
        colour_amount: float,
        palette: Tensor | None = None,
        abstraction: float = USUAL_ABSTRACTION,
        supersampling: float = USUAL_SUPERSAMPLING,
        **sockets: object,
    ) -> io.NodeOutput:
        """Draw one picture after another."""
        colouring = colouring_of(colour, colour_amount, palette)
        settings = RegionSettings(
            feather, strength, grain, seed, precision, colouring, abstraction, supersampling
        )
        regions, rest = connected_regions(sockets), rest_style(sockets)
        return io.NodeOutput(draw_regions(model, RegionRequest(images, regions, rest, settings)))


def _inputs() -> list[io.Input]:
    """Sockets and widgets in the order in which workflows store them."""
    return [
        ModelSocket.Input("model", tooltip="From Load MetaStyle."),
        io.Image.Input("images", tooltip="What to draw. Size and transparency stay as they are."),
        *growing_styles(1, "A style, which goes where the mask of the same number is set."),
        *growing_masks(
            1,
            "Where the style of the same number goes. One for all pictures or one each; another "
            "size is scaled where the ratio fits. Where masks overlap, styles mix.",
        ),
        StyleSocket.Input(
            "rest",
            optional=True,
            tooltip="The style of what the masks leave free. Without one the picture stays there.",
        ),
        *_drawing(),
        *_colours(),
        abstraction_input(USUAL_ABSTRACTION),
        advanced(supersampling_input()),
    ]


def _drawing() -> list[io.Input]:
    """How borders look, how strongly, in which number format and on which grain."""
    return [
        io.Float.Input(
            "feather",
            default=16.0,
            min=0.0,
            max=float(_WIDEST_PX),
            step=1.0,
            tooltip="How wide the passage from one style to the next is, in pixels. 0 keeps the "
            "edges of the masks.",
        ),
        share_input("strength", 1.0, "0 gives the pictures back unchanged, 1 is the full styles."),
        precision_input(),
        share_input(
            "grain",
            USUAL_GRAIN,
            "Brush strokes along the forms: outlines, hair and folds, and sweeps where there are "
            "none, as in skies; fewer in styles whose own strokes hardly show. 0 is none, "
            f"{USUAL_GRAIN:g} usual, 1 the most.",
        ),
        seed_input("Of the touches that grain and abstraction lay."),
    ]


def _colours() -> list[io.Input]:
    """Whose, and how far."""
    return [
        io.Combo.Input(
            "colour",
            options=list(COLOURS),
            default="style",
            tooltip="Whose colours: style, as it is drawn and half of the way to those of its "
            "pictures; photograph keeps its own under the light and dark of the drawing; match "
            "takes those of the palette.",
        ),
        share_input("colour_amount", 1.0, "How far that goes; at 0 all stays as it is drawn."),
        io.Image.Input(
            "palette",
            optional=True,
            tooltip="The painting, or any picture, whose colours match takes.",
        ),
    ]
