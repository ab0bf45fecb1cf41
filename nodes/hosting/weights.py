"""Bases and encoders that a workflow can name: the shipped ones and those in models/metastyle."""

from pathlib import Path

from ...metastyle_core.base import SHIPPED_BASE, SHIPPED_BASES, load_base, shipped_name
from ...metastyle_core.encoder import ENCODER_NAMES, PerceptualEncoder, load_encoder
from ...metastyle_core.errors import (
    CheckpointError,
    EncoderWeightsError,
    MetaStyleError,
    SettingsError,
)
from ...metastyle_core.style import AdaptedStyle
from . import host
from .folders import fingerprint, safetensors_below
from .model import MetaStyleModel
from .plain_words import advice_first

SHIPPED = "shipped"  # the main base, in workflows
# Files of users keep their suffix in the list, so that none is called like one of these.
_SHIPPED_NAMES = {
    SHIPPED if path == SHIPPED_BASE else name: path for name, path in SHIPPED_BASES.items()
}
_SHIPPED_ENCODER = "compact"


def base_names() -> list[str]:
    """The shipped bases first, then files of models/metastyle that are no encoders."""
    return [*_SHIPPED_NAMES, *_files()]


def find_base(name: str) -> Path:
    """The file of a base.

    Raises:
        CheckpointError: there is none of that name.
    """
    if name in _SHIPPED_NAMES:
        return _SHIPPED_NAMES[name]
    files = _files()
    if name not in files:
        choices = " or ".join(f"'{each}'" for each in _SHIPPED_NAMES)
        raise CheckpointError(
            f"Input 'base' is '{name}', which is not in models/metastyle. Put the file "
            f"there, or choose {choices}."
        )
    return files[name]


def base_of_style(style: AdaptedStyle) -> str:
    """The shipped base that a style was made on, as the list calls it; else the main one."""
    own = SHIPPED_BASES.get(shipped_name(style.base_sha256) or "")
    return next((name for name, path in _SHIPPED_NAMES.items() if path == own), SHIPPED)


def open_base(name: str) -> MetaStyleModel:
    """Read a base and hand it to the host."""
    return MetaStyleModel.wrap(load_base(find_base(name)))


def base_fingerprint(name: str) -> str:
    """Changes when the file of a base changes."""
    return fingerprint(find_base(name))


def missing_base(name: str) -> str | None:
    """Why a base cannot be found, or None."""
    try:
        find_base(name)
    except CheckpointError as error:
        return advice_first(str(error))
    return None


def missing_encoder(name: str | None) -> str | None:
    """Why an encoder cannot be used, or None; a name that is not known yet is None."""
    try:
        find_encoder(name or _SHIPPED_ENCODER)
    except MetaStyleError as error:
        return advice_first(str(error))
    return None


def open_encoder(name: str) -> PerceptualEncoder:
    """An encoder on the device, built for this call alone.

    Raises:
        EncoderWeightsError: its weights are not in models/metastyle.
        CheckpointError: they are damaged.
    """
    return load_encoder(name, weights=find_encoder(name)).to(host.work_device())


def encoder_fingerprint(name: str) -> str:
    """Changes when the weights of an encoder do; its name where there are none to choose."""
    file = safetensors_below(host.folders("metastyle")).get(name)
    return name if file is None else fingerprint(file)


def find_encoder(name: str) -> Path | None:
    """Weights of an encoder; None for the one that ships.

    Raises:
        SettingsError: there is no such encoder.
        EncoderWeightsError: its weights are not in models/metastyle.
    """
    if name == _SHIPPED_ENCODER:
        return None
    if name not in ENCODER_NAMES:
        raise SettingsError(
            f"Input 'encoder' is '{name}', which there is not. "
            f"Choose one of: {', '.join(ENCODER_NAMES)}."
        )
    files = safetensors_below(host.folders("metastyle"))
    if name not in files:
        raise EncoderWeightsError(
            f"Input 'encoder' is '{name}', whose weights are not there. Put them at "
            f"models/metastyle/{name}.safetensors, or choose 'compact', which ships with MetaStyle."
        )
    return files[name]


def _files() -> dict[str, Path]:
    found = safetensors_below(host.folders("metastyle"))
    return {
        f"{name}.safetensors": path for name, path in found.items() if name not in ENCODER_NAMES
    }
