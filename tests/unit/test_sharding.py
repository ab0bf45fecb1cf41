"""Shares of folders and of numbered frames: together all, each once, the same bytes."""

import json
from pathlib import Path

import pytest
from samples import picture, save_small_base_and_style

from metastyle_core.cli import main
from metastyle_core.errors import SettingsError
from metastyle_core.images import save_image
from metastyle_core.sharding import FrameRange, Share

ARRAY = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "4"}


@pytest.fixture(scope="module")
def stylize(tmp_path_factory):
    """Run the command with a small base and a style of it."""
    folder = tmp_path_factory.mktemp("style")
    save_small_base_and_style(folder)

    def run(*arguments: object) -> int:
        named = ["--style", folder / "style.safetensors", "--base", folder / "base.safetensors"]
        return main(["stylize", *map(str, [*arguments, *named])])

    return run


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    for number in range(5):
        save_image(picture(32, 32 + 4 * (number % 2), seed=number)[0], folder / f"{number:04}.png")
    return folder


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_shares_are_all_items_each_once_and_equal_but_for_one(count):
    shares = [Share(index, count).of(range(7)) for index in range(1, count + 1)]
    assert sorted(item for share in shares for item in share) == list(range(7))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize(
    ("more", "index"),
    [
        ({"SLURM_ARRAY_TASK_MIN": "4"}, 4),
        ({"SLURM_ARRAY_TASK_MIN": "7"}, 1),
        ({"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_STEP": "2"}, 4),
        ({"SLURM_ARRAY_TASK_ID": "2"}, 2),
    ],
)
def test_tasks_of_a_slurm_array_have_their_places(more, index):
    assert Share.of_slurm_array(ARRAY | more) == Share(index, 4)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SLURM_ARRAY_TASK_ID": "1"},
        ARRAY,
        ARRAY | {"SLURM_ARRAY_TASK_MIN": "8"},
        ARRAY | {"SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_STEP": "2"},
        ARRAY | {"SLURM_ARRAY_TASK_COUNT": "four"},
    ],
)
def test_no_place_in_a_slurm_array_is_an_error(variables):
    with pytest.raises(SettingsError, match="--shard i/n"):
        Share.of_slurm_array(variables)


def test_frames_have_both_ends():
    chosen = FrameRange.parse("9-11")
    assert [n for n in range(20) if n in chosen] == [9, 10, 11]
    assert FrameRange.parse("7") == FrameRange(7, 7)


def test_shares_of_a_folder_write_the_bytes_of_one_run(stylize, photos, tmp_path, monkeypatch):
    assert stylize(photos, "-o", tmp_path / "whole") == 0
    for index in (1, 2, 3):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(index))
        monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "3")
        share = "slurm" if index == 3 else f"{index}/3"
        assert stylize(photos, "-o", tmp_path / "parts", "--shard", share) == 0
        assert len(bytes_below(tmp_path / "parts")) == (2, 4, 5)[index - 1]
    assert bytes_below(tmp_path / "parts") == bytes_below(tmp_path / "whole")


def test_an_image_as_style_is_the_same_style_in_every_share(
    photos, image_file, small_base_file, tmp_path
):
    """It is read at the size of the first picture of all, and adapts on crops of all."""
    (photos / "0000.png").write_text("no picture")
    command = ["stylize", str(photos), "--style", str(image_file), "--steps", "1"]
    command += ["--base", str(small_base_file), "-o"]
    assert main([*command, str(tmp_path / "whole")]) == 1
    for share, code in (("1/2", 1), ("2/2", 0)):
        assert main([*command, str(tmp_path / "parts"), "--shard", share]) == code
    assert bytes_below(tmp_path / "parts") == bytes_below(tmp_path / "whole")
    assert len(bytes_below(tmp_path / "parts")) == 4


