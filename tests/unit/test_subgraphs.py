"""Blueprints for the host's node list: each a subgraph whose links and widgets hold together."""

import json
from pathlib import Path

import pytest
from unit.test_nodes_schema import INPUTS, OUTPUTS

from metastyle_core.grain import USUAL_GRAIN
from metastyle_core.touches import USUAL_ABSTRACTION

FOLDER = Path(__file__).parents[2] / "subgraphs"
BLUEPRINTS = sorted(FOLDER.glob("*.json"))
ENTRY, EXIT = -10, -20


@pytest.fixture(params=BLUEPRINTS, ids=[path.stem for path in BLUEPRINTS])
def blueprint(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def parts(blueprint):
    """The node that a user adds, and the subgraph that it stands for."""
    (node,) = blueprint["nodes"]
    (subgraph,) = blueprint["definitions"]["subgraphs"]
    return node, subgraph


def test_there_are_two():
    assert [path.stem for path in BLUEPRINTS] == [
        "Film in a Style",
        "Paint in the Style of a Picture",
    ]


def test_the_node_is_what_the_subgraph_offers(blueprint):
    node, subgraph = parts(blueprint)
    assert node["type"] == subgraph["id"]
    for side in ("inputs", "outputs"):
        kinds = [(slot["name"], slot["type"]) for slot in node[side]]
        assert kinds == [(slot["name"], slot["type"]) for slot in subgraph[side]]
    assert blueprint["extra"]["BlueprintDescription"] == subgraph["description"]


def test_links_join_sockets_of_one_kind(blueprint):
    _, subgraph = parts(blueprint)
    nodes = {node["id"]: node for node in subgraph["nodes"]}
    senders = {ENTRY: subgraph["inputs"]} | {i: each["outputs"] for i, each in nodes.items()}
    receivers = {EXIT: subgraph["outputs"]} | {i: each["inputs"] for i, each in nodes.items()}
    for link in subgraph["links"]:
        sender = senders[link["origin_id"]][link["origin_slot"]]
        receiver = receivers[link["target_id"]][link["target_slot"]]
        assert sender["type"] == receiver["type"] == link["type"]
        assert link["id"] in sender.get("links", sender.get("linkIds"))
        assert link["id"] in receiver.get("linkIds", [receiver.get("link")])
    assert subgraph["state"]["lastLinkId"] == len(subgraph["links"])


def test_nodes_and_what_is_shown_of_them_are_those_of_the_schema(blueprint):
    node, subgraph = parts(blueprint)
    for inner in subgraph["nodes"]:
        assert {slot["name"] for slot in inner["inputs"]} == set(INPUTS[inner["type"]])
        assert [slot["name"] for slot in inner["outputs"]] == OUTPUTS[inner["type"]]
        widgets = [slot for slot in inner["inputs"] if "widget" in slot]
        assert len(widgets) == len(inner["widgets_values"])
    held = {
        (str(each["id"]), slot["name"]) for each in subgraph["nodes"] for slot in each["inputs"]
    }
    assert {tuple(each) for each in node["properties"]["proxyWidgets"]} <= held


def test_stills_have_the_usual_strokes_and_films_none(blueprint):
    _, subgraph = parts(blueprint)
    wanted = {
        "MetaStyleStylize": (USUAL_GRAIN, USUAL_ABSTRACTION),
        "MetaStyleStylizeVideo": (0.0, 0.0),
    }
    (drawing,) = (node for node in subgraph["nodes"] if node["type"] in wanted)
    widgets = [slot["name"] for slot in drawing["inputs"] if "widget" in slot]
    values = dict(zip(widgets, drawing["widgets_values"], strict=True))
    assert (values["grain"], values["abstraction"]) == wanted[drawing["type"]]
