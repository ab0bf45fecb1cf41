"""A small typed stand-in for ComfyUI: enough of it to load the pack and run its nodes.

What it offers is what `typings/` says of the host; test_fake_host.py holds the two together.

It cannot show inference-mode bookkeeping, caching or real memory management; the tests in
`host` do that on a real one.
"""

import dataclasses
import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from io import BytesIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from aiohttp import web

ROOT = Path(__file__).parents[2]
PACK_NAME = "/some where/custom_nodes/metastyle"
_CORES: dict[tuple[Path, str], dict[str, ModuleType]] = {}


class Interrupted(BaseException):
    """What the host raises when the user pressed Cancel."""


class FakeMemoryError(RuntimeError):
    """What the host calls running out of device memory."""


class ModelPatcher:
    def __init__(
        self, model: torch.nn.Module, load_device: torch.device, offload_device: torch.device
    ) -> None:
        self.model = model
        self.load_device = load_device
        self.offload_device = offload_device


class Input:
    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        **options: Any,
    ) -> None:
        self.id = id
        self.display_name = display_name
        self.optional = optional
        self.tooltip = tooltip
        self.advanced: bool | None = None
        self.options = options


class ComboInput(Input):
    def __init__(self, id: str, options: list[str] | None = None, **more: Any) -> None:
        super().__init__(id, **more)
        self.choices = options


class Output:
    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> None:
        self.id = id
        self.display_name = display_name
        self.tooltip = tooltip
        self.is_output_list = is_output_list


class TemplateNames:
    def __init__(self, input: Input, names: list[str], min: int = 1) -> None:
        self.input = input
        self.names = names
        self.min = min


class GrowingInput(Input):
    def __init__(self, id: str, template: TemplateNames, **more: Any) -> None:
        super().__init__(id, **more)
        self.template = template


class Hidden(Enum):
    unique_id = "UNIQUE_ID"


@dataclass
class Schema:
    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] | None = None
    outputs: list[Output] | None = None
    hidden: list[Hidden] | None = None
    description: str = ""
    search_aliases: list[str] = field(default_factory=list)
    is_output_node: bool = False
    essentials_category: str | None = None
    has_intermediate_output: bool = False
    is_input_list: bool = False


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args = args
        self.ui = ui


class ComfyNode:
    hidden = SimpleNamespace(unique_id="7")

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError


class ComfyExtension:
    async def on_load(self) -> None: ...

    async def get_node_list(self) -> list[type[ComfyNode]]:
        raise NotImplementedError


class VideoFromFile:
    """A file, of which a part may be the video."""

    def __init__(self, file: str | BytesIO) -> None:
        self.file = file
        self.window = (0.0, 0.0)
        self.saved: list[str] = []

    def get_stream_source(self) -> str | BytesIO:
        return self.file

    def get_active_trim_window(self) -> tuple[float, float]:
        return self.window

    def get_dimensions(self) -> tuple[int, int]:
        import av

        with av.open(self.file) as container:
            return container.streams.video[0].width, container.streams.video[0].height

    def save_to(self, path: str) -> None:
        self.saved.append(path)
        shutil.copyfile(self.file, path)


class InputImpl:
    VideoFromFile = VideoFromFile


class PreviewImage:
    def __init__(self, image: torch.Tensor, *, cls: type | None = None) -> None:
        self.image = image


def _socket(name: str, input_class: type[Input] = Input) -> type:
    return type(name, (), {"Input": type("Input", (input_class,), {}), "Output": Output})


def _custom(io_type: str) -> type:
    return _socket(io_type)


