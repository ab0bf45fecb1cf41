"""What a film says of itself, and what becomes of late, damaged, cut and unusual ones."""

import re
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV, which reads and writes films, is not installed")

from unit.films import av, gradient, make_film

from metastyle_core.errors import FilmError
from metastyle_core.film.frames import Colours, FilmFacts, FilmFrame
from metastyle_core.film.reading import Cut, VideoFile, full_range_or_none
from metastyle_core.film.writing import film_file

SMALL = (32, 16)  # width and height
TENTH_S = Fraction(1, 10)


def small_film(path, times=range(10), **options):
    pictures = [gradient(place, SMALL) for place in range(len(times))]
    return make_film(path, pictures=pictures, times=times, **{"audio": None, **options})


def png_film(path, times=range(10), **options):
    """A film whose frames are stored one by one and without loss."""
    return small_film(path, times, **{"codec": "png", "layout": "rgb24", **options})


def damage(path, *places):
    """Overwrite the beginnings of the packets of some frames, counted from 0."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        for place in places:
            data[packets[place].pos : packets[place].pos + 8] = bytes(8)
    path.write_bytes(data)
    return path


def part(start_s=0, end_s=None) -> Cut:
    return Cut(Fraction(str(start_s)), None if end_s is None else Fraction(str(end_s)))


def told(path, cut=None):
    """Frames as number and time, and what was told of the film."""
    film = VideoFile(path, cut)
    return [(f.number, f.time_s) for f in film.frames()], film.problems


class Container:
    """An open film of which some is otherwise than in its file."""

    def __init__(self, container, packets=None, streams=None):
        self._container, self._packets, self.seeks = container, packets, []
        self.streams = container.streams if streams is None else streams

    def __getattr__(self, name):
        return getattr(self._container, name)

    def demux(self, *streams):
        packets = self._container.demux(*streams) if self._container else ()
        return iter(packets if self._packets is None else self._packets(packets))

    def seek(self, offset):
        self.seeks.append(offset)


class Changed(VideoFile):
    """A film that is opened with other packets or streams than it has."""

    def __init__(self, *args, packets=None, streams=None):
        self._changes = packets, streams
        super().__init__(*args)

    @contextmanager
    def opened(self):
        with super().opened() as container:
            yield Container(container, *self._changes)


class Undecodable(SimpleNamespace):
    """A packet that the codec refuses."""

    time_base = TENTH_S

    def decode(self):
        raise av.InvalidDataError(1, "Invalid data")


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        ((2, 1), "from 2 s to 1 s"),
        ((1.5, 1.5), "from 1.5 s to 1.5 s"),
        ((-1, None), "from -1 s to the end"),
    ],
)
def test_parts_need_a_start_and_a_later_end(cut, words):
    with pytest.raises(FilmError) as caught:
        part(*cut)
    assert str(caught.value) == (
        f"The part to read goes {words}; a start from 0 up and a later end are needed."
    )


def test_films_go_by_their_path_or_a_name(tmp_path):
    path = png_film(tmp_path / "clip.mov", [0])
    assert VideoFile(path, None, "other").name == str(path)
    assert VideoFile(path.read_bytes()).name == "film"
    assert VideoFile(path.read_bytes(), None, "loop").name == "loop"


def test_a_film_says_what_it_is(tmp_path):
    facts = VideoFile(small_film(tmp_path / "clip.mp4", audio="aac")).facts
    assert replace(facts, metadata={}, sample_aspect=None) == FilmFacts(
        *SMALL, Fraction(10), Fraction(1, 10240), 10, colours=Colours(1, 1, 1, 1), audio=("aac",)
    )
    assert facts.metadata["major_brand"] == "isom"
    deep = VideoFile(small_film(tmp_path / "deep.mp4", layout="yuv420p10le")).facts
    assert deep.deep
    assert not deep.transparent
    nine = small_film(tmp_path / "nine.mkv", [0], codec="ffv1", layout="yuv420p9le")
    assert VideoFile(nine).facts.deep


def test_sound_in_a_codec_that_is_not_known_is_called_so(tmp_path):
    path = small_film(tmp_path / "clip.mov", audio="pcm_s16le")
    path.write_bytes(path.read_bytes().replace(b"sowt", b"zzzz"))
    assert VideoFile(path).facts.audio == ("unknown",)


def test_shape_of_pixels_and_each_number_of_the_colours_are_read(tmp_path):
    said = Colours(range=2, primaries=9, transfer=16, matrix=1)
    facts = FilmFacts(*SMALL, Fraction(10), TENTH_S, None, colours=said, sample_aspect=Fraction(2))
    frame = FilmFrame(1, Fraction(0), None, gradient(0, SMALL))
    with film_file(tmp_path / "clip.mp4", facts) as writer:
        writer.write(frame, frame.image())
    found = VideoFile(tmp_path / "clip.mp4").facts
    assert (found.colours, found.sample_aspect) == (said, 2)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turned_films_are_upright(tmp_path, rotation):
    film = VideoFile(png_film(tmp_path / "clip.mov", [0], rotation=rotation))
    assert film.facts.rotation == rotation
    assert (film.facts.width, film.facts.height) == (SMALL[::-1] if rotation % 180 else SMALL)
    (frame,) = film.frames()
    assert np.array_equal(frame.pixels, np.rot90(gradient(0, SMALL), rotation // 90))
    assert frame.pixels.flags.c_contiguous


@pytest.mark.parametrize(("layout", "deep"), [("rgba", False), ("rgba64be", True)])
def test_transparent_films_lie_over_white(tmp_path, layout, deep):
    rgba = np.concatenate([gradient(3, SMALL), np.full((16, 32, 1), 255, np.uint8)], -1)
    rgba[:, :8] = 0
    with av.open(str(tmp_path / "clip.mov"), "w") as container:
        stream = container.add_stream("png", rate=10)
        stream.width, stream.height, stream.pix_fmt = *SMALL, layout
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
        container.mux([*stream.encode(frame.reformat(format=layout)), *stream.encode(None)])
    film = VideoFile(tmp_path / "clip.mov")
    assert film.facts.transparent
    assert film.facts.deep == deep
    (frame,) = film.frames()
    assert np.abs(frame.opacity - rgba[..., 3] * 257.0).max() < (257 if deep else 1)
    rgba[:, :8] = 255
    assert np.abs(frame.pixels - rgba[..., :3] * 257.0).max() < 257


@pytest.mark.parametrize("suffix", [".mov", ".mkv", ".flv"])
def test_films_that_begin_late_are_whole(tmp_path, suffix):
    codec = {".mov": {"codec": "png", "layout": "rgb24"}, ".flv": {"codec": "flv"}}
    path = small_film(tmp_path / f"late{suffix}", range(5, 15), **codec.get(suffix, {}))
    film = VideoFile(path)
    assert [frame.time_s for frame in film.frames()] == [n * TENTH_S for n in range(5, 15)]
    assert film.problems == []
    assert (film.facts.count, film.offset_s) == (10, 0)
    frames, problems = told(path, part(0.3, 0.6))
    assert frames == [(1, 0), (2, TENTH_S), (3, 2 * TENTH_S)]
    assert problems == []


def test_frames_say_how_long_they_last_where_the_film_does(tmp_path):
    path = png_film(tmp_path / "clip.mov", [0, 1, 5])
    assert [frame.duration_s for frame in VideoFile(path).frames()] == [
        TENTH_S, 4 * TENTH_S, TENTH_S,
    ]  # fmt: skip
    path = small_film(tmp_path / "clip.flv", range(2), codec="flv")
    assert [frame.duration_s for frame in VideoFile(path).frames()] == [None, None]


def test_frames_without_times_follow_each_other_at_the_rate(tmp_path):
    film = VideoFile(small_film(tmp_path / "raw.h264"))
    assert film.facts.count is None
    rate = film.facts.rate
    assert [frame.time_s for frame in film.frames()] == [n / rate for n in range(10)]
    assert film.problems == []


@pytest.mark.parametrize(
    ("cut", "count"),
    [((), 10), ((0.25, 0.55), 3), ((0.5, 9), 5), ((0.6,), 4), ((0, 0.3), 3), ((7,), 1)],
)
def test_frames_to_come_are_estimated(tmp_path, cut, count):
    for path in (tmp_path / "clip.mov", tmp_path / "clip.flv"):
        codec = {"codec": "flv", "layout": "yuv420p"} if path.suffix == ".flv" else {}
        assert VideoFile(png_film(path, **codec), part(*cut)).facts.count == count


def test_films_of_hours_are_as_long_as_they_say(tmp_path):
    assert VideoFile(small_film(tmp_path / "hour.mkv", [*range(9), 37255])).facts.count == 37256
    day = small_film(tmp_path / "day.flv", [*range(9), 999_999], codec="flv")
    assert VideoFile(day).facts.count == 1_000_000
    film = VideoFile(small_film(tmp_path / "sound.flv", codec="flv", audio="aac"))
    assert film.facts.count == pytest.approx(10, abs=1)


def test_a_rate_may_have_to_be_guessed(tmp_path):
    path = small_film(tmp_path / "clip.ivf", codec="libvpx")
    with av.open(str(path)) as container:
        if container.streams.video[0].average_rate is not None:
            pytest.skip("this FFmpeg finds the rate of an IVF film")
    assert VideoFile(path).facts.rate == 10


@pytest.mark.parametrize("kept", [7, 8])
def test_an_end_that_is_missing_is_told_beyond_two_frames(tmp_path, kept):
    path = small_film(tmp_path / "clip.flv", codec="flv")
    with av.open(str(path)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.size]
    path.write_bytes(path.read_bytes()[: starts[kept]])
    frames, problems = told(path)
    assert len(frames) == kept
    line = f"{path} ends at 0.70 s of 1.00 s; the rest is missing"
    assert problems == ([line] if kept == 7 else [])


def test_what_cannot_be_decoded_is_told_with_its_time_and_only_if_it_is_read(tmp_path):
    path = damage(png_film(tmp_path / "clip.mov", range(5, 15)), 0, 2)
    film = VideoFile(path)
    frames = list(film.frames())
    assert [f.time_s for f in frames] == [n * TENTH_S for n in (6, 8, 9, 10, 11, 12, 13, 14)]
    told_of_one = re.escape(f"{path}: a frame") + r"( near \d\.\d0 s)? cannot be decoded \(Inv.*\)"
    assert all(re.fullmatch(told_of_one, line) for line in film.problems)
    assert len(film.problems) == 2
    assert len(list(film.frames())) == len(frames)
    assert len(film.problems) == 2
    _, problems = told(path, part(0.5))
    assert problems == []


def test_a_frame_that_is_decoded_in_part_is_told(tmp_path):
    path = small_film(tmp_path / "clip.mkv", codec="mpeg4")
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        fourth = [packet for packet in container.demux(video=0) if packet.size][3]
    middle = fourth.pos + fourth.size // 2
    data[middle : middle + 12] = b"\x55" * 12
    path.write_bytes(data)
    frames, problems = told(path)
    assert len(frames) == 10
    assert problems == [f"{path}: frame 4 at 0.30 s is damaged"]


def test_a_film_without_a_whole_frame_is_refused(tmp_path):
    path = damage(png_film(tmp_path / "clip.mov", [0]), 0)
    with pytest.raises(FilmError) as caught:
        VideoFile(path)
    assert str(caught.value) == f"{path} has no frame that can be read; export it again."


def test_a_start_beyond_the_end_is_refused(tmp_path):
    with pytest.raises(FilmError) as caught:
        told(path := png_film(tmp_path / "clip.mov"), part(2.5))
    assert str(caught.value) == f"{path} has no frame from 2.5 s on; choose an earlier start."


def test_packets_that_cannot_be_decoded_are_told_by_what_is_known_of_them(tmp_path):
    broken = [Undecodable(pts=pts, dts=dts) for pts, dts in ((6, 5), (None, 7), (None, None))]
    film = Changed(png_film(tmp_path / "clip.mov"), packets=lambda packets: [*broken, *packets])
    assert len(list(film.frames())) == 10
    assert film.problems == [
        f"{film.name}: a frame near 0.60 s cannot be decoded (Invalid data)",
        f"{film.name}: a frame near 0.70 s cannot be decoded (Invalid data)",
        f"{film.name}: a frame cannot be decoded (Invalid data)",
    ]


def test_a_film_that_breaks_off_is_told_and_read_until_there(tmp_path):
    def torn(packets):
        for place, packet in enumerate(packets):
            if place == 4:
                raise av.FFmpegError(5, "Input/output error")
            yield packet

    film = Changed(png_film(tmp_path / "clip.mov", range(5, 15)), packets=torn)
    assert len(list(film.frames())) == 4
    assert film.problems == [
        f"{film.name} breaks off (Input/output error)",
        f"{film.name} ends at 0.40 s of 1.00 s; the rest is missing",
    ]


@pytest.mark.parametrize("kept", [35, 36])
def test_an_end_may_be_missing_by_two_frames_and_a_twentieth_of_a_second(tmp_path, kept):
    facts = FilmFacts(*SMALL, Fraction(40), Fraction(1, 40), None)
    with film_file(tmp_path / "clip.mov", facts, codec="png") as writer:
        for place in range(40):
            frame = FilmFrame(place + 1, Fraction(place, 40), None, gradient(0, SMALL))
            writer.write(frame, frame.image())

    def torn(packets):
        return (p for place, p in enumerate(packets) if place < kept or not p.size)

    film = Changed(tmp_path / "clip.mov", packets=torn)
    assert len(list(film.frames())) == kept
    assert bool(film.problems) == (kept == 35)


class Streams(list):
    """All streams of a film, of which those with pictures are in `video`."""

    video = ()


def test_films_without_pictures_say_what_they_have(tmp_path):
    path, kinds = png_film(tmp_path / "clip.mov", [0]), ("subtitle", "audio", "audio")
    for streams, words in (
        ([SimpleNamespace(type=kind) for kind in kinds], "audio, subtitle"), ([], "nothing"),
    ):  # fmt: skip
        with pytest.raises(FilmError) as caught:
            Changed(path, streams=Streams(streams))
        assert str(caught.value) == f"{path} has no video stream, only {words}; name a film."


def test_pictures_in_a_codec_that_is_not_known_are_refused(tmp_path):
    path = png_film(tmp_path / "clip.mov", [0])
    path.write_bytes(path.read_bytes().replace(b"png ", b"zzzz"))
    with pytest.raises(FilmError) as caught:
        VideoFile(path)
    assert str(caught.value) == (
        f"{path} has a video stream in a codec that PyAV cannot decode; convert it to H.264 first."
    )


def test_each_track_of_sound_is_read_until_the_end_of_the_part_and_no_farther(tmp_path):
    def packet(track, pts, dts=0):
        return SimpleNamespace(stream_index=track, pts=pts, dts=dts, time_base=TENTH_S)

    def packets(_):
        yield from (packet(0, n) for n in (14, 15, 16, 17))
        yield from (packet(1, None), packet(1, 15, None))
        yield from (packet(1, n) for n in (14, 15, 16, 17))
        pytest.fail("what follows need not be read")

    film = VideoFile(png_film(tmp_path / "clip.mov"), part(1.5, 1.7))
    container = Container(None, packets, SimpleNamespace(audio=[0, 1]))
    found = [(each.stream_index, each.pts) for each in film.audio_packets(container)]
    assert found == [(0, 15), (0, 16), (1, 15), (1, 16)]
    assert container.seeks == [1_500_000]
    assert list(film.audio_packets(Container(None, None, SimpleNamespace(audio=[])))) == []


def test_the_pictures_are_found_behind_sound(tmp_path):
    clip = small_film(tmp_path / "clip.mp4", audio="aac")
    with av.open(str(clip)) as source, av.open(str(tmp_path / "turned.mp4"), "w") as target:
        kinds = {
            kind: target.add_stream_from_template(getattr(source.streams, kind)[0])
            for kind in ("audio", "video")
        }
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = kinds[packet.stream.type]
                target.mux(packet)
    film = VideoFile(tmp_path / "turned.mp4")
    assert (film.facts.width, film.facts.height) == SMALL
    assert len(list(film.frames())) == 10


def test_the_full_range_alone_has_a_number():
    assert [full_range_or_none(said) for said in (0, 1, 2)] == [None, None, 2]
