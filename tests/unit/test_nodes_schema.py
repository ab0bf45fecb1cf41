"""What workflows depend on: ids, order and kinds of inputs; and words for everything."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from unit.fake_host import loaded_pack

from metastyle_core.drawing import USUAL_SUPERSAMPLING
from metastyle_core.grain import USUAL_GRAIN
from metastyle_core.touches import USUAL_ABSTRACTION

ROOT = Path(__file__).parents[2]
LANGUAGES = ("en", "fr", "zh")
STYLES = [f"styles.style_{number}" for number in range(1, 7)]
MASKS = [f"masks.mask_{number}" for number in range(1, 7)]
GROWING = {"styles": STYLES, "masks": MASKS}
WEIGHTS = [f"weight_{number}" for number in range(1, 7)]
# Widgets are saved by position and sockets by id: this table may only grow at the ends.
INPUTS = {
    "MetaStyleStylizeWithPreset": ["images", "style", "strength"],
    "LoadMetaStyle": ["base"],
    "MetaStyleAdaptToStyle": [
        "model", "style_images", "steps", "style_weight", "brush_size", "mode", "encoder", "seed",
        "content_images", "resume", "style_mask", "quality",
        "keep_statistics", "strokes", "abstraction", "levels",
    ],
    "MetaStyleStylize": [
        "model", "style", "images", "strength", "precision", "grain", "seed", "colour",
        "colour_amount", "palette", "seamless", "mask", "brush", "abstraction", "supersampling",
    ],
    "MetaStyleSaveStyle": ["style", "name", "fp16", "overwrite", "style_image", "painting"],
    "MetaStyleLoadStyle": ["style"],
    "MetaStyleBlendStyles": ["styles", *WEIGHTS, "model"],
    "MetaStyleBlendSchedule": ["styles", "curve", "route", "model"],
    "MetaStyleRefine": [
        "model", "style", "images", "steps", "style_weight", "brush_size", "seed", "stylized",
        "style_images", "strokes",
    ],
    "MetaStyleRegions": [
        "model", "images", "styles", "masks", "rest", "feather", "strength", "precision", "grain",
        "seed", "colour", "colour_amount", "palette", "abstraction", "supersampling",
    ],
    "MetaStyleSweep": [
        "model", "images", "styles", "strengths", "grains", "cell_size", "precision", "seed",
        "brushes", "abstractions",
    ],
    "MetaStyleStylizeVideo": [
        "model", "style", "video", "strength", "lock", "lock_frames", "precision", "grain", "seed",
        "steady", "colour", "colour_amount", "palette", "seamless", "mask", "abstraction",
    ],
}  # fmt: skip
GRAPHS = sorted([*ROOT.glob("example_workflows/*.json"), *ROOT.glob("subgraphs/*.json")])
# Widgets that those may set to something else than their defaults.
CHOSEN = {
    "MetaStyleAdaptToStyle": {"steps"},
    "MetaStyleStylize": {"strength"},
    "MetaStyleStylizeVideo": set(),
}
OUTPUTS = {
    "MetaStyleStylizeWithPreset": ["images"],
    "LoadMetaStyle": ["model"],
    "MetaStyleAdaptToStyle": ["style", "preview", "report"],
    "MetaStyleStylize": ["images"],
    "MetaStyleSaveStyle": ["style"],
    "MetaStyleLoadStyle": ["style", "name"],
    "MetaStyleBlendStyles": ["style"],
    "MetaStyleBlendSchedule": ["style"],
    "MetaStyleRefine": ["images"],
    "MetaStyleRegions": ["images"],
    "MetaStyleSweep": ["sheet"],
    "MetaStyleStylizeVideo": ["video"],
}


@pytest.fixture
def schemas(pack):
    return {schema.node_id: schema for schema in (n.define_schema() for n in pack.nodes.NODES)}


def test_ids_and_order_are_those_that_workflows_store(schemas):
    assert {k: [i.id for i in s.inputs] for k, s in schemas.items()} == INPUTS
    assert {k: [o.display_name for o in s.outputs] for k, s in schemas.items()} == OUTPUTS


def test_everything_has_words(schemas):
    for schema in schemas.values():
        assert schema.category == "MetaStyle"
        assert schema.description
        assert schema.search_aliases
        for part in (*schema.inputs, *schema.outputs):
            assert part.tooltip, f"{schema.node_id}: {part.id}"


def test_only_saving_is_an_output(schemas):
    assert [k for k, s in schemas.items() if s.is_output_node] == ["MetaStyleSaveStyle"]


def test_losses_are_shown_again_where_a_node_that_learns_comes_from_the_cache(schemas):
    again = [k for k, s in schemas.items() if s.has_intermediate_output]
    assert again == ["MetaStyleAdaptToStyle", "MetaStyleRefine"]


def test_what_takes_lists_gives_lists(schemas):
    for schema in schemas.values():
        assert {each.is_output_list for each in schema.outputs} <= {schema.is_input_list}


def test_every_brush_size_does_something(schemas, pack):
    brush = next(i for i in schemas["MetaStyleAdaptToStyle"].inputs if i.id == "brush_size")
    most_pixels = pack.metastyle_core.adaptation.MAX_STYLE_PIXELS
    assert brush.options["max"] ** 2 * 16 / 9 <= most_pixels, "wide pictures shrink above it"


@pytest.mark.parametrize(
    ("name", "usual"), [("grain", USUAL_GRAIN), ("abstraction", USUAL_ABSTRACTION)]
)
def test_stills_have_the_usual_strokes_and_films_none(schemas, name, usual):
    defaults = {
        node_id: each.options["default"]
        for node_id, schema in schemas.items()
        for each in schema.inputs
        if each.id in {name, f"{name}s"}
    }
    learned = {} if name == "grain" else {"MetaStyleAdaptToStyle": usual}
    assert defaults == learned | {
        "MetaStyleStylize": usual,
        "MetaStyleRegions": usual,
        "MetaStyleSweep": f"{usual:g}",
        "MetaStyleStylizeVideo": 0.0,
    }


def test_stills_are_supersampled_as_on_the_command_line(schemas):
    defaults = {
        node_id: each.options["default"]
        for node_id, schema in schemas.items()
        for each in schema.inputs
        if each.id == "supersampling"
    }
    usual = USUAL_SUPERSAMPLING
    assert defaults == {"MetaStyleStylize": usual, "MetaStyleRegions": usual}


@pytest.mark.parametrize("path", GRAPHS, ids=[path.stem for path in GRAPHS])
def test_what_ships_learns_and_draws_as_nodes_do_that_nobody_changed(schemas, path):
    graph = json.loads(path.read_text(encoding="utf-8"))
    parts = [graph, *graph.get("definitions", {}).get("subgraphs", [])]
    for node in (each for part in parts for each in part["nodes"]):
        if node["type"] not in CHOSEN:
            continue
        widgets = [slot["name"] for slot in node["inputs"] if "widget" in slot]
        values = dict(zip(widgets, node["widgets_values"], strict=True))
        usual = {i.id: i.options.get("default") for i in schemas[node["type"]].inputs}
        changed = {name for name, value in values.items() if value != usual[name]}
        assert changed <= CHOSEN[node["type"]]


def test_the_weights_that_the_help_names_can_be_set(schemas):
    blend = schemas["MetaStyleBlendStyles"]
    weight = next(i for i in blend.inputs if i.id == "weight_1")
    named = [float(number) for number in re.findall(r"\d[\d.]*(?= and| three)", blend.description)]
    assert named == [1, 1.5, 0.5]
    assert all(weight.options["min"] <= each <= weight.options["max"] for each in named)


@pytest.mark.parametrize("node_id", ["MetaStyleAdaptToStyle", "MetaStyleRefine"])
def test_the_seed_stays_so_that_running_again_costs_nothing(schemas, node_id):
    seed = next(i for i in schemas[node_id].inputs if i.id == "seed")
    assert seed.options["control_after_generate"] is False


def test_lists_of_files_are_made_when_asked(pack, fake_host, schemas):
    folder = fake_host.models_dir / "metastyle"
    (folder / "vgg19.safetensors").write_bytes(b"an encoder")
    (folder / "other.safetensors").write_bytes(b"a base")
    load = next(n for n in pack.nodes.NODES if n.define_schema().node_id == "LoadMetaStyle")
    choices = load.define_schema().inputs[0].choices
    assert choices == ["shipped", "fast", "other.safetensors", "small.safetensors"]
    assert schemas["LoadMetaStyle"].inputs[0].choices == ["shipped", "fast", "small.safetensors"]


def test_an_older_host_gets_fixed_sockets_of_the_same_ids(fake_host):
    with loaded_pack(fake_host, old=True) as pack:
        asyncio.run(pack.comfy_entrypoint())
        schemas = {s.node_id: s for s in (n.define_schema() for n in pack.nodes.NODES)}
    blend = schemas["MetaStyleBlendStyles"]
    assert not hasattr(blend, "search_aliases")
    assert [i.id for i in blend.inputs] == [*STYLES, *WEIGHTS, "model"]
    assert [i.optional for i in blend.inputs[:6]] == [False, False, True, True, True, True]


def test_the_extension_hands_over_all_nodes(pack):
    extension = asyncio.run(pack.comfy_entrypoint())
    assert asyncio.run(extension.get_node_list()) == list(pack.nodes.NODES)
    assert (ROOT / pack.WEB_DIRECTORY).is_dir()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_everything_and_nothing_else(language):
    path = ROOT / "locales" / language / "nodeDefs.json"
    words = json.loads(path.read_text(encoding="utf-8"))
    assert words.keys() == INPUTS.keys()
    for node_id, names in INPUTS.items():
        entry = words[node_id]
        assert entry["display_name"]
        assert entry["description"]
        wanted = [part for name in names for part in GROWING.get(name, [name])]
        keys = [name.replace(".", "_") for name in wanted]
        assert list(entry["inputs"]) == keys, node_id
        assert list(entry["outputs"]) == [str(i) for i in range(len(OUTPUTS[node_id]))]
        for part in (*entry["inputs"].values(), *entry["outputs"].values()):
            assert part["name"]
            assert part["tooltip"]


def test_the_english_words_are_those_of_the_schemas(schemas):
    words = json.loads((ROOT / "locales" / "en" / "nodeDefs.json").read_text(encoding="utf-8"))
    for node_id, schema in schemas.items():
        assert words[node_id]["display_name"] == schema.display_name
        assert words[node_id]["description"] == schema.description
        for part in schema.inputs:
            key = GROWING[part.id][0].replace(".", "_") if part.id in GROWING else part.id
            assert words[node_id]["inputs"][key]["tooltip"] == part.tooltip
        for number, part in enumerate(schema.outputs):
            assert words[node_id]["outputs"][str(number)]["tooltip"] == part.tooltip


def test_languages_have_the_same_words_for_the_interface():
    keys = []
    for language in LANGUAGES:
        text = (ROOT / "locales" / language / "main.json").read_text(encoding="utf-8")
        keys.append(_paths(json.loads(text)))
    assert all(each == keys[0] for each in keys)


def _paths(value, prefix=""):
    if not isinstance(value, dict):
        return {prefix}
    return {path for key, inner in value.items() for path in _paths(inner, f"{prefix}/{key}")}


@pytest.mark.parametrize("node_id", INPUTS)
def test_every_node_has_help(node_id):
    text = (ROOT / "web" / "docs" / f"{node_id}.md").read_text(encoding="utf-8")
    for name in (*INPUTS[node_id], *OUTPUTS[node_id]):
        assert f"`{name.split('_')[0] if name in WEIGHTS else name}" in text, name


def test_what_few_need_is_folded_away_where_the_host_can(schemas, fake_host):
    inputs = {each.id: each for each in schemas["MetaStyleAdaptToStyle"].inputs}
    assert [name for name, each in inputs.items() if each.advanced] == [
        "mode",
        "encoder",
        "abstraction",
    ]
    assert inputs["quality"].options["default"] == "custom", "saved workflows run unchanged"
    assert inputs["quality"].optional
