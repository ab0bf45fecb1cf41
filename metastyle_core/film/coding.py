"""How films are coded: which container takes which codec, pixels, colours and sound."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import FilmError
from .frames import HDTV, Colours, FilmFacts, pyav
from .reading import ASSUMED_MATRIX, UNSAID

_RGB_MATRIX, _MPEG_RANGE = 0, 1


@dataclass(frozen=True)
class Container:
    """One kind of film file.

    Attributes:
        format: its name in FFmpeg.
        codec: the encoder that it gets unless another is asked for.
        time_base: the unit of its timestamps, s, or None where it takes any.
        plays: whether it is a film, with sound and turned pictures, and no animated picture.
        options: for FFmpeg.
    """

    format: str
    codec: str
    time_base: Fraction | None = None
    plays: bool = True
    options: tuple[tuple[str, str], ...] = ()


_FAST_START = (("movflags", "+faststart"),)
CONTAINERS = {
    ".mp4": Container("mp4", "libx264", options=_FAST_START),
    ".m4v": Container("mp4", "libx264", options=_FAST_START),
    ".mov": Container("mov", "libx264", options=_FAST_START),
    ".mkv": Container("matroska", "libx264"),
    ".webm": Container("webm", "libvpx-vp9"),
    ".gif": Container("gif", "gif", Fraction(1, 100), plays=False, options=(("loop", "0"),)),
    ".webp": Container("webp", "libwebp_anim", Fraction(1, 1000), plays=False),
}
_ENCODERS = {
    "h264": "libx264",
    "h265": "libx265",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "vp8": "libvpx",
    "av1": "libsvtav1",
}
_CRF = {"libx264": 18, "libx265": 20, "libvpx-vp9": 24, "libvpx": 10, "libsvtav1": 24}
_OTHER_OPTIONS = {
    "libvpx-vp9": {"row-mt": "1", "cpu-used": "4"},
    "libwebp_anim": {"quality": "90", "loop": "0"},
    "libx265": {"x265-params": "log-level=error"},
    "libsvtav1": {"preset": "8"},
}
# Encoders that take an odd width or height although they halve the size of the colours.
_TAKE_ODD_SIZES = frozenset({"libvpx-vp9", "libvpx", "ffv1"})


@dataclass(frozen=True)
class Coding:
    """How one film is to be coded.

    Attributes:
        container: what it is put into.
        codec: the encoder.
        pixel_format: what the encoder gets.
        options: of the encoder.
        colours: how colours are coded; None where pixels stay RGB.
        time_base: the unit of timestamps, s.
    """

    container: Container
    codec: str
    pixel_format: str
    options: dict[str, str]
    colours: Colours | None
    time_base: Fraction

    @property
    def deep(self) -> bool:
        """Whether pixels have more than 8 bits."""
        return "10le" in self.pixel_format

    @property
    def transparent(self) -> bool:
        """Whether pixels can have alpha."""
        return self.colours is None

    @property
    def even(self) -> bool:
        """Whether both sides of the picture have to be even."""
        return "420" in self.pixel_format and self.codec not in _TAKE_ODD_SIZES


def container_of(path: Path) -> Container:
    """What a file's suffix stands for.

    Raises:
        FilmError: it stands for no film.
    """
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise FilmError(
            f"{path.name} ends in '{path.suffix}'; name a film that ends in "
            f"{', '.join(CONTAINERS)}, or frames such as frames/%05d.png."
        )
    return container


def choose_coding(path: Path, facts: FilmFacts, codec: str | None, crf: int | None) -> Coding:
    """How to code a film for a file.

    Args:
        path: the file; its suffix says which container.
        facts: of the film that the frames come from; depth and colours are kept where the
            codec can.
        codec: an encoder of FFmpeg or a name such as h264; None takes the container's.
        crf: quality of encoders that have it, lower is better; None takes a good one.

    Raises:
        FilmError: PyAV is missing, or container, codec and crf are unknown or do not fit.
    """
    container = container_of(path)
    name = _ENCODERS.get(codec or "", codec or container.codec)
    pixel_format = _pixel_format(name, facts)
    if crf is not None and name not in _CRF:
        raise FilmError(f"The codec {name} has no crf; leave it out.")
    options = dict(_OTHER_OPTIONS.get(name, {}))
    if name in _CRF:
        options["crf"] = str(_CRF[name] if crf is None else crf)
    return Coding(
        container,
        name,
        pixel_format,
        options,
        _colours(facts) if pixel_format.startswith("yuv") else None,
        container.time_base or facts.time_base,
    )


def _pixel_format(codec: str, facts: FilmFacts) -> str:
    """The first of what suits the film and every player that the encoder takes."""
    av = pyav()
    try:
        found = av.codec.Codec(codec, "w")
    except (av.codec.codec.UnknownCodecError, ValueError) as error:
        raise FilmError(
            f"The codec '{codec}' is not known here; choose h264, hevc, vp9, av1 or ffv1, or "
            "leave it out."
        ) from error
    taken = [each.name for each in found.video_formats or ()] if found.type == "video" else []
    wanted = ["yuv420p10le"] * facts.deep + ["yuv420p", "bgra", "rgba", "pal8"]
    if codec == "libwebp_anim":
        wanted = ["bgra"]
    for name in wanted:
        if name in taken:
            return name
    raise FilmError(f"The codec {codec} codes no film of colours here; choose another.")


def _colours(facts: FilmFacts) -> Colours:
    said = facts.colours
    if said.matrix == _RGB_MATRIX:
        return HDTV
    return Colours(said.range or _MPEG_RANGE, said.primaries, said.transfer, said.matrix)


def conversion_matrix(colours: Colours) -> int:
    """The matrix by which RGB is converted, where films leave it unsaid too."""
    return ASSUMED_MATRIX if colours.matrix == UNSAID else colours.matrix
