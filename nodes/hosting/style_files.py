"""Style files in the folders of the host: which there are, writing one, reading one.

Whatever changes here is told to every open browser, which then asks for the list.
"""

from dataclasses import dataclass
from datetime import datetime

from torch import Tensor

from ...metastyle_core.errors import MetaStyleError, SettingsError
from ...metastyle_core.style import AdaptedStyle
from . import host
from .folders import checked_name, fill_dates, fingerprint, place_below
from .library import StyleLibrary, Taken
from .model import host_style
from .pictures import to_core_over_white
from .plain_words import advice_first
from .sockets import StyleValue, single_style

STYLES_EVENT = "metastyle.styles"
TAKEN: tuple[Taken, ...] = ("number", "overwrite", "ask")


@dataclass(frozen=True)
class SaveRequest:
    """How to save a style.

    Attributes:
        name: with `/` between subfolders; may hold `%year%` and the like.
        half: store float16.
        taken: what happens where there is a style of the same name.
        style_image: IMAGE for the thumbnail, or None to keep the style's own.
        painting: IMAGE to keep beside the thumbnail, or None to keep what the style has.
    """

    name: str
    half: bool
    taken: Taken
    style_image: Tensor | None
    painting: Tensor | None = None


def library() -> StyleLibrary:
    """The styles of this host."""
    return StyleLibrary(host.folders("metastyle_styles"))


def save(style: StyleValue, request: SaveRequest) -> AdaptedStyle:
    """Save a style and return it under its new name.

    Raises:
        MetaStyleError: the name is not allowed or taken, or the folder cannot be written.
    """
    single = single_style(style, "style")
    styles = library()
    if request.style_image is not None:
        picture = to_core_over_white(request.style_image, "style_image")[:1]
        single = single.with_thumbnail(picture)
    if request.painting is not None:
        single = single.with_painting(to_core_over_white(request.painting, "painting")[:1])
    folder = styles.folders[0]
    name = fill_dates(request.name, datetime.now().astimezone())
    place_below(folder, name)  # before the host makes folders for it
    name = host.expand_name(checked_name(name), folder)
    saved = styles.save(single, name, half=request.half, taken=request.taken)
    host.broadcast(STYLES_EVENT, {"saved": name})
    return saved


def rename(name: str, new_name: str) -> str:
    """Give a saved style another name, here and in every open browser; the name it has now.

    Raises:
        MetaStyleError: as `StyleLibrary.rename`.
    """
    given = library().rename(name, new_name)
    host.broadcast(STYLES_EVENT, {"renamed": [name, given]})
    return given


def delete(name: str) -> str:
    """Remove a saved style, here and from the lists of every open browser.

    Raises:
        MetaStyleError: as `StyleLibrary.delete`.
    """
    library().delete(name)
    host.broadcast(STYLES_EVENT, {"deleted": name})
    return name


def duplicate(name: str) -> str:
    """Copy a style to the saved ones and tell every open browser; the copy's name.

    Raises:
        MetaStyleError: as `StyleLibrary.duplicate`.
    """
    given = library().duplicate(name)
    host.broadcast(STYLES_EVENT, {"saved": given})
    return given


def take_in(name: str, data: bytes) -> str:
    """Put a file of the user's among the saved styles and tell every open browser; its name.

    Raises:
        MetaStyleError: as `StyleLibrary.add`.
    """
    given = library().add(name, data)
    host.broadcast(STYLES_EVENT, {"saved": given})
    return given


def taken_choice(value: str | bool) -> Taken:
    """What to do where a name is taken; older workflows hold whether to overwrite.

    Raises:
        SettingsError: it is none of the choices.
    """
    if isinstance(value, bool):
        return "overwrite" if value else "number"
    known: dict[str, Taken] = {choice: choice for choice in TAKEN}
    chosen = known.get(value)
    if chosen is None:
        raise SettingsError(
            f"Input 'overwrite' is '{value}', which is none of its choices. "
            f"Choose one of: {', '.join(TAKEN)}."
        )
    return chosen


def unsavable(name: str | None, overwrite: str | bool | None) -> str | None:
    """Why nothing can be saved so, or None; what is not known yet is None."""
    try:
        taken = taken_choice("number" if overwrite is None else overwrite)
        if name is not None:
            library().place(fill_dates(name, datetime.now().astimezone()), taken)
    except MetaStyleError as error:
        return advice_first(str(error))
    return None


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
        return advice_first(str(error))
    return None


def style_fingerprint(name: str) -> str:
    """Changes when the file of a style changes, goes or comes."""
    return missing_style(name) or fingerprint(library().find(name))
