"""The styles folder: listing, renaming, deleting, and names that stay inside; the routes."""

import asyncio
import json
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from samples import picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.checkpoint import read_tensors, write_tensors


@pytest.fixture
def style(random_base, pack):
    """A style as the pack's own classes see it, with a thumbnail."""
    settings = AdaptationSettings(steps=0, style_size_px=64)
    made = adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)
    made = made.with_thumbnail(picture(64, 64))
    own = pack.metastyle_core.style.AdaptedStyle
    return own(
        made.fast_weights, made.base_sha256, made.mode, made.name, made.settings, made.losses,
        made.thumbnail,
    )  # fmt: skip


@pytest.fixture
def folder(fake_host):
    return fake_host.models_dir / "metastyle_styles"


@pytest.fixture
def library(pack, style):
    styles = pack.nodes.hosting.style_files.library()
    for name in ("wave", "project/scream"):
        styles.save(style, name, half=False, taken="number")
    return styles


def saved(library):
    return [entry for entry in library.entries() if not entry.shipped]


def names(library):
    return [entry.name for entry in saved(library)]


def test_saved_and_shipped_styles_are_listed(library):
    assert names(library) == ["project/scream", "wave"]
    entry = saved(library)[1]
    assert (entry.title, entry.mode, entry.thumbnail, entry.error) == ("wave", "norm", True, None)
    shipped = [entry for entry in library.entries() if entry.shipped]
    assert all(entry.name.startswith("presets/") for entry in shipped)


def test_a_corrupt_file_is_listed_with_its_error_and_hides_no_other(library, folder):
    (folder / "torn.safetensors").write_bytes(b"\x10\x00\x00")
    (folder / "notes.txt").write_text("no style")
    (folder / ".wave.safetensors.x.part").write_bytes(b"half a file")
    entries = {entry.name: entry for entry in saved(library)}
    assert list(entries) == ["project/scream", "torn", "wave"]
    assert "torn.safetensors" in entries["torn"].error
    assert str(folder) not in entries["torn"].error
    assert entries["wave"].error is None


def test_rename_and_delete(library, folder):
    library.rename("wave", "sea/big wave")
    assert names(library) == ["project/scream", "sea/big wave"]
    assert library.load("sea/big wave").name == "big wave"
    library.delete("sea/big wave")
    assert names(library) == ["project/scream"]


def test_a_renamed_style_stays_on_its_disk(pack, style, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    whole = pack.nodes.hosting.library.StyleLibrary
    whole((second,)).save(style, "old/sea/wave", half=False, taken="number")
    whole((first, second)).rename("old/sea/wave", "new/wave")
    assert (second / "new" / "wave.safetensors").is_file()
    assert not first.exists()


def test_letters_change_case_on_a_disk_that_ignores_it(library, folder, monkeypatch, errors):
    real = Path.stat

    def ignore_case(path, **options):
        lower = path.with_name(path.name.lower())
        return real(path if os.path.lexists(path) else lower, **options)

    monkeypatch.setattr(Path, "stat", ignore_case)
    library.rename("wave", "Wave")
    assert sorted(path.name for path in folder.glob("*.safetensors")) == ["Wave.safetensors"]
    with pytest.raises(errors.SettingsError, match="already"):
        library.rename("Wave", "project/Scream")


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (("rename", "wave", "wave"), "SettingsError", "already"),
        (("rename", "wave", "project/scream"), "SettingsError", "already"),
        (("rename", "wave", "../wave"), "SettingsError", "Choose another"),
        (("rename", "wave", "/etc/wave"), "SettingsError", "Choose another"),
        (("rename", "wave", "presets/wave"), "SettingsError", "ship with"),
        (("rename", "wave", "a" * 300), "SettingsError", "takes 300 bytes"),
        (("rename", "nobody", "wave2"), "StyleNotFound", "may have been deleted"),
        (("rename", "../wave", "wave2"), "StyleNotFound", "may have been deleted"),
        (("delete", "nobody"), "StyleNotFound", "may have been deleted"),
        (("delete", "presets/anything"), "SettingsError", "cannot be changed"),
        (("delete", "../../secret"), "StyleNotFound", "may have been deleted"),
    ],
)
def test_what_must_not_change_does_not(library, change, kind, words, errors, pack):
    before = names(library)
    kinds = vars(errors) | vars(pack.nodes.hosting.library)
    with pytest.raises(kinds[kind], match=words):
        getattr(library, change[0])(*change[1:])
    assert names(library) == before


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("what? no", r"the character \? is in it"),
        ("a:b", "the character : is in it"),
        ("a\tb", "an invisible character is in it"),
        ("a//b", "a part of it is empty"),
        (".hidden", "begins with a dot"),
        ("a./b", "'a.' ends with a dot"),
        ("con", "Windows keeps 'con'"),
        ("漢" * 100, "takes 300 bytes and at most 200"),
        ("a/" * 120 + "b", "241 letters and at most 200"),
    ],
)
def test_a_name_is_refused_by_what_is_wrong_with_it(library, name, fault, errors):
    with pytest.raises(errors.SettingsError, match=rf"{fault}.*Choose another name"):
        library.rename("wave", name)


