"""The routes behind the Styles tab, on a real server."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from host.recipes import styles_of, succeeded, with_save
from host.server import HostServer
from PIL import Image

pytestmark = pytest.mark.host

THUMBNAIL = "/metastyle/styles/thumbnail?name="
RENAME, DELETE = "/metastyle/styles/rename", "/metastyle/styles/delete"
DUPLICATE = "/metastyle/styles/duplicate"


@pytest.fixture
def saved(server: HostServer) -> str:
    assert succeeded(server.run(with_save(server, "routes/kept")))
    return "routes/kept"


def test_the_list_has_what_the_gallery_shows(server: HostServer, saved: str):
    style = styles_of(server)[saved]
    assert style == style | {"shipped": False, "mode": "norm", "thumbnail": True, "error": None}


def test_a_thumbnail_is_a_small_webp(server: HostServer, saved: str):
    answer = server.ask(THUMBNAIL + saved)
    assert answer.status == 200
    with Image.open(BytesIO(answer.body)) as image:
        assert image.format == "WEBP"
        assert max(image.size) <= 256
    assert server.ask(THUMBNAIL + "nothing").status == 404


def test_renaming_and_deleting(server: HostServer, saved: str):
    assert server.ask(RENAME, {"name": saved, "new_name": "routes/renamed"}).status == 200
    assert saved not in styles_of(server)
    assert server.ask(DELETE, {"name": "routes/renamed"}).status == 200
    assert "routes/renamed" not in styles_of(server)


def test_styles_are_copied_sent_and_taken_in(server: HostServer, saved: str):
    copied = server.ask(DUPLICATE, {"name": saved}).json["name"]
    assert copied == f"{saved}_2"
    sent = server.ask(f"/metastyle/styles/file?name={saved}")
    assert (sent.status, sent.body) == (
        200,
        (_styles(server) / f"{saved}.safetensors").read_bytes(),
    )
    taken = server.send("/metastyle/styles/import?name=sent.safetensors", sent.body)
    assert taken.json == {"name": "sent"}
    assert (_styles(server) / "sent.safetensors").read_bytes() == sent.body
    for name in (copied, "sent"):
        assert server.ask(DELETE, {"name": name}).status == 200


def test_a_painting_lies_beside_the_scene(server: HostServer):
    workflow = with_save(server, "routes/kept_with_painting")
    workflow["7"]["inputs"]["painting"] = ["2", 0]
    assert succeeded(server.run(workflow))
    assert styles_of(server)["routes/kept_with_painting"]["painting"]
    address = f"{THUMBNAIL}routes/kept_with_painting"
    scene, painting = server.ask(address), server.ask(f"{address}&kind=painting")
    assert (scene.status, painting.status) == (200, 200)
    assert scene.body != painting.body


@pytest.mark.parametrize(
    "name",
    [
        "../escape",
        "/etc/passwd",
        "a/../../b",
        "..\\up",
        "C:\\x",
        "",
        "a\0b",
        "presets/new",
        "漢" * 100,
    ],
)
def test_names_never_leave_the_folder(server: HostServer, saved: str, name: str):
    before = _files(server.base)
    answer = server.ask(RENAME, {"name": saved, "new_name": name})
    assert 400 <= answer.status < 500
    assert answer.json["error"]
    assert 400 <= server.ask(DELETE, {"name": name}).status < 500
    assert _files(server.base) == before


@pytest.mark.parametrize("body", [[], {"name": 3, "new_name": "x"}, {"name": "routes/kept"}, "x"])
def test_bodies_of_another_shape_are_refused(server: HostServer, saved: str, body: Any):
    assert 400 <= server.ask(RENAME, body).status < 500
    assert saved in styles_of(server)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Content-Type": "text/plain"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_other_sites_cannot_write(server: HostServer, saved: str, headers: dict[str, str]):
    assert 400 <= server.ask(DELETE, {"name": saved}, headers).status < 500
    assert saved in styles_of(server)


def test_shipped_styles_stay(server: HostServer):
    for name, style in styles_of(server).items():
        if style["shipped"]:
            assert 400 <= server.ask(DELETE, {"name": name}).status < 500
            assert name in styles_of(server)


def test_renaming_never_overwrites(server: HostServer, saved: str):
    assert succeeded(server.run(with_save(server, "routes/other")))
    answer = server.ask(RENAME, {"name": saved, "new_name": "routes/other"})
    assert 400 <= answer.status < 500
    assert {saved, "routes/other"} <= styles_of(server).keys()


def _styles(server: HostServer) -> Path:
    return server.base / "models" / "metastyle_styles"


def _files(base: Path) -> set[Path]:
    return {path for path in (base / "models").rglob("*") if path.is_file()}
