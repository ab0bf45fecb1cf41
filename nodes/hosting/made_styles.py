"""Styles that this run of the host has adapted, by all that they were made of.

They take at most 128 MB of memory, most of it previews, and go when the host ends.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ...metastyle_core.checkpoint import content_hash
from .adaptation_request import AdaptationRequest, AdaptationResult
from .model import MetaStyleModel
from .remembered import Remembered, key_of
from .sockets import single_style
from .watcher import Point, Watcher
from .weights import encoder_fingerprint

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Made:
    """What came of an adaptation, with the losses on the way."""

    result: AdaptationResult
    points: tuple[Point, ...]


_MADE: Remembered[_Made] = Remembered()


def key_of_style(
    model: MetaStyleModel, request: AdaptationRequest, pictures: Mapping[str, Sequence[Tensor]]
) -> str:
    """A hash of all that decides what an adaptation gives.

    Args:
        model: what it starts from.
        request: its settings.
        pictures: what it reads of the pictures that it was given.

    Raises:
        SettingsError: it is to go on from a blend over frames.
    """
    resume = None if request.resume is None else single_style(request.resume, "resume")
    plain = {
        "base": content_hash(model.patcher.model.state_dict()),
        "settings": request.settings,
        "encoder": encoder_fingerprint(request.encoder),
        "statistics": request.keep_statistics,
        "resume": None if resume is None else (resume.name, sorted(resume.fast_weights)),
    }
    weights = {} if resume is None else resume.fast_weights
    tensors = {"resume": [weights[name] for name in sorted(weights)], **pictures}
    return key_of(plain, tensors | {"mask": request.style_masks or ()})


def made_before(key: str, watcher: Watcher) -> AdaptationResult | None:
    """What an adaptation of the same key gave, its losses told to the watcher; or None."""
    made = _MADE.get(key)
    if made is None:
        return None
    watcher.points[:] = made.points
    _LOG.info(
        "The same pictures and settings were adapted before; %.1f MB of styles are kept.",
        _MADE.bytes_kept / 2**20,
    )
    return made.result


def remember(key: str, result: AdaptationResult, watcher: Watcher) -> None:
    """Keep what an adaptation gave, unless it took no time or was stopped.

    What lack of memory made less than was asked for is not to be kept: the caller leaves it out.
    """
    style = result.style
    if not style.settings["steps"] or "stopped_after" in style.settings:
        return
    kept = replace(result, preview=result.preview.cpu())
    size = sum(each.nbytes for each in (*style.fast_weights.values(), kept.preview))
    _MADE.keep(key, _Made(kept, tuple(watcher.points)), size)
