"""Node: mix styles by weights."""

from .hosting.connected_styles import mix_connected
from .hosting.sockets import MOST_STYLES, StyleSocket, growing_styles, io, node_schema
from .hosting.widgets import mixing_model_input


class BlendStyles(io.ComfyNode):
    """The weighted mean of styles."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Two to six styles with a weight each; one style."""
        return node_schema(
            node_id="MetaStyleBlendStyles",
            display_name="Blend Styles",
            description=(
                "Mixes two to six styles into a new one. Weights are shares of their sum: 1 and 1 "
                "is half and half, 1.5 and 0.5 three quarters and one."
            ),
            search_aliases=["mix styles", "interpolate styles", "merge styles"],
            inputs=[
                *growing_styles(),
                *(
                    io.Float.Input(
                        f"weight_{number}",
                        default=1.0,
                        min=-2.0,
                        max=2.0,
                        step=0.05,
                        tooltip=f"Share of style {number}. Below 0 pushes away from it. "
                        "Without a style it counts for nothing.",
                    )
                    for number in range(1, MOST_STYLES + 1)
                ),
                mixing_model_input(),
            ],
            outputs=[
                StyleSocket.Output(
                    display_name="style", tooltip="The mixture: use or save it like any style."
                )
            ],
        )

    @classmethod
    def execute(cls, **inputs: object) -> io.NodeOutput:
        """Mix what is connected."""
        return io.NodeOutput(mix_connected(inputs))
