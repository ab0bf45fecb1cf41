"""Node: save a style for other workflows and other days."""

from torch import Tensor

from .hosting.pictures import thumbnail_to_host
from .hosting.sockets import StyleSocket, StyleValue, io, node_schema, ui
from .hosting.style_files import SaveRequest, save

_OUTPUT_TOOLTIP = "The same style under its saved name."


class SaveAdaptedStyle(io.ComfyNode):
    """Writes a style file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """A style and a name; the style passes on."""
        return node_schema(
            node_id="MetaStyleSaveStyle",
            display_name="Save Adapted Style",
            description=(
                "Saves a style to models/metastyle_styles, a few kilobytes with its thumbnail. "
                "It then appears in Load Adapted Style and in the Styles tab."
            ),
            search_aliases=["save style", "store style", "export style"],
            inputs=[
                StyleSocket.Input("style", tooltip="The style to save."),
                io.String.Input(
                    "name",
                    default="my_style",
                    tooltip="File name. A / makes subfolders, as in project/wave; %year%, %month% "
                    "and %day% are filled in.",
                ),
                io.Boolean.Input(
                    "fp16",
                    default=False,
                    tooltip="Store half the bytes. Hardly visible; off keeps every digit.",
                ),
                io.Boolean.Input(
                    "overwrite",
                    default=False,
                    tooltip="On replaces a style of the same name. Off saves beside it as name_2.",
                ),
                io.Image.Input(
                    "style_image",
                    optional=True,
                    tooltip="Picture for the thumbnail. Without one the style keeps its own: a "
                    "small scene drawn in it, or for a blend the scenes of its styles mixed.",
                ),
            ],
            outputs=[StyleSocket.Output(display_name="style", tooltip=_OUTPUT_TOOLTIP)],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        style: StyleValue,
        name: str,
        fp16: bool,
        overwrite: bool,
        style_image: Tensor | None = None,
    ) -> io.NodeOutput:
        """Write the file and show its thumbnail, if it has one."""
        request = SaveRequest(name, half=fp16, overwrite=overwrite, style_image=style_image)
        saved = save(style, request)
        picture = thumbnail_to_host(saved)
        # With nothing to show, the host would not tell the Styles tab that the node has run.
        done = {"metastyle_saved": [saved.name]}
        shown = done if picture is None else ui.PreviewImage(picture, cls=cls)
        return io.NodeOutput(saved, ui=shown)
