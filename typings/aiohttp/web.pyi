from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

class StreamResponse: ...

class Response(StreamResponse):
    def __init__(
        self,
        *,
        body: bytes | None = None,
        status: int = 200,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None: ...

class Request:
    headers: Mapping[str, str]
    query: Mapping[str, str]
    async def json(self) -> object: ...

def json_response(data: object, *, status: int = 200) -> Response: ...

_Handler = TypeVar("_Handler", bound=Callable[..., Awaitable[object]])

class RouteTableDef:
    def route(self, method: str, path: str) -> Callable[[_Handler], _Handler]: ...
