"""Shared fixtures: a small encoder, an untrained base and pictures, all seeded."""

from pathlib import Path

import pytest
import torch
from samples import TINY_SPEC, picture
from torch import Generator

from metastyle_core.base import Base, Predictor, save_base
from metastyle_core.checkpoint import content_hash
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.images import save_image
from metastyle_core.initialisation import PredictorSize, StylePredictor
from metastyle_core.network import StylizationNetwork

# Everything here is tiny: more threads only wait for each other, long on a busy machine.
torch.set_num_threads(1)


@pytest.fixture
def generator() -> Generator:
    return Generator().manual_seed(1234)


@pytest.fixture(scope="session")
def tiny_encoder() -> PerceptualEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return PerceptualEncoder(TINY_SPEC).requires_grad_(False).eval()


@pytest.fixture(scope="session")
def random_base(tiny_encoder: PerceptualEncoder) -> Base:
    """An untrained base whose predictor changes something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        network = StylizationNetwork(channels=8, blocks=2).requires_grad_(False).eval()
        predictor = StylePredictor(network, tiny_encoder, PredictorSize(16))
        torch.nn.init.normal_(predictor.layers[-1].weight, std=0.05)
    predictor.requires_grad_(False)
    return Base(network, Predictor(predictor, tiny_encoder), content_hash(network.state_dict()), {})


@pytest.fixture(scope="session")
def base_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base file without a predictor, for commands."""
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        save_base(path, StylizationNetwork(), None, {"updates": 0})
    return path


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    path = tmp_path / "painting.png"
    save_image(picture(80, 96, seed=3), path)
    return path


@pytest.fixture
def all_touches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures bear all touches, as large ones do."""
    monkeypatch.setattr("metastyle_core.brushwork._BEARS_ALL_PX", 1)
