from io import BytesIO

from . import io as io, ui as ui

class ComfyExtension:
    async def on_load(self) -> None: ...
    async def get_node_list(self) -> list[type[io.ComfyNode]]: ...

class InputImpl:
    class VideoFromFile:
        def __init__(self, file: str | BytesIO) -> None: ...
