from aiohttp import web

class PromptServer:
    instance: PromptServer
    routes: web.RouteTableDef
    client_id: str | None
    last_prompt_id: str | None
    def send_sync(self, event: str, data: dict[str, object], sid: str | None = None) -> None: ...
