"""What the browser may ask the server: styles, and to end steps. Answers are JSON or files."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast
from urllib.parse import quote

from aiohttp import web

from ...metastyle_core.checkpoint import JSON_ERRORS
from ...metastyle_core.errors import MetaStyleError, SettingsError
from . import host
from .library import StyleNotFound
from .plain_words import advice_first
from .style_files import delete, duplicate, library, rename, take_in
from .watcher import stop_and_keep

_JSON, _FILE = "application/json", "application/octet-stream"
_SAME_SITE = frozenset({"same-origin", "none"})
_PORT = re.compile(r":\d+$")


def other_copy() -> Path | None:
    """The folder of another copy of the pack that answers these routes already, or None."""
    module = sys.modules.get(host.answering("/metastyle/styles") or "")
    file = None if module is None else module.__file__
    if file is None or Path(file) == Path(__file__):
        return None
    return Path(file).parents[2]


def add_routes() -> None:
    """Register all routes with the host's server."""
    host.add_route("GET", "/metastyle/styles", list_styles)
    host.add_route("GET", "/metastyle/styles/thumbnail", send_thumbnail)
    host.add_route("GET", "/metastyle/styles/file", send_file)
    host.add_route("POST", "/metastyle/styles/import", import_style)
    host.add_route("POST", "/metastyle/styles/duplicate", duplicate_style)
    host.add_route("POST", "/metastyle/styles/rename", rename_style)
    host.add_route("POST", "/metastyle/styles/delete", delete_style)
    host.add_route("POST", "/metastyle/stop", stop_learning)


async def list_styles(request: web.Request) -> web.StreamResponse:
    """All styles: name, title, shipped, mode, thumbnail, painting, error, file."""
    entries = await asyncio.to_thread(library().entries)
    return web.json_response({"styles": [asdict(entry) for entry in entries]})


async def send_thumbnail(request: web.Request) -> web.StreamResponse:
    """The WebP picture of the style that `name` says, or with `kind=painting` the one beside it."""
    name, kind = request.query.get("name", ""), request.query.get("kind", "thumbnail")
    try:
        picture = await asyncio.to_thread(library().picture, name, kind)
    except MetaStyleError as error:
        return _refusal(error, 404)
    return web.Response(
        body=picture, content_type="image/webp", headers={"X-Content-Type-Options": "nosniff"}
    )


async def send_file(request: web.Request) -> web.StreamResponse:
    """The file of the style that `name` says, for the browser to save."""
    try:
        path = library().find(request.query.get("name", ""))
        data = await asyncio.to_thread(path.read_bytes)
    except MetaStyleError as error:
        return _refusal(error, 404)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(path.name)}",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(body=data, content_type=_FILE, headers=headers)


async def import_style(request: web.Request) -> web.StreamResponse:
    """Take a style file in, under the name that `name` says; the answer has the one it got."""

    async def given() -> list[str | bytes]:
        return [request.query.get("name", ""), await request.read()]

    return await _told(request, _FILE, given, take_in)


async def duplicate_style(request: web.Request) -> web.StreamResponse:
    """Copy a style to the saved ones: `{"name"}`; the answer has the copy's name."""
    return await _change(request, ("name",), duplicate)


async def rename_style(request: web.Request) -> web.StreamResponse:
    """Rename a saved style: `{"name", "new_name"}`; the answer has the name it has now."""
    return await _change(request, ("name", "new_name"), rename)


async def delete_style(request: web.Request) -> web.StreamResponse:
    """Delete a saved style: `{"name"}`."""
    return await _change(request, ("name",), delete)


async def stop_learning(request: web.Request) -> web.StreamResponse:
    """End the steps of a node that learns and keep what they have reached: `{"node"}`."""
    return await _change(request, ("node",), _stop)


def _stop(node: str) -> str:
    if not stop_and_keep(node):
        raise NothingRunsError(
            f"Node {node} is not learning, or has ended already. Nothing needs to be done."
        )
    return node


class NothingRunsError(SettingsError):
    """A node that is to stop does not run."""


async def _change(
    request: web.Request, fields: tuple[str, ...], change: Callable[..., str]
) -> web.StreamResponse:
    async def given() -> list[str]:
        return read_fields(await _body(request), fields)

    return await _told(request, _JSON, given, change)


async def _told(
    request: web.Request,
    content_type: str,
    given: Callable[[], Awaitable[Sequence[str | bytes]]],
    change: Callable[..., str],
) -> web.StreamResponse:
    """Change something where the request may; the answer names what was changed, or why not."""
    if refusal := refuse_foreign(request.headers, content_type):
        return web.json_response({"error": refusal}, status=403)
    try:
        name = await asyncio.to_thread(change, *await given())
    except (StyleNotFound, NothingRunsError) as error:
        return _refusal(error, 404)
    except MetaStyleError as error:
        return _refusal(error, 400)
    return web.json_response({"name": name})


def _refusal(error: MetaStyleError, status: int) -> web.StreamResponse:
    return web.json_response({"error": advice_first(str(error))}, status=status)


async def _body(request: web.Request) -> object:
    try:
        return await request.json()
    except JSON_ERRORS as error:
        raise SettingsError("The request is not JSON; send an object.") from error


def refuse_foreign(headers: Mapping[str, str], content_type: str) -> str | None:
    """Why a request that changes something is not taken, or None.

    A page of another site can make a browser send forms and plain text here, but neither
    JSON nor files, and not without the headers in which the browser names the sender.

    Args:
        headers: of the request, keys in any case as the server gives them.
        content_type: what it must be of.
    """
    found = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if found != content_type:
        return f"The request is of type '{found}'; send {content_type}."
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