def _interface(*, old: bool) -> ModuleType:
    """The host's node interface; an old one lacks search aliases, growing inputs and videos."""
    io = ModuleType("comfy_api.latest.io")
    for name in ("Image", "Mask", "Video", "String", "Boolean", "Int", "Float"):
        setattr(io, name, _socket(name))
    io.Combo = _socket("Combo", ComboInput)
    io.Custom = _custom
    io.Hidden, io.ComfyNode, io.NodeOutput, io.Input, io.Output = (
        Hidden, ComfyNode, NodeOutput, Input, Output,
    )  # fmt: skip
    if old:
        lacking = {
            "search_aliases",
            "essentials_category",
            "has_intermediate_output",
            "is_input_list",
        }
        kept = [f for f in dataclasses.fields(Schema) if f.name not in lacking]
        rows = [(f.name, f.type, dataclasses.field(default=None)) for f in kept[1:]]
        io.Schema = dataclasses.make_dataclass("Schema", [("node_id", str), *rows])
        del io.Video
    else:
        io.Schema = Schema
        io.Autogrow = SimpleNamespace(TemplateNames=TemplateNames, Input=GrowingInput)
    return io


@dataclass
class FakeHost:
    """What the pack asked of the host, and what the host is told to do.

    Attributes:
        models_dir: where model folders lie.
        loads: patchers and bytes of every load.
        freed: bytes of every request for room.
        progress: done, total and preview of every move of the bar.
        sent: event, message and the browser it went to.
        browser: which one started the run; None for a script.
        prompt: the one that runs.
        routes: "METHOD path" to handler.
        interrupt_after: raise at the check after this many; None never does.
    """

    models_dir: Path
    loads: list[tuple[list[ModelPatcher], float]] = field(default_factory=list)
    freed: list[float] = field(default_factory=list)
    progress: list[tuple[int, int, Any]] = field(default_factory=list)
    sent: list[tuple[str, dict[str, Any], str | None]] = field(default_factory=list)
    browser: str | None = "first"
    prompt: str | None = "prompt-1"
    routes: dict[str, Callable[..., Any]] = field(default_factory=dict)
    interrupt_after: int | None = None
    checks: int = 0
    emptied: int = 0

    def check(self) -> None:
        self.checks += 1
        if self.interrupt_after is not None and self.checks > self.interrupt_after:
            raise Interrupted

    def modules(self, *, old: bool) -> dict[str, ModuleType]:
        """The modules a pack may import, by name."""
        io = _interface(old=old)
        ui = ModuleType("comfy_api.latest.ui")
        ui.PreviewImage = PreviewImage
        latest = ModuleType("comfy_api.latest")
        latest.io, latest.ui, latest.ComfyExtension = io, ui, ComfyExtension
        latest.InputImpl = InputImpl
        api = ModuleType("comfy_api")
        api.latest = latest
        comfy = ModuleType("comfy")
        comfy.model_management = self._management(old=old)
        comfy.utils = self._utils()
        comfy.model_patcher = ModuleType("comfy.model_patcher")
        comfy.model_patcher.ModelPatcher = ModelPatcher
        server = ModuleType("server")
        server.PromptServer = type("PromptServer", (_FakeServer,), {"instance": _FakeServer(self)})
        return {
            "comfy_api": api, "comfy_api.latest": latest,
            "comfy_api.latest.io": io, "comfy_api.latest.ui": ui,
            "comfy": comfy, "comfy.model_management": comfy.model_management,
            "comfy.utils": comfy.utils, "comfy.model_patcher": comfy.model_patcher,
            "folder_paths": self._folder_paths(), "server": server,
        }  # fmt: skip

    def _management(self, *, old: bool) -> ModuleType:
        module, cpu = ModuleType("comfy.model_management"), torch.device("cpu")
        module.OOM_EXCEPTION = FakeMemoryError
        for name in ("get_torch_device", "intermediate_device", "unet_offload_device"):
            setattr(module, name, lambda: cpu)
        if not old:
            module.intermediate_dtype = lambda: torch.float32
        module.throw_exception_if_processing_interrupted = self.check

        def free_memory(memory_required: float, device: torch.device) -> None:
            self.freed.append(memory_required)

        def load_models_gpu(
            models: list[ModelPatcher], memory_required: float = 0, *, force_full_load: bool = False
        ) -> None:
            self.loads.append((models, memory_required))

        def soft_empty_cache() -> None:
            self.emptied += 1

        module.free_memory = free_memory
        module.load_models_gpu = load_models_gpu
        module.soft_empty_cache = soft_empty_cache
        return module

    def _utils(self) -> ModuleType:
        module, told = ModuleType("comfy.utils"), self.progress

        class ProgressBar:
            def __init__(self, total: int) -> None:
                self.total = total

            def update_absolute(
                self, value: int, total: int | None = None, preview: Any = None
            ) -> None:
                told.append((value, total, preview))

        module.ProgressBar = ProgressBar
        return module

    def _folder_paths(self) -> ModuleType:
        module = ModuleType("folder_paths")
        module.models_dir = str(self.models_dir)
        known: dict[str, tuple[list[str], set[str]]] = {}
        module.folder_names_and_paths = known

        def add_model_folder_path(
            folder_name: str, full_folder_path: str, is_default: bool = False
        ) -> None:
            paths, _ = known.setdefault(folder_name, ([], set()))
            if full_folder_path not in paths:
                paths.append(full_folder_path)

        def get_folder_paths(folder_name: str) -> list[str]:
            return known[folder_name][0][:]

        def get_temp_directory() -> str:
            return str(self.models_dir.parent / "temp")

        def get_save_image_path(
            filename_prefix: str, output_dir: str
        ) -> tuple[str, str, int, str, str]:
            filled = Path(filename_prefix.replace("%year%", "2026"))
            subfolder = "" if str(filled.parent) == "." else str(filled.parent)
            return str(Path(output_dir) / subfolder), filled.name, 1, subfolder, filename_prefix

        module.add_model_folder_path = add_model_folder_path
        module.get_folder_paths = get_folder_paths
        module.get_temp_directory = get_temp_directory
        module.get_save_image_path = get_save_image_path
        return module


