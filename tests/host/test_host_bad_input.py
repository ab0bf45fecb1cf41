"""Bad input on a real server: a node error in words, a server that lives on, nothing half-done."""

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
    error = server.run(workflow).error
    assert error is not None
    assert "300x20 px" in error
    assert "64 px" in error


def test_a_name_that_leaves_the_folder(server: HostServer):
    error = server.run(with_save(server, "../outside")).error
    assert error is not None
    assert "../outside" in error
    assert not list(server.base.rglob("outside*"))


def test_a_name_reserved_for_presets(server: HostServer):
    assert server.run(with_save(server, "presets/mine")).error


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
    error = server.run(adapt_workflow(server, steps=1, encoder="vgg16")).error
    assert error is not None
    assert "vgg16" in error
    assert "models/metastyle" in error


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
