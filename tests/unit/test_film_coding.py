"""What a film is coded with: encoder, pixels, quality and colours."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV, which reads and writes films, is not installed")

from unit.films import gradient, make_film, pixels_of

from metastyle_core.errors import FilmError
from metastyle_core.film.coding import (
    CONTAINERS,
    choose_coding,
    container_of,
    conversion_matrix,
)
from metastyle_core.film.frames import HDTV, Colours, FilmFacts
from metastyle_core.film.reading import VideoFile
from metastyle_core.film.writing import film_file

FACTS = FilmFacts(64, 48, Fraction(10), Fraction(1, 10), None)


@pytest.mark.parametrize(
    ("name", "crf", "options"),
    [
        ("film.mp4", None, {"crf": "18"}),
        ("film.mkv", 0, {"crf": "0"}),
        ("film.webm", None, {"row-mt": "1", "cpu-used": "4", "crf": "24"}),
        ("film.webp", None, {"quality": "90", "loop": "0"}),
        ("film.gif", None, {}),
    ],
)
def test_encoders_get_their_options_and_a_good_quality_or_the_one_asked_for(name, crf, options):
    assert choose_coding(Path(name), FACTS, None, crf).options == options


def test_codecs_go_by_their_names_and_those_of_ffmpeg():
    for codec in ("h264", "libx264"):
        assert choose_coding(Path("film.mkv"), FACTS, codec, None).codec == "libx264"
    assert choose_coding(Path("film.mkv"), FACTS, "vp8", None).codec == "libvpx"


@pytest.mark.parametrize(
    ("codec", "deep", "layout"),
    [
        ("h264", False, "yuv420p"),
        ("h264", True, "yuv420p10le"),
        ("mpeg4", True, "yuv420p"),
        ("huffyuv", False, "bgra"),
        ("png", False, "rgba"),
        ("gif", False, "pal8"),
        ("libwebp_anim", False, "bgra"),
    ],
)
def test_pixels_suit_the_film_and_the_encoder(codec, deep, layout):
    coding = choose_coding(Path("film.mkv"), replace(FACTS, deep=deep), codec, None)
    assert coding.pixel_format == layout
    assert coding.transparent == (not layout.startswith("yuv"))
    assert coding.deep == (layout == "yuv420p10le")
    assert coding.even == layout.startswith("yuv")


def test_films_of_pictures_keep_every_colour(tmp_path):
    source = make_film(tmp_path / "clip.mov", codec="png", layout="rgb24", times=[0], audio=None)
    film = VideoFile(source)
    with film_file(tmp_path / "copy.mov", film.facts, codec="png") as writer:
        for frame in film.frames():
            writer.write(frame, frame.image())
    assert np.array_equal(pixels_of(tmp_path / "copy.mov")[0], gradient(0))


def test_units_of_time_are_the_films_where_the_container_takes_them():
    units = {name: choose_coding(Path(f"film{name}"), FACTS, None, None) for name in CONTAINERS}
    assert {name: coding.time_base for name, coding in units.items()} == dict.fromkeys(
        (".mp4", ".m4v", ".mov", ".mkv", ".webm"), Fraction(1, 10)
    ) | {".gif": Fraction(1, 100), ".webp": Fraction(1, 1000)}


def test_colours_are_kept_or_those_of_every_player():
    def colours(*said):
        return choose_coding(
            Path("film.mp4"), replace(FACTS, colours=Colours(*said)), None, None
        ).colours

    assert colours(2, 9, 16, 9) == Colours(2, 9, 16, 9)
    assert colours(0, 9, 16, 9) == Colours(1, 9, 16, 9)
    assert colours(2, 1, 13, 0) == HDTV
    assert choose_coding(Path("film.gif"), FACTS, None, None).colours is None
    assert conversion_matrix(Colours(matrix=2)) == 5
    assert conversion_matrix(Colours(matrix=9)) == 9


def test_what_is_not_known_is_refused_with_what_is():
    with pytest.raises(FilmError) as caught:
        container_of(Path("film.txt"))
    assert str(caught.value) == (
        "film.txt ends in '.txt'; name a film that ends in .mp4, .m4v, .mov, .mkv, .webm, .gif, "
        ".webp, or frames such as frames/%05d.png."
    )
    assert container_of(Path("FILM.MP4")) is CONTAINERS[".mp4"]
    with pytest.raises(FilmError) as caught:
        choose_coding(Path("film.mp4"), FACTS, "nonsense", None)
    assert str(caught.value) == (
        "The codec 'nonsense' is not known here; choose h264, hevc, vp9, av1 or ffv1, or leave "
        "it out."
    )
