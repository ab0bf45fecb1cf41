"""Everything the host does for us: devices, memory, progress, folders, messages.

The only file that imports `comfy`, `folder_paths` and `server`.
"""

import sys
import traceback
import uuid
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import comfy.model_management
import comfy.utils
import folder_paths
import torch
from aiohttp.web import RouteDef
from comfy.model_patcher import ModelPatcher
from PIL import Image

from ...metastyle_core.errors import CheckpointError

if TYPE_CHECKING:
    from aiohttp.web import Request, StreamResponse
    from server import PromptServer

FolderName = Literal["metastyle", "metastyle_styles"]
FOLDERS: tuple[FolderName, ...] = ("metastyle", "metastyle_styles")
PREVIEW_PX = 512
# How devices without an exception of their own say that memory ran out.
_OUT_OF_MEMORY = ("out of memory", "allocate memory")


def work_device() -> torch.device:
    """Where the host computes."""
    return comfy.model_management.get_torch_device()


def result_device() -> torch.device:
    """Where the host keeps what nodes hand over."""
    return comfy.model_management.intermediate_device()


def result_dtype() -> torch.dtype:
    """The number format in which the host keeps images."""
    # Older hosts have no choice here.
    choose = getattr(comfy.model_management, "intermediate_dtype", None)
    return torch.float32 if choose is None else choose()


def wrap(module: torch.nn.Module) -> ModelPatcher:
    """Hand a module to the host, which may then move it in and out of device memory."""
    offload = comfy.model_management.unet_offload_device()
    return ModelPatcher(module.to(offload), load_device=work_device(), offload_device=offload)


def load(patchers: Sequence[ModelPatcher], activation_bytes: int) -> None:
    """Bring wrapped modules whole onto the device, with room to compute beside them."""
    comfy.model_management.load_models_gpu(
        list(patchers), memory_required=activation_bytes, force_full_load=True
    )


def make_room(activation_bytes: int) -> None:
    """Ask the host to move its models out of the way of a computation of our own."""
    comfy.model_management.free_memory(activation_bytes, work_device())


def empty_cache() -> None:
    """Give unused device memory back."""
    comfy.model_management.soft_empty_cache()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a computation failed for lack of memory, on any device."""
    if isinstance(error, comfy.model_management.OOM_EXCEPTION):
        return True
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def recover(error: RuntimeError) -> None:
    """Free what a computation that ran out of memory still holds through its error.

    Raises:
        RuntimeError: `error` itself, if memory was not what it lacked.
    """
    if not is_out_of_memory(error):
        raise error
    traceback.clear_frames(error.__traceback__)
    empty_cache()


@contextmanager
def training_mode() -> Generator[None]:
    """Leave the inference mode in which the host runs nodes.

    Tensors from outside must be cloned, and modules deeply copied, inside the block
    before gradients can flow through them.
    """
    with torch.inference_mode(False), torch.enable_grad():
        yield


def stop_if_interrupted() -> None:
    """Raise the host's own exception when the user pressed Cancel."""
    comfy.model_management.throw_exception_if_processing_interrupted()


class Progress:
    """The progress bar of the node that runs."""

    def __init__(self, total: int) -> None:
        self._total = max(1, total)
        self._bar = comfy.utils.ProgressBar(self._total)

    def show(self, done: int, picture: Image.Image | None = None) -> None:
        """Move the bar, and show a picture on the node if there is one."""
        preview = None if picture is None else ("JPEG", picture, PREVIEW_PX)
        self._bar.update_absolute(done, self._total, preview)


def register_folders() -> None:
    """Announce our model folders; those from extra_model_paths.yaml stay first."""
    for name in FOLDERS:
        folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))
        paths, _ = folder_paths.folder_names_and_paths[name]
        folder_paths.folder_names_and_paths[name] = (paths, {".safetensors"})


def folders(name: FolderName) -> tuple[Path, ...]:
    """Where files of a kind lie; new ones go to the first."""
    return tuple(Path(path) for path in folder_paths.get_folder_paths(name))


def temporary_path(suffix: str) -> Path:
    """A new name in the folder that the host empties when it starts; no file is made."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"metastyle_{uuid.uuid4().hex}{suffix}"


def expand_name(name: str, folder: Path) -> str:
    """Fill in `%year%` and the like, as the host does for image names.

    Args:
        name: with `/` between subfolders, already checked.
        folder: below which the file will lie; the subfolders are created.

    Raises:
        CheckpointError: the subfolders cannot be created.
    """
    try:
        _, filename, _, subfolder, _ = folder_paths.get_save_image_path(name, str(folder))
    except OSError as error:
        raise CheckpointError(
            f"Cannot write below {folder} ({error.strerror}); make the folder writable."
        ) from error
    return f"{Path(subfolder).as_posix()}/{filename}" if subfolder else filename


def send(event: str, message: Mapping[str, object]) -> None:
    """Tell the browser that started the run something; without one nothing happens."""
    server = _server()
    if server is not None and server.client_id is not None:
        server.send_sync(event, dict(message), server.client_id)


def broadcast(event: str, message: Mapping[str, object]) -> None:
    """Tell every browser that has the host's page open; without a server nothing happens."""
    server = _server()
    if server is not None:
        server.send_sync(event, dict(message))


def prompt_id() -> str | None:
    """Which prompt is running; None where the host does not say."""
    return getattr(_server(), "last_prompt_id", None)


def add_route(
    method: Literal["GET", "POST"],
    path: str,
    handler: "Callable[[Request], Awaitable[StreamResponse]]",
) -> None:
    """Answer requests to the host's server; without a server nothing happens."""
    server = _server()
    if server is not None:
        server.routes.route(method, path)(handler)


def answering(path: str) -> str | None:
    """Which module answers a path of the host's server already, or None."""
    server = _server()
    for route in () if server is None else server.routes:
        if isinstance(route, RouteDef) and route.path == path:
            return route.handler.__module__
    return None


def _server() -> "PromptServer | None":
    # A host that runs without its server has not imported it, and need not on our account.
    module = sys.modules.get("server")
    return None if module is None else getattr(module.PromptServer, "instance", None)
