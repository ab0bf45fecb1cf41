"""Cases inside the host's own process: what only shows under its inference mode."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.host

HERE = Path(__file__).parent
LIMIT_S = 300
Case = Callable[[str], dict[str, Any]]


@pytest.fixture
def inside(comfyui: Path, host_python: str, tmp_path: Path) -> Case:
    """Run a case of inside.py and read its last line."""

    def run(case: str) -> dict[str, Any]:
        done = subprocess.run(
            [host_python, str(HERE / "inside.py"), case, comfyui, HERE.parents[1], tmp_path],
            env={"OMP_NUM_THREADS": "1", **os.environ}, cwd=comfyui,
            capture_output=True, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


def test_the_pack_loads_without_a_server(inside: Case, measured: dict[str, str]):
    seconds = inside("import")["import_s"]
    measured["import beyond torch and the host"] = f"{seconds:.2f} s"
    assert seconds < 5


def test_adapting_again_after_the_host_moved_the_model_gives_the_same_style(inside: Case):
    seen = inside("moved")
    assert seen["was_inference"]
    assert seen["distance"] < 1e-5


def test_adapting_leaves_base_style_and_random_state_as_they_were(inside: Case):
    seen = inside("untouched")
    assert seen == {
        "base_same": True,
        "style_same": True,
        "random_state_same": True,
        "gradients_left": 0,
    }


def test_adaptations_leave_no_network_and_no_tensor_behind(inside: Case):
    seen = inside("leftovers")
    (modules, megabytes), (later_modules, later_megabytes) = seen["once"], seen["four_times"]
    assert later_modules == modules
    assert later_megabytes < megabytes + 0.5
