"""Bad input on a real server: a node error in words, a server that lives on, nothing half-done."""

import re
from pathlib import Path

import pytest
from host.recipes import adapt_workflow, load_workflow_of, styles_of, succeeded, with_save
from host.server import HostServer, RefusedError, Workflow
from safetensors import safe_open
from safetensors.torch import save_file
from samples import picture

from metastyle_core.images import save_image

pytestmark = pytest.mark.host


@pytest.fixture(autouse=True)
def server_lives_on(server: HostServer):
    yield
    assert succeeded(server.run(adapt_workflow(server, steps=0)))
    leftovers = list((server.base / "models").rglob("*.part"))
    assert not leftovers


def test_a_tiny_style_image(server: HostServer):
    _save_picture(server, "tiny.png", 20, 300)
    workflow = adapt_workflow(server)
    workflow["2"]["inputs"]["image"] = "tiny.png"
    (failed,) = server.run(workflow).of_kind("execution_error")
    assert failed["exception_type"] == "MetaStyle"
    assert failed["exception_message"].startswith("Resize it or pick a larger image. ")
    assert "300x20 px" in failed["exception_message"]
    assert "64 px" in failed["exception_message"]


@pytest.mark.parametrize("name", ["../outside", "presets/mine", "what?", "漢" * 100, ""])
def test_a_name_that_cannot_be_saved_is_refused_before_anything_runs(server: HostServer, name: str):
    run = server.run(with_save(server, name))
    reason = run.refused["7"]["errors"][0]["details"]
    assert reason.startswith("name - Choose another name. ")
    assert run.outputs.keys() == {"4", "6"}, "what does not save runs"
    assert not list(server.base.rglob("outside*"))


def test_a_name_that_is_taken_is_refused_where_the_node_asks(server: HostServer):
    assert succeeded(server.run(with_save(server, "asked/wave")))
    workflow = with_save(server, "asked/wave")
    workflow["7"]["inputs"]["overwrite"] = "ask"
    reason = server.run(workflow).refused["7"]["errors"][0]["details"]
    assert "Choose 'overwrite' or 'number'" in reason
    assert [name for name in styles_of(server) if name.startswith("asked/")] == ["asked/wave"]


def test_the_longest_name_and_a_date_can_be_saved(server: HostServer):
    for name in ("long/" + "漢" * 66, "dated/%date:yyyy-MM-dd%", "suffix/wave.safetensors"):
        assert succeeded(server.run(with_save(server, name))), name
    names = styles_of(server)
    assert "long/" + "漢" * 66 in names
    assert "suffix/wave" in names
    assert any(re.fullmatch(r"dated/\d{4}-\d\d-\d\d", name) for name in names)


def test_a_damaged_file_is_listed_with_its_error_and_the_others_too(server: HostServer):
    path = _styles_folder(server) / "damaged.safetensors"
    path.write_bytes(b"not a style")
    listed = styles_of(server)
    assert listed["damaged"]["error"]
    assert any(style["error"] is None for style in listed.values())
    error = _refusal(server, load_workflow_of(server, "damaged"))
    path.unlink()
    assert "damaged" in error


def test_a_style_deleted_after_it_was_listed(server: HostServer):
    assert succeeded(server.run(with_save(server, "short_lived")))
    workflow = load_workflow_of(server, "short_lived")
    (_styles_folder(server) / "short_lived.safetensors").unlink()
    assert "short_lived" in _refusal(server, workflow)


def test_a_style_of_another_base(server: HostServer):
    assert succeeded(server.run(with_save(server, "foreign")))
    path = _styles_folder(server) / "foreign.safetensors"
    with safe_open(path, "pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        metadata = dict(file.metadata()) | {"base_sha256": "0" * 64}
    save_file(tensors, path, metadata)
    error = server.run(load_workflow_of(server, "foreign")).error
    path.unlink()
    assert error is not None
    assert "base" in error


def test_an_encoder_whose_weights_are_not_there(server: HostServer):
    with pytest.raises(RefusedError, match=r"Put them at models/metastyle/vgg16\.safetensors"):
        server.run(adapt_workflow(server, steps=1, encoder="vgg16"))


def _refusal(server: HostServer, workflow: Workflow) -> str:
    """What the host says, whether it refuses the workflow or its node fails."""
    try:
        return server.run(workflow).error or ""
    except RefusedError as refused:
        return str(refused)


def _styles_folder(server: HostServer) -> Path:
    folder = server.base / "models" / "metastyle_styles"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _save_picture(server: HostServer, name: str, height: int, width: int) -> None:
    save_image(picture(height, width), server.base / "input" / name)