class _FakeServer:
    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self.routes = self

    @property
    def client_id(self) -> str | None:
        return self._host.browser

    @property
    def last_prompt_id(self) -> str | None:
        return self._host.prompt

    def send_sync(self, event: str, data: dict[str, Any], sid: str | None = None) -> None:
        self._host.sent.append((event, data, sid))

    def __iter__(self) -> Iterator[web.RouteDef]:
        for place, handler in self._host.routes.items():
            method, path = place.split(" ")
            yield web.RouteDef(method, path, handler, {})

    def route(self, method: str, path: str) -> Callable[[Any], Any]:
        def register(handler: Any) -> Any:
            self._host.routes[f"{method} {path}"] = handler
            return handler

        return register


@contextmanager
def loaded_pack(
    host: FakeHost, *, old: bool = False, root: Path = ROOT, name: str = PACK_NAME
) -> Iterator[ModuleType]:
    """The pack as the host loads it: by path, under a name made from the path.

    Its nodes are loaded anew each time; its core, which knows no host, once for each name.
    """
    replaced = {name: sys.modules.get(name) for name in host.modules(old=old)}
    sys.modules.update(host.modules(old=old))
    core, prefix = _CORES.setdefault((root, name), {}), f"{name}.metastyle_core"
    sys.modules.update(core)
    try:
        spec = importlib.util.spec_from_file_location(name, root / "__init__.py")
        pack = importlib.util.module_from_spec(spec)
        sys.modules[name] = pack
        spec.loader.exec_module(pack)
        pack.metastyle_core = sys.modules[prefix]
        yield pack
    finally:
        for own in [each for each in sys.modules if each.split(".")[0] == name]:
            module = sys.modules.pop(own)
            if own == prefix or own.startswith(f"{prefix}."):
                core[own] = module
        for other, module in replaced.items():
            sys.modules.pop(other, None)
            if module is not None:
                sys.modules[other] = module
