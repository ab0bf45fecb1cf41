"""Widgets and sockets that several nodes have, stated once."""

from ...metastyle_core.drawing import MOST_SUPERSAMPLING, USUAL_SUPERSAMPLING
from ...metastyle_core.precision import PRECISIONS
from ...metastyle_core.touches import USUAL_ABSTRACTION
from .sockets import ModelSocket, io
from .style_files import library

_LARGEST_SEED = 2**64 - 1


def advanced(widget: io.Input) -> io.Input:
    """A widget that few need: a host that can folds it away, an older one shows it."""
    if hasattr(widget, "advanced"):
        widget.advanced = True
    return widget


def style_choice(tooltip: str) -> io.Input:
    """One of the saved and shipped styles; the browser shows titles in place of names."""
    return io.Combo.Input("style", options=list(library().paths()), tooltip=tooltip)


def share_input(name: str, default: float, tooltip: str, *, optional: bool = False) -> io.Input:
    """A number from 0 to 1."""
    return io.Float.Input(
        name, default=default, min=0.0, max=1.0, step=0.05, optional=optional, tooltip=tooltip
    )


def abstraction_input(default: float) -> io.Input:
    """How far pictures are painted over before they are drawn."""
    return share_input(
        "abstraction",
        default,
        "Paints the picture over along its forms before it is drawn: grass, hair and other texture "
        "become strokes, outlines stay; less in styles whose own strokes hardly show. 0 keeps "
        "every detail, "
        f"{USUAL_ABSTRACTION:g} is usual for stills, 1 leaves broad strokes alone.",
        optional=True,
    )


def supersampling_input() -> io.Input:
    """How many times as large pictures are drawn before they are reduced."""
    return io.Float.Input(
        "supersampling",
        default=USUAL_SUPERSAMPLING,
        min=1.0,
        max=MOST_SUPERSAMPLING,
        step=0.25,
        optional=True,
        tooltip="How many times as large pictures are drawn before they are reduced to their size: "
        "contours lose their steps and flat areas their weave, and strokes get finer. 1 is twice "
        "as fast. From a short side of 512 px on less, as large pictures need none.",
    )


def learned_abstraction_input() -> io.Input:
    """How far contents are painted over before a style learns to draw them."""
    return share_input(
        "abstraction",
        USUAL_ABSTRACTION,
        "How far the contents are painted over before the style learns to draw them: as far as "
        "Stylize will paint over, 0 for Stylize Video as it comes.",
        optional=True,
    )


def strokes_input(default: float) -> io.Input:
    """The weight of the nearest places of a style."""
    return io.Float.Input(
        "strokes",
        default=default,
        min=0.0,
        max=10.0,
        step=0.05,
        optional=True,
        tooltip="How much each place of a picture takes after the nearest place of the style "
        "picture: 0 gives its textures, more gives strokes that follow the shapes.",
    )


def seed_input(tooltip: str, *, optional: bool = False) -> io.Input:
    """A seed that stays as it is from run to run."""
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=_LARGEST_SEED,
        control_after_generate=False,
        optional=optional,
        tooltip=tooltip,
    )


def precision_input() -> io.Input:
    """The number format of the convolutions."""
    return advanced(
        io.Combo.Input(
            "precision",
            options=list(PRECISIONS),
            default="auto",
            tooltip="Number format. auto takes the fastest that the device does well; fp32 is "
            "the most exact.",
        )
    )


def mixing_model_input() -> io.Input:
    """The model that blends of some modes need."""
    return ModelSocket.Input(
        "model",
        optional=True,
        tooltip="From Load MetaStyle. Only needed where a style of mode decoder or full mixes with "
        "one of another mode; the mixture is then as large as the larger.",
    )
