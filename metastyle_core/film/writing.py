"""Films to files: coded frame by frame, with the sound of the film they come from.

A film appears under its name when it is whole. Until then it lies beside it under a
temporary name.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..errors import FilmError, ShapeError
from ..files import atomic_file
from ..images import DEEP_SUFFIXES, SAVE_SUFFIXES, resize, save_image
from .coding import Coding, choose_coding, conversion_matrix
from .frames import FilmFacts, FilmFrame, Pixels, pyav, to_sixteen_bits
from .reading import VideoFile, full_range_or_none
from .webp import set_length

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_GIF_COLOURS = 255  # of 256; one is for what is transparent


class FilmWriter(Protocol):
    """Where drawn frames go.

    Attributes:
        notes: what had to be given up, a line each.
    """

    notes: list[str]

    def has(self, frame: FilmFrame) -> bool:
        """Whether a frame is there already and need not be drawn."""
        ...

    def write(self, frame: FilmFrame, drawn: Tensor) -> None:
        """Add one frame: (1, 3, H, W), [0, 1], upright.

        Raises:
            MetaStyleError: it cannot be written.
        """
        ...


class NumberedFiles:
    """Writes frames as pictures, each whole or absent; see `FilmWriter`."""

    def __init__(
        self,
        path_of: Callable[[int], Path],
        facts: FilmFacts,
        *,
        first: int = 1,
        deep: bool | None = None,
        skip_existing: bool = False,
    ) -> None:
        """Choose the names.

        Args:
            path_of: the file of a frame by its number.
            facts: of the film that the frames come from.
            first: the number of the first frame.
            deep: whether they get 16 bits per channel; None gives them to PNG and TIFF where
                the film has more than 8.
            skip_existing: keep files that are there.

        Raises:
            FilmError: it is no kind of picture that can be written.
        """
        example = path_of(first)
        if example.suffix.lower() not in SAVE_SUFFIXES:
            raise FilmError(
                f"Frames would be called like {example.name}; a pattern that ends in .png, .jpg "
                "or .webp is needed."
            )
        self.notes = ["numbered frames have no sound"] if facts.audio else []
        can_be_deep = example.suffix.lower() in DEEP_SUFFIXES
        if facts.deep and not can_be_deep:
            self.notes.append(f"frames in {example.suffix} have 8 bits, the film has more")
        self._depth = 16 if (facts.deep and can_be_deep if deep is None else deep) else 8
        self._path_of, self._skip = path_of, skip_existing

    def has(self, frame: FilmFrame) -> bool:
        """Whether its file is there and is to be kept."""
        return self._skip and self._path_of(frame.number).exists()

    def write(self, frame: FilmFrame, drawn: Tensor) -> None:
        """Save one frame under its number."""
        alpha = _alpha_for(frame, drawn)
        path = self._path_of(frame.number)
        save_image(drawn, path, alpha=None if alpha is None else alpha[0], depth=self._depth)


@contextmanager
def film_file(
    path: Path,
    facts: FilmFacts,
    *,
    codec: str | None = None,
    crf: int | None = None,
    sound: VideoFile | None = None,
) -> "Generator[FilmFile]":
    """Write a film that appears when the block ends well, and not at all otherwise.

    Args:
        path: its suffix says which container.
        facts: of the film that the frames come from: times, turn, depth and colours.
        codec: see `choose_coding`.
        crf: see `choose_coding`.
        sound: the film whose sound is copied as it is, or None for a silent film.

    Raises:
        FilmError: container, codec and sound do not fit, or the file cannot be written.
    """
    coding = choose_coding(path, facts, codec, crf)
    with _told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            with _begun(temporary, path.name, coding, facts, sound) as film:
                yield film
            if coding.container.format == "webp" and film.length:
                set_length(temporary, film.length)


@contextmanager
def _begun(
    temporary: Path, name: str, coding: Coding, facts: FilmFacts, sound: VideoFile | None
) -> "Generator[FilmFile]":
    """A film in an open file, finished when the block ends well."""
    kind, options = coding.container, dict(coding.container.options)
    with ExitStack() as stack:
        container = stack.enter_context(
            pyav().open(str(temporary), "w", format=kind.format, options=options)
        )
        film = FilmFile(name, container, coding, facts)
        if sound is not None and kind.plays:
            film.copy_sound(sound, stack.enter_context(sound.opened()))
        yield film
        film.finish()


@contextmanager
def _told(path: Path) -> Generator[None]:
    """Say of what fails inside which film it concerns."""
    av = pyav()
    try:
        yield
    except (av.FFmpegError, OSError) as error:
        raise FilmError(
            f"Cannot write {path} ({error.strerror or error}); choose another place, codec or "
            "kind of film."
        ) from error


class FilmFile:
    """One film while it is written; see `FilmWriter` and `film_file`.

    Attributes:
        notes: what had to be given up, a line each.
        length: from the beginning of the first frame to the end of the last, in the unit of
            timestamps; 0 where the last frame does not say how long it is.
    """

    def __init__(
        self, name: str, container: "OutputContainer", coding: Coding, facts: FilmFacts
    ) -> None:
        """Begin a film without frames in an open container."""
        self.notes: list[str] = []
        self.length = 0
        self._name, self._container, self._coding, self._facts = name, container, coding, facts
        container.metadata.update(facts.metadata)
        try:
            stream = container.add_stream(coding.codec, facts.rate, options=coding.options)
        except ValueError as error:
            raise FilmError(
                f"{name} cannot hold the codec {coding.codec}; choose another codec or another "
                "kind of film."
            ) from error
        self._stream = cast("VideoStream", stream)
        # Which version of PyAV can say it; older ones get upright pictures.
        self._turns = coding.container.plays and hasattr(self._stream, "set_display_rotation")
        self._reformatter = pyav().video.reformatter.VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._first_pts: int | None = None
        self._last_pts = -1
        self._durations: dict[int | None, int] = {}
        self._sound: _SoundCopy | None = None
        self._note_losses()

    def _note_losses(self) -> None:
        facts, coding = self._facts, self._coding
        if facts.audio and not coding.container.plays:
            self.notes.append(f"{self._name} has no sound; only films have")
        if facts.deep and not coding.deep:
            self.notes.append(f"{self._name} has 8 bits per colour, for {coding.codec} has no more")
        if facts.transparent and not coding.transparent:
            self.notes.append(f"{self._name} has no transparency; it lies over white")

    def copy_sound(self, film: VideoFile, source: "InputContainer") -> None:
        """Have the sound of a film, which stays open, copied beside the frames.

        Raises:
            FilmError: the container cannot hold it.
        """
        self._sound = _SoundCopy(self._name, film, source, self._container)

    def has(self, frame: FilmFrame) -> bool:
        """No: a film is written whole."""
        return False

    def write(self, frame: FilmFrame, drawn: Tensor) -> None:
        """Code one frame, and the sound before it.

        Raises:
            ShapeError: another size than the first frame.
        """
        height, width = drawn.shape[-2:]
        if self._size is None:
            self._begin(height, width)
        elif self._size != (height, width):
            raise ShapeError(
                f"frame {frame.number} is {width}x{height} px, the film "
                f"{self._size[1]}x{self._size[0]} px; frames of one film need one size"
            )
        if self._sound:
            self._sound.copy_until(frame.time_s)
        self._mux(self._stream.encode(self._coded(frame, drawn)))

    def finish(self) -> None:
        """Write what the encoder still holds, and the rest of the sound.

        Raises:
            FilmError: there was no frame.
        """
        if self._size is None:
            raise FilmError(f"No frame could be drawn; {self._name} is not written.")
        self._mux(self._stream.encode(None))
        if self._sound:
            self._sound.copy_until(None)

    def _begin(self, height: int, width: int) -> None:
        """Fix what the first frame decides."""
        self._size = height, width
        stored = (width, height)
        if self._coding.even and (width % 2 or height % 2):
            stored = (width + width % 2, height + height % 2)
            self.notes.append(
                f"{self._name} is {stored[0]}x{stored[1]} px in place of {width}x{height}, for "
                f"{self._coding.codec} takes even sizes only"
            )
        stream, context, facts = self._stream, self._stream.codec_context, self._facts
        quarter_turns = facts.rotation // 90
        across = bool(quarter_turns % 2)
        if self._turns and quarter_turns:
            stream.set_display_rotation(facts.rotation)
        stream.width, stream.height = stored[::-1] if self._turns and across else stored
        stream.pix_fmt = self._coding.pixel_format
        context.time_base = self._coding.time_base
        aspect = facts.sample_aspect
        if aspect:
            context.sample_aspect_ratio = 1 / aspect if across and not self._turns else aspect
        if self._coding.colours:
            context.color_range = self._coding.colours.range
            context.color_primaries = self._coding.colours.primaries
            context.color_trc = self._coding.colours.transfer
            context.colorspace = self._coding.colours.matrix

    def _coded(self, frame: FilmFrame, drawn: Tensor) -> "VideoFrame":
        """What the encoder gets for one frame."""
        pixels = _to_whole_numbers(drawn, deep=self._coding.deep)
        if self._coding.even:
            odd_y, odd_x = pixels.shape[0] % 2, pixels.shape[1] % 2
            pixels = np.pad(pixels, ((0, odd_y), (0, odd_x), (0, 0)), mode="edge")
        if self._turns:
            pixels = np.ascontiguousarray(np.rot90(pixels, -self._facts.rotation // 90))
        alpha = _alpha_for(frame, drawn) if self._coding.transparent else None
        coded = self._converted(pixels, None if alpha is None else alpha[0, 0].numpy())
        unit_s = self._coding.time_base
        # Containers round times to their unit; none can show two frames at once.
        coded.pts = max(round(frame.time_s / unit_s), self._last_pts + 1)
        coded.time_base = unit_s
        self._note_time(coded.pts, round((frame.duration_s or 0) / unit_s))
        return coded

    def _note_time(self, pts: int, duration: int) -> None:
        """Remember when a frame is shown and, unless it is 0, for how long, in units."""
        if self._first_pts is None:
            self._first_pts = pts
        self._last_pts = pts
        self.length = pts + duration - self._first_pts if duration else 0
        if duration:
            self._durations[pts] = duration

    def _converted(self, pixels: Pixels, alpha: NDArray[np.float32] | None) -> "VideoFrame":
        frames = pyav().VideoFrame
        colours, form = self._coding.colours, self._coding.pixel_format
        if form == "pal8":
            return frames.from_ndarray(_to_palette(pixels, alpha), format=form)
        if colours is None:
            return frames.from_ndarray(_with_alpha(pixels, alpha), format="rgba")
        layout = "rgb48le" if self._coding.deep else "rgb24"
        matrix = conversion_matrix(colours)
        frame = frames.from_ndarray(pixels, format=layout)
        frame.colorspace = matrix  # PyAV 17 knows few matrices by the argument alone
        coded = self._reformatter.reformat(
            frame,
            format=form,
            dst_colorspace=matrix,
            dst_color_range=full_range_or_none(colours.range),
        )
        coded.color_range, coded.colorspace = colours.range, colours.matrix
        return coded

    def _mux(self, packets: "Sequence[Packet[Any]]") -> None:
        for packet in packets:
            duration = self._durations.pop(packet.pts, None)
            if duration:
                packet.duration = duration
            self._container.mux(packet)


class _SoundCopy:
    """The sound of one film on its way into another, as it is stored."""

    def __init__(
        self, name: str, film: VideoFile, source: "InputContainer", target: "OutputContainer"
    ) -> None:
        av = pyav()
        self._target, self._offset_s = target, film.offset_s
        try:
            self._streams = {
                stream.index: target.add_stream_from_template(stream)
                for stream in source.streams.audio
            }
        except (ValueError, av.FFmpegError) as error:
            raise FilmError(
                f"{name} cannot hold the sound of {film.name} ({', '.join(film.facts.audio)}) as "
                "it is; name an .mp4, .mov or .mkv file, or leave the sound out (--no-audio)."
            ) from error
        self._packets = film.audio_packets(source)
        self._next = next(self._packets, None)

    def copy_until(self, time_s: Fraction | None) -> None:
        """Copy what sounds before a time of the new film; None is its end."""
        while self._next is not None:
            packet = self._next
            unit_s = packet.time_base
            pts, dts = packet.pts or 0, packet.dts or 0
            if time_s is not None and pts * unit_s - self._offset_s >= time_s:
                return
            offset = round(self._offset_s / unit_s)
            packet.pts, packet.dts = pts - offset, dts - offset
            packet.stream = self._streams[packet.stream_index]
            self._target.mux(packet)
            self._next = next(self._packets, None)


def _alpha_for(frame: FilmFrame, drawn: Tensor) -> Tensor | None:
    """The frame's alpha (1, 1, H, W) in the size of what was drawn."""
    alpha = frame.alpha()
    return None if alpha is None else resize(alpha, *drawn.shape[-2:])


