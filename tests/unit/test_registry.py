"""What the registry of ComfyUI reads of the pack, and what to fill in before publishing."""

from pathlib import Path

import pytest

tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML: nothing was looked at.")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ACCELERATORS = {
    "GPU :: NVIDIA CUDA",
    "GPU :: AMD ROCm",
    "GPU :: Intel Arc",
    "NPU :: Huawei Ascend",
    "GPU :: Apple Metal",
}


def test_the_registry_finds_what_it_needs():
    project, comfy = PROJECT["project"], PROJECT["tool"]["comfy"]
    assert all(project[key] for key in ("name", "version", "description"))
    assert all(comfy[key] for key in ("PublisherId", "DisplayName", "requires-comfyui"))
    for file in (project["readme"], project["license"]["file"], comfy["Icon"]):
        assert (ROOT / file).is_file(), file


def test_accelerators_are_words_that_the_host_knows():
    kinds = [each.partition(" :: ") for each in PROJECT["project"]["classifiers"]]
    named = {rest for first, _, rest in kinds if first == "Environment"}
    assert named
    assert named <= ACCELERATORS


def test_the_address_of_the_repository_is_filled_in():
    urls = PROJECT["project"].get("urls")
    if urls is None:
        pytest.skip("[project.urls] is not there: fill in Repository before publishing.")
    assert urls["Repository"].startswith("https://")