def test_the_longest_names_can_be_saved_with_a_number(library, style, folder):
    for name in ("漢" * 66, "b" * 200):
        library.save(style, name, half=False, taken="number")
        library.save(style, name, half=False, taken="number")
        assert (folder / f"{name}_2.safetensors").is_file()


def test_the_suffix_of_files_may_be_written_and_is_not_doubled(library, style, folder):
    library.save(style, "sea.safetensors", half=False, taken="number")
    assert library.rename("wave", "storm.SAFETENSORS") == "storm"
    assert {"sea", "storm"} <= set(names(library))


def test_a_name_that_is_taken_is_refused_where_the_node_asks(library, style, errors):
    with pytest.raises(errors.SettingsError, match=r"'wave' already.*'overwrite' or 'number'"):
        library.save(style, "wave", half=False, taken="ask")
    library.save(style, "free", half=False, taken="ask")
    assert "free" in names(library)


def test_dates_are_filled_in_as_in_the_names_of_images(pack):
    fill = pack.nodes.hosting.folders.fill_dates
    now = datetime(2026, 3, 9, 7, 5, 4, tzinfo=timezone.utc)
    assert fill("a/%date:yyyy-MM-dd%_b", now) == "a/2026-03-09_b"
    assert fill("%date:yy.M.d hhmmss%", now) == "26.3.9 070504"
    assert fill("%year%/%width%", now) == "%year%/%width%"


def test_links_do_not_lead_out_of_the_folder(library, folder, tmp_path, errors):
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "wave.safetensors").rename(outside / "wave.safetensors")
    (folder / "linked").symlink_to(outside)
    assert "linked/wave" in names(library)
    with pytest.raises(errors.SettingsError, match="outside"):
        library.delete("linked/wave")
    with pytest.raises(errors.SettingsError, match="leads out"):
        library.rename("project/scream", "linked/scream")
    assert (outside / "wave.safetensors").is_file()


@pytest.fixture
def ask(fake_host, library):
    """Send a request to a route: (status, data or body)."""

    def send(route, body=None, *, name="", headers=None, broken=False, data=b""):
        async def read():
            return json.loads("{" if broken else json.dumps(body))

        async def read_bytes():
            return data

        request = SimpleNamespace(
            json=read,
            read=read_bytes,
            query={"name": name},
            headers={"Content-Type": "application/json", "Host": "here:8188"} | (headers or {}),
        )
        answer = asyncio.run(fake_host.routes[route](request))
        is_json = answer.content_type == "application/json"
        return answer.status, json.loads(answer.body) if is_json else answer.body

    return send


