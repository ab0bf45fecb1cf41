"""Ray: the bytes of one process, on one machine and on a cluster that loses a node."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace

import pytest
from samples import picture, save_small_base_and_style

from metastyle_core.base import load_base
from metastyle_core.cli import build_parser, main
from metastyle_core.cli.ray_run import _pool_for, _Worker
from metastyle_core.images import save_image
from metastyle_core.style import load_style

ROOT = Path(__file__).parents[2]
PICTURES = 24
STORE_BYTES = 100 * 2**20
LIMIT_S = 240
# A lost node is missed after seconds, not after twenty, and no worker starts before there is work.
QUICK_RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "300",
    "RAY_health_check_period_ms": "300",
    "RAY_prestart_worker_first_driver": "0",
}


@pytest.fixture(scope="module")
def ray():
    return pytest.importorskip("ray", reason="Ray is not installed: no cluster was tried")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Photographs, one of them torn, a small base, a style of it, and what one process makes."""
    folder = tmp_path_factory.mktemp("ray")
    for number in range(PICTURES):
        save_image(picture(160, 200, seed=number)[0], folder / "photos" / f"{number:02}.png")
    (folder / "photos" / "torn.png").write_text("no picture")
    save_small_base_and_style(folder)
    assert main([str(part) for part in command(folder, "alone")]) == 1
    return folder


def command(folder: Path, output: str, *more: object) -> list[object]:
    return [
        "stylize", folder / "photos", "-o", folder / output, "--precision", "fp32",
        "--base", folder / "base.safetensors", "--style", folder / "style.safetensors", *more,
    ]  # fmt: skip


def started(folder: Path, output: str, *more: object) -> "subprocess.Popen[str]":
    """The command in a process of its own, for Ray keeps what it was started with."""
    words = map(str, command(folder, output, "--json", "--ray-cores", 1, *more))
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "metastyle_core", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env=os.environ | QUICK_RAY | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def require_same(folder: Path, output: str, told: list[dict[str, object]]) -> None:
    """Every picture is there once, with the bytes of one process; the torn one is told of."""
    *lines, whole = told
    assert (whole["images"], whole["failed"]) == (PICTURES, 1)
    (failed,) = [line for line in lines if line["error"]]
    assert failed["input"] == str(folder / "photos" / "torn.png")
    outputs = [str(line["output"]) for line in lines if not line["error"]]
    assert len(outputs) == len(set(outputs)) == PICTURES
    wanted = {path.name: path.read_bytes() for path in (folder / "alone").iterdir()}
    assert {p.name: p.read_bytes() for p in (folder / output).iterdir()} == wanted


def test_workers_of_one_machine_write_the_bytes_of_one_process(ray, folder):
    run = started(folder, "local", "--ray", "--ray-workers", 1)
    out, err = run.communicate(timeout=LIMIT_S)
    assert run.returncode == 1, err
    require_same(folder, "local", [json.loads(line) for line in out.splitlines()])
    ours = [line for line in err.splitlines() if not line.startswith("[")]
    assert "1 picture could not be used" in ours[0]
    assert len(ours) == 2, err


@pytest.fixture
def cluster(ray, monkeypatch) -> Iterator[object]:
    """A cluster of two nodes of one CPU each in this machine."""
    from ray.cluster_utils import Cluster

    for name, value in QUICK_RAY.items():
        monkeypatch.setenv(name, value)
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", paths)
    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    found = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        found.add_node(**node)
        yield found
    finally:
        found.shutdown()


def test_a_lost_node_loses_no_picture_and_doubles_none(cluster, folder):
    run = started(folder, "lossy", "--ray", cluster.address)
    assert run.stdout is not None
    told: list[dict[str, object]] = []
    try:
        for line in run.stdout:
            told.append(json.loads(line))
            if len(told) == PICTURES // 2:
                (lost,) = cluster.worker_nodes
                cluster.remove_node(lost, allow_graceful=False)
        _, err = run.communicate(timeout=LIMIT_S)
    finally:
        run.kill()
    assert not cluster.worker_nodes
    assert run.returncode == 1, err
    require_same(folder, "lossy", told)


@pytest.mark.parametrize(
    ("nodes", "options", "pool"),
    [
        ([{"CPU": 5.0}, {"CPU": 4.0}], "", (4, 2, 0)),
        ([{"CPU": 5.0}, {"CPU": 4.0}], "--ray-cores 3", (2, 3, 0)),
        ([{"CPU": 5.0}], "--ray-workers 1", (1, 2, 0)),
        ([{"CPU": 1.0}], "--ray-cores 8", (1, 1, 0)),
        ([{"CPU": 64.0, "GPU": 4.0}, {"CPU": 64.0, "GPU": 4.0}], "", (8, 1, 1)),
        ([{"CPU": 64.0, "GPU": 2.0}], "--ray-workers 5", (5, 1, 1 / 3)),
        ([{"CPU": 64.0, "GPU": 2.0}], "--device cpu", (32, 2, 0)),
    ],
)
def test_workers_fit_the_nodes(nodes, options, pool):
    alive = [{"Alive": True, "Resources": node} for node in nodes]
    found = SimpleNamespace(nodes=lambda: [*alive, {"Alive": False, "Resources": {"CPU": 9.0}}])
    words = f"stylize a -o b --style c --ray auto {options}"
    assert astuple(_pool_for(found, build_parser().parse_args(words.split()))) == pool


def test_what_no_worker_can_go_on_after_ends_the_run(folder, tmp_path, monkeypatch):
    """A place that cannot be written is no fault of one picture."""
    (tmp_path / "file").write_text("")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda shared: shared))
    arguments = build_parser().parse_args([str(part) for part in command(folder, "unused")])
    base = load_base(folder / "base.safetensors")
    worker = _Worker((arguments, base, load_style(folder / "style.safetensors")), 1)
    names = ["00.png", "torn.png", "01.png"]
    block = {
        "number": [3, 4, 5],
        "source": [str(folder / "photos" / name) for name in names],
        "target": [str(tmp_path / "written" / name) for name in names],
    }
    made = worker(block)
    assert (made["number"], made["fatal"]) == ([3, 4, 5], [""] * 3)
    errors = [json.loads(report)["error"] for report in made["report"]]
    assert [bool(error) for error in errors] == [False, True, False]
    made = worker(block | {"target": [str(tmp_path / "file" / name) for name in names]})
    assert all("file" in fatal for fatal in made["fatal"])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "words"),
    [("127.0.0.1:PORT", "No Ray cluster answers"), ("here", "no address"), (":1", "no address")],
)
def test_a_dead_address_is_one_clear_line(ray, folder, capsys, address, words):
    named = address.replace("PORT", str(free_port()))
    assert main([str(part) for part in command(folder, "dead", "--ray", named)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not (folder / "dead").exists()


def test_without_ray_a_line_says_what_to_install(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([str(part) for part in command(folder, "none", "--ray")]) == 2
    assert 'pip install "metastyle[ray]"' in capsys.readouterr().err


def test_films_are_not_shared(folder, capsys):
    frames = folder / "photos" / "%02d.png"
    words = [frames, *command(folder, "film")[2:], "--ray"]
    assert main(["stylize", *map(str, words)]) == 2
    assert "films are drawn in order" in capsys.readouterr().err
