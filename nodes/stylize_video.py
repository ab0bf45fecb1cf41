"""Node: a video in, the stylized video out."""

from torch import Tensor

from ..metastyle_core.borders import SEAMLESS, Seamless
from ..metastyle_core.colour import Colour
from ..metastyle_core.precision import Precision
from .hosting.bounded_film import (
    LOCKS,
    STEADY_NAMES,
    FilmSettings,
    LockName,
    SteadyName,
    stylize_video,
)
from .hosting.bounded_stylization import colouring_of
from .hosting.model import MetaStyleModel
from .hosting.sockets import ModelSocket, StyleSocket, StyleValue, VideoValue, io, node_schema
from .hosting.widgets import abstraction_input, advanced, precision_input, seed_input, share_input
from .stylize import colour_inputs

_MOST_FRAMES = 1_000_000


class StylizeVideo(io.ComfyNode):
    """One pass of the network per frame, a few frames in memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Model, style and video; video."""
        return node_schema(
            node_id="MetaStyleStylizeVideo",
            display_name="Stylize Video",
            description=(
                "Draws a video in a style, frame by frame: any length in bounded memory. Sound, "
                "times and trim are kept, and colours can be held steady over each shot."
            ),
            search_aliases=["video style transfer", "stylize film", "animate style"],
            inputs=_inputs(),
            outputs=[io.Video.Output(display_name="video", tooltip="The video in the style.")],
            essentials_category="Video Tools",
        )

    @classmethod
    def execute(
        cls,
        model: MetaStyleModel,
        style: StyleValue,
        video: VideoValue,
        strength: float,
        lock: LockName,
        lock_frames: int,
        precision: Precision,
        grain: float,
        seed: int,
        steady: SteadyName = "1",
        colour: Colour = "style",
        colour_amount: float = 1.0,
        palette: Tensor | None = None,
        seamless: Seamless = "none",
        mask: Tensor | None = None,
        abstraction: float = 0.0,
    ) -> io.NodeOutput:
        """Stylize into a temporary file of the host."""
        colouring = colouring_of(colour, colour_amount, palette)
        settings = FilmSettings(
            strength,
            precision,
            lock,
            lock_frames,
            grain,
            seed,
            steady,
            colouring,
            seamless,
            mask,
            abstraction,
        )
        return io.NodeOutput(stylize_video(model, style, video, settings))


def _inputs() -> list[io.Input]:
    """Sockets and widgets in the order in which workflows store them."""
    return [
        ModelSocket.Input("model", tooltip="From Load MetaStyle."),
        StyleSocket.Input(
            "style", tooltip="From Adapt to Style, Load Adapted Style or Blend Styles."
        ),
        io.Video.Input("video", tooltip="What to draw, trimmed or whole."),
        share_input(
            "strength",
            1.0,
            "0 gives the frames back unchanged, 1 is the full style.",
        ),
        *_locks(),
        precision_input(),
        *_grain(),
        _steady(),
        *colour_inputs(),
        io.Combo.Input(
            "seamless",
            options=list(SEAMLESS),
            default="none",
            optional=True,
            tooltip="Axes along which copies of a frame join without an edge, where those of the "
            "video do: x for panoramas.",
        ),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="Where the style goes, one for all frames; where it is 0 the video stays. "
            "Another size is scaled where the ratio fits.",
        ),
        abstraction_input(0.0),
    ]


def _steady() -> io.Input:
    """How many drawings a frame is the mean of."""
    return io.Combo.Input(
        "steady",
        options=list(STEADY_NAMES),
        default="1",
        optional=True,
        tooltip="Draws every frame 2 or 4 times, each shifted by a pixel or more, and takes the "
        "mean, so that strokes swim less when the picture moves. As many times the work.",
    )


def _locks() -> list[io.Input]:
    """What holds contrast and colours over a shot."""
    return [
        io.Combo.Input(
            "lock",
            options=list(LOCKS),
            default="first",
            tooltip="Holds contrast and colours over each shot, so that what enters the picture "
            "changes nothing else and fades fade: by its first frame, one chosen frame, the mean "
            "of some, or a mean that moves slowly. off lets every frame stand for itself.",
        ),
        advanced(
            io.Int.Input(
                "lock_frames",
                default=1,
                min=1,
                max=_MOST_FRAMES,
                tooltip="For lock frame: which one, counted from 1. For lock mean: of how many.",
            )
        ),
    ]


def _grain() -> list[io.Input]:
    """The strokes under all frames."""
    return [
        share_input(
            "grain",
            0.0,
            "Brush strokes along the forms: outlines, hair and folds, and sweeps where there are "
            "none, as in skies; fewer in styles whose own strokes hardly show. Usually 0 in films, "
            "as strokes stand still while things move; above 0 for cameras that stand still.",
        ),
        seed_input("Of the touches that grain and abstraction lay."),
    ]
