"""Films in and out: what is kept of them, and what becomes of damaged ones."""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("av", reason="PyAV, which reads and writes films, is not installed")

from unit.films import (
    SIZE,
    gradient,
    look_of,
    make_film,
    pixels_of,
    sound_of,
    times_of,
)

from metastyle_core.errors import FilmError, ShapeError
from metastyle_core.film.frames import ahead
from metastyle_core.film.reading import Cut, VideoFile
from metastyle_core.film.sequences import (
    AnimatedPicture,
    NumberedName,
    NumberedPictures,
    in_numeric_order,
    is_animation,
)
from metastyle_core.film.writing import NumberedFiles, film_file
from metastyle_core.images import load_image

ROOT = Path(__file__).parents[2]
CLEAR_BOX = (16, 8, 48, 32)  # left, upper, right and lower edge of what is transparent


def copy(film, target: Path, **options) -> list[str]:
    """Write a film's frames as they are; what had to be given up."""
    sound = film if isinstance(film, VideoFile) else None
    with film_file(target, film.facts, sound=sound, **options) as writer:
        for frame in film.frames():
            writer.write(frame, frame.image())
    return writer.notes


def animation(path: Path, durations=(100, 200, 50), mode="RGB") -> Path:
    frames = [Image.fromarray(gradient(4 * place)).convert(mode) for place in range(3)]
    if mode == "RGBA":
        for frame in frames:
            frame.paste((0, 0, 0, 0), CLEAR_BOX)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations)
    return path


@pytest.fixture
def clip(tmp_path) -> Path:
    return make_film(tmp_path / "clip.mp4")


def test_a_copy_has_the_same_times_sound_and_pictures(clip, tmp_path):
    target = tmp_path / "copy.mp4"
    assert copy(VideoFile(clip), target) == []
    assert times_of(target) == times_of(clip) == [pytest.approx(i / 10) for i in range(10)]
    assert sound_of(target) == sound_of(clip)
    for before, after in zip(pixels_of(clip), pixels_of(target), strict=True):
        assert np.abs(before.astype(int) - after).mean() < 2


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_uneven_times_turn_and_colours_are_kept(tmp_path, suffix):
    source = make_film(
        tmp_path / "clip.mp4", times=[0, 3, 4, 10, 30], unit_s=Fraction(1, 30),
        rotation=90, colours=(2, 9), audio=None,
    )  # fmt: skip
    film = VideoFile(source)
    assert (film.facts.width, film.facts.height) == SIZE[::-1]
    target = tmp_path / f"copy{suffix}"
    assert copy(film, target) == []
    assert times_of(target) == pytest.approx([0, 0.1, 0.133, 0.333, 1], abs=0.001)
    found, wanted = look_of(target), look_of(source)
    assert found.pop("layout") in {"yuvj420p", "yuv420p"}
    wanted.pop("layout")
    assert found == wanted == {
        "size": SIZE, "rotation": 90, "range": 2, "standard": (9, 9, 9),
    }  # fmt: skip
    assert np.abs(pixels_of(source)[2].astype(int) - pixels_of(target)[2]).mean() < 2


def test_frames_are_read_upright(tmp_path):
    source = make_film(tmp_path / "clip.mp4", rotation=90, audio=None)
    frame = next(VideoFile(source).frames())
    turned = np.rot90(gradient(0), 1)
    assert frame.pixels.shape == turned.shape
    assert np.abs(frame.pixels.astype(int) - turned).mean() < 3


def test_a_part_is_cut_out_with_its_sound(clip, tmp_path):
    target = tmp_path / "part.mp4"
    copy(VideoFile(clip, Cut(Fraction(3, 10), Fraction(7, 10))), target)
    assert times_of(target) == pytest.approx([0, 0.1, 0.2, 0.3])
    wanted = [(time, data) for time, data in sound_of(clip) if 0.3 <= time < 0.7]
    found = sound_of(target)
    assert [data for _, data in found] == [data for _, data in wanted]
    shifted = [time - 0.3 for time, _ in wanted]
    assert [time for time, _ in found] == pytest.approx(shifted, abs=1e-4)
    for before, after in zip(pixels_of(clip)[3:7], pixels_of(target), strict=True):
        assert np.abs(before.astype(int) - after).mean() < 2


