"""Node: turn pictures of one style into an adapted style."""

from torch import Tensor

from ..metastyle_core.adaptation import MIN_STYLE_SIDE_PX, AdaptationSettings
from ..metastyle_core.encoder import ENCODER_NAMES
from ..metastyle_core.losses import LossSettings
from ..metastyle_core.network import ADAPTATION_MODES, AdaptationMode
from .hosting.bounded_adaptation import AdaptationRequest, adapt
from .hosting.model import MetaStyleModel
from .hosting.pictures import to_host
from .hosting.sockets import ModelSocket, StyleSocket, StyleValue, io, node_schema
from .hosting.watcher import Watcher

_DEFAULTS = AdaptationSettings()
# Beyond this a picture of 16:9 has more than the megapixel to which style pictures are limited.
_LARGEST_BRUSH_PX = 768
_LARGEST_SEED = 2**64 - 1


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
            has_intermediate_output=True,
        )

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
        settings = AdaptationSettings(
            mode=mode, steps=steps, style_size_px=brush_size, loss=loss, seed=seed
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
            tooltip="Pictures to learn on, for example frames of the clip to be stylized. "
            "Without them built-in pictures are used.",
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
            default=_DEFAULTS.style_size_px,
            min=MIN_STYLE_SIDE_PX,
            max=_LARGEST_BRUSH_PX,
            step=16,
            tooltip="Short side of the style picture while learning, in pixels: smaller gives "
            "finer strokes, larger broader ones. The whole picture takes part with at most one "
            "megapixel.",
        ),
    ]


def _choices() -> list[io.Input]:
    """What learns, who judges, and the seed."""
    return [
        io.Combo.Input(
            "mode",
            options=list(ADAPTATION_MODES),
            default=_DEFAULTS.mode,
            tooltip="What learns. norm: 3,200 numbers, a style of kilobytes. low_rank: these and "
            "a small change of every filter, 320 KB, with 100 steps as good as full. decoder: norm "
            "and the layers that draw, 400 KB. full: everything, 7 MB.",
        ),
        io.Combo.Input(
            "encoder",
            options=list(ENCODER_NAMES),
            default="compact",
            tooltip="The network that judges the likeness. compact ships with MetaStyle; the "
            "others need their weights in models/metastyle.",
        ),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=_LARGEST_SEED,
            control_after_generate=False,
            tooltip="Chance of the learning pictures and their order. The same seed gives the "
            "same style.",
        ),
    ]
