"""Node: open a saved or shipped style."""

from .hosting.sockets import StyleSocket, io, node_schema
from .hosting.style_files import missing_style, open_style, style_fingerprint
from .hosting.widgets import style_choice


class LoadAdaptedStyle(io.ComfyNode):
    """Reads a style file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """One choice; the style and its name."""
        return node_schema(
            node_id="MetaStyleLoadStyle",
            display_name="Load Adapted Style",
            description=(
                "Opens a style that was saved, or one that ships with MetaStyle. Nothing is "
                "adapted: it is ready at once."
            ),
            search_aliases=["style preset", "load style", "metastyle preset"],
            inputs=[
                style_choice(
                    "Styles in models/metastyle_styles, subfolders too, and the shipped ones."
                )
            ],
            outputs=[
                StyleSocket.Output(display_name="style", tooltip="The style, for Stylize."),
                io.String.Output(display_name="name", tooltip="What the style is called."),
            ],
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
    def execute(cls, style: str) -> io.NodeOutput:
        """Read the style."""
        opened = open_style(style)
        return io.NodeOutput(opened, opened.name)
