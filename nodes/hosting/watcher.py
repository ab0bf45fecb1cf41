"""What people see while a style adapts: losses, progress and pictures, at a calm pace."""

import time
import weakref
from dataclasses import dataclass, field

from ...metastyle_core.adaptation import StepReport, StopLearning
from ...metastyle_core.images import contact_sheet, to_pil
from . import host

LOSSES_EVENT = "metastyle.losses"
SHORTEST_PAUSE_S = 0.5
_PREVIEW_SHARE = 0.2
_MOST_POINTS = 200

Point = list[float]


# Watchers of the runs under way by node; one leaves when its run is over.
_RUNNING: "weakref.WeakValueDictionary[str, Watcher]" = weakref.WeakValueDictionary()


def stop_and_keep(node_id: str) -> bool:
    """Ask the run of a node to end after the step under way; False where none runs."""
    watcher = _RUNNING.get(node_id)
    if watcher is None:
        return False
    watcher.stopping = True
    return True


@dataclass(eq=False)
class Watcher:
    """Takes in the report of every step; a new one belongs to every run.

    Attributes:
        node_id: of the node that runs.
        points: [step, content, style, total] of every step so far.
        stopping: whether the user asked to end the steps and keep what they have reached.
        run: which of the node's runs this is, from 1.
        runs: how many it has: one for each style of a list.
    """

    node_id: str
    points: list[Point] = field(default_factory=list[Point])
    stopping: bool = False
    run: int = 1
    runs: int = 1
    _sent: int = field(default=0, init=False)
    _quiet_until_s: float = field(default=0.0, init=False)
    _progress: host.Progress | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        _RUNNING[self.node_id] = self

    def __call__(self, report: StepReport) -> None:
        """Stop if the user wants it, take the losses down, and show what is due.

        Raises:
            StopLearning: the user asked to stop and keep.
            The host's interruption, when the user pressed Cancel.
        """
        host.stop_if_interrupted()
        if report.step == 1:
            self._restart(report.steps)
        self.points.append([report.step, report.content, report.style, report.total])
        last = report.step == report.steps
        if last or time.monotonic() >= self._quiet_until_s:
            self._show(report)
        if self.stopping:
            raise StopLearning

    def curve(self) -> list[Point]:
        """At most 200 of the points, evenly picked; the first and the last always stay."""
        count = min(len(self.points), _MOST_POINTS)
        stride = (len(self.points) - 1) / max(1, count - 1)
        return [self.points[round(i * stride)] for i in range(count)]

    def _restart(self, steps: int) -> None:
        """Begin, or begin again after an attempt that ran out of memory or diverged."""
        self.points.clear()
        self._sent, self._quiet_until_s = 0, 0.0
        self._progress = host.Progress(steps)

    def _show(self, report: StepReport) -> None:
        began_s = time.monotonic()
        message = {"prompt_id": host.prompt_id(), "node": self.node_id, "step": report.step}
        points = self.points[self._sent :]
        place = {"run": self.run, "runs": self.runs, "steps": report.steps}
        host.send(LOSSES_EVENT, {**message, **place, "points": points})
        self._sent = len(self.points)
        pictures = list(report.preview().float().cpu())
        rows = [pictures[:2], pictures[2:]] if len(pictures) > 2 else [pictures]
        if self._progress is not None:
            self._progress.show(report.step, to_pil(contact_sheet(rows)))
        # A preview costs as much as a step on slow devices; it may take a fifth of the time.
        now_s = time.monotonic()
        pause_s = (now_s - began_s) * (1 / _PREVIEW_SHARE - 1)
        self._quiet_until_s = now_s + max(SHORTEST_PAUSE_S, pause_s)
