"""The runs of the node that adapts: one for each value of a list, all checked before the first."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ...metastyle_core.adaptation import check_resume
from ...metastyle_core.style import AdaptedStyle
from .adaptation_inputs import AdaptationInputs, adaptation_request
from .adaptation_request import AdaptationRequest, AdaptationResult
from .bounded_adaptation import adapt
from .model import MetaStyleModel
from .pictures import to_host
from .sockets import single_style
from .watcher import Point, Watcher
from .weights import find_encoder


@dataclass(frozen=True)
class AdaptedStyles:
    """What the node gives back, in the order of the runs.

    Attributes:
        styles: one a run.
        previews: IMAGE, one batch a run.
        reports: one a run.
        curve: losses of the last run.
    """

    styles: list[AdaptedStyle]
    previews: list[Tensor]
    reports: list[str]
    curve: list[Point]


def adapt_each(inputs: Mapping[str, object], node_id: str) -> AdaptedStyles:
    """Adapt once for each style that the inputs ask for.

    Args:
        inputs: the arguments of the node, plain or as lists; see `AdaptationInputs.runs`.
        node_id: of the node, which shows the losses.

    Raises:
        MetaStyleError: bad input, before any run learns; or too little memory.
    """
    planned = [(each.model(), adaptation_request(each)) for each in AdaptationInputs(inputs).runs()]
    for model, request in planned:
        _check(model, request)
    results: list[AdaptationResult] = []
    curve: list[Point] = []
    for run, (model, request) in enumerate(planned, start=1):
        watcher = Watcher(node_id, run=run, runs=len(planned))
        results.append(adapt(model, request, watcher))
        curve = watcher.curve()
    return AdaptedStyles(
        styles=[each.style for each in results],
        previews=[to_host(each.preview) for each in results],
        reports=[each.report for each in results],
        curve=curve,
    )


def _check(model: MetaStyleModel, request: AdaptationRequest) -> None:
    """Refuse what a run would find only when it begins."""
    if request.settings.steps or request.keep_statistics:
        find_encoder(request.encoder)
    if request.resume is not None:
        style = single_style(request.resume, "resume")
        check_resume(style, model.base(), request.settings.mode)