def test_the_routes_list_show_rename_and_delete(ask, library):
    status, data = ask("GET /metastyle/styles")
    assert status == 200
    row = next(row for row in data["styles"] if row["name"] == "wave")
    assert row == {
        "name": "wave", "title": "wave", "shipped": False, "mode": "norm", "thumbnail": True,
        "painting": False, "error": None, "file": str(library.find("wave")),
    }  # fmt: skip
    status, body = ask("GET /metastyle/styles/thumbnail", name="wave")
    assert (status, body[:4]) == (200, b"RIFF")
    rename = {"name": "wave", "new_name": "sea"}
    assert ask("POST /metastyle/styles/rename", rename) == (200, {"name": "sea"})
    assert ask("POST /metastyle/styles/delete", {"name": "sea"}) == (200, {"name": "sea"})
    assert names(library) == ["project/scream"]


def test_a_painting_is_kept_beside_the_thumbnail_where_the_user_chose_one(
    ask, library, style, pack
):
    library.save(style.with_painting(picture(64, 96)), "kept", half=True, taken="number")
    rows = {row["name"]: row for row in ask("GET /metastyle/styles")[1]["styles"]}
    assert [rows[name]["painting"] for name in ("kept", "wave")] == [True, False]
    assert not any(row["painting"] for row in rows.values() if row["shipped"])
    scene, painting = library.picture("kept"), library.picture("kept", "painting")
    assert scene != painting
    assert painting[:4] == b"RIFF"
    assert library.load("kept").painting == painting
    for name, kind in (("wave", "painting"), ("kept", "settings")):
        with pytest.raises(pack.nodes.hosting.library.StyleNotFound, match="with a picture"):
            library.picture(name, kind)


FILE = {"Content-Type": "application/octet-stream"}


def test_a_style_is_copied_sent_and_taken_in_as_it_is(ask, library, fake_host):
    fake_host.browser = None
    assert ask("POST /metastyle/styles/duplicate", {"name": "project/scream"}) == (
        200, {"name": "project/scream_2"},
    )  # fmt: skip
    status, data = ask("GET /metastyle/styles/file", name="wave")
    assert (status, data) == (200, library.find("wave").read_bytes())
    taken = ask("POST /metastyle/styles/import", name="wave.safetensors", data=data, headers=FILE)
    assert taken == (200, {"name": "wave_2"})
    assert library.find("wave_2").read_bytes() == data
    assert fake_host.sent[-1] == ("metastyle.styles", {"saved": "wave_2"}, None)


def test_a_shipped_style_can_be_copied_and_the_copy_renamed(library):
    shipped = next(entry.name for entry in library.entries() if entry.shipped)
    copy = library.duplicate(shipped)
    assert copy == shipped.removeprefix("presets/")
    assert library.rename(copy, "mine") == "mine"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("sea.safetensors", b"rubbish", r"sea\.safetensors"),
        ("../sea", b"", "begins with a dot"),
        ("presets/sea", b"", "ship with"),
    ],
)
def test_what_is_no_style_is_not_taken_in(ask, library, folder, name, data, words):
    before = sorted(folder.rglob("*"))
    status, answer = ask("POST /metastyle/styles/import", name=name, data=data, headers=FILE)
    assert status == 400
    assert re.search(words, answer["error"])
    assert ".part" not in answer["error"]
    assert ask("POST /metastyle/styles/import", name="sea", data=data)[0] == 403
    assert sorted(folder.rglob("*")) == before


def test_a_folder_that_cannot_be_written_is_told(library, folder, errors, monkeypatch):
    (folder / "blocked").write_text("a file where a folder is needed")
    data = library.find("wave").read_bytes()
    with pytest.raises(errors.CheckpointError, match=r"Cannot write 'blocked/sea' \(.+\)\. Make"):
        library.add("blocked/sea", data)
    with pytest.raises(errors.CheckpointError, match=r"Cannot rename 'wave' \(.+\)\. Make"):
        library.rename("wave", "blocked/wave")

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(errors.CheckpointError, match=r"Cannot delete 'wave' \(Permission denied"):
        library.delete("wave")
    assert names(library) == ["project/scream", "wave"]