def test_ten_bits_stay_ten_bits_and_the_rest_is_said(tmp_path):
    source = make_film(tmp_path / "deep.mp4", layout="yuv420p10le", audio=None)
    film = VideoFile(source)
    assert next(film.frames()).pixels.dtype == np.uint16
    assert copy(film, tmp_path / "copy.mp4") == []
    assert look_of(tmp_path / "copy.mp4")["layout"] == "yuv420p10le"
    (note,) = copy(film, tmp_path / "copy.webm")
    assert "8 bits" in note


def test_odd_sizes_are_kept_or_padded_and_said(tmp_path):
    pictures = [gradient(place, (63, 47)) for place in range(3)]
    source = make_film(
        tmp_path / "odd.mkv", pictures=pictures, times=range(3), layout="yuv444p", audio=None
    )
    film = VideoFile(source)
    assert copy(film, tmp_path / "odd.webm") == []
    assert look_of(tmp_path / "odd.webm")["size"] == (63, 47)
    (note,) = copy(film, tmp_path / "odd.mp4")
    assert "64x48 px in place of 63x47" in note
    assert look_of(tmp_path / "odd.mp4")["size"] == (64, 48)
    padded = pixels_of(tmp_path / "odd.mp4")[0].astype(int)
    assert np.abs(padded[:, -1] - padded[:, -2]).mean() < 4


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animations_keep_times_and_transparency(tmp_path, suffix):
    source = animation(tmp_path / "clear.gif", mode="RGBA")
    assert is_animation(source)
    film, target = AnimatedPicture(source), tmp_path / f"copy{suffix}"
    assert copy(film, target) == []
    copied = AnimatedPicture(target)
    assert copied.facts.transparent
    for before, after in zip(film.frames(), copied.frames(), strict=True):
        assert after.time_s == before.time_s
        alpha = after.alpha()
        left, upper, right, lower = CLEAR_BOX
        assert float(alpha[..., upper:lower, left:right].max()) == 0
        assert float(alpha.mean()) == pytest.approx(1 - 24 * 32 / (64 * 48))
        difference = (before.image() - after.image()).abs().mean()
        assert float(difference) < 0.05


def test_a_film_becomes_an_animation_and_back(clip, tmp_path):
    (note,) = copy(VideoFile(clip), tmp_path / "loop.gif")
    assert "no sound" in note
    assert copy(AnimatedPicture(tmp_path / "loop.gif"), tmp_path / "back.mp4") == []
    assert times_of(tmp_path / "back.mp4") == pytest.approx(times_of(clip))
    source = animation(tmp_path / "clear.gif", mode="RGBA")
    (note,) = copy(AnimatedPicture(source), tmp_path / "white.mp4")
    assert "over white" in note
    assert pixels_of(tmp_path / "white.mp4")[0][12:28, 20:44].min() > 245


def test_animations_can_be_cut(tmp_path):
    source = animation(tmp_path / "loop.gif")
    part = AnimatedPicture(source, Cut(Fraction(1, 10), Fraction(3, 10)))
    assert [frame.time_s for frame in part.frames()] == [0]


def test_an_animation_that_breaks_off_is_told_and_its_beginning_read(tmp_path):
    path = tmp_path / "torn.webp"
    frames = [Image.fromarray(gradient(place)) for place in range(6)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, lossless=True)
    film = AnimatedPicture(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FilmError, match="no animation that can be read"):
        AnimatedPicture(path)
    (path := tmp_path / "torn.gif").write_bytes(b"")
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    film, whole = AnimatedPicture(path), path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    read = list(film.frames())
    assert 0 < len(read) < 6
    (problem,) = film.problems
    assert f"{path} cannot be read from frame {len(read) + 1} on" in problem


def test_frames_that_end_before_the_part_begins_are_refused(tmp_path):
    Image.fromarray(gradient(1)).save(tmp_path / "1.png")
    with pytest.raises(FilmError, match=r"frames ends before 2\.5 s; choose an earlier start"):
        NumberedPictures({1: tmp_path / "1.png"}, Fraction(10), Cut(Fraction(5, 2)))


