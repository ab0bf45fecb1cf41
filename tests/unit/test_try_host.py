"""The tool that tries several ComfyUIs: each commit as it was, and a failure is one."""

import subprocess

import pytest

from tools.try_host import main

LOOKS = """
import os, pathlib

def test_the_host_is_new():
    assert (pathlib.Path(os.environ["COMFYUI_PATH"]) / "main.py").read_text() != "old"
"""


@pytest.fixture
def comfyui(tmp_path):
    """A checkout of two commits, with a third state that is not committed."""
    folder = tmp_path / "comfyui"
    folder.mkdir()
    who = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "commit.gpgsign=false"]

    def git(*arguments):
        command = ["git", "-C", folder, *who, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    git("init")
    for version in ("old", "new"):
        (folder / "main.py").write_text(version)
        git("add", "main.py")
        git("commit", "-m", version)
        git("tag", version)
    (folder / "main.py").write_text("changed")
    return folder


def test_every_commit_is_tried_and_the_checkout_stays(comfyui, tmp_path, capfd):
    tests = tmp_path / "test_looks.py"
    tests.write_text(LOOKS)
    assert main([str(comfyui), "old", "new", "--tests", str(tests)]) == 1
    told = capfd.readouterr().out
    assert f"FAILED: {comfyui} old\npassed: {comfyui} new\n" in told
    assert (comfyui / "main.py").read_text() == "changed"
    assert main([str(comfyui), "--tests", str(tests)]) == 0
    assert f"passed: {comfyui} as it is" in capfd.readouterr().out


def test_a_commit_that_is_not_there_is_an_error(comfyui):
    with pytest.raises(subprocess.CalledProcessError):
        main([str(comfyui), "nowhere"])
