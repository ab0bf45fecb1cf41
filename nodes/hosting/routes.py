"""What the browser may ask the server: styles, and to end steps. Answers are JSON and pictures."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import cast

from aiohttp import web

from ...metastyle_core.checkpoint import JSON_ERRORS
from ...metastyle_core.errors import MetaStyleError, SettingsError
from . import host
from .library import StyleNotFound
from .style_files import library
from .watcher import stop_and_keep

_SAME_SITE = frozenset({"same-origin", "none"})
_PORT = re.compile(r":\d+$")


def add_routes() -> None:
    """Register all routes with the host's server."""
    host.add_route("GET", "/metastyle/styles", list_styles)
    host.add_route("GET", "/metastyle/styles/thumbnail", send_thumbnail)
    host.add_route("POST", "/metastyle/styles/rename", rename_style)
    host.add_route("POST", "/metastyle/styles/delete", delete_style)
    host.add_route("POST", "/metastyle/stop", stop_learning)


async def list_styles(request: web.Request) -> web.StreamResponse:
    """All styles: name, title, shipped, mode, thumbnail, error."""
    entries = await asyncio.to_thread(library().entries)
    return web.json_response({"styles": [asdict(entry) for entry in entries]})


async def send_thumbnail(request: web.Request) -> web.StreamResponse:
    """The WebP picture of the style that `name` says."""
    try:
        picture = await asyncio.to_thread(library().thumbnail, request.query.get("name", ""))
    except MetaStyleError as error:
        return web.json_response({"error": str(error)}, status=404)
    return web.Response(
        body=picture, content_type="image/webp", headers={"X-Content-Type-Options": "nosniff"}
    )


async def rename_style(request: web.Request) -> web.StreamResponse:
    """Rename a saved style: `{"name", "new_name"}`."""
    return await _change(request, ("name", "new_name"), library().rename)


async def delete_style(request: web.Request) -> web.StreamResponse:
    """Delete a saved style: `{"name"}`."""
    return await _change(request, ("name",), library().delete)


async def stop_learning(request: web.Request) -> web.StreamResponse:
    """End the steps of a node that learns and keep what they have reached: `{"node"}`."""
    return await _change(request, ("node",), _stop)


def _stop(node: str) -> None:
    if not stop_and_keep(node):
        raise NothingRunsError(f"Node {node} is not learning; it may have ended already.")


class NothingRunsError(SettingsError):
    """A node that is to stop does not run."""


async def _change(
    request: web.Request, fields: tuple[str, ...], change: Callable[..., None]
) -> web.StreamResponse:
    if refusal := refuse_foreign(request.headers):
        return web.json_response({"error": refusal}, status=403)
    try:
        await asyncio.to_thread(change, *read_fields(await _body(request), fields))
    except (StyleNotFound, NothingRunsError) as error:
        return web.json_response({"error": str(error)}, status=404)
    except MetaStyleError as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response({"ok": True})


async def _body(request: web.Request) -> object:
    try:
        return await request.json()
    except JSON_ERRORS as error:
        raise SettingsError("The request is not JSON; send an object.") from error


def refuse_foreign(headers: Mapping[str, str]) -> str | None:
    """Why a request that changes something is not taken, or None.

    A page of another site can make a browser send forms and plain text here, but not
    JSON, and not without the headers in which the browser names the sender.

    Args:
        headers: of the request, keys in any case as the server gives them.
    """
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        return f"The request is of type '{content_type}'; send application/json."
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site is not None:
        # The browser knows best: behind a proxy Host need not be what the user sees.
        own = site in _SAME_SITE
    else:
        own = origin is None or _names_host(origin, headers.get("Host", ""))
    if own:
        return None
    return (
        f"The request comes from {origin or 'another site'}; "
        "only this server's own pages may change anything."
    )


def _names_host(origin: str, host: str) -> bool:
    """Whether an origin is this server; as for the host, a port counts where both name one."""
    ours, theirs = host.lower(), origin.lower().partition("://")[2]
    if not (_PORT.search(ours) and _PORT.search(theirs)):
        ours, theirs = _PORT.sub("", ours), _PORT.sub("", theirs)
    return bool(theirs) and ours == theirs


def read_fields(body: object, fields: tuple[str, ...]) -> list[str]:
    """The named texts of a JSON object.

    Raises:
        SettingsError: it is no object, or one of them is missing or no text.
    """
    values = cast("Mapping[str, object]", body) if isinstance(body, dict) else {}
    texts = [value for value in (values.get(field) for field in fields) if isinstance(value, str)]
    if len(texts) != len(fields):
        raise SettingsError(f"The request needs an object with the texts {', '.join(fields)}.")
    return texts
