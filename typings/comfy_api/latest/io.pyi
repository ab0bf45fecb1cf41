from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from . import ui

class Input:
    id: str
    display_name: str | None
    optional: bool
    tooltip: str | None
    advanced: bool | None
    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
    ) -> None: ...

class Output:
    id: str | None
    display_name: str | None
    tooltip: str | None
    io_type: str
    is_output_list: bool
    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> None: ...

_Input = Input
_Output = Output

class _ComfyTypeIO:
    class Input(_Input): ...
    class Output(_Output): ...

def Custom(io_type: str) -> type[_ComfyTypeIO]: ...

class Image(_ComfyTypeIO): ...
class Mask(_ComfyTypeIO): ...
class Video(_ComfyTypeIO): ...

class String(_ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: str | None = None,
        ) -> None: ...

class Boolean(_ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: bool | None = None,
        ) -> None: ...

class Int(_ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: int | None = None,
            min: int | None = None,
            max: int | None = None,
            step: int | None = None,
            control_after_generate: bool | None = None,
        ) -> None: ...

class Float(_ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: float | None = None,
            min: float | None = None,
            max: float | None = None,
            step: float | None = None,
        ) -> None: ...

class Combo(_ComfyTypeIO):
    class Input(_Input):
        def __init__(
            self,
            id: str,
            options: Sequence[str] | None = None,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: str | None = None,
        ) -> None: ...

class Autogrow:
    class TemplateNames:
        def __init__(self, input: _Input, names: list[str], min: int = 1) -> None: ...

    class Input(_Input):
        def __init__(
            self,
            id: str,
            template: Autogrow.TemplateNames,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
        ) -> None: ...

class Hidden(Enum):
    unique_id = "UNIQUE_ID"

class _HiddenHolder:
    unique_id: str

@dataclass
class Schema:
    node_id: str
    display_name: str | None = None
    category: str = ""
    inputs: list[Input] | None = None
    outputs: list[Output] | None = None
    hidden: list[Hidden] | None = None
    description: str = ""
    search_aliases: list[str] | None = None
    is_output_node: bool = False
    essentials_category: str | None = None
    has_intermediate_output: bool = False
    is_input_list: bool = False

class NodeOutput:
    def __init__(
        self, *args: object, ui: ui.PreviewImage | Mapping[str, Sequence[object]] | None = None
    ) -> None: ...

class ComfyNode:
    hidden: _HiddenHolder
    @classmethod
    def define_schema(cls) -> Schema: ...
