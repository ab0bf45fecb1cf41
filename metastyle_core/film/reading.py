"""Films from files, by PyAV: frames as they are decoded, sound as it is stored."""

import io
import math
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..errors import FilmError
from .frames import Colours, FilmFacts, FilmFrame, Pixels, over_white, pyav, require_file

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

_MATROSKA_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d\.\d+)")
# What frames are converted to, by whether they have alpha and more than 8 bits.
_LAYOUTS = {
    (False, False): "rgb24",
    (False, True): "rgb48le",
    (True, False): "rgba",
    (True, True): "rgba64le",
}
_FULL_RANGE = 2
_FALLBACK_RATE = Fraction(25)
UNSAID = 2
# What films of unsaid matrix are decoded by, and so have to be coded by again.
ASSUMED_MATRIX = 5


@dataclass(frozen=True)
class Cut:
    """The part of a film to read.

    Attributes:
        start_s: seconds from its first frame.
        end_s: where the part ends; None is the end of the film.
    """

    start_s: Fraction = Fraction(0)
    end_s: Fraction | None = None

    def __post_init__(self) -> None:
        if self.start_s < 0 or (self.end_s is not None and self.end_s <= self.start_s):
            end = "the end" if self.end_s is None else f"{float(self.end_s):g} s"
            raise FilmError(
                f"The part to read goes from {float(self.start_s):g} s to {end}; a start from 0 "
                "up and a later end are needed."
            )


