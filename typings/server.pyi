from aiohttp import web

class PromptServer:
    instance: PromptServer
    routes: web.RouteTableDef
    def send_sync(self, event: str, data: dict[str, object], sid: str | None = None) -> None: ...
