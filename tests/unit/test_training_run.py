"""Training in a group of processes, each with a share of the styles."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from unit.group_training import train

from metastyle_core.checkpoint import read_tensors
from metastyle_core.cli import build_parser
from metastyle_core.errors import TrainingError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def group(tmp_path_factory) -> Path:
    """What two processes trained: `straight` without a break, `broken` with one."""
    folder = tmp_path_factory.mktemp("group")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    paths = [str(ROOT / "tests"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    subprocess.run(
        [sys.executable, *command, "-m", "unit.group_training", str(folder)],
        check=True, capture_output=True, timeout=300,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    return folder


def test_two_processes_update_like_one_with_all_the_styles(tmp_path, group):
    train(tmp_path)
    one, two = (
        read_tensors(folder / "update-00000003" / "weights.safetensors").tensors
        for folder in (tmp_path, group / "straight")
    )
    for name, value in one.items():
        # Adam makes the most of rounding where a gradient is small; three steps move by 3e-3.
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=5e-5)
    lines = (group / "straight" / "log.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    assert [line["samples"] for line in log] == [2, 4, 6]


def test_a_group_stops_together_and_goes_on_to_the_bit(group):
    """The time of one process is up after one update; the others must not wait for it."""
    names = sorted(path.name for path in (group / "broken").glob("update-*"))
    assert names == ["update-00000001", "update-00000003"]
    files = list((group / "straight" / "update-00000003").iterdir())
    assert files
    for file in files:
        wanted = read_tensors(file).tensors
        found = read_tensors(group / "broken" / "update-00000003" / file.name).tensors
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
