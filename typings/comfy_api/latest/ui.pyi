from torch import Tensor

from . import io

class PreviewImage:
    def __init__(self, image: Tensor, *, cls: type[io.ComfyNode] | None = None) -> None: ...
