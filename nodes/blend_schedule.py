"""Node: let styles pass into one another over the frames of a clip."""

from ..metastyle_core.mixing import CURVES, ROUTES, Curve, Route
from .hosting.connected_styles import schedule_connected
from .hosting.sockets import StyleSocket, growing_styles, io, node_schema
from .hosting.widgets import mixing_model_input


class BlendSchedule(io.ComfyNode):
    """A blend that changes from frame to frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Two to six styles in order; one blend over frames."""
        return node_schema(
            node_id="MetaStyleBlendSchedule",
            display_name="Blend Styles over Frames",
            description=(
                "Passes from style to style over a batch. Stylize gives the first frame the first "
                "style and the last frame the last one, however many frames there are."
            ),
            search_aliases=["style schedule", "animate style", "style transition", "keyframes"],
            inputs=[
                *growing_styles(),
                io.Combo.Input(
                    "curve",
                    options=list(CURVES),
                    default="linear",
                    tooltip="linear passes at one speed; smooth lingers at each style.",
                ),
                io.Combo.Input(
                    "route",
                    options=list(ROUTES),
                    default="once",
                    tooltip="once ends at the last style; there_and_back returns to the first, "
                    "for loops.",
                ),
                mixing_model_input(),
            ],
            outputs=[
                StyleSocket.Output(
                    display_name="style", tooltip="The blend, for Stylize. It cannot be saved."
                )
            ],
        )

    @classmethod
    def execute(cls, curve: Curve, route: Route, **inputs: object) -> io.NodeOutput:
        """Line up what is connected."""
        return io.NodeOutput(schedule_connected(inputs, curve, route))