class VideoFile:
    """A film in a file or in memory; see `Film`.

    Times count from the start of the part that is read, or are the film's own where all of
    it is.
    """

    def __init__(self, source: Path | bytes, cut: Cut | None = None, name: str = "film") -> None:
        """Read what the film says of itself, and its first frame.

        Args:
            source: the file, or what is in it.
            cut: the part to read; None is all of it.
            name: for messages, where the source has none.

        Raises:
            FilmError: PyAV or the file is missing, it is no film, it has no video stream or
                no frame there, or its codec is unknown.
        """
        self.name = str(source) if isinstance(source, Path) else name
        self.problems: list[str] = []
        self._source, self._cut = source, cut or Cut()
        if isinstance(source, Path):
            require_file(source)
        with self.opened() as container:
            stream = self._video_of(container)
            self._zero = _start_s(stream)
            first = next(_decoded(container, stream, self.name, []), None)
            if first is None:
                raise FilmError(f"{self.name} has no frame that can be read; export it again.")
            self.facts = _facts(container, stream, first, self._cut)
            self._expected_end_s = _said_duration_s(container, stream)

    @property
    def offset_s(self) -> Fraction:
        """What is taken from the film's own timestamps."""
        return self._zero + self._cut.start_s if self._cut.start_s else Fraction(0)

    @contextmanager
    def opened(self) -> "Generator[InputContainer]":
        """The open file.

        Raises:
            FilmError: it cannot be read, also where that shows inside the block.
        """
        av = pyav()
        source = str(self._source) if isinstance(self._source, Path) else io.BytesIO(self._source)
        try:
            with av.open(source) as container:
                yield container
        except av.FFmpegError as error:
            raise FilmError(
                f"{self.name} is no film that can be read, is damaged or cut short "
                f"({error.strerror}); export or download it again."
            ) from error

    def frames(self) -> Iterator[FilmFrame]:
        """The frames of the part; what cannot be decoded is left out and noted in `problems`."""
        av = pyav()
        self.problems.clear()
        reformatter = av.video.reformatter.VideoReformatter()
        with self.opened() as container:
            stream = self._video_of(container)
            stream.thread_type = "AUTO"
            if self._cut.start_s:
                start = math.floor((self._zero + self._cut.start_s) / _time_base(stream))
                container.seek(start, stream=stream)
            number = 0
            end_s = time_s = self._zero - 1 / self.facts.rate
            for decoded in _decoded(container, stream, self.name, self.problems):
                time_s = _time_of(decoded, time_s + 1 / self.facts.rate)
                place_s = time_s - self._zero
                if self._cut.end_s is not None and place_s >= self._cut.end_s:
                    return
                duration_s = _duration_of(decoded)
                end_s = max(end_s, time_s + (duration_s or 1 / self.facts.rate))
                if place_s < self._cut.start_s:
                    continue
                number += 1
                if decoded.is_corrupt:
                    self.problems.append(
                        f"{self.name}: frame {number} at {float(place_s):.2f} s is damaged"
                    )
                pixels = _pixels(decoded, self.facts, reformatter)
                yield FilmFrame(number, time_s - self.offset_s, duration_s, *pixels)
        self._note_a_missing_end(number, end_s - self._zero)

    def audio_packets(self, container: "InputContainer") -> "Iterator[Packet[Any]]":
        """The packets of all tracks of sound in the part, with their own timestamps."""
        streams = container.streams.audio
        if not streams:
            return
        start_s = self._zero + self._cut.start_s
        if self._cut.start_s:
            container.seek(math.floor(start_s * 1_000_000))
        ended: set[int] = set()
        for packet in container.demux(streams):
            if packet.dts is None or packet.pts is None:
                continue
            time_s = packet.pts * packet.time_base
            if self._cut.end_s is not None and time_s >= self._zero + self._cut.end_s:
                ended.add(packet.stream_index)
                if len(ended) == len(streams):
                    return
            elif not self._cut.start_s or time_s >= start_s:
                yield packet

    def _video_of(self, container: "InputContainer") -> "VideoStream":
        stream = next(iter(container.streams.video), None)
        if stream is None:
            kinds = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise FilmError(f"{self.name} has no video stream, only {kinds}; name a film.")
        if getattr(stream, "codec_context", None) is None:
            raise FilmError(
                f"{self.name} has a video stream in a codec that PyAV cannot decode; convert "
                "it to H.264 first."
            )
        return stream

    def _note_a_missing_end(self, count: int, end_s: Fraction) -> None:
        expected_s = self._expected_end_s
        if not count:
            raise FilmError(
                f"{self.name} has no frame from {float(self._cut.start_s):g} s on; choose an "
                "earlier start."
            )
        slack_s = 2 / self.facts.rate + Fraction(1, 20)
        if expected_s is not None and end_s < expected_s - slack_s:
            self.problems.append(
                f"{self.name} ends at {float(end_s):.2f} s of {float(expected_s):.2f} s; the rest "
                "is missing"
            )


def _decoded(
    container: "InputContainer", stream: "VideoStream", name: str, problems: list[str]
) -> "Iterator[VideoFrame]":
    """All frames that can be decoded; the rest is noted."""
    av = pyav()
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            problems.append(f"{name} breaks off ({error.strerror})")
            # An empty packet has the decoder give the frames that it still holds.
            packets, packet = iter(()), av.Packet()
            packet.stream = stream
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            problems.append(f"{name}: {_place_of(packet)} cannot be decoded ({error.strerror})")
            continue
        yield from frames


def _place_of(packet: "Packet[Any]") -> str:
    # Near: decoders of several threads tell of a packet when they get a later one.
    time = packet.pts if packet.pts is not None else packet.dts
    return "a frame" if time is None else f"a frame near {float(time * packet.time_base):.2f} s"


def _time_base(stream: "VideoStream") -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def _start_s(stream: "VideoStream") -> Fraction:
    return Fraction(stream.start_time or 0) * _time_base(stream)


def _time_of(frame: "VideoFrame", otherwise_s: Fraction) -> Fraction:
    if frame.pts is None or frame.time_base is None:
        return otherwise_s
    return frame.pts * frame.time_base


def _duration_of(frame: "VideoFrame") -> Fraction | None:
    duration = getattr(frame, "duration", None)  # not in older PyAV
    if not duration or frame.time_base is None:
        return None
    return duration * frame.time_base


