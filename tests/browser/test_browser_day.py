"""Scenes of a designer's day on a real host in a real Chromium, each in both renderers.

Needs what `test_browser_flow.py` needs.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from host.server import HostServer
from samples import picture

from metastyle_core.images import save_image
from metastyle_core.style import load_style

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "example_workflows"
ARTWORK = HERE.parents[1] / "metastyle_core" / "artwork"
STEPS = 60
LIMIT_S = 420
Scene = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.browser


@pytest.fixture
def play(
    server: HostServer, node: str, playwright: str, chromium: str, shots: Path, renderer: str
) -> Scene:
    """Play a scene of day.mjs; what it saw."""
    shutil.copy(ARTWORK / "style.webp", server.base / "input" / "style.webp")
    shutil.copy(ARTWORK / "scene.webp", server.base / "input" / "example.png")
    save_image(picture(20, 300), server.base / "input" / "tiny.png")
    task = {
        "url": f"http://127.0.0.1:{server.port}/",
        "chromium": chromium,
        "playwright": playwright,
        "renderer": renderer,
        "shots": str(shots),
        "examples": str(EXAMPLES),
        "blueprints": str(HERE.parents[1] / "subgraphs"),
        "picture": "style.webp",
        "tiny": "tiny.png",
        "film": "day.mp4",
        "folder": f"widths_{renderer}",
    }

    def run(scene: str, **more: str) -> dict[str, Any]:
        done = subprocess.run(
            [node, str(HERE / "day.mjs"), json.dumps(task | {"scene": scene} | more)],
            capture_output=True, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        assert seen.pop("problems") == []
        return seen

    return run


def test_a_run_shows_nothing_in_another_workflow_and_all_in_its_own(play: Scene):
    seen = play("tabs")
    assert seen["end"] == "execution_success"
    assert seen["second"] == {"points": 0, "preview": False, "thumbnail": False}
    assert seen["first"]["points"] == STEPS
    assert seen["first"]["thumbnail"]


def test_the_stop_button_ends_the_steps_and_keeps_the_style(
    play: Scene, server: HostServer, renderer: str
):
    seen = play("stopping")
    assert seen["end"] == "execution_success"
    (kept,) = server.base.rglob(f"stopping/{renderer}.safetensors")
    settings = load_style(kept).settings
    stopped_after, steps = settings["stopped_after"], settings["steps"]
    assert 5 <= stopped_after < steps // 4
    assert f"steps: {stopped_after} of {steps}, then stopped, in " in seen["report"]


def test_the_stop_button_ends_each_of_several_styles(
    play: Scene, server: HostServer, renderer: str
):
    if not server.ask("/object_info/LoadImageDataSetFromFolder").json:
        pytest.skip("This host has no node that gives a list of pictures.")
    widths = [96, 128]
    folder = server.base / "input" / f"widths_{renderer}"  # one that the host has not in its cache
    for width in widths:
        save_image(picture(80, width), folder / f"{width}.png")
    assert play("stoppingEach")["end"] == "execution_success"
    saved = [
        load_style(path).settings for path in server.base.rglob(f"each_{renderer}*.safetensors")
    ]
    assert sorted(each["seed"] for each in saved) == widths
    assert all(each["stopped_after"] < each["steps"] // 4 for each in saved)


def test_the_side_panel_leaves_curve_and_picture_alone(play: Scene):
    seen = play("panel")
    assert seen["after"] == seen["before"]
    assert seen["listed"]
    assert not [label for label in seen["listed"] if "metastyle" in label]


def test_the_search_stays_while_the_list_scrolls(play: Scene):
    assert play("gallery") == {"search": "search", "above": True}


def test_cards_change_nodes_have_a_menu_and_files_come_by_dropping(play: Scene):
    seen = play("cards")
    assert seen["loaders"] == 1
    assert "Great Wave" in seen["title"]
    assert "presets/" not in seen["title"]
    assert seen["exported"] == "hokusai_great_wave.safetensors"
    assert 0.2 < seen["share"] < 0.4, "the painting leaves the scene to be seen"


def test_one_node_a_blueprint_and_an_app_are_ready_to_run(play: Scene):
    seen = play("shortcuts")
    assert seen["blueprints"] == ["Film in a Style", "Paint in the Style of a Picture"]
    assert "presets/" not in seen["shown"]


def test_the_blueprint_for_films_draws_one(play: Scene, server: HostServer, renderer: str):
    av = pytest.importorskip("av", reason="PyAV, which makes the film, is not installed")
    from unit.films import SIZE, make_film

    make_film(server.base / "input" / "day.mp4")
    widgets = play("film")["widgets"]
    assert widgets["lock"] == "first"
    assert widgets["style"].startswith("presets/")
    (drawn,) = (server.base / "output" / "film").glob(f"{renderer}*.mp4")
    with av.open(str(drawn)) as film:
        sides = [(frame.width, frame.height) for frame in film.decode(video=0)]
    assert sides == [SIZE] * 10
    with av.open(str(drawn)) as film:
        assert sum(frame.samples for frame in film.decode(audio=0)) > 0


def test_templates_lack_nothing_but_models_which_the_page_offers(play: Scene, server: HostServer):
    version = server.ask("/system_stats").json["system"]["comfyui_version"]
    if tuple(int(part) for part in version.split(".")[:2]) < (0, 33):
        pytest.skip("An older host's frontend offers absent models in other ways.")
    seen = play("models")
    templates = sorted(EXAMPLES.glob("*Z-Image*.json"))
    assert sorted(seen) == [path.stem for path in templates]
    for path in templates:
        nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
        models = [model for each in nodes for model in each["properties"].get("models", [])]
        assert seen[path.stem] == {
            "unknown": [],
            "errors": f"{len(models)} nodes — {len(models)} errors",
            "addresses": sorted(model["url"] for model in models),
        }


def test_windows_know_at_once_what_is_saved_renamed_and_deleted(play: Scene):
    assert play("windows") == {"offered": True, "followed": True, "pictures": 0}


def test_examples_open_with_room_between_their_nodes(play: Scene):
    seen = play("examples")
    assert len(seen["overlaps"]) == len(list(EXAMPLES.glob("*.json")))
    assert not [pair for pairs in seen["overlaps"].values() for pair in pairs]
    assert not [title for titles in seen["cut"].values() for title in titles]


def test_errors_say_first_what_to_do(play: Scene):
    seen = play("errors")
    assert seen["failed"] == ["Resize it or pick a larger image."]
    assert seen["refused"] == ["Choose another name."]
    assert "the character ? is in it" in seen["reason"]


def test_a_node_that_asks_saves_beside_or_not_at_all(play: Scene):
    first, second = sorted(play("asking")["saved"])
    assert second == f"{first}_2"


@pytest.mark.parametrize(
    ("locale", "title", "steps", "tab"),
    [("fr", "Apprendre un style", "pas", "Styles"), ("zh", "学习风格", "步数", "风格")],
)
def test_the_page_speaks_the_languages_that_we_ship(
    play: Scene, locale: str, title: str, steps: str, tab: str
):
    seen = play("words", locale=locale)
    assert seen["title"] == title
    assert steps in seen["widgets"]
    assert seen["tab"] == tab
    assert (
        seen["curve"]
        == json.loads(
            (HERE.parents[1] / "locales" / locale / "main.json").read_text(encoding="utf-8")
        )["metastyle"]["curveEmpty"]
    )


def test_sockets_have_colours_and_words(play: Scene):
    seen = play("sockets")
    assert all(colour.startswith("#") for colour in seen["canvas"])
    assert seen["style"] == seen["canvas"]
    assert seen["labels"] == ["style 1", "style 2", "style 3"]


def test_help_fits_its_panel(play: Scene):
    assert play("help") == {"wider": 0}
