"""Node: save a style for other workflows and other days."""

from torch import Tensor

from .hosting.pictures import thumbnail_to_host
from .hosting.sockets import StyleSocket, StyleValue, io, node_schema, ui
from .hosting.style_files import TAKEN, SaveRequest, save, taken_choice, unsavable
from .hosting.widgets import advanced

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
                    tooltip="File name. A / makes subfolders, as in project/wave; %year%, %month%, "
                    "%day% and %date:yyyy-MM-dd% are filled in.",
                ),
                advanced(
                    io.Boolean.Input(
                        "fp16",
                        default=False,
                        tooltip="Store half the bytes. Hardly visible; off keeps every digit.",
                    )
                ),
                io.Combo.Input(
                    "overwrite",
                    options=list(TAKEN),
                    default="number",
                    tooltip="Where there is a style of that name: number saves beside it as "
                    "name_2, overwrite replaces it, ask lets you choose when you press Run.",
                ),
                io.Image.Input(
                    "style_image",
                    optional=True,
                    tooltip="Picture for the thumbnail. Without one the style keeps its own: a "
                    "small scene drawn in it, or for a blend the scenes of its styles mixed.",
                ),
                io.Image.Input(
                    "painting",
                    optional=True,
                    tooltip="Picture to keep beside the thumbnail, small: the painting itself, if "
                    "you want to see it in the Styles tab. Nothing is kept without it.",
                ),
            ],
            outputs=[StyleSocket.Output(display_name="style", tooltip=_OUTPUT_TOOLTIP)],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(
        cls, name: str | None = None, overwrite: str | bool | None = None
    ) -> bool | str:
        """Refuse a name under which nothing can be saved before anything is learned."""
        return unsavable(name, overwrite) or True

    @classmethod
    def execute(
        cls,
        style: StyleValue,
        name: str,
        fp16: bool,
        overwrite: str | bool,
        style_image: Tensor | None = None,
        painting: Tensor | None = None,
    ) -> io.NodeOutput:
        """Write the file and show its thumbnail, if it has one."""
        request = SaveRequest(name, fp16, taken_choice(overwrite), style_image, painting)
        saved = save(style, request)
        picture = thumbnail_to_host(saved)
        return io.NodeOutput(
            saved, ui=None if picture is None else ui.PreviewImage(picture, cls=cls)
        )
