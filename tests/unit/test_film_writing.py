"""What is written of a film: turns, sizes, times, quality, transparency and sound."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="PyAV, which reads and writes films, is not installed")

from unit.films import av, gradient, look_of, make_film, pixels_of, times_of

from metastyle_core.errors import FilmError, ShapeError
from metastyle_core.film.frames import FilmFacts, FilmFrame
from metastyle_core.film.reading import Cut, VideoFile
from metastyle_core.film.sequences import AnimatedPicture, NumberedName
from metastyle_core.film.webp import set_length
from metastyle_core.film.writing import NumberedFiles, film_file
from metastyle_core.images import load_image

SMALL = (32, 16)  # width and height
FACTS = FilmFacts(*SMALL, Fraction(10), Fraction(1, 10), None)
TENTH_S = Fraction(1, 10)


def frame_of(place, time_s=0, duration_s=None, *, size=SMALL, opacity=None) -> FilmFrame:
    return FilmFrame(place + 1, Fraction(time_s), duration_s, gradient(place, size), opacity)


def write(path, frames, facts=FACTS, **options) -> list[str]:
    """Write frames as they are; what had to be given up."""
    with film_file(path, facts, **options) as writer:
        for frame in frames:
            writer.write(frame, frame.image())
    return writer.notes


def packets_of(path) -> list[tuple[Fraction, Fraction]]:
    """When each packet of pictures is shown and for how long, s."""
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, packet.duration * packet.time_base)
            for packet in container.demux(video=0)
            if packet.size
        ]


def stream_of(path, of=lambda stream: stream.average_rate):
    with av.open(str(path)) as container:
        return of(container.streams.video[0])


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_turned_films_are_stored_as_their_source_and_shown_upright(tmp_path, rotation):
    path = tmp_path / "film.mov"
    facts = replace(FACTS, rotation=rotation, sample_aspect=Fraction(2))
    assert write(path, [frame_of(1)], facts, codec="png") == []
    if look_of(path)["rotation"] == 0 != rotation:
        pytest.skip("this PyAV cannot write that a film is to be turned")
    assert look_of(path)["rotation"] % 360 == rotation
    assert look_of(path)["size"] == (SMALL[::-1] if rotation % 180 else SMALL)
    assert np.array_equal(np.rot90(pixels_of(path)[0], rotation // 90), gradient(1, SMALL))
    assert stream_of(path, lambda stream: stream.sample_aspect_ratio) == 2


@pytest.mark.parametrize(("rotation", "aspect"), [(0, 2), (90, Fraction(1, 2)), (180, 2)])
def test_animations_of_turned_films_are_upright(tmp_path, rotation, aspect):
    path = tmp_path / "film.gif"
    write(path, [frame_of(0)], replace(FACTS, rotation=rotation, sample_aspect=Fraction(2)))
    assert look_of(path)["size"] == SMALL
    assert stream_of(path, lambda stream: stream.sample_aspect_ratio) == aspect
    found = AnimatedPicture(path).frames()
    assert np.abs(next(found).pixels.astype(int) - gradient(0, SMALL)).mean() < 4


@pytest.mark.parametrize("size", [(33, 18), (34, 17), (35, 19)])
def test_odd_sides_are_padded_with_their_edge(tmp_path, size):
    width, height = size
    gray = np.random.default_rng(0).integers(40, 200, (height, width, 1), np.uint8).repeat(3, -1)
    frame = FilmFrame(1, Fraction(0), None, gray)
    (note,) = write(tmp_path / "odd.mp4", [frame], crf=0)
    even = (width + width % 2, height + height % 2)
    assert note == (
        f"odd.mp4 is {even[0]}x{even[1]} px in place of {width}x{height}, for libx264 takes even "
        "sizes only"
    )
    padded = np.pad(gray, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(int)
    assert np.abs(pixels_of(tmp_path / "odd.mp4")[0] - padded).max() < 6


def test_no_two_frames_are_shown_at_once_and_none_before_the_start(tmp_path):
    times = [-TENTH_S, 0, 0, Fraction(1, 3), Fraction(9, 10)]
    durations = [TENTH_S, None, TENTH_S, 6 * TENTH_S, Fraction(3, 10)]
    path = tmp_path / "film.mov"
    frames = [frame_of(n, *when) for n, when in enumerate(zip(times, durations, strict=True))]
    write(path, frames, codec="png")
    assert times_of(path) == pytest.approx([0, 0.1, 0.2, 0.3, 0.9])
    assert packets_of(path)[-1] == (Fraction(9, 10), Fraction(3, 10))


@pytest.mark.parametrize("name", ["film.gif", "film.webp"])
@pytest.mark.parametrize("times", [[0, 2, 3], [5, 6, 10]])
def test_the_last_frame_of_an_animation_lasts_as_long_as_in_the_source(tmp_path, name, times):
    ends = [*times[1:], times[-1] + 7]
    frames = [
        frame_of(place, begin * TENTH_S, (end - begin) * TENTH_S)
        for place, (begin, end) in enumerate(zip(times, ends, strict=True))
    ]
    write(tmp_path / name, frames)
    copied = list(AnimatedPicture(tmp_path / name).frames())
    assert [frame.duration_s for frame in copied] == [frame.duration_s for frame in frames]
    with Image.open(tmp_path / name) as picture:
        assert picture.n_frames == 3


def test_a_last_frame_of_no_known_duration_lasts_as_long_as_the_others(tmp_path):
    frames = [frame_of(place, 3 * place * TENTH_S) for place in range(3)]
    write(tmp_path / "film.webp", [replace(frames[0], duration_s=TENTH_S), *frames[1:]])
    copied = AnimatedPicture(tmp_path / "film.webp").frames()
    assert [frame.duration_s for frame in copied] == [3 * TENTH_S] * 3


def test_a_webp_file_of_frames_that_are_alike_lasts_as_long(tmp_path):
    frames = [frame_of(place, place * TENTH_S, TENTH_S) for place in (0, 1, 2)]
    alike = [replace(frames[1], time_s=frame.time_s) for frame in frames[1:]]
    write(tmp_path / "film.webp", [frames[0], *alike])
    copied = AnimatedPicture(tmp_path / "film.webp").frames()
    assert sum(frame.duration_s for frame in copied) == 3 * TENTH_S
    write(tmp_path / "still.webp", frames[:1])
    before = (tmp_path / "still.webp").read_bytes()
    set_length(tmp_path / "still.webp", 5)
    assert (tmp_path / "still.webp").read_bytes() == before


def test_chunks_of_odd_size_are_passed_over_with_their_padding(tmp_path):
    frames = [frame_of(place, place * TENTH_S, TENTH_S) for place in range(2)]
    plain, other = tmp_path / "plain.webp", tmp_path / "other.webp"
    write(plain, frames)
    header, chunks = plain.read_bytes()[:12], plain.read_bytes()[12:]
    before = header + b"EXIF\x05\0\0\0" + b"12345\0"
    other.write_bytes(before + chunks)
    for path in (plain, other):
        set_length(path, 900)
    assert [f.duration_s for f in AnimatedPicture(plain).frames()] == [TENTH_S, 8 * TENTH_S]
    assert other.read_bytes() == before + plain.read_bytes()[12:]


def test_no_frame_of_a_webp_file_lasts_longer_than_it_can_say(tmp_path):
    long_s = Fraction(20_000)
    write(tmp_path / "film.webp", [frame_of(0, 0, TENTH_S), frame_of(1, TENTH_S, long_s)])
    *_, last = AnimatedPicture(tmp_path / "film.webp").frames()
    assert last.duration_s == Fraction(2**24 - 1, 1000)


def test_the_rate_is_that_of_the_source(tmp_path):
    write(tmp_path / "film.mkv", [frame_of(0)], replace(FACTS, rate=Fraction(5)), codec="ffv1")
    assert stream_of(tmp_path / "film.mkv") == 5


def test_quality_reaches_the_encoder(tmp_path):
    frames = [frame_of(place, place * TENTH_S, size=(64, 48)) for place in range(3)]
    for crf in (0, 51):
        write(tmp_path / f"{crf}.mp4", frames, crf=crf)
    good, bad = ((tmp_path / f"{crf}.mp4").stat().st_size for crf in (0, 51))
    assert good > bad + 500


def test_films_can_be_played_before_they_are_there_whole_and_animations_go_on(tmp_path):
    write(tmp_path / "film.mp4", [frame_of(0)])
    data = (tmp_path / "film.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    write(tmp_path / "film.gif", [frame_of(0), frame_of(1, TENTH_S)])
    with Image.open(tmp_path / "film.gif") as picture:
        assert picture.info["loop"] == 0


def test_titles_are_kept_and_folders_made(tmp_path):
    path = tmp_path / "new" / "folder" / "film.mkv"
    write(path, [frame_of(0)], replace(FACTS, metadata={"title": "Waves"}))
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "Waves"


def test_what_is_given_up_is_said_in_a_line_each(tmp_path):
    all_of_it = replace(FACTS, audio=("aac",), deep=True, transparent=True)
    assert write(tmp_path / "film.gif", [frame_of(0)], all_of_it) == [
        "film.gif has no sound; only films have",
        "film.gif has 8 bits per colour, for gif has no more",
    ]
    assert write(tmp_path / "film.mkv", [frame_of(0)], all_of_it, codec="mpeg4") == [
        "film.mkv has 8 bits per colour, for mpeg4 has no more",
        "film.mkv has no transparency; it lies over white",
    ]


def test_a_film_writer_has_no_frame_yet_and_needs_one_and_one_size(tmp_path):
    with film_file(tmp_path / "film.mkv", FACTS) as writer:
        writer.write(frame_of(0), frame_of(0).image())
        assert not writer.has(frame_of(0))
        for size in ((64, 16), (32, 24)):
            with pytest.raises(ShapeError) as caught:
                writer.write(frame_of(1), frame_of(1, size=size).image())
            assert str(caught.value) == (
                f"frame 2 is {size[0]}x{size[1]} px, the film 32x16 px; frames of one film need "
                "one size"
            )
    with pytest.raises(FilmError) as caught:
        write(tmp_path / "none.mkv", [])
    assert str(caught.value) == "No frame could be drawn; none.mkv is not written."


def test_films_that_cannot_be_written_say_what_to_choose(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FilmError) as caught:
        write(tmp_path / "file" / "film.mkv", [frame_of(0)])
    assert str(caught.value) == (
        f"Cannot write {tmp_path / 'file' / 'film.mkv'} (File exists); choose another place, "
        "codec or kind of film."
    )
    with pytest.raises(FilmError) as caught:
        write(tmp_path / "film.webm", [frame_of(0)], codec="h264")
    assert str(caught.value) == (
        "film.webm cannot hold the codec libx264; choose another codec or another kind of film."
    )


@pytest.mark.parametrize("name", ["film.gif", "film.webp"])
def test_clear_parts_of_animations_are_those_of_the_frame(tmp_path, name):
    opacity = np.full((16, 32), 255, np.uint8)
    opacity[:, :8], opacity[:, 8:16], opacity[:, 16:24] = 0, 127, 128
    frame, facts = frame_of(0, opacity=opacity), replace(FACTS, transparent=True)
    write(tmp_path / name, [frame], facts)
    (found,) = AnimatedPicture(tmp_path / name).frames()
    wanted = opacity if name == "film.webp" else 255 * (opacity > 127)
    assert np.array_equal(found.opacity, wanted.astype(np.uint16) * 257)
    with film_file(tmp_path / f"small_{name}", facts) as writer:
        writer.write(frame, frame.image()[..., ::2, ::2])
    (found,) = AnimatedPicture(tmp_path / f"small_{name}").frames()
    assert found.opacity.shape == (8, 16)
    assert found.opacity[0, [0, 2, 13, 15]].tolist() == [0, 0, 65535, 65535]


def test_palettes_have_one_clear_colour_beside_those_of_the_picture(tmp_path):
    opacity = np.full((16, 32), 255, np.uint8)
    opacity[:4] = 0
    facts = replace(FACTS, transparent=True)
    write(tmp_path / "clear.gif", [frame_of(3, opacity=opacity)], facts)
    with Image.open(tmp_path / "clear.gif") as picture:
        rgba = np.array(picture.convert("RGBA")).astype(int)
    assert np.array_equal(rgba[..., 3], opacity)
    assert np.abs(rgba[4:, :, :3] - gradient(3, SMALL)[4:]).max() < 12


def test_colours_beyond_the_range_are_cut_off(tmp_path):
    drawn = frame_of(0).image() * 3 - 1
    with film_file(tmp_path / "film.mov", FACTS, codec="png") as writer:
        writer.write(frame_of(0), drawn)
    wanted = (drawn[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.array_equal(pixels_of(tmp_path / "film.mov")[0], wanted)


def test_numbered_files_are_of_kinds_that_can_be_written(tmp_path):
    path_of = NumberedName.parse(tmp_path / "%d.txt").path
    for first, name in (({}, "1.txt"), ({"first": 7}, "7.txt")):
        with pytest.raises(FilmError) as caught:
            NumberedFiles(path_of, FACTS, **first)
        assert str(caught.value) == (
            f"Frames would be called like {name}; a pattern that ends in .png, .jpg or .webp is "
            "needed."
        )


@pytest.mark.parametrize(
    ("suffix", "film_is_deep", "asked", "depth", "losses"),
    [
        (".png", True, None, 16, []),
        (".png", True, False, 8, []),
        (".png", False, True, 16, []),
        (".png", False, None, 8, []),
        (".webp", True, None, 8, ["frames in .webp have 8 bits, the film has more"]),
    ],
)
def test_depth_of_numbered_files(tmp_path, suffix, film_is_deep, asked, depth, losses):
    facts = replace(FACTS, deep=film_is_deep, audio=("aac",))
    path_of = NumberedName.parse(tmp_path / f"%d{suffix}").path
    writer = NumberedFiles(path_of, facts, deep=asked)
    assert writer.notes == ["numbered frames have no sound", *losses]
    writer.write(frame_of(0), frame_of(0).image())
    assert load_image(tmp_path / f"1{suffix}").depth == depth


def test_numbered_files_have_the_alpha_of_the_frame_in_the_size_of_the_drawing(tmp_path):
    opacity = np.repeat(np.array([[0] * 16 + [255] * 16], np.uint8), 16, 0)
    frame = frame_of(0, opacity=opacity)
    writer = NumberedFiles(NumberedName.parse(tmp_path / "%d.png").path, FACTS)
    writer.write(frame, frame.image()[..., ::2, ::2])
    saved = load_image(tmp_path / "1.png")
    assert saved.pixels.shape == (3, 8, 16)
    assert saved.alpha.shape == (1, 8, 16)
    assert saved.alpha[0, :, [0, 4, 11, 15]].tolist() == [[0, 0, 1, 1]] * 8


class Listened(VideoFile):
    """A film that notes how much of its sound was asked for."""

    heard_s = Fraction(0)

    def audio_packets(self, container):
        for packet in super().audio_packets(container):
            self.heard_s = packet.pts * packet.time_base
            yield packet


@pytest.mark.parametrize("start_s", [Fraction(0), Fraction(3, 10)])
def test_sound_is_read_no_farther_than_the_frames(tmp_path, start_s):
    film = Listened(make_film(tmp_path / "clip.mp4"), Cut(start_s))
    with film_file(tmp_path / "copy.mp4", film.facts, sound=film) as writer:
        for frame in film.frames():
            writer.write(frame, frame.image())
            assert 0 <= film.heard_s - start_s - frame.time_s < Fraction(1024, 48000)


def stamps_of(path) -> list[tuple[Fraction, Fraction]]:
    """When each packet of sound is heard and decoded, s."""
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, packet.dts * packet.time_base)
            for packet in container.demux(audio=0)
            if packet.size
        ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_keeps_its_times(tmp_path, suffix):
    clip, copied = make_film(tmp_path / f"clip{suffix}"), tmp_path / f"copy{suffix}"
    film = VideoFile(clip)
    write(copied, film.frames(), film.facts, sound=film)
    assert stamps_of(copied) == stamps_of(clip)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_of_a_part_begins_with_it(tmp_path, suffix):
    clip, start_s = make_film(tmp_path / "clip.mp4"), Fraction(3, 10)
    film, path = VideoFile(clip, Cut(start_s)), tmp_path / f"part{suffix}"
    write(path, film.frames(), film.facts, sound=film)
    wanted = [(float(t - start_s), float(d - start_s)) for t, d in stamps_of(clip) if t >= start_s]
    found = [(float(t), float(d)) for t, d in stamps_of(path)]
    assert np.array(found) == pytest.approx(np.array(wanted), abs=1.1e-3)


def with_two_tracks(clip, path):
    """A copy of a film whose sound is there twice, and before its pictures."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        sounds = [target.add_stream_from_template(source.streams.audio[0]) for _ in range(2)]
        pictures = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video":
                packet.stream = pictures
                target.mux(packet)
                continue
            when = packet.pts, packet.dts, packet.time_base
            for sound in sounds:
                again = av.Packet(bytes(packet))
                again.pts, again.dts, again.time_base = when
                again.stream = sound
                target.mux(again)
    return path


def test_sound_that_does_not_fit_is_refused_with_its_codecs(tmp_path):
    film = VideoFile(with_two_tracks(make_film(tmp_path / "clip.mp4"), tmp_path / "two.mp4"))
    with pytest.raises(FilmError) as caught:
        write(tmp_path / "film.webm", [frame_of(0)], sound=film)
    assert str(caught.value) == (
        f"film.webm cannot hold the sound of {film.name} (aac, aac) as it is; name an .mp4, .mov "
        "or .mkv file, or leave the sound out (--no-audio)."
    )
