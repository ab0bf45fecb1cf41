"""The door of the node pack: what ComfyUI looks for, and nothing else."""

from .nodes import MetaStyleExtension, open_extension

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> MetaStyleExtension:
    """Hand the nodes to the host."""
    return open_extension()
