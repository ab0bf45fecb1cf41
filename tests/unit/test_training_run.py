"""Training in a group of processes, each with a share of the styles."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metastyle_core.checkpoint import read_tensors
from metastyle_core.cli import build_parser
from metastyle_core.errors import TrainingError

ONE_OF_SEVERAL = """
import sys, torch
sys.path.insert(0, {tests!r})
from samples import TINY_SPEC, picture
from metastyle_core.cli.training_run import joined_processes
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.training.data import ImagePool
from metastyle_core.training.meta_training import MetaTraining
from metastyle_core.training.tasks import MetaSettings
from metastyle_core.training.recipe import Shard
from metastyle_core.training.trainer import Trainer, TrainerSettings
torch.set_num_threads(1)
torch.manual_seed(5)
encoder = PerceptualEncoder(TINY_SPEC).requires_grad_(False)
pool = ImagePool([picture(80, 100, seed=s)[0].mul(255).to(torch.uint8) for s in range(6)])
settings = MetaSettings(styles=2, crop_px=64, inner_steps=1, inner_lr=0.01, channels=8, blocks=1,
    precision="fp32")
with joined_processes(torch.device("cpu")) as device:
    recipe = MetaTraining(encoder, encoder, pool, pool, settings, device=device, seed=3)
    in_a_hurry = Shard.current().rank == {rank_in_a_hurry}
    loop = TrainerSettings(updates=3, optimizer="adam", picture_every=0, log_every=1,
        max_minutes=1e-9 if in_a_hurry else 0.0)
    Trainer(recipe, loop, {folder!r}, resume=True).run()
"""


def launch(folder: Path, processes: int, rank_in_a_hurry: int | None = None) -> Path:
    """Train three updates, or until a rank's time is up, and return the newest checkpoint."""
    script = folder.parent / "one_of_several.py"
    script.write_text(
        ONE_OF_SEVERAL.format(
            tests=str(Path(__file__).parents[1]),
            rank_in_a_hurry=rank_in_a_hurry,
            folder=str(folder),
        )
    )
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    subprocess.run([*command, str(script)], check=True, capture_output=True, timeout=300)
    return max(folder.glob("update-*"))


@pytest.fixture(scope="module")
def checkpoint_of_two(tmp_path_factory) -> Path:
    """What two processes have after three updates without a break."""
    return launch(tmp_path_factory.mktemp("straight") / "run", 2)


def test_two_processes_update_like_one_with_all_the_styles(tmp_path, checkpoint_of_two):
    one = read_tensors(launch(tmp_path / "one", 1) / "weights.safetensors").tensors
    two = read_tensors(checkpoint_of_two / "weights.safetensors").tensors
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=2e-5)
    lines = (checkpoint_of_two.parent / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    assert [line["samples"] for line in log] == [2, 4, 6]


def test_a_group_stops_together_and_goes_on_to_the_bit(tmp_path, checkpoint_of_two):
    """The time of one process is up after one update; the others must not wait for it."""
    stopped = launch(tmp_path / "run", 2, rank_in_a_hurry=1)
    assert stopped.name == "update-00000001"
    resumed = launch(tmp_path / "run", 2)
    assert resumed.name == checkpoint_of_two.name
    for file in checkpoint_of_two.iterdir():
        wanted = read_tensors(file).tensors
        found = read_tensors(resumed / file.name).tensors
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert torch.equal(found[name], value), f"{file.name}: {name}"


@pytest.mark.parametrize("command", ["train", "distill"])
def test_training_joins_the_group_that_torchrun_announces(command, tmp_path, monkeypatch):
    def join(backend) -> None:
        raise TrainingError(f"joined with {backend}")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "init_process_group", join)
    arguments = ["--content", "a", "--style", "b", "-o", str(tmp_path), "--device", "cpu"]
    if command == "distill":
        arguments += ["--teacher-weights", "c"]
    parsed = build_parser().parse_args([command, *arguments])
    with pytest.raises(TrainingError, match="joined with gloo"):
        parsed.run(parsed)
