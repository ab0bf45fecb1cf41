"""Node: open a base network and put it in the host's care."""

from .hosting.sockets import ModelSocket, io, node_schema
from .hosting.weights import SHIPPED, base_fingerprint, base_names, missing_base, open_base


class LoadMetaStyle(io.ComfyNode):
    """Reads a base file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """One choice, one model."""
        return node_schema(
            node_id="LoadMetaStyle",
            display_name="Load MetaStyle",
            description=(
                "Opens the network that every style shares. One is enough for a whole graph: "
                "the host keeps it in memory once and moves it out when others need the room."
            ),
            search_aliases=["style transfer", "neural style", "metastyle model"],
            inputs=[
                io.Combo.Input(
                    "base",
                    options=base_names(),
                    default=SHIPPED,
                    tooltip="The base network: shipped is the main one, fast a lighter one that "
                    "ships too, others are files in models/metastyle. Styles work only with the "
                    "base they were made on, presets with the main one.",
                )
            ],
            outputs=[
                ModelSocket.Output(
                    display_name="model", tooltip="The base, for Adapt to Style and Stylize."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, base: str = SHIPPED) -> bool | str:
        """Say what to do when the file has gone since the list was made."""
        return missing_base(base) or True

    @classmethod
    def fingerprint_inputs(cls, base: str = SHIPPED) -> str:
        """Run again when the file changed."""
        return missing_base(base) or base_fingerprint(base)

    @classmethod
    def execute(cls, base: str) -> io.NodeOutput:
        """Read the base and wrap it."""
        return io.NodeOutput(open_base(base))
