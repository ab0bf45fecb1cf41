"""Node: turn pictures of one style into an adapted style."""

from ..metastyle_core.adaptation import LARGEST_BRUSH_PX, MIN_STYLE_SIDE_PX, AdaptationSettings
from ..metastyle_core.drawing import USUAL_SUPERSAMPLING
from ..metastyle_core.encoder import ENCODER_NAMES
from ..metastyle_core.network import ADAPTATION_MODES
from ..metastyle_core.quality import QUALITIES
from .hosting.adaptation_inputs import unusable_encoder
from .hosting.adaptation_runs import adapt_each
from .hosting.sockets import ModelSocket, StyleSocket, io, node_schema
from .hosting.widgets import (
    advanced,
    learned_abstraction_input,
    seed_input,
    share_input,
    strokes_input,
)

_DEFAULTS = AdaptationSettings()


class AdaptToStyle(io.ComfyNode):
    """A few gradient steps on a copy of the base."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Pictures of a style; the style, a look at it, and its losses."""
        return node_schema(
            node_id="MetaStyleAdaptToStyle",
            display_name="Adapt to Style",
            description=(
                "Learns a style from one picture, or from several of one style, in seconds. The "
                "result draws any number of pictures and can be saved in a few kilobytes."
            ),
            search_aliases=["train style", "learn style", "style from image", "neural style"],
            inputs=_inputs(),
            outputs=[
                StyleSocket.Output(
                    display_name="style",
                    tooltip="The style, for Stylize, Save or Blend. Where an input has a list, "
                    "such as of seeds, one style for each.",
                    is_output_list=True,
                ),
                io.Image.Output(
                    display_name="preview",
                    tooltip="Up to four of the content images, or a small scene, in the style.",
                    is_output_list=True,
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="Losses and settings of the adaptation.",
                    is_output_list=True,
                ),
            ],
            hidden=[io.Hidden.unique_id],
            essentials_category="Image Tools",
            has_intermediate_output=True,
            is_input_list=True,
        )

    @classmethod
    def validate_inputs(cls, encoder: object = None, quality: object = None) -> bool | str:
        """Say where the weights of an encoder belong before anything is loaded."""
        return unusable_encoder(encoder, quality) or True

    @classmethod
    def execute(cls, **inputs: object) -> io.NodeOutput:
        """Adapt a copy, or one for each value of a list, with progress and losses on the way."""
        made = adapt_each(inputs, str(cls.hidden.unique_id))
        losses = {"metastyle_losses": made.curve}
        return io.NodeOutput(made.styles, made.previews, made.reports, ui=losses)


def _inputs() -> list[io.Input]:
    """Sockets and widgets in the order in which workflows store them."""
    return [
        ModelSocket.Input("model", tooltip="From Load MetaStyle."),
        io.Image.Input(
            "style_images",
            tooltip="The picture whose style to learn. A batch, or a list of pictures of any "
            "sizes, counts as several pictures of one style. "
            f"At least {MIN_STYLE_SIDE_PX} px on each side.",
        ),
        *_numbers(),
        *_choices(),
        io.Image.Input(
            "content_images",
            optional=True,
            tooltip="Pictures to learn on: best those that will be stylized, or frames of the "
            "clip; a batch, or a list of any sizes. Without them a few photographs that ship are "
            "used.",
        ),
        StyleSocket.Input(
            "resume", optional=True, tooltip="Go on from this style instead of a fresh start."
        ),
        io.Mask.Input(
            "style_mask",
            optional=True,
            tooltip="Where the picture counts: leave out what is no part of the style, such as a "
            "frame or a signature. One for all style images or one each; another size is scaled "
            "where the ratio fits.",
        ),
        io.Combo.Input(
            "quality",
            options=list(QUALITIES),
            default="custom",
            optional=True,
            tooltip="Sets steps, mode, batch and encoder together, in place of the single widgets. "
            "fast: 30 steps of norm. balanced: 60. best: 100 of low_rank. custom: the widgets "
            "count.",
        ),
        io.Boolean.Input(
            "keep_statistics",
            default=False,
            optional=True,
            tooltip="On keeps in the style what Refine needs of the picture, 48 KB more in a saved "
            "file; Refine then works without style_images.",
        ),
        strokes_input(_DEFAULTS.loss.nearest_weight),
        advanced(learned_abstraction_input()),
        share_input(
            "levels",
            _DEFAULTS.levels,
            "How far a painting whose reproduction has faded is brought towards full tones before "
            "the style is learned. 0 takes it as it is.",
            optional=True,
        ),
    ]


def _numbers() -> list[io.Input]:
    """How long to learn, how strongly, and with which brush."""
    return [
        io.Int.Input(
            "steps",
            default=_DEFAULTS.steps,
            min=0,
            max=2000,
            tooltip="How long to learn. 0 is instant, 30 is good, 100 is thorough.",
        ),
        io.Float.Input(
            "style_weight",
            default=_DEFAULTS.loss.style_weight,
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
            max=LARGEST_BRUSH_PX,
            step=16,
            tooltip="How large strokes are: pictures drawn at this short side, in pixels, get "
            "strokes as large as in the painting, larger pictures finer ones. 0 takes "
            f"{USUAL_SUPERSAMPLING:g} times the size of content_images, as Stylize draws them, or "
            f"{_DEFAULTS.style_size_px} px without any.",
        ),
    ]


def _choices() -> list[io.Input]:
    """What learns, who judges, and the seed."""
    return [
        advanced(
            io.Combo.Input(
                "mode",
                options=list(ADAPTATION_MODES),
                default=_DEFAULTS.mode,
                tooltip="What learns. norm: 3,200 numbers, a style of kilobytes. low_rank: these "
                "and a small change of every filter, 320 KB, with 100 steps as good as full. "
                "decoder: norm and the layers that draw, 430 KB. full: everything, 7 MB.",
            )
        ),
        advanced(
            io.Combo.Input(
                "encoder",
                options=list(ENCODER_NAMES),
                default="compact",
                tooltip="The network that judges the likeness. compact ships with MetaStyle; the "
                "others need their weights in models/metastyle.",
            )
        ),
        seed_input(
            "Chance of the learning pictures and their order. The same seed gives the same style."
        ),
    ]
