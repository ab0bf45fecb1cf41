"""Node: turn pictures of one style into an adapted style."""

from torch import Tensor

from ..metastyle_core.adaptation import LARGEST_BRUSH_PX, MIN_STYLE_SIDE_PX, AdaptationSettings
from ..metastyle_core.encoder import ENCODER_NAMES
from ..metastyle_core.losses import LossSettings
from ..metastyle_core.network import ADAPTATION_MODES, AdaptationMode
from .hosting.bounded_adaptation import AdaptationRequest, adapt, brush_or_default
from .hosting.model import MetaStyleModel
from .hosting.pictures import to_host
from .hosting.sockets import ModelSocket, StyleSocket, StyleValue, io, node_schema
from .hosting.watcher import Watcher
from .hosting.weights import missing_encoder
from .hosting.widgets import advanced, seed_input

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
                    display_name="style", tooltip="The style, for Stylize, Save or Blend."
                ),
                io.Image.Output(
                    display_name="preview",
                    tooltip="Up to four of the content images, or a small scene, in the style.",
                ),
                io.String.Output(
                    display_name="report", tooltip="Losses and settings of the adaptation."
                ),
            ],
            hidden=[io.Hidden.unique_id],
            essentials_category="Image Tools",
            has_intermediate_output=True,
        )

    @classmethod
    def validate_inputs(cls, encoder: str | None = None) -> bool | str:
        """Say where the weights of an encoder belong before anything is loaded."""
        return missing_encoder(encoder) or True

    @classmethod
    def execute(
        cls,
        model: MetaStyleModel,
        style_images: Tensor,
        steps: int,
        style_weight: float,
        brush_size: int,
        mode: AdaptationMode,
        encoder: str,
        seed: int,
        content_images: Tensor | None = None,
        resume: StyleValue | None = None,
    ) -> io.NodeOutput:
        """Adapt a copy, with progress and losses on the way."""
        loss = LossSettings(style_weight=style_weight)
        brush = brush_or_default(brush_size, content_images)
        settings = AdaptationSettings(
            mode=mode, steps=steps, style_size_px=brush, loss=loss, seed=seed
        )
        request = AdaptationRequest(style_images, content_images, resume, encoder, settings)
        watcher = Watcher(str(cls.hidden.unique_id))
        result = adapt(model, request, watcher)
        losses = {"metastyle_losses": watcher.curve()}
        return io.NodeOutput(result.style, to_host(result.preview), result.report, ui=losses)


def _inputs() -> list[io.Input]:
    """Sockets and widgets in the order in which workflows store them."""
    return [
        ModelSocket.Input("model", tooltip="From Load MetaStyle."),
        io.Image.Input(
            "style_images",
            tooltip="The picture whose style to learn. A batch counts as several pictures of "
            f"one style. At least {MIN_STYLE_SIDE_PX} px on each side.",
        ),
        *_numbers(),
        *_choices(),
        io.Image.Input(
            "content_images",
            optional=True,
            tooltip="Pictures to learn on: best those that will be stylized, or frames of the "
            "clip. Without them a few photographs that ship are used.",
        ),
        StyleSocket.Input(
            "resume", optional=True, tooltip="Go on from this style instead of a fresh start."
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
            tooltip="How large strokes are: pictures of this short side, in pixels, get strokes "
            "as large as in the painting, larger pictures finer ones. 0 takes the size of "
            f"content_images, or {_DEFAULTS.style_size_px} px without any.",
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
                "decoder: norm and the layers that draw, 400 KB. full: everything, 7 MB.",
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
