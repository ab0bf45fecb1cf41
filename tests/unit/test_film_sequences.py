"""Films that are pictures: what animations and numbered frames say of themselves and give."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="PyAV, which tests of films need, is not installed")

from unit.films import gradient

from metastyle_core.errors import FilmError
from metastyle_core.film.frames import FilmFacts
from metastyle_core.film.reading import Cut
from metastyle_core.film.sequences import (
    AnimatedPicture,
    NumberedName,
    NumberedPictures,
    in_numeric_order,
    is_animation,
)
from metastyle_core.network import MIN_SIDE_PX

RATE = Fraction(8)
SMALL = (20, 16)  # width and height


def pictures(count: int, mode: str = "RGB") -> list[Image.Image]:
    return [Image.fromarray(gradient(2 * n, SMALL)).convert(mode) for n in range(count)]


def animate(path: Path, count: int, mode: str = "RGB", **options) -> Path:
    first, *others = pictures(count, mode)
    first.save(path, save_all=True, append_images=others, **options)
    return path


def still(path: Path) -> Path:
    """A JPEG file, of one picture and no duration, whatever it is called."""
    pictures(1)[0].save(path, format="jpeg")
    return path


def numbered(folder: Path, count: int) -> dict[int, Path]:
    files = {number: folder / f"{number}.png" for number in range(1, count + 1)}
    for picture, path in zip(pictures(count), files.values(), strict=True):
        picture.save(path)
    return files


def test_several_pictures_are_an_animation_and_one_is_none(tmp_path):
    assert is_animation(animate(tmp_path / "two.GIF", 2))
    assert not is_animation(animate(tmp_path / "one.gif", 1))
    assert not is_animation(animate(tmp_path / "two.png", 2))
    assert not is_animation(still(tmp_path / "still.gif"))
    assert not is_animation(tmp_path / "none.gif")
    (tmp_path / "text.webp").write_text("no picture")
    assert not is_animation(tmp_path / "text.webp")


def test_an_animation_says_what_it_is(tmp_path):
    path = animate(tmp_path / "loop.gif", 3, duration=40)
    facts = FilmFacts(*SMALL, Fraction(25), Fraction(1, 1000), count=3)
    assert AnimatedPicture(path).facts == facts
    assert AnimatedPicture(path, Cut(Fraction(1, 100))).facts.count is None


def test_frames_of_an_animation_are_numbered_and_last_as_long_as_it_says(tmp_path):
    path = animate(tmp_path / "loop.webp", 3, duration=[40, 120, 80], lossless=True)
    frames = list(AnimatedPicture(path).frames())
    unit_s = Fraction(1, 1000)
    assert [(f.number, f.time_s, f.duration_s) for f in frames] == [
        (1, 0, 40 * unit_s), (2, 40 * unit_s, 120 * unit_s), (3, 160 * unit_s, 80 * unit_s),
    ]  # fmt: skip
    for place, frame in enumerate(frames):
        assert np.array_equal(frame.pixels, gradient(2 * place, SMALL))
        assert frame.opacity is None
    part = AnimatedPicture(path, Cut(Fraction(40, 1000), Fraction(161, 1000)))
    assert [(f.number, f.time_s) for f in part.frames()] == [(2, 0), (3, 120 * unit_s)]


def test_gray_animations_are_films_of_colours(tmp_path):
    ramp = np.arange(512, dtype=np.uint16).reshape(16, 32) // 2
    grays = [Image.fromarray(level.astype(np.uint8)) for level in (ramp, 255 - ramp)]
    path = tmp_path / "gray.gif"
    grays[0].save(path, save_all=True, append_images=grays[1:])
    for frame, picture in zip(AnimatedPicture(path).frames(), grays, strict=True):
        assert np.array_equal(frame.pixels, np.array(picture.convert("RGB")))


def test_a_still_picture_is_an_animation_of_one_frame(tmp_path):
    film = AnimatedPicture(still(tmp_path / "still.gif"))
    assert (film.facts.count, film.facts.rate) == (1, 10)
    (frame,) = film.frames()
    assert (frame.number, frame.time_s, frame.duration_s) == (1, 0, Fraction(1, 10))
    assert film.problems == []


def test_a_pattern_that_fits_no_file_names_the_first_that_could_be(tmp_path):
    name = NumberedName.parse(tmp_path / "shot.%04d.png")
    with pytest.raises(FilmError) as caught:
        name.files()
    assert str(caught.value) == (
        f"No file is called like {tmp_path / 'shot.0001.png'}; check the folder and the pattern."
    )
    assert NumberedName.parse(Path("%d.png")).path(7) == Path("7.png")


def test_pictures_of_a_folder_are_counted_in_the_order_of_their_numbers():
    names = ["a10.png", "a2.png", "b1.png", "1.png", "a².png", "²1.png"]
    files = in_numeric_order([Path(name) for name in names])
    assert list(files) == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in files.values()] == [
        "1.png", "a2.png", "a10.png", "a².png", "b1.png", "²1.png",
    ]  # fmt: skip


def test_numbered_pictures_say_what_they_are(tmp_path):
    film = NumberedPictures(numbered(tmp_path, 3), RATE)
    assert film.name == "frames"
    assert film.facts == FilmFacts(*SMALL, RATE, 1 / RATE, count=3)
    assert NumberedPictures(numbered(tmp_path, 1), RATE, name="shot").name == "shot"
    frames = list(film.frames())
    assert [(f.number, f.time_s, f.duration_s) for f in frames] == [
        (1, 0, 1 / RATE), (2, 1 / RATE, 1 / RATE), (3, 2 / RATE, 1 / RATE),
    ]  # fmt: skip
    for place, frame in enumerate(frames):
        assert np.array_equal(frame.pixels, gradient(2 * place, SMALL).astype(np.uint16) * 257)
        assert frame.opacity is None


@pytest.mark.parametrize(
    ("start_s", "end_s", "numbers"),
    [(0, None, [1, 2, 3, 4, 5, 6]), (0.25, 0.5, [3, 4]), (0.3, 0.55, [4, 5]), (0, 0.1, [1])],
)
def test_parts_of_numbered_pictures_go_by_their_rate(tmp_path, start_s, end_s, numbers):
    cut = Cut(Fraction(start_s), None if end_s is None else Fraction(end_s))
    film = NumberedPictures(numbered(tmp_path, 6), RATE, cut)
    assert [frame.number for frame in film.frames()] == numbers
    assert film.facts.count == len(numbers)


def test_clear_pictures_lie_over_white_and_keep_their_alpha(tmp_path):
    rgba = np.zeros((16, 20, 4), np.uint8)
    rgba[:, 10:] = 255
    rgba[:, :2, 3] = 51
    Image.fromarray(rgba).save(tmp_path / "1.png")
    film = NumberedPictures({1: tmp_path / "1.png"}, RATE)
    assert film.facts.transparent
    (frame,) = film.frames()
    assert np.array_equal(frame.opacity, rgba[..., 3].astype(np.uint16) * 257)
    assert [int(v) for v in frame.pixels[0, [0, 5, 15], 0]] == [204 * 257, 65535, 65535]


def test_what_cannot_be_read_or_drawn_is_passed_over_and_told(tmp_path):
    files = numbered(tmp_path, 5)
    Image.new("RGB", (20, MIN_SIDE_PX - 1)).save(files[2])
    Image.new("RGB", (20, MIN_SIDE_PX)).save(files[3])
    files[4].write_text("no picture")
    film = NumberedPictures(files, RATE)
    assert [(f.number, f.time_s) for f in film.frames()] == [(1, 0), (3, 2 / RATE), (5, 4 / RATE)]
    small, broken = film.problems
    assert small == f"{files[2]} is 20x{MIN_SIDE_PX - 1} px, which is too small"
    assert str(files[4]) in broken


@pytest.mark.parametrize("readable", [1, 2, 3])
def test_the_size_is_that_of_the_first_picture_that_can_be_read(tmp_path, readable):
    files = numbered(tmp_path, 3)
    for number in files:
        if number != readable:
            files[number].write_text("no picture")
    facts = NumberedPictures(files, RATE).facts
    assert (facts.width, facts.height, facts.count) == (*SMALL, 3)
