"""Example workflows: links that lead somewhere, values in the order of the widgets."""

import json
from pathlib import Path

import pytest
from unit.test_nodes_schema import INPUTS

from metastyle_core.grain import USUAL_GRAIN

FOLDER = Path(__file__).parents[2] / "example_workflows"
WORKFLOWS = sorted(FOLDER.glob("*.json"))
WIDGETS = {
    "LoadMetaStyle": ["base"],
    "MetaStyleAdaptToStyle": ["steps", "style_weight", "brush_size", "mode", "encoder", "seed"],
    "MetaStyleStylize": [
        "strength",
        "precision",
        "grain",
        "seed",
        "colour",
        "colour_amount",
        "seamless",
    ],
    "MetaStyleSaveStyle": ["name", "fp16", "overwrite"],
    "MetaStyleLoadStyle": ["style"],
    "MetaStyleBlendSchedule": ["curve", "route"],
}


@pytest.fixture(params=WORKFLOWS, ids=[path.stem for path in WORKFLOWS])
def workflow(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def ours(workflow):
    return [node for node in workflow["nodes"] if node["type"] in INPUTS]


def test_there_are_seven_each_with_a_picture():
    assert [path.stem[0] for path in WORKFLOWS] == list("1234567")
    assert all(path.with_suffix(".jpg").is_file() for path in WORKFLOWS)


def test_links_join_the_sockets_they_name(workflow):
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert workflow["last_node_id"] == max(nodes)
    assert workflow["last_link_id"] == max(link[0] for link in workflow["links"])
    for number, source, output, target, slot, kind in workflow["links"]:
        sender, receiver = nodes[source]["outputs"][output], nodes[target]["inputs"][slot]
        assert number in sender["links"]
        assert receiver["link"] == number
        assert {sender["type"], receiver["type"]} <= {kind, "*"}
    held = [slot["link"] for node in nodes.values() for slot in node["inputs"] if slot["link"]]
    assert sorted(held) == sorted(link[0] for link in workflow["links"])


def test_our_nodes_have_the_inputs_and_widgets_of_the_schema(workflow):
    assert ours(workflow)
    for node in ours(workflow):
        names = [slot["name"].split(".")[0] for slot in node["inputs"]]
        assert set(names) <= set(INPUTS[node["type"]])
        assert len(node["widgets_values"]) == len(WIDGETS[node["type"]])
        widgets = [slot["name"] for slot in node["inputs"] if "widget" in slot]
        assert widgets == WIDGETS[node["type"]]


def test_nodes_stand_in_groups_and_a_note_says_how_to_use_them(workflow):
    assert len(workflow["groups"]) >= 3
    boxes = [group["bounding"] for group in workflow["groups"]]
    for node in ours(workflow):
        x, y = node["pos"]
        assert any(a <= x <= a + w and b <= y <= b + h for a, b, w, h in boxes), node["type"]
    (note,) = (node for node in workflow["nodes"] if node["type"] == "MarkdownNote")
    assert "Run" in note["widgets_values"][0]


def test_the_first_two_are_apps_too(workflow, request):
    data = workflow["extra"].get("linearData")
    if data is None:
        assert request.node.callspec.id[0] not in "12"
        return
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert workflow["extra"]["linearMode"] is False, "it opens as a graph"
    for number, widget in data["inputs"]:
        assert widget in [slot["name"] for slot in nodes[number]["inputs"] if "widget" in slot]
    assert [nodes[number]["type"] for number in data["outputs"]] == ["SaveImage"]


def test_models_come_with_an_address_that_the_host_can_offer(workflow):
    folders = {
        "CheckpointLoaderSimple": "checkpoints",
        "UNETLoader": "diffusion_models",
        "CLIPLoader": "text_encoders",
        "VAELoader": "vae",
    }
    for node in (each for each in workflow["nodes"] if each["type"] in folders):
        (model,) = node["properties"]["models"]
        assert model["name"] == node["widgets_values"][0]
        assert model["url"].startswith("https://huggingface.co/")
        assert model["name"] in model["url"]
        assert model["directory"] == folders[node["type"]]


def test_stills_are_drawn_with_the_usual_grain(workflow):
    (drawing,) = (node for node in ours(workflow) if node["type"] == "MetaStyleStylize")
    place = WIDGETS["MetaStyleStylize"].index("grain")
    assert drawing["widgets_values"][place] == USUAL_GRAIN


def test_the_first_saves_nothing_until_it_is_asked():
    first = json.loads(WORKFLOWS[0].read_text(encoding="utf-8"))
    (saving,) = (node for node in ours(first) if node["type"] == "MetaStyleSaveStyle")
    assert saving["mode"] == 2
    assert saving["widgets_values"] == ["my_style", False, "number"]


def test_only_shipped_things_are_named(workflow):
    for node in ours(workflow):
        if node["type"] == "MetaStyleLoadStyle":
            assert node["widgets_values"][0].startswith("presets/")
        if node["type"] == "LoadMetaStyle":
            assert node["widgets_values"] == ["shipped"]