def _to_whole_numbers(drawn: Tensor, *, deep: bool) -> Pixels:
    """(1, 3, H, W) in [0, 1] as (H, W, 3) of 8 or 16 bits."""
    values = rearrange(drawn[0].detach().float().clamp(0, 1).cpu(), "c h w -> h w c").numpy()
    if deep:
        return to_sixteen_bits(values)
    return np.rint(values * np.float32(255)).astype(np.uint8)


def _with_alpha(pixels: Pixels, alpha: NDArray[np.float32] | None) -> "NDArray[np.uint8]":
    rgba = np.full((*pixels.shape[:2], 4), 255, dtype=np.uint8)
    rgba[..., :3] = pixels
    if alpha is not None:
        rgba[..., 3] = np.rint(alpha * 255)
    return rgba


def _to_palette(
    pixels: Pixels, alpha: NDArray[np.float32] | None
) -> "tuple[NDArray[np.uint8], NDArray[np.uint8]]":
    """Indices (H, W) and a palette (256, 4) of alpha, red, green and blue, made for one frame."""
    quantized = Image.fromarray(pixels).quantize(_GIF_COLOURS)
    colours = np.array(quantized.getpalette(), dtype=np.uint8).reshape(-1, 3)[:_GIF_COLOURS]
    palette = np.zeros((256, 4), dtype=np.uint8)
    palette[:, 0] = 255
    palette[: len(colours), 1:] = colours
    indices = np.array(quantized, dtype=np.uint8)
    if alpha is not None:
        # The encoder takes the first clear colour for all of them: there may be one only.
        palette[_GIF_COLOURS, 0] = 0
        indices[alpha < 0.5] = _GIF_COLOURS
    return indices, palette
