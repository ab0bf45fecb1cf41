"""The pack on a real server: what a user does."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from host.fixtures import SIDE_PX
from host.recipes import (
    adapt_workflow,
    blend_workflow,
    load_workflow_of,
    styles_of,
    succeeded,
    with_save,
)
from host.server import HostServer, Listener, RefusedError, Run
from host.workflow import (
    blueprint_to_prompt,
    choices,
    load_workflow,
    node,
    nodes_of,
    to_prompt,
)
from PIL import Image
from samples import picture

from metastyle_core.images import save_image

pytestmark = pytest.mark.host

EXAMPLES = sorted((Path(__file__).parents[2] / "example_workflows").glob("*.json"))
NODES = (
    "LoadMetaStyle",
    "MetaStyleAdaptToStyle",
    "MetaStyleStylize",
    "MetaStyleStylizeVideo",
    "MetaStyleRefine",
    "MetaStyleRegions",
    "MetaStyleSweep",
    "MetaStyleSaveStyle",
    "MetaStyleLoadStyle",
    "MetaStyleBlendStyles",
    "MetaStyleBlendSchedule",
)
BLUEPRINTS = Path(__file__).parents[2] / "subgraphs"
FRAMES = 200


@pytest.fixture(scope="module")
def saved_style(server: HostServer) -> str:
    """Name of a style that the first server saved, in a subfolder."""
    run = server.run(with_save(server, "project/mine"))
    assert succeeded(run)
    assert run.outputs["7"]["images"]
    return "project/mine"


@pytest.fixture(scope="module")
def fresh(
    server: HostServer, comfyui: Path, host_python: str, saved_style: str
) -> Iterator[HostServer]:
    """Another server over the same folders, started after the style was saved."""
    running = HostServer(comfyui, host_python, server.base).start()
    yield running
    running.stop()


def test_the_pack_loads_by_path_and_offers_every_node(server: HostServer):
    for name in NODES:
        info = server.node_info(name)
        assert info["category"] == "MetaStyle"
        assert info["python_module"] == "custom_nodes.metastyle"
    assert "IMPORT FAILED: " + "metastyle" not in server.log
    files = server.ask("/extensions").json
    assert "/extensions/metastyle/metastyle.js" in files


def test_the_template_browser_offers_every_example_with_its_picture(server: HostServer):
    offered = server.ask("/workflow_templates").json["metastyle"]
    assert sorted(offered) == [path.stem for path in EXAMPLES]
    for name in offered:
        picture = server.ask(quote(f"/api/workflow_templates/metastyle/{name}.jpg"))
        assert picture.body.startswith(b"\xff\xd8"), name


def test_adapting_then_stylizing_shows_pictures_losses_and_progress(server: HostServer):
    run = server.run(adapt_workflow(server, steps=6))
    assert succeeded(run)
    assert run.outputs["6"]["images"]
    steps = [data["value"] for data in run.of_kind("progress") if data["node"] == "4"]
    assert steps == sorted(steps)
    assert steps[-1] == 6
    assert run.previews
    points = run.outputs["4"]["metastyle_losses"]
    assert [point[0] for point in points] == [1, 2, 3, 4, 5, 6]
    live = [point for data in run.of_kind("metastyle.losses") for point in data["points"]]
    assert [point[0] for point in live] == [1, 2, 3, 4, 5, 6]
    prompts = {data["prompt_id"] for data in run.of_kind("metastyle.losses")}
    assert prompts == {run.prompt_id}, "so that a page knows of which workflow they are"


def test_every_window_hears_of_a_save_a_rename_and_a_deletion(server: HostServer):
    with Listener(server) as elsewhere:
        assert succeeded(server.run(with_save(server, "heard/first")))
        names = {"name": "heard/first", "new_name": "heard/second"}
        assert server.ask("/metastyle/styles/rename", names).status == 200
        assert server.ask("/metastyle/styles/delete", {"name": "heard/second"}).status == 200
        heard = elsewhere.heard("metastyle.styles", 3)
    assert heard == [
        {"saved": "heard/first"},
        {"renamed": ["heard/first", "heard/second"]},
        {"deleted": "heard/second"},
    ]


def test_refining_shows_pictures_losses_and_progress(server: HostServer):
    refine = node(
        server, "MetaStyleRefine", model=["1", 0], style=["4", 0], images=["3", 0],
        style_images=["2", 0], steps=3,
    )  # fmt: skip
    workflow = adapt_workflow(server, steps=0) | {"5": refine}
    run = server.run(workflow)
    assert succeeded(run)
    assert run.outputs["6"]["images"]
    assert [point[0] for point in run.outputs["5"]["metastyle_losses"]] == [1, 2, 3]
    assert [data["value"] for data in run.of_kind("progress") if data["node"] == "5"][-1] == 3


def test_a_video_comes_back_in_the_style_with_all_its_frames(server: HostServer):
    video = node(
        server, "MetaStyleStylizeVideo", model=["1", 0], style=["4", 0], video=["8", 0],
        lock="first",
    )  # fmt: skip
    workflow = adapt_workflow(server, steps=0) | {
        "7": node(server, "RepeatImageBatch", image=["3", 0], amount=4),
        "8": node(server, "CreateVideo", images=["7", 0], fps=12.0),
        "5": video,
        "9": node(server, "GetVideoComponents", video=["5", 0]),
        "6": node(server, "PreviewImage", images=["9", 0]),
    }
    run = server.run(workflow)
    assert succeeded(run)
    assert len(run.outputs["6"]["images"]) == 4


def test_the_film_blueprint_draws_a_film_with_its_sound(server: HostServer):
    av = pytest.importorskip("av", reason="PyAV, which makes the film, is not installed")
    from unit.films import SIZE, make_film

    make_film(server.base / "input" / "blueprint.mp4")
    blueprint = load_workflow(BLUEPRINTS / "Film in a Style.json")
    given = {"video": ["load", 0], "style": "presets/munch_the_scream"}
    inside, outputs = blueprint_to_prompt(blueprint, server, given)
    load = node(server, "LoadVideo", file="blueprint.mp4")
    save = node(
        server, "SaveVideo", video=outputs["video"], filename_prefix="blueprint", format="auto",
        codec="auto",
    )  # fmt: skip
    assert succeeded(server.run(inside | {"load": load, "save": save}))
    (drawn,) = (server.base / "output").rglob("blueprint*.mp4")
    with av.open(str(drawn)) as film:
        assert len(film.streams.audio) == 1
        sides = [(frame.width, frame.height) for frame in film.decode(video=0)]
    assert sides == [SIZE] * 10


def test_a_list_of_pictures_counts_together_and_a_list_of_seeds_is_as_many_styles(
    server: HostServer,
):
    if not server.ask("/object_info/LoadImageDataSetFromFolder").json:
        pytest.skip("This host has no node that gives a list of pictures.")
    sides = (96, 128, 160)
    for side in sides:
        save_image(picture(80, side, seed=side), server.base / "input" / "listed" / f"{side}.png")
    several = {
        "7": node(server, "LoadImageDataSetFromFolder", folder="listed"),
        "8": node(server, "GetImageSize", image=["7", 0]),
        "9": node(server, "PreviewImage", images=["4", 1]),
        "10": node(server, "PreviewAny", source=["4", 2]),
        "11": node(server, "MetaStyleSaveStyle", style=["4", 0], name="listed/of_seeds"),
    }
    workflow = adapt_workflow(server, content_images=["7", 0]) | several
    run = server.run(workflow)
    assert succeeded(run)
    assert len(run.outputs["9"]["images"]) == len(sides), "one style, which shows all contents"
    assert len(run.outputs["6"]["images"]) == 1
    workflow["4"]["inputs"] |= {"seed": ["8", 0], "steps": 2}
    run = server.run(workflow)
    assert succeeded(run)
    assert len(run.outputs["9"]["images"]) == len(sides) ** 2
    assert len(run.outputs["6"]["images"]) == len(sides)
    reports = "\n".join(run.outputs["10"]["text"])
    seeds = [int(found) for found in re.findall(r"^seed: (\d+)$", reports, re.MULTILINE)]
    assert sorted(seeds) == list(sides), "the host lists a folder in no order"
    saved = {name for name in styles_of(server) if name.startswith("listed/")}
    assert len(saved) == 1 + len(sides)
    first = _output(server, run, "6")
    workflow["4"]["inputs"]["seed"] = seeds[0]
    assert _output(server, server.run(workflow), "6") == first


def test_every_control_of_a_still_runs(server: HostServer):
    workflow = adapt_workflow(server, steps=0)
    workflow["7"] = node(server, "SolidMask", value=0.5, width=SIDE_PX, height=SIDE_PX)
    for control in (
        {"grain": 0.5, "seed": 3},
        {"colour": "photograph"},
        {"colour": "match", "palette": ["2", 0]},
        {"seamless": "both"},
        {"mask": ["7", 0]},
    ):
        stylize = {**workflow["5"], "inputs": {**workflow["5"]["inputs"], **control}}
        assert succeeded(server.run(workflow | {"5": stylize})), control


def test_styles_go_where_their_masks_are_and_onto_a_sheet(server: HostServer):
    workflow = adapt_workflow(server, steps=0)
    other = {**workflow["4"], "inputs": {**workflow["4"]["inputs"], "style_images": ["3", 0]}}
    styles = {"styles.style_1": ["4", 0], "styles.style_2": ["7", 0]}
    mask = {"width": SIDE_PX, "height": SIDE_PX}
    workflow |= {
        "7": other,
        "8": node(server, "SolidMask", value=0.7, **mask),
        "9": node(server, "SolidMask", value=0.2, **mask),
        "5": node(
            server, "MetaStyleRegions", model=["1", 0], images=["3", 0], rest=["4", 0],
            **styles, **{"masks.mask_1": ["8", 0], "masks.mask_2": ["9", 0]},
        ),
        "10": node(server, "MetaStyleSweep", model=["1", 0], images=["3", 0], **styles),
        "11": node(server, "PreviewImage", images=["10", 0]),
    }  # fmt: skip
    run = server.run(workflow)
    assert succeeded(run)
    assert run.outputs["6"]["images"]
    assert len(run.outputs["11"]["images"]) == 1


def test_a_list_of_pictures_with_a_mask_is_one_adaptation(server: HostServer):
    workflow = adapt_workflow(
        server, steps=4, style_images=["8", 0], style_mask=["9", 0], keep_statistics=True
    )
    workflow["7"] = node(server, "RepeatImageBatch", image=["2", 0], amount=2)
    workflow["8"] = node(server, "RebatchImages", images=["7", 0], batch_size=1)
    workflow["9"] = node(server, "SolidMask", value=1.0, width=SIDE_PX, height=SIDE_PX)
    refine = node(
        server, "MetaStyleRefine", model=["1", 0], style=["4", 0], images=["3", 0], steps=2
    )
    run = server.run(workflow | {"5": refine})
    assert succeeded(run)
    assert [point[0] for point in run.outputs["4"]["metastyle_losses"]] == [1, 2, 3, 4]


def test_stop_and_keep_ends_the_steps_and_the_workflow_goes_on(server: HostServer):
    with Listener(server) as listener:
        queued = listener.queue(adapt_workflow(server, 400))
        run = listener.follow(queued, 3, asking=("/metastyle/stop", {"node": "4"}))
    assert succeeded(run)
    assert run.outputs["6"]["images"]
    assert 3 <= len(run.outputs["4"]["metastyle_losses"]) < 50


def test_no_step_gives_a_style_at_once(server: HostServer):
    assert succeeded(server.run(adapt_workflow(server, steps=0)))


def test_running_the_same_again_costs_nothing(server: HostServer):
    workflow = adapt_workflow(server)
    assert succeeded(server.run(workflow))
    again = server.run(workflow)
    assert succeeded(again)
    assert again.cached >= {"1", "2", "3", "4", "5"}
    workflow["5"]["inputs"]["strength"] = 0.5
    assert "4" in server.run(workflow).cached


def test_a_page_opened_since_gets_the_losses_of_a_cached_adaptation(server: HostServer):
    if "has_intermediate_output" not in server.node_info("MetaStyleAdaptToStyle"):
        pytest.skip("This host sends what inner nodes show only when they run.")
    workflow = adapt_workflow(server)
    first = server.run(workflow)
    again = server.run(workflow)
    assert "4" in again.cached
    assert again.outputs["4"] == first.outputs["4"]
    assert len(again.outputs["4"]["metastyle_losses"]) == 3


def test_two_styles_are_blended_drawn_and_saved_with_a_picture(server: HostServer):
    run = server.run(blend_workflow(server, "blend/mine"))
    assert succeeded(run)
    assert run.outputs["6"]["images"]
    assert run.outputs["7"]["images"]
    assert styles_of(server)["blend/mine"]["thumbnail"]
    drawn = server.run(load_workflow_of(server, "blend/mine"))
    assert succeeded(drawn)
    assert _output(server, drawn, "6") == _output(server, run, "6")


def test_strength_zero_returns_the_photo_itself(server: HostServer):
    workflow = adapt_workflow(server, steps=0)
    workflow["5"]["inputs"]["strength"] = 0.0
    workflow["6"] = node(server, "SaveImage", images=["5", 0], filename_prefix="zero")
    workflow["8"] = node(server, "SaveImage", images=["3", 0], filename_prefix="photo")
    run = server.run(workflow)
    assert succeeded(run)
    pictures = [_output(server, run, key) for key in ("6", "8")]
    assert pictures[0] == pictures[1]


def test_interrupting_stops_inside_one_large_picture(
    server: HostServer, base_folder: Path, measured: dict[str, str]
):
    save_image(picture(3000, 4000), base_folder / "input" / "large.png")
    workflow = adapt_workflow(server, steps=0)
    workflow["3"] = node(server, "LoadImage", image="large.png")
    with Listener(server) as listener:
        run = listener.follow(listener.queue(workflow), interrupt_at_step=2)
        measured["interrupt latency, 12 megapixels"] = f"{listener.interrupt_latency_s:.2f} s"
    assert run.interrupted
    last = run.of_kind("progress")[-1]
    assert last["node"] == "5"
    assert last["value"] < last["max"] / 2


def test_interrupting_stops_within_a_step_and_the_next_run_succeeds(
    server: HostServer, measured: dict[str, str]
):
    with Listener(server) as listener:
        run = listener.follow(listener.queue(adapt_workflow(server, 400)), interrupt_at_step=3)
        latency_s = listener.interrupt_latency_s
    measured["interrupt latency"] = f"{latency_s:.2f} s"
    assert run.interrupted
    reached = max(data["value"] for data in run.of_kind("progress"))
    assert reached < 20
    assert succeeded(server.run(adapt_workflow(server)))


def test_two_queued_prompts_both_run(server: HostServer):
    with Listener(server) as listener:
        runs = [listener.queue(adapt_workflow(server)) for _ in range(2)]
        for run in runs:
            assert succeeded(listener.follow(run))


def test_a_saved_style_is_there_in_a_fresh_server(
    server: HostServer, fresh: HostServer, saved_style: str
):
    assert saved_style in choices(server, "MetaStyleLoadStyle", "style")
    assert styles_of(fresh)[saved_style]["thumbnail"]
    assert succeeded(fresh.run(load_workflow_of(fresh, saved_style)))


def test_a_long_batch_runs_in_bounded_memory(fresh: HostServer, measured: dict[str, str]):
    """Input and output of 200 frames take 80 MB; all in one pass would take gigabytes."""
    workflow = adapt_workflow(fresh, steps=0)
    workflow["7"] = node(fresh, "RepeatImageBatch", image=["3", 0], amount=FRAMES)
    workflow["5"]["inputs"]["images"] = ["7", 0]
    workflow["6"] = node(fresh, "ImageFromBatch", image=["5", 0], batch_index=FRAMES - 1, length=1)
    workflow["8"] = node(fresh, "PreviewImage", images=["6", 0])
    assert succeeded(fresh.run(adapt_workflow(fresh, steps=0)))
    fresh.forget_peak_memory()
    before = fresh.memory_mb()
    assert succeeded(fresh.run(workflow))
    peak = fresh.memory_mb("VmHWM")
    measured[f"memory, {FRAMES} frames"] = f"{before:.0f} MB before, {peak:.0f} MB at most"
    assert peak - before < 400


def test_twenty_adaptations_leave_no_memory_behind(fresh: HostServer, measured: dict[str, str]):
    """The host itself keeps earlier results; what we leave is counted in test_host_inside.py."""
    for _ in range(3):
        assert succeeded(fresh.run(adapt_workflow(fresh, steps=1)))
    before = fresh.memory_mb()
    for _ in range(20):
        assert succeeded(fresh.run(adapt_workflow(fresh, steps=1)))
    after = fresh.memory_mb()
    measured["memory, 20 adaptations"] = f"{before:.0f} MB before, {after:.0f} MB after"
    assert after - before < 200


def test_a_preset_stylizes(server: HostServer):
    presets = [name for name, style in styles_of(server).items() if style["shipped"]]
    if not presets:
        pytest.skip("This checkout has no presets in metastyle_core/styles.")
    assert succeeded(server.run(load_workflow_of(server, presets[0])))


def test_of_two_copies_one_works_and_one_line_says_so(
    comfyui: Path, host_python: str, tmp_path: Path
):
    server = HostServer(comfyui, host_python, tmp_path, packs=("metastyle", "metastyle-main"))
    try:
        server.start()
        (line,) = (each for each in server.log.splitlines() if "installed twice" in each)
        assert all(str(tmp_path / "custom_nodes" / name) in line for name in server.packs)
        assert "IMPORT FAILED" not in server.log
        assert server.node_info("LoadMetaStyle")["display_name"] == "Load MetaStyle"
        assert styles_of(server)
    finally:
        server.stop()


def test_one_node_draws_in_a_preset(server: HostServer):
    workflow = {
        "1": node(server, "LoadImage", image="photo.png"),
        "2": node(server, "MetaStyleStylizeWithPreset", images=["1", 0]),
        "3": node(server, "PreviewImage", images=["2", 0]),
    }
    assert succeeded(server.run(workflow))
    workflow["2"]["inputs"]["style"] = "gone"
    with pytest.raises(RefusedError, match="Choose another style"):
        server.run(workflow)


def test_a_seed_that_comes_back_is_not_adapted_again(server: HostServer):
    workflow = adapt_workflow(server, steps=3)
    seed = workflow["4"]["inputs"]["seed"]
    first = server.run(workflow)
    workflow["4"]["inputs"]["seed"] = seed + 100_000
    server.run(workflow)
    workflow["4"]["inputs"]["seed"] = seed
    again = server.run(workflow)
    assert succeeded(again)
    assert again.outputs["4"] == first.outputs["4"]
    assert first.of_kind("metastyle.losses")
    assert not again.of_kind("metastyle.losses")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_workflows_have_no_node_that_the_host_calls_deprecated(
    server: HostServer, path: Path
):
    prompt = to_prompt(load_workflow(path), server)
    assert not [each["class_type"] for each in prompt.values() if _is_deprecated(server, each)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_workflows_run(server: HostServer, path: Path, measured: dict[str, str]):
    """As they are, but with few steps and small pictures; refused for absent models alone."""
    saved = load_workflow(path)
    prompt = to_prompt(saved, server)
    for loader in nodes_of(prompt, "LoadImage"):
        _provide_picture(server, loader["inputs"]["image"])
    for adapt in nodes_of(prompt, "MetaStyleAdaptToStyle"):
        adapt["inputs"]["steps"] = min(3, adapt["inputs"]["steps"])
    began_s = time.monotonic()
    try:
        run = server.run(prompt)
    except RefusedError as refused:
        errors = refused.node_errors
    else:
        assert run.error is None, run.error
        errors = run.refused
        measured[f"workflow {path.stem}, small"] = f"{time.monotonic() - began_s:.1f} s"
    assert _refusals(errors) == _absent_models(saved)


def test_a_template_is_refused_for_more_than_its_models_where_more_is_wrong(server: HostServer):
    saved = load_workflow(EXAMPLES[-1])
    (sampler,) = (each for each in saved["nodes"] if each["type"] == "KSampler")
    sampler["widgets_values"][4] = "no sampler"
    (link,) = (each for each in sampler["inputs"] if each["name"] == "latent_image")
    link["link"] = next(each["link"] for each in sampler["inputs"] if each["name"] == "model")
    with pytest.raises(RefusedError) as refused:
        server.run(to_prompt(saved, server))
    found = _refusals(refused.value.node_errors)
    assert found - _absent_models(saved) == {
        ("KSampler", "value_not_in_list", "no sampler"),
        ("KSampler", "return_type_mismatch", ""),
    }


def _absent_models(saved: dict[str, Any]) -> set[tuple[str, str, str]]:
    """How a host refuses the model files that a workflow names, where it has none of them."""
    return {
        (each["type"], "value_not_in_list", model["name"])
        for each in saved["nodes"] for model in each["properties"].get("models", [])
    }  # fmt: skip


def _refusals(node_errors: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Type of the node, kind of the error, and the value where one is not offered."""
    return {
        (each["class_type"], error["type"], str(error["extra_info"].get("received_value", "")))
        for each in node_errors.values() for error in each["errors"]
    }  # fmt: skip


def _is_deprecated(server: HostServer, each: dict[str, Any]) -> bool:
    return bool(server.node_info(each["class_type"]).get("deprecated"))


def _provide_picture(server: HostServer, name: str) -> None:
    target = server.base / "input" / name
    if not target.exists():
        target.write_bytes((server.base / "input" / "photo.png").read_bytes())


def _output(server: HostServer, run: Run, key: str) -> Any:
    entry = run.outputs[key]["images"][0]
    with Image.open(server.base / entry["type"] / entry["subfolder"] / entry["filename"]) as image:
        return np.asarray(image).tolist()