def test_numbers_in_names_give_the_order(tmp_path):
    for number in (1, 2, 10, 11):
        Image.fromarray(gradient(number)).save(tmp_path / f"shot.{number}.png")
    name = NumberedName.parse(tmp_path / "shot.%04d.png")
    assert list(name.files()) == [1, 2, 10, 11]
    assert name.path(12).name == "shot.0012.png"
    assert [p.name for p in in_numeric_order(tmp_path.iterdir()).values()] == [
        f"shot.{number}.png" for number in (1, 2, 10, 11)
    ]
    assert NumberedName.parse(Path("100%.png")) is None
    film = NumberedPictures(name.files(), Fraction(8), Cut(Fraction(1, 8)))
    frames = list(film.frames())
    assert [(f.number, f.time_s) for f in frames] == [(2, 0), (10, Fraction(1, 8)), (11, 0.25)]
    assert torch.equal(frames[0].image()[0], load_image(tmp_path / "shot.2.png").pixels)


def test_broken_pictures_are_passed_over_and_told(tmp_path):
    files = {number: tmp_path / f"{number}.png" for number in range(1, 5)}
    for number, path in files.items():
        Image.fromarray(gradient(number)).save(path)
    files[1].write_bytes(files[1].read_bytes()[:100])
    files[3].write_text("no picture")
    film = NumberedPictures(files, Fraction(10))
    assert [frame.number for frame in film.frames()] == [2, 4]
    assert len(film.problems) == 2
    Image.fromarray(gradient(4)).resize((8, 48)).save(files[4])
    assert [frame.number for frame in film.frames()] == [2]
    assert f"{files[4]} is 8x48 px, which is too small" in film.problems
    Image.fromarray(gradient(4)).save(files[4])
    copy(film, tmp_path / "film.mkv")
    assert times_of(tmp_path / "film.mkv") == pytest.approx([0.1, 0.3])


def test_frames_are_kept_where_they_are(tmp_path, clip):
    film = VideoFile(clip)
    path_of = NumberedName.parse(tmp_path / "%03d.png").path
    writer = NumberedFiles(path_of, film.facts)
    again = NumberedFiles(path_of, film.facts, skip_existing=True)
    frame = next(film.frames())
    assert not again.has(frame)
    writer.write(frame, frame.image())
    assert again.has(frame)
    assert not writer.has(frame)
    assert torch.equal(load_image(tmp_path / "001.png").pixels, frame.image()[0])


def test_frames_of_ten_bits_become_pictures_of_sixteen(tmp_path):
    film = VideoFile(make_film(tmp_path / "deep.mp4", layout="yuv420p10le", audio=None))
    for suffix, depth in ((".png", 16), (".jpg", 8)):
        writer = NumberedFiles(NumberedName.parse(tmp_path / f"%d{suffix}").path, film.facts)
        frame = next(film.frames())
        writer.write(frame, frame.image())
        assert load_image(tmp_path / f"1{suffix}").depth == depth
        assert bool(writer.notes) == (depth == 8)


def test_a_damaged_frame_is_told_and_the_rest_is_read(tmp_path):
    source = make_film(tmp_path / "clip.mov", codec="png", layout="rgb24", audio=None)
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    source.write_bytes(data)
    film = VideoFile(source)
    assert len(list(film.frames())) == 9
    (problem,) = film.problems
    assert "cannot be decoded" in problem


def test_a_truncated_film_is_told(tmp_path):
    source = make_film(tmp_path / "clip.mkv", codec="ffv1", layout="bgr0", audio=None)
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    film = VideoFile(source)
    assert 0 < len(list(film.frames())) < 10
    assert any("the rest is missing" in problem for problem in film.problems)


def test_what_is_no_film_is_refused_in_one_line(tmp_path, clip):
    cut_short = tmp_path / "short.mp4"
    cut_short.write_bytes(clip.read_bytes()[:1000])
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    empty = tmp_path / "empty.mp4"
    empty.touch()
    cases = {
        tmp_path / "none.mp4": "does not exist",
        tmp_path: "folder",
        cut_short: "cut short",
        text: "no film that can be read",
        empty: "is empty",
    }
    for path, words in cases.items():
        with pytest.raises(FilmError, match=words) as caught:
            VideoFile(path)
        assert "\n" not in str(caught.value)


