"""Node: pictures in, stylized pictures out."""

from torch import Tensor

from ..metastyle_core.borders import SEAMLESS, Seamless
from ..metastyle_core.colour import COLOURS, Colour
from ..metastyle_core.drawing import USUAL_SUPERSAMPLING
from ..metastyle_core.grain import USUAL_GRAIN
from ..metastyle_core.precision import Precision
from ..metastyle_core.touches import USUAL_ABSTRACTION
from .hosting.bounded_stylization import StylizationSettings, colouring_of, stylize_images
from .hosting.model import MetaStyleModel
from .hosting.sockets import ModelSocket, StyleSocket, StyleValue, io, node_schema
from .hosting.widgets import (
    abstraction_input,
    advanced,
    precision_input,
    seed_input,
    share_input,
    supersampling_input,
)

_LARGEST_BRUSH = 16.0


class Stylize(io.ComfyNode):
    """One pass of the network per picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, style and pictures; pictures."""
        return node_schema(
            node_id="MetaStyleStylize",
            display_name="Stylize",
            description=(
                "Draws pictures in a style: stills, folders or frames, any size and any number. "
                "One pass each, without sampling."
            ),
            search_aliases=["style transfer", "apply style", "painterly", "neural style"],
            inputs=_inputs(),
            outputs=[io.Image.Output(display_name="images", tooltip="The pictures in the style.")],
            essentials_category="Image Tools",
        )

    @classmethod
    def execute(
        cls,
        model: MetaStyleModel,
        style: StyleValue,
        images: Tensor,
        strength: float,
        precision: Precision,
        grain: float = USUAL_GRAIN,
        seed: int = 0,
        colour: Colour = "style",
        colour_amount: float = 1.0,
        palette: Tensor | None = None,
        seamless: Seamless = "none",
        mask: Tensor | None = None,
        brush: float = 0.0,
        abstraction: float = USUAL_ABSTRACTION,
        supersampling: float = USUAL_SUPERSAMPLING,
    ) -> io.NodeOutput:
        """Stylize in bounded memory."""
        colouring = colouring_of(colour, colour_amount, palette)
        settings = StylizationSettings(
            strength, precision, grain, seed, colouring, seamless, mask, brush, abstraction,
            supersampling,
        )  # fmt: skip
        return io.NodeOutput(stylize_images(model, style, images, settings))


def _inputs() -> list[io.Input]:
    """Sockets and widgets in the order in which workflows store them."""
    return [
        ModelSocket.Input("model", tooltip="From Load MetaStyle."),
        StyleSocket.Input(
            "style",
            tooltip="From Adapt to Style, Load Adapted Style or one of the blends.",
        ),
        io.Image.Input("images", tooltip="What to draw. Size and transparency stay as they are."),
        *_drawing(),
        *_grain(),
        *colour_inputs(),
        advanced(
            io.Combo.Input(
                "seamless",
                options=list(SEAMLESS),
                default="none",
                optional=True,
                tooltip="Axes along which copies of a picture join without an edge, where those "
                "of the input do: x for panoramas, both for textures.",
            )
        ),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="Where the style goes; where it is 0 the picture stays. Soft edges mix. One "
            "for all pictures or one each; another size is scaled where the ratio fits.",
        ),
        io.Float.Input(
            "brush",
            default=0.0,
            min=0.0,
            max=_LARGEST_BRUSH,
            step=0.05,
            optional=True,
            tooltip="How large strokes are in the finished picture, whatever its size: 1 as large "
            "as the style was adapted, beside the short side, 0.5 half of that. 0 draws at the "
            "picture's own size, where larger pictures get finer strokes.",
        ),
        abstraction_input(USUAL_ABSTRACTION),
        advanced(supersampling_input()),
    ]


def _drawing() -> list[io.Input]:
    """How strongly, and in which number format."""
    return [
        share_input(
            "strength",
            1.0,
            "0 gives the pictures back unchanged, 1 is the full style. Between, "
            "strokes soften while the photograph returns.",
        ),
        precision_input(),
    ]


def _grain() -> list[io.Input]:
    """How much, and which."""
    return [
        share_input(
            "grain",
            USUAL_GRAIN,
            "Brush strokes along the forms: outlines, hair and folds, and sweeps where there are "
            "none, as in skies; fewer in styles whose own strokes hardly show. 0 is none, "
            f"{USUAL_GRAIN:g} usual, 1 the most. 0 for frames of a "
            "film, where strokes would stand still while things move.",
            optional=True,
        ),
        seed_input("Of the touches that grain and abstraction lay.", optional=True),
    ]


def colour_inputs() -> list[io.Input]:
    """Whose, and how far."""
    return [
        io.Combo.Input(
            "colour",
            options=list(COLOURS),
            default="style",
            optional=True,
            tooltip="Whose colours: style, as it is drawn and half of the way to those of its "
            "pictures; photograph keeps its own under the light and dark of the drawing; match "
            "takes those of the palette.",
        ),
        share_input(
            "colour_amount",
            1.0,
            "How far that goes; at 0 all stays as it is drawn.",
            optional=True,
        ),
        io.Image.Input(
            "palette",
            optional=True,
            tooltip="The painting, or any picture, whose colours match takes.",
        ),
    ]