def test_a_thumbnail_that_is_no_text_of_bytes_is_damage(library, errors):
    path = library.find("wave")
    file = read_tensors(path)
    kept = {k: v for k, v in file.metadata.items() if not k.startswith("format")}
    spoilt = {**kept, "thumbnail": "***"}
    write_tensors(path, file.tensors, file_format=file.metadata["format"], metadata=spoilt)
    with pytest.raises(errors.CheckpointError, match="thumbnail of 'wave' is damaged"):
        library.picture("wave")


def test_a_file_that_is_gone_has_no_fingerprint(library, pack, errors):
    fingerprint, path = pack.nodes.hosting.folders.fingerprint, library.find("wave")
    before = fingerprint(path)
    os.utime(path, ns=(1, 1))
    assert fingerprint(path) != before
    path.unlink()
    with pytest.raises(errors.CheckpointError, match=r"wave\.safetensors is gone; restore it"):
        fingerprint(path)


@pytest.mark.parametrize("name", ["nobody", "../wave", ""])
def test_a_thumbnail_that_is_not_there_is_json(ask, name):
    status, data = ask("GET /metastyle/styles/thumbnail", name=name)
    assert status == 404
    assert "error" in data


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "nobody"}, 404),
        ({"name": "presets/x"}, 400),
        ({"name": 3}, 400),
        ({}, 400),
        (["wave"], 400),
        (None, 400),
    ],
)
def test_bad_requests_change_nothing(ask, library, body, status):
    assert ask("POST /metastyle/styles/delete", body)[0] == status
    assert ask("POST /metastyle/styles/delete", broken=True)[0] == 400
    assert names(library) == ["project/scream", "wave"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://here:9999"},
        {"Origin": "http://there"},
        {"Origin": "null", "Host": ""},
        {"Origin": "http://here:8188", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_cannot_change_styles(ask, library, headers):
    status, data = ask("POST /metastyle/styles/delete", {"name": "wave"}, headers=headers)
    assert status == 403
    assert data["error"]
    assert "wave" in names(library)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/json; charset=utf-8"},
        {"Origin": "http://here:8188", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://HERE:8188"},
        # Proxies: one that encrypts and gives its own Host, others that drop a port.
        {"Origin": "https://styles.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://here"},
        {"Origin": "http://[::1]:8188", "Host": "[::1]"},
    ],
)
def test_our_own_pages_can(ask, headers):
    assert ask("POST /metastyle/styles/delete", {"name": "wave"}, headers=headers)[0] == 200


def test_every_open_browser_is_told_of_renames_and_deletions(ask, fake_host):
    fake_host.browser = None
    ask("POST /metastyle/styles/rename", {"name": "wave", "new_name": "sea.safetensors"})
    ask("POST /metastyle/styles/delete", {"name": "sea"})
    ask("POST /metastyle/styles/delete", {"name": "nobody"})
    assert fake_host.sent == [
        ("metastyle.styles", {"renamed": ["wave", "sea"]}, None),
        ("metastyle.styles", {"deleted": "sea"}, None),
    ]


def test_the_route_that_stops_ends_only_what_runs(ask, pack):
    status, data = ask("POST /metastyle/stop", {"node": "7"})
    assert (status, "not learning" in data["error"]) == (404, True)
    watcher = pack.nodes.hosting.watcher.Watcher("7")
    assert ask("POST /metastyle/stop", {"node": "7"}, headers={"Origin": "http://evil"})[0] == 403
    assert not watcher.stopping
    assert ask("POST /metastyle/stop", {"node": "7"}) == (200, {"name": "7"})
    assert watcher.stopping
    assert ask("POST /metastyle/stop", {"node": 7})[0] == 400
