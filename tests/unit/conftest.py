"""The pack, loaded into a fake host with a small base of its own; pictures to train on."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from samples import picture
from torch import Tensor
from unit.fake_host import FakeHost, loaded_pack

from metastyle_core.base import Predictor, save_base
from metastyle_core.cli import image_styles
from metastyle_core.encoder import load_encoder
from metastyle_core.initialisation import PredictorSize, StylePredictor
from metastyle_core.network import StylizationNetwork
from metastyle_core.style import AdaptedStyle
from metastyle_core.training import judged_pictures
from metastyle_core.training.data import ImagePool

SMALL_BASE = "small.safetensors"


@pytest.fixture(scope="session")
def small_base_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained base with a predictor that changes something."""
    path = tmp_path_factory.mktemp("small") / SMALL_BASE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        network, encoder = StylizationNetwork(channels=8, blocks=1), load_encoder("compact")
        predictor = StylePredictor(network, encoder, PredictorSize(16))
        torch.nn.init.normal_(predictor.layers[-1].weight, std=0.05)
    save_base(path, network, Predictor(predictor, encoder), {"updates": 0})
    return path


@pytest.fixture(scope="session")
def pool() -> ImagePool:
    """Six pictures to train on, four of one source and two of another."""
    images = [picture(80, 100, seed=s)[0].mul(255).to(torch.uint8) for s in range(6)]
    return ImagePool(images, ["a", "a", "a", "a", "b", "b"])


@pytest.fixture
def few_judged_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supply that needs one adaptation of four steps, so that tests take no minute."""
    monkeypatch.setattr(judged_pictures, "_STEPS", 4)
    monkeypatch.setattr(judged_pictures, "_WAITING", 4)


@pytest.fixture
def fake_host(tmp_path: Path, small_base_file: Path) -> FakeHost:
    host = FakeHost(tmp_path / "models")
    folder = host.models_dir / "metastyle"
    folder.mkdir(parents=True)
    (folder / SMALL_BASE).write_bytes(small_base_file.read_bytes())
    return host


@pytest.fixture
def pack(fake_host: FakeHost) -> Iterator[ModuleType]:
    """The pack's root module; its parts are `pack.nodes.…`."""
    with loaded_pack(fake_host) as module:
        asyncio.run(module.comfy_entrypoint())
        yield module


@pytest.fixture
def errors(pack: ModuleType) -> ModuleType:
    """The classes of what the loaded pack raises."""
    return pack.metastyle_core.errors


@pytest.fixture
def run(pack: ModuleType) -> Callable[..., Any]:
    """Execute a node by id under inference mode, as the host does."""
    classes = {node.define_schema().node_id: node for node in pack.nodes.NODES}

    def execute(node_id: str, **inputs: Any) -> Any:
        with torch.inference_mode():
            return classes[node_id].execute(**inputs)

    return execute


@pytest.fixture
def model(run: Callable[..., Any]) -> Any:
    return run("LoadMetaStyle", base=SMALL_BASE).args[0]


@pytest.fixture
def adapt(
    run: Callable[..., Any], model: Any, pack: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Adapt on a few small contents; keywords replace the node's inputs.

    Of several styles the result has all in `styles`, and `style` and so on of the first.
    """
    part = pack.nodes.hosting.adaptation_inputs
    few = partial(part.AdaptationSettings, content_count=4, content_size_px=64, batch=2)
    monkeypatch.setattr(part, "AdaptationSettings", few)

    def execute(**changed: Any) -> SimpleNamespace:
        inputs = {
            "model": model, "style_images": image(72, 80), "steps": 2, "style_weight": 20.0,
            "brush_size": 64, "mode": "norm", "encoder": "compact", "seed": 0,
        }  # fmt: skip
        output = run("MetaStyleAdaptToStyle", **inputs | changed)
        styles, previews, reports = output.args
        return SimpleNamespace(
            style=styles[0], preview=previews[0], report=reports[0], ui=output.ui,
            styles=styles, previews=previews, reports=reports,
        )  # fmt: skip

    return execute


def image(height: int, width: int, *, count: int = 1, channels: int = 3, seed: int = 0) -> Tensor:
    """A batch in the host's form: (count, height, width, channels), [0, 1]."""
    rows = torch.cat([picture(height, width, seed=seed + i) for i in range(count)])
    with_alpha = torch.cat([rows, rows[:, :1]], dim=1)
    return with_alpha[:, :channels].movedim(1, -1).contiguous()


def stylize(
    run: Callable[..., Any], model: Any, style: Any, images: Tensor, **changed: Any
) -> Tensor:
    """What the node makes of pictures; keywords replace its inputs."""
    inputs = {"model": model, "style": style, "images": images, "strength": 1.0}
    return run("MetaStyleStylize", **inputs | {"precision": "fp32"} | changed).args[0]


def save(run: Callable[..., Any], style: Any, name: str = "wave", **changed: Any) -> Any:
    """The output of the node that saves."""
    inputs = {"style": style, "name": name, "fp16": False, "overwrite": "number"}
    return run("MetaStyleSaveStyle", **inputs | changed)


def load(run: Callable[..., Any], name: str) -> Any:
    """A style as the node opens it."""
    return run("MetaStyleLoadStyle", style=name).args[0]


@pytest.fixture
def learned_from_images(monkeypatch: pytest.MonkeyPatch) -> list[AdaptedStyle]:
    """The styles that commands make of the images that `--style` names, as they come."""
    styles: list[AdaptedStyle] = []
    adapt = image_styles.adapt_to_style

    def look(*args: Any, **kwargs: Any) -> AdaptedStyle:
        styles.append(adapt(*args, **kwargs))
        return styles[-1]

    monkeypatch.setattr(image_styles, "adapt_to_style", look)
    return styles
