"""Films on the command line: inputs, outputs, going on, and one clear line for bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("av", reason="PyAV, which reads and writes films, is not installed")

from samples import picture, save_small_base_and_style
from unit.films import gradient, look_of, make_film, sound_of, times_of

from metastyle_core.cli import main
from metastyle_core.cli.films import moment
from metastyle_core.film.reading import VideoFile
from metastyle_core.film.sequences import AnimatedPicture
from metastyle_core.images import load_image, save_image, to_pil

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stylize(tmp_path_factory):
    """Run the command with a small base and a style of it."""
    folder = tmp_path_factory.mktemp("style")
    save_small_base_and_style(folder)
    options = ["--base", str(folder / "base.safetensors"), "--precision", "fp32"]

    def run(*arguments: object) -> int:
        named = ["--style", str(folder / "style.safetensors"), *options]
        return main(["stylize", *map(str, arguments), *named])

    run.options = ["--style", str(folder / "style.safetensors"), *options]
    return run


@pytest.fixture
def clip(tmp_path) -> Path:
    return make_film(tmp_path / "clip.mp4")


def numbered(folder: Path, numbers) -> Path:
    folder.mkdir()
    for number in numbers:
        Image.fromarray(gradient(number)).save(folder / f"{number}.png")
    return folder


def test_a_film_becomes_a_film(stylize, clip, tmp_path, capsys):
    target = tmp_path / "out.mp4"
    assert stylize(clip, "-o", target, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["outputs"] == [str(target)]
    assert told["frames"] == 10
    assert told["frames_per_second"] > 0
    assert times_of(target) == times_of(clip)
    assert sound_of(target) == sound_of(clip)
    assert look_of(target) == look_of(clip)


def test_frames_are_drawn_as_pictures_are(stylize, clip, tmp_path):
    film, stills = tmp_path / "out" / "%02d.png", tmp_path / "in"
    stills.mkdir()
    frames = list(VideoFile(clip).frames())
    for frame in frames:
        save_image(frame.image(), stills / f"{frame.number:02d}.png")
    assert stylize(clip, "-o", film) == 0
    plain = ["--grain", "0", "--abstraction", "0", "--supersampling", "1"]
    assert stylize(stills, "-o", tmp_path / "drawn", *plain) == 0
    for frame in frames:
        name = f"{frame.number:02d}.png"
        drawn = load_image(film.parent / name).pixels
        assert np.array_equal(drawn, load_image(tmp_path / "drawn" / name).pixels), name


@pytest.mark.parametrize("option", ["--grain", "--abstraction"])
def test_films_have_strokes_only_where_they_are_asked_for(stylize, clip, tmp_path, option):
    drawn = {}
    for name, options in {"plain": [], "0": [option, "0"], "0.5": [option, "0.5"]}.items():
        frame = tmp_path / name / "%d.png"
        assert stylize(clip, "-o", frame, "--end", "0.1", *options) == 0
        drawn[name] = load_image(frame.parent / "1.png").pixels
    assert torch.equal(drawn["plain"], drawn["0"])
    assert (drawn["plain"] - drawn["0.5"]).abs().max() > 1e-2


@pytest.mark.parametrize("name", ["out.webm", "out.gif", "out.webp", "out.mkv"])
def test_every_kind_of_film_is_written(stylize, clip, tmp_path, name):
    target = tmp_path / name
    assert stylize(clip, "-o", target, "--no-audio", "--max-size", "32") == 0
    animated = target.suffix in {".gif", ".webp"}
    film = AnimatedPicture(target) if animated else VideoFile(target)
    *_, last = film.frames()
    # What follows an equal frame is told by how long that one stays.
    assert float(last.time_s + last.duration_s) == pytest.approx(1, abs=0.01)
    assert (film.facts.width, film.facts.height) == (32, 24)
    assert film.facts.audio == ()


def test_a_part_of_a_film(stylize, clip, tmp_path):
    target = tmp_path / "part.mp4"
    assert stylize(clip, "-o", target, "--start", "0.3", "--end", "0:00.7") == 0
    assert times_of(target) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert moment("1:02:03.5") == 3723 + Fraction(1, 2)


@pytest.mark.parametrize("form", ["%d.png", "", "glob"])
def test_numbered_frames_become_a_film_in_numeric_order(stylize, tmp_path, form):
    folder = numbered(tmp_path / "frames", [1, 2, 9, 10, 11])
    given = sorted(folder.iterdir()) if form == "glob" else [folder / form]
    target = tmp_path / "film.mkv"
    options = ["--fps", "5", "--codec", "ffv1", "--strength", "0"]
    assert stylize(*given, "-o", target, *options) == 0
    assert times_of(target) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    reds = [float(frame.image()[:, 0].mean()) for frame in VideoFile(target).frames()]
    assert reds == pytest.approx([20 * n / 255 for n in (1, 2, 9, 10, 11)], abs=0.02)


def test_frames_keep_their_names_in_a_folder(stylize, tmp_path):
    folder = numbered(tmp_path / "frames", [8, 9, 10])
    for given, output in ((folder / "%d.png", "a"), (folder, "b")):
        assert stylize(given, "-o", tmp_path / output, "--lock", "first", "--depth", "16") == 0
        names = sorted(path.name for path in (tmp_path / output).iterdir())
        assert names == ["10.png", "8.png", "9.png"]
        assert load_image(tmp_path / output / "8.png").depth == 16


def test_several_films_go_into_a_folder(stylize, clip, tmp_path, capsys):
    other = make_film(tmp_path / "other.mkv", audio=None)
    (tmp_path / "broken.mp4").write_text("no film")
    given = [clip, tmp_path / "broken.mp4", other]
    assert stylize(*given, "-o", tmp_path / "out") == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["clip.mp4", "other.mkv"]
    assert "broken.mp4 is no film" in capsys.readouterr().err


def test_numbered_frames_go_on_after_a_break(stylize, clip, tmp_path, capsys):
    target = tmp_path / "out" / "%03d.png"
    assert stylize(clip, "-o", target, "--lock", "first") == 0
    wanted = {path: path.read_bytes() for path in target.parent.iterdir()}
    assert len(wanted) == 10
    for number in (2, 7, 8):
        (target.parent / f"{number:03d}.png").unlink()
    assert stylize(clip, "-o", target) == 2
    assert "exists already" in capsys.readouterr().err
    assert stylize(clip, "-o", target, "--lock", "first", "--skip-existing", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["frames"], told["skipped_frames"]) == (3, 7)
    assert {path: path.read_bytes() for path in target.parent.iterdir()} == wanted


def test_a_broken_frame_is_told_at_the_end(stylize, tmp_path, capsys):
    folder = numbered(tmp_path / "frames", range(1, 6))
    (folder / "3.png").write_text("no picture")
    save_image(picture(20, 30), folder / "4.png")
    assert stylize(folder / "%d.png", "-o", tmp_path / "film.mkv") == 1
    told = capsys.readouterr()
    assert "3 frames" in told.out
    assert "3.png is not an image" in told.err
    assert "frame 4 is 30x20 px, the film 64x48 px" in told.err
    assert times_of(tmp_path / "film.mkv") == pytest.approx([0, 1 / 24, 4 / 24], abs=1e-3)


def test_a_lock_holds_colours(stylize, tmp_path):
    still = np.asarray(to_pil(picture(48, 64, seed=2)))
    entered = still.copy()
    entered[:24, :20] = 255
    source = make_film(
        tmp_path / "clip.mkv", pictures=[still] * 4 + [entered] * 4, times=range(8),
        codec="ffv1", layout="bgr0", audio=None,
    )  # fmt: skip
    change = {}
    for name, options in {"free": [], "locked": ["--lock", "first"]}.items():
        assert stylize(source, "-o", tmp_path / name / "%d.png", *options) == 0
        first, last = (load_image(tmp_path / name / f"{n}.png").pixels for n in (1, 8))
        change[name] = 255 * float((first - last).abs()[..., -8:].max())
    assert change["free"] > 3
    assert change["locked"] <= 1.01


def test_controls_of_stills_work_on_frames(stylize, clip, tmp_path):
    mask, palette, stills = (tmp_path / name for name in ("mask.png", "palette.png", "in"))
    halves = torch.zeros(3, 24, 32)
    halves[..., :16] = 1
    save_image(halves, mask)
    save_image(picture(16, 16, seed=3), palette)
    stills.mkdir()
    frames = list(VideoFile(clip).frames())[:3]
    for frame in frames:
        save_image(frame.image(), stills / f"{frame.number}.png")
    options = ["--colour", "match", "--palette", palette, "--mask", mask, "--seamless", "x"]
    options += ["--grain", "0", "--abstraction", "0.5"]
    assert stylize(clip, "-o", tmp_path / "film" / "%d.png", "--end", "0.3", *options) == 0
    stills_alone = ["--supersampling", "1"]
    assert stylize(stills, "-o", tmp_path / "drawn", *options, *stills_alone) == 0
    for frame in frames:
        found, wanted = (
            load_image(tmp_path / folder / f"{frame.number}.png").pixels
            for folder in ("film", "drawn")
        )
        torch.testing.assert_close(found, wanted, rtol=0, atol=1.01 / 255)
        assert torch.equal(found[..., 33:], frame.image()[0, ..., 33:])


def test_an_image_as_style_adapts_on_the_frames(clip, tmp_path, small_base_file):
    painting, drawn = tmp_path / "painting.png", {}
    save_image(picture(72, 80)[0], painting)
    for steps in ("0", "2"):
        target = tmp_path / steps / "%d.png"
        command = ["stylize", str(clip), "--style", str(painting), "-o", str(target)]
        command += ["--base", str(small_base_file), "--precision", "fp32"]
        assert main([*command, "--steps", steps, "--end", "0.1"]) == 0
        drawn[steps] = load_image(target.parent / "1.png").pixels
    assert (drawn["0"] - drawn["2"]).abs().mean() > 1e-3


def test_a_style_from_an_image_learns_on_frames_as_they_will_be_drawn(
    clip, tmp_path, small_base_file, learned_from_images
):
    painting = tmp_path / "painting.png"
    save_image(picture(72, 80)[0], painting)
    command = ["stylize", str(clip), "--style", str(painting), "--base", str(small_base_file)]
    for name, options in {"usual": [], "more": ["--abstraction", "0.5"]}.items():
        target = ["-o", str(tmp_path / name / "%d.png"), "--end", "0.1", "--steps", "1"]
        assert main([*command, *target, *options]) == 0
    assert [style.settings["abstraction"] for style in learned_from_images] == [0.0, 0.5]


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("%d.png", ["--crf", "20"], "--codec and --crf are for films"),
        ("%d.jpg", ["--depth", "16"], "16"),
        ("out.mp4", ["--codec", "vp10"], "'vp10' is not known"),
        ("out.mp4", ["--codec", "mjpeg", "--crf", "20"], "has no crf"),
        ("out.mp4", ["--supersampling", "2"], "films are drawn at their own size"),
    ],
)
def test_what_cannot_be_written_is_refused_before_a_style_is_learned(
    clip, tmp_path, small_base_file, learned_from_images, capsys, target, options, words
):
    painting = tmp_path / "painting.png"
    save_image(picture(72, 80)[0], painting)
    command = ["stylize", str(clip), "--style", str(painting), "--base", str(small_base_file)]
    assert main([*command, "--steps", "1", "-o", str(tmp_path / target), *options]) == 2
    assert words in capsys.readouterr().err
    assert learned_from_images == []


def test_steady_frames_are_softer(stylize, clip, tmp_path):
    def detail(*options):
        assert (
            stylize(clip, "-o", tmp_path / "%d.png", "--end", "0.1", "--overwrite", *options) == 0
        )
        drawn = load_image(tmp_path / "1.png").pixels
        return float((drawn[..., 1:] - drawn[..., :-1]).abs().mean())

    once, twice, four = detail(), detail("--steady", "2"), detail("--steady", "4")
    assert once > twice > four


def test_a_mask_of_another_ratio_names_the_film(stylize, clip, tmp_path, capsys):
    mask = tmp_path / "mask.png"
    save_image(torch.ones(3, 32, 32), mask)
    assert stylize(clip, "-o", tmp_path / "out.mp4", "--mask", mask) == 2
    told = capsys.readouterr().err
    assert f"{clip}: The mask is 32x32 px and the picture 64x48 px" in told
    assert told.count("\n") == 1
    assert stylize(clip, "-o", mask.with_suffix(".mkv"), "--palette", mask) == 2
    assert "--palette" in capsys.readouterr().err


def test_notes_say_what_is_given_up(stylize, tmp_path, capsys):
    pictures = [gradient(place, (63, 47)) for place in range(2)]
    source = make_film(
        tmp_path / "odd.mkv", pictures=pictures, times=range(2), layout="yuv444p", audio=None
    )
    assert stylize(source, "-o", tmp_path / "out.mp4") == 0
    assert "64x48 px in place of 63x47" in capsys.readouterr().err


def test_what_does_not_fit_is_one_line(stylize, clip, tmp_path, capsys):
    other = make_film(tmp_path / "other.mp4", audio=None)
    (tmp_path / "text.mp4").write_text("no film")
    save_image(picture(48, 64), tmp_path / "still.png")
    (tmp_path / "empty").mkdir()
    before = clip.read_bytes()
    cases = [
        ([clip, "-o", clip, "--overwrite"], "is also an input"),
        ([clip, "-o", tmp_path], "is also an input"),
        ([clip, other, "-o", tmp_path / "one.mp4"], "for 2 films; name a folder"),
        ([clip, tmp_path / "still.png", "-o", tmp_path / "out"], "still picture among films"),
        ([clip, "-o", tmp_path / "out.avi"], "ends in '.avi'"),
        ([clip, "-o", tmp_path / "%d.bmp"], "a pattern that ends in .png"),
        ([clip, "-o", tmp_path / "out.mp4", "--refine", "2"], "--refine is for stills"),
        ([clip, "-o", tmp_path / "%d.png", "--crf", "20"], "--codec and --crf are for films"),
        ([clip, "-o", tmp_path / "out.mp4", "--fps", "5"], "--fps is the rate of numbered frames"),
        ([clip, "-o", tmp_path / "out.mp4", "--codec", "vp10"], "'vp10' is not known"),
        ([clip, "-o", tmp_path / "out.mp4", "--lock", "11"], "the film has 10"),
        ([clip, "-o", tmp_path / "out.mp4", "--start", "7"], "no frame from 7 s on"),
        ([clip, "-o", tmp_path / "out.mp4", "--start", "1", "--end", "0.5"], "a later end"),
        ([tmp_path / "text.mp4", "-o", tmp_path / "out.mp4"], "no film that can be read"),
        ([tmp_path / "none.mp4", "-o", tmp_path / "out.mp4"], "does not exist"),
        ([tmp_path / "empty", "-o", tmp_path / "out.mp4"], "holds no image"),
        ([tmp_path / "empty" / "%d.png", "-o", tmp_path / "out.mp4"], "No file is called like"),
    ]
    there = set(tmp_path.rglob("*"))
    for arguments, words in cases:
        assert stylize(*arguments) == 2, words
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    assert set(tmp_path.rglob("*")) == there
    assert clip.read_bytes() == before


def test_words_that_are_no_times_or_locks_are_refused(stylize, clip, tmp_path, capsys):
    for option, value in (
        ("--start", "soon"),
        ("--fps", "0"),
        ("--lock", "last"),
        ("--crf", "a"),
        ("--steady", "3"),
    ):
        with pytest.raises(SystemExit):
            stylize(clip, "-o", tmp_path / "out.mp4", option, value)
        assert option in capsys.readouterr().err


@pytest.fixture(scope="module")
def long_film(tmp_path_factory) -> Path:
    pictures = [gradient(place % 12, (160, 120)) for place in range(400)]
    path = tmp_path_factory.mktemp("long") / "long.mkv"
    return make_film(path, pictures=pictures, times=range(400), audio=None)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_film_under_the_name(stylize, long_film, tmp_path, how):
    target = tmp_path / "out" / "film.mkv"
    command = [sys.executable, "-m", "metastyle_core", "stylize", str(long_film), "-o", str(target)]
    process = subprocess.Popen(
        [*command, *stylize.options], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    deadline_s = time.monotonic() + 60
    while not any(part.stat().st_size for part in target.parent.glob(".*")):
        assert time.monotonic() < deadline_s, "the film is never begun"
        assert process.poll() is None, "the film is done too soon"
        time.sleep(0.02)
    process.send_signal(how)
    code = process.wait(timeout=60)
    assert not target.exists()
    if how == signal.SIGTERM:
        assert code == 130
        assert list(target.parent.iterdir()) == []


def test_film_options_are_in_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["stylize", "--help"])
    text = capsys.readouterr().out
    options = ("--lock", "--steady", "--start", "--end", "--fps", "--codec", "--crf", "--no-audio")
    for option in options:
        assert option in text