def test_a_share_without_pictures_is_done_at_once(stylize, photos, tmp_path, capsys):
    assert stylize(photos, "-o", tmp_path / "out", "--shard", "6/6", "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] == 0


def test_a_share_goes_on_with_its_own(stylize, photos, tmp_path, capsys):
    output = tmp_path / "out"
    assert stylize(photos, "-o", output, "--shard", "1/2") == 0
    (output / "0002.png").unlink()
    capsys.readouterr()
    assert stylize(photos, "-o", output, "--shard", "1/2", "--skip-existing", "--json") == 0
    first, whole = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["output"] == str(output / "0002.png")
    assert (whole["images"], whole["skipped"]) == (1, 2)


def test_a_line_of_json_tells_what_failed(stylize, photos, tmp_path, capsys):
    (photos / "0001.png").write_text("no picture")
    assert stylize(photos, "-o", tmp_path / "out", "--json") == 1
    *lines, whole = map(json.loads, capsys.readouterr().out.splitlines())
    (failed,) = [line for line in lines if line["error"]]
    assert failed["input"] == str(photos / "0001.png")
    assert (failed["output"], failed["size"], len(lines)) == (None, None, 5)
    assert (whole["images"], whole["failed"]) == (4, 1)


def test_a_single_bad_picture_is_told_of_too(stylize, photos, tmp_path, capsys):
    (photos / "0001.png").write_text("no picture")
    assert stylize(photos / "0001.png", "-o", tmp_path / "out.png", "--json") == 2
    told = json.loads(capsys.readouterr().out)
    assert "0001.png is not an image" in told["error"]


def test_numbered_frames_are_shared_and_chosen_by_number(stylize, photos, tmp_path):
    frames, whole, parts = photos / "%04d.png", tmp_path / "whole", tmp_path / "parts"
    assert stylize(frames, "-o", whole / "%04d.png") == 0
    assert stylize(frames, "-o", parts / "%04d.png", "--frames", "0-1") == 0
    assert set(bytes_below(parts)) == {"0000.png", "0001.png"}
    for index in (1, 2):
        share = ["--frames", "2-9", "--shard", f"{index}/2"]
        assert stylize(frames, "-o", parts / "%04d.png", *share) == 0
    assert bytes_below(parts) == bytes_below(whole)
    assert len(bytes_below(parts)) == 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["PHOTOS", "--shard", "3/2"], "Shard 3/2 does not exist"),
        (["PHOTOS", "--shard", "0/4"], "Shard 0/4 does not exist"),
        (["PHOTOS", "--shard", "1/0"], "Shard 1/0 does not exist"),
        (["PHOTOS", "--shard", "half"], "write i/n"),
        (["PHOTOS", "--shard", "slurm"], "SLURM_ARRAY_TASK_ID is not set"),
        (["PHOTOS/0001.png", "--shard", "1/2"], "0001.png is one picture"),
        (["CLIP.gif", "--shard", "1/2"], "CLIP.gif is one film"),
        (["PHOTOS/%04d.png", "--shard", "1/2", "-o", "OUT.mp4"], "OUT.mp4 would be one film"),
        (["PHOTOS/%04d.png", "--shard", "1/2", "--lock", "first"], "whole shots"),
        (["PHOTOS/%04d.png", "--frames", "1-2", "--start", "1"], "--start"),
        (["PHOTOS/%04d.png", "--frames", "7-8"], "has frames 0 to 4"),
        (["PHOTOS/%04d.png", "--frames", "8-7"], "end before they begin"),
        (["PHOTOS", "--frames", "1-2"], "pattern"),
        (["PHOTOS", "--frames", "x"], "write A-B"),
        (["CLIP.gif", "--frames", "1-2"], "pattern"),
    ],
)
def test_what_cannot_be_shared_is_one_clear_line(
    stylize, photos, tmp_path, capsys, monkeypatch, options, words
):
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    from metastyle_core.images import to_pil

    still = [to_pil(picture(32, 32, seed=s)[0]) for s in range(2)]
    still[0].save(tmp_path / "CLIP.gif", save_all=True, append_images=still[1:])
    monkeypatch.chdir(tmp_path)
    named = [option.replace("PHOTOS", "photos") for option in options]
    assert stylize("-o", "out/", *named) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert words in lines[0]
    assert not (tmp_path / "out").exists()
