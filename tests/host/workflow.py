"""Workflows for a host: built from a node's own defaults, or read from the interface's files."""

import json
from pathlib import Path
from typing import Any

from host.server import HostServer, Workflow

_WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
_ONLY_INTERFACE = {"Note", "MarkdownNote"}
_AFTER_GENERATE = {"fixed", "increment", "decrement", "randomize"}


def node(server: HostServer, class_type: str, **inputs: Any) -> dict[str, Any]:
    """One node in API form; what `inputs` leaves out takes the node's own default."""
    info = server.node_info(class_type)
    defaults = {
        name: _default(spec) for name, spec in info["input"].get("required", {}).items()
        if _is_widget(spec)
    }  # fmt: skip
    return {"class_type": class_type, "inputs": defaults | inputs}


def choices(server: HostServer, class_type: str, name: str) -> list[str]:
    """What a dropdown offers now."""
    return _options(server.node_info(class_type)["input"]["required"][name])


def load_workflow(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def to_prompt(saved: dict[str, Any], server: HostServer) -> Workflow:
    """Interface form to API form; widgets are matched to inputs by position, as the host does."""
    links = {link[0]: [str(link[1]), link[2]] for link in saved["links"]}
    prompt: Workflow = {}
    for each in saved["nodes"]:
        if each["type"] in _ONLY_INTERFACE or each.get("mode", 0) in {2, 4}:
            continue
        inputs = _widget_inputs(each, server.node_info(each["type"]))
        for slot in each.get("inputs", []):
            if slot.get("link") is not None:
                inputs[slot["name"]] = links[slot["link"]]
        prompt[str(each["id"])] = {"class_type": each["type"], "inputs": inputs}
    return prompt


def blueprint_to_prompt(
    saved: dict[str, Any], server: HostServer, given: dict[str, Any]
) -> tuple[Workflow, dict[str, list[Any]]]:
    """The nodes of a blueprint in API form with what its inputs are given, and its outputs."""
    (subgraph,) = saved["definitions"]["subgraphs"]
    entry, leave = subgraph["inputNode"]["id"], subgraph["outputNode"]["id"]
    entries: dict[int, str] = {}
    outputs: dict[str, list[Any]] = {}
    joined: list[list[Any]] = []
    for link in subgraph["links"]:
        if link["origin_id"] == entry:
            entries[link["id"]] = subgraph["inputs"][link["origin_slot"]]["name"]
        elif link["target_id"] == leave:
            name = subgraph["outputs"][link["target_slot"]]["name"]
            outputs[name] = [str(link["origin_id"]), link["origin_slot"]]
        else:
            joined.append([link["id"], link["origin_id"], link["origin_slot"]])
    nodes = [
        each | {"inputs": [slot for slot in each["inputs"] if slot.get("link") not in entries]}
        for each in subgraph["nodes"]
    ]
    prompt = to_prompt({"nodes": nodes, "links": joined}, server)
    for each in subgraph["nodes"]:
        for slot in each["inputs"]:
            if entries.get(slot.get("link")) in given:
                prompt[str(each["id"])]["inputs"][slot["name"]] = given[entries[slot["link"]]]
    return prompt, outputs


def nodes_of(prompt: Workflow, class_type: str) -> list[dict[str, Any]]:
    return [each for each in prompt.values() if each["class_type"] == class_type]


def _widget_inputs(saved: dict[str, Any], info: Any) -> dict[str, Any]:
    values = list(saved.get("widgets_values") or [])
    inputs: dict[str, Any] = {}
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, []):
            spec = info["input"][group][name]
            if not _is_widget(spec) or not values:
                continue
            inputs[name] = values.pop(0)
            if spec[0] == "INT" and values and values[0] in _AFTER_GENERATE:
                values.pop(0)
    return inputs


def _is_widget(spec: list[Any]) -> bool:
    if len(spec) > 1 and spec[1].get("forceInput"):
        return False
    return isinstance(spec[0], list) or spec[0] in _WIDGET_TYPES


def _options(spec: list[Any]) -> list[str]:
    return spec[0] if isinstance(spec[0], list) else spec[1]["options"]


def _default(spec: list[Any]) -> Any:
    if len(spec) > 1 and "default" in spec[1]:
        return spec[1]["default"]
    return (_options(spec) or [""])[0]