def test_sound_alone_is_no_film(tmp_path):
    import av

    path = tmp_path / "tone.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 2048), np.int16), format="s16", layout="stereo"
        )
        frame.sample_rate = 48000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with pytest.raises(FilmError, match="no video stream, only audio"):
        VideoFile(path)


def test_parts_beyond_the_film_are_refused(clip):
    with pytest.raises(FilmError, match="no frame from 5 s on"):
        list(VideoFile(clip, Cut(Fraction(5))).frames())
    with pytest.raises(FilmError, match="later end"):
        Cut(Fraction(2), Fraction(1))


def test_containers_and_codecs_that_do_not_fit_are_refused(clip, tmp_path):
    cases = [
        ("film.txt", {}, "ends in '.txt'"),
        ("film.mp4", {"codec": "nonsense"}, "'nonsense' is not known"),
        ("film.mp4", {"codec": "aac"}, "codes no film"),
        ("film.gif", {"crf": 20}, "has no crf"),
        ("film.webm", {}, r"cannot hold the sound of .* \(aac\)"),
        ("film.webm", {"codec": "h264"}, "cannot hold the codec libx264"),
    ]
    for name, options, words in cases:
        with pytest.raises(FilmError, match=words):
            copy(VideoFile(clip), tmp_path / name, **options)
        assert not (tmp_path / name).exists()


def test_a_film_has_one_size(clip, tmp_path):
    film = VideoFile(clip)
    first, second, *_ = film.frames()
    with film_file(tmp_path / "film.mkv", film.facts) as writer:
        writer.write(first, first.image())
        with pytest.raises(ShapeError, match="frame 2 is 32x24 px"):
            writer.write(second, second.image()[..., ::2, ::2])
    assert len(times_of(tmp_path / "film.mkv")) == 1


def test_nothing_is_left_of_a_film_that_fails(clip, tmp_path):
    film, target = VideoFile(clip), tmp_path / "out" / "film.mp4"

    def stop_in_the_middle():
        with film_file(target, film.facts, sound=film) as writer:
            for frame in film.frames():
                writer.write(frame, frame.image())
                if frame.number == 5:
                    raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_in_the_middle()
    assert list(target.parent.iterdir()) == []
    with pytest.raises(FilmError, match="No frame"), film_file(target, film.facts):
        pass
    assert list(target.parent.iterdir()) == []


def test_a_film_in_memory_is_a_film(clip):
    film = VideoFile(clip.read_bytes())
    assert len(list(film.frames())) == 10
    assert film.facts == VideoFile(clip).facts


def test_reading_ahead_keeps_order_and_errors_and_stops():
    def items():
        try:
            yield from range(5)
            raise ValueError("at the end")
        finally:
            closed.append(True)

    closed: list[bool] = []
    found = []
    with pytest.raises(ValueError, match="at the end"):
        found += [found.append(item) for item in ahead(items())]
    assert found == [0, 1, 2, 3, 4]
    reading = ahead(items())
    assert next(reading) == 0
    reading.close()
    assert closed


def test_without_pyav_films_say_what_to_install(clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FilmError, match="pip install av"):
        VideoFile(clip)


@pytest.mark.parametrize("limits", [1, 2])
@pytest.mark.parametrize("standard", [1, 5, 9, 2])
def test_colours_are_those_of_the_film_whatever_its_matrix_and_range(tmp_path, limits, standard):
    orange = np.full((48, 64, 3), (180, 60, 30), dtype=np.uint8)
    source = make_film(
        tmp_path / "clip.mkv", pictures=[orange], times=[0], colours=(limits, standard), audio=None
    )
    copy(VideoFile(source), tmp_path / "copy.mkv")
    for path in (source, tmp_path / "copy.mkv"):
        frame = next(VideoFile(path).frames())
        assert np.abs(frame.pixels.astype(int) - orange).max() <= 5
