"""Bases and encoders that a workflow can name: the shipped ones and those in models/metastyle."""

from pathlib import Path

from ...metastyle_core.base import SHIPPED_BASE, load_base
from ...metastyle_core.encoder import ENCODER_NAMES, PerceptualEncoder, load_encoder
from ...metastyle_core.errors import CheckpointError, EncoderWeightsError
from . import host
from .folders import fingerprint, safetensors_below
from .model import MetaStyleModel

SHIPPED = "shipped"


def base_names() -> list[str]:
    """The shipped base first, then files of models/metastyle that are no encoders."""
    return [SHIPPED, *_files()]


def find_base(name: str) -> Path:
    """The file of a base.

    Raises:
        CheckpointError: there is none of that name.
    """
    if name == SHIPPED:
        return SHIPPED_BASE
    files = _files()
    if name not in files:
        raise CheckpointError(
            f"Input 'base' is '{name}', which is not in models/metastyle. Put the file "
            f"there, or choose '{SHIPPED}'."
        )
    return files[name]


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
        return str(error)
    return None


def open_encoder(name: str) -> PerceptualEncoder:
    """An encoder on the device, built for this call alone.

    Raises:
        EncoderWeightsError: its weights are not in models/metastyle.
        CheckpointError: they are damaged.
    """
    if name == "compact":
        return load_encoder(name).to(host.work_device())
    files = safetensors_below(host.folders("metastyle"))
    if name not in files:
        raise EncoderWeightsError(
            f"Input 'encoder' is '{name}', whose weights are not there. Put them at "
            f"models/metastyle/{name}.safetensors, or choose 'compact', which ships with MetaStyle."
        )
    return load_encoder(name, weights=files[name]).to(host.work_device())


def _files() -> dict[str, Path]:
    found = safetensors_below(host.folders("metastyle"))
    return {
        f"{name}.safetensors": path for name, path in found.items() if name not in ENCODER_NAMES
    }
