"""Style files in the folders of the host: which there are, writing one, reading one."""

from dataclasses import dataclass

from torch import Tensor

from ...metastyle_core.errors import MetaStyleError
from ...metastyle_core.style import AdaptedStyle
from . import host
from .folders import checked_name, place_below
from .library import StyleLibrary
from .model import host_style
from .pictures import to_core_over_white
from .sockets import StyleValue, single_style


@dataclass(frozen=True)
class SaveRequest:
    """How to save a style.

    Attributes:
        name: with `/` between subfolders; may hold `%year%` and the like.
        half: store float16.
        overwrite: replace a style of the same name instead of numbering the new one.
        style_image: IMAGE for the thumbnail, or None to keep the style's own.
    """

    name: str
    half: bool
    overwrite: bool
    style_image: Tensor | None


def library() -> StyleLibrary:
    """The styles of this host."""
    return StyleLibrary(host.folders("metastyle_styles"))


def save(style: StyleValue, request: SaveRequest) -> AdaptedStyle:
    """Save a style and return it under its new name.

    Raises:
        MetaStyleError: the name is not allowed, or the folder cannot be written.
    """
    single = single_style(style, "style")
    styles = library()
    if request.style_image is not None:
        picture = to_core_over_white(request.style_image, "style_image")[:1]
        single = single.with_thumbnail(picture)
    folder = styles.folders[0]
    place_below(folder, request.name)  # before the host makes folders for it
    name = host.expand_name(checked_name(request.name), folder)
    return styles.save(single, name, half=request.half, overwrite=request.overwrite)


def open_style(name: str) -> AdaptedStyle:
    """Read a style and put it where the host wants it.

    Raises:
        MetaStyleError: there is none of that name, or its file is damaged.
    """
    return host_style(library().load(name))


def missing_style(name: str) -> str | None:
    """Why a style cannot be found, or None; an empty name is one not known yet."""
    if not name:
        return None
    try:
        library().find(name)
    except MetaStyleError as error:
        return str(error)
    return None