def _said_duration_s(container: "InputContainer", stream: "VideoStream") -> Fraction | None:
    """How long the film says its pictures go on; None where it says nothing of them alone."""
    if stream.duration:
        return stream.duration * _time_base(stream)
    clock = _MATROSKA_CLOCK.fullmatch(stream.metadata.get("DURATION", ""))
    if clock:
        # FFmpeg counts from 0 even where the first frame is shown later.
        hours, minutes, seconds = clock.groups()
        return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds) - _start_s(stream)
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, 1_000_000)
    return None


def _facts(
    container: "InputContainer", stream: "VideoStream", first: "VideoFrame", cut: Cut
) -> FilmFacts:
    rate = stream.average_rate or stream.guessed_rate or _FALLBACK_RATE
    rotation = round(getattr(first, "rotation", 0) / 90) * 90 % 360
    width, height = first.width, first.height
    if rotation % 180:
        width, height = height, width
    components = first.format.components
    return FilmFacts(
        width=width,
        height=height,
        rate=rate,
        time_base=_time_base(stream),
        count=_count(container, stream, rate, cut),
        rotation=rotation,
        deep=max(component.bits for component in components) > 8,
        transparent=any(component.is_alpha for component in components),
        colours=_colours(first, stream),
        sample_aspect=stream.sample_aspect_ratio,
        audio=tuple(_codec_name(track) for track in container.streams.audio),
        metadata=dict(container.metadata),
    )


def _codec_name(track: object) -> str:
    context = getattr(track, "codec_context", None)
    return "unknown" if context is None else context.name


def _colours(frame: "VideoFrame", stream: "VideoStream") -> Colours:
    context = stream.codec_context  # where older PyAV says what newer has on the frame too
    primaries = getattr(frame, "color_primaries", context.color_primaries)
    transfer = getattr(frame, "color_trc", context.color_trc)
    return Colours(int(frame.color_range), int(primaries), int(transfer), int(frame.colorspace))


def _count(
    container: "InputContainer", stream: "VideoStream", rate: Fraction, cut: Cut
) -> int | None:
    length_s = _said_duration_s(container, stream)
    if length_s is None and container.duration:
        length_s = Fraction(container.duration, 1_000_000)
    whole = cut == Cut()
    if whole and stream.frames:
        return stream.frames
    if length_s is None:
        return None
    end_s = length_s if cut.end_s is None else min(cut.end_s, length_s)
    return max(1, round((end_s - cut.start_s) * rate))


def full_range_or_none(color_range: int) -> int | None:
    """The number of the full range of YUV, or None for the limited one."""
    return _FULL_RANGE if color_range == _FULL_RANGE else None


def _pixels(
    frame: "VideoFrame", facts: FilmFacts, reformatter: "VideoReformatter"
) -> tuple[Pixels, Pixels | None]:
    """Upright RGB in 8 bits, or in 16 where the film has more or alpha, and the alpha."""
    said = int(frame.colorspace)
    matrix = ASSUMED_MATRIX if said == UNSAID else said
    layout = _LAYOUTS[facts.transparent, facts.deep]
    # Older PyAV passes matrix and range on only where both ends differ, and takes the number
    # of the limited range for the full one; newer takes a limited range where none is given.
    if hasattr(frame, "color_trc"):
        # Only the matrix is converted; some versions refuse a transfer that they cannot convert.
        frame.color_primaries = frame.color_trc = UNSAID
    converted = reformatter.reformat(
        frame,
        format=layout,
        src_colorspace=matrix,
        dst_colorspace=ASSUMED_MATRIX,
        src_color_range=full_range_or_none(int(frame.color_range)),
    )
    values = cast("Pixels", converted.to_ndarray())
    pixels = np.rot90(values, facts.rotation // 90)
    if facts.transparent:
        return over_white(pixels)
    return np.ascontiguousarray(pixels), None
