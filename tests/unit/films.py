"""Small films that the tests make themselves, and what a player would find in them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

av = pytest.importorskip("av", reason="PyAV, which reads and writes films, is not installed")

SIZE = (64, 48)  # width and height


def gradient(place: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Frame `place` of a made-up film: (H, W, 3), dark at the upper left, redder over time."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    red = np.full_like(x, min(255, 20 * place))
    return np.stack([red, y * 255 // height, x * 255 // width], -1).astype(np.uint8)


def make_film(
    path: Path,
    *,
    pictures: Sequence[np.ndarray] | None = None,
    times: Sequence[int] = tuple(range(10)),
    unit_s: Fraction = Fraction(1, 10),
    codec: str = "libx264",
    layout: str = "yuv420p",
    colours: tuple[int, int] = (1, 1),
    rotation: int = 0,
    audio: str | None = "aac",
) -> Path:
    """Write a film of a second or so, with a tone.

    Args:
        path: its suffix says which container.
        pictures: (H, W, 3) each; gradients where left out.
        times: when they are shown, in units.
        unit_s: of the times.
        codec: the encoder.
        layout: of the pixels.
        colours: range, and the one number for matrix, primaries and transfer.
        rotation: degrees by which players have to turn it, counterclockwise.
        audio: the codec of the tone, or None for silence.
    """
    pictures = [gradient(place) for place in range(len(times))] if pictures is None else pictures
    limits, standard = colours
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = layout
        context = stream.codec_context
        context.time_base = unit_s
        context.color_range, context.colorspace = limits, standard
        context.color_primaries = context.color_trc = standard
        if rotation and not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write that a film is to be turned")
        if rotation:
            stream.set_display_rotation(rotation)
        sound = container.add_stream(audio, rate=48000) if audio else None
        for time, picture in zip(times, pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.colorspace = standard
            frame = frame.reformat(
                format=layout, dst_colorspace=standard, dst_color_range=2 if limits == 2 else None
            )
            frame.pts, frame.time_base = time, unit_s
            frame.color_range, frame.colorspace = limits, standard
            if hasattr(frame, "color_primaries"):
                frame.color_primaries = frame.color_trc = standard
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            container.mux(_tone(sound, 47))
    return path


def _tone(stream: Any, blocks: int) -> list[Any]:
    packets: list[Any] = []
    for block in range(blocks):
        at = np.arange(1024) + 1024 * block
        samples = (8000 * np.sin(0.05 * at)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2, 1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 1024 * block, Fraction(1, 48000)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def times_of(path: Path) -> list[float]:
    """When each frame is shown, s."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def look_of(path: Path) -> dict[str, Any]:
    """What a player finds in the first frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        said = frame if hasattr(frame, "color_primaries") else stream.codec_context
        return {
            "size": (frame.width, frame.height),
            "rotation": frame.rotation,
            "range": int(frame.color_range),
            "standard": (int(frame.colorspace), int(said.color_primaries), int(said.color_trc)),
            "layout": frame.format.name,
        }


def pixels_of(path: Path) -> list[np.ndarray]:
    """All frames as they are stored, (H, W, 3)."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        for frame in frames:
            if hasattr(frame, "color_trc"):  # which some versions of PyAV cannot convert
                frame.color_primaries = frame.color_trc = 2
        return [frame.to_ndarray(format="rgb24") for frame in frames]


def sound_of(path: Path) -> list[tuple[float, bytes]]:
    """Every packet of sound: its time, s, and its bytes."""
    with av.open(str(path)) as container:
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(audio=0)
            if packet.size
        ]
