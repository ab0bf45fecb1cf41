"""Node: pictures in a preset or saved style, with nothing to load beside it."""

from torch import Tensor

from .hosting.bounded_stylization import StylizationSettings, stylize_images
from .hosting.sockets import io, node_schema
from .hosting.style_files import missing_style, open_style, style_fingerprint
from .hosting.weights import base_of_style, open_base
from .hosting.widgets import share_input, style_choice


class StylizeWithPreset(io.ComfyNode):
    """A style by its name, the shipped base that it was made on, and one pass per picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Pictures, a style and how strongly; pictures."""
        return node_schema(
            node_id="MetaStyleStylizeWithPreset",
            display_name="Stylize with Preset",
            description=(
                "Draws pictures in a style that ships with MetaStyle or was saved. Nothing else "
                "is needed; Stylize has more to set."
            ),
            search_aliases=["style transfer", "preset", "filter", "artistic style", "painting"],
            inputs=[
                io.Image.Input(
                    "images", tooltip="What to draw. Size and transparency stay as they are."
                ),
                style_choice("The style, by its title: shipped ones and those that you saved."),
                share_input(
                    "strength", 1.0, "0 gives the pictures back unchanged, 1 is the full style."
                ),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="The pictures in the style.")],
            essentials_category="Image Tools",
        )

    @classmethod
    def validate_inputs(cls, style: str = "") -> bool | str:
        """Say what to do when the file has gone since the list was made."""
        return missing_style(style) or True

    @classmethod
    def fingerprint_inputs(cls, style: str = "") -> str:
        """Run again when the file changed."""
        return style_fingerprint(style)

    @classmethod
    def execute(cls, images: Tensor, style: str, strength: float) -> io.NodeOutput:
        """Open the style, then its base, and draw."""
        opened = open_style(style)
        settings = StylizationSettings(strength, "auto")
        model = open_base(base_of_style(opened))
        return io.NodeOutput(stylize_images(model, opened, images, settings))
