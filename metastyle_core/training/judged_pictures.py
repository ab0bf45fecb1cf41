"""Pictures that an encoder meets when it is the judge of adaptation.

Adaptation moves a style to wherever its judge sees the least loss, so also to where the
judge errs. An encoder that learns from what is drawn on the way there errs less.

Source: training on the states that one's own decisions lead to, Ross et al. 2011 (DAgger).
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from ..adaptation import AdaptationSettings, StepReport, adapt_to_style
from ..base import Base
from ..content import procedural_contents
from ..encoder import PerceptualEncoder
from ..errors import SettingsError
from ..losses import LossSettings
from .data import ImagePool

_STEPS, _STEPS_BETWEEN_PICTURES = 30, 3
_CONTENTS, _SHOWN = 8, 4
_STYLE_WEIGHTS = (5.0, 40.0)
# So many wait that those drawn together come from several styles.
_WAITING = 80


class JudgedPictures:
    """A supply of pictures drawn while a base adapts to one style after another."""

    def __init__(
        self,
        base: Base,
        judge: PerceptualEncoder,
        contents: ImagePool,
        styles: ImagePool,
        size_px: int,
    ) -> None:
        """Prepare; nothing is drawn yet.

        Args:
            base: with a predictor, on the device of the judge; not changed.
            judge: of the perceptual loss, as it is whenever a style begins.
            contents: photographs; half of what is stylized is built-in content.
            styles: paintings.
            size_px: side of all pictures.

        Raises:
            SettingsError: the base has no predictor.
        """
        if base.predictor is None:
            raise SettingsError("Judged pictures need a base with a predictor; name another base.")
        self._base, self._judge = base, judge
        self._contents, self._styles, self._size_px = contents, styles, size_px
        self._waiting: list[Tensor] = []

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Take `count` pictures out of the supply, (count, 3, size_px, size_px), [0, 1].

        The same generator state and the same judge give the same pictures.
        """
        while len(self._waiting) < max(count, _WAITING):
            self._adapt(generator)
        chosen = torch.randperm(len(self._waiting), generator=generator)[:count].tolist()
        drawn = torch.stack([self._waiting[i] for i in chosen])
        self._waiting = [p for i, p in enumerate(self._waiting) if i not in set(chosen)]
        return drawn

    def _adapt(self, generator: Generator) -> None:
        """Adapt to one style, and keep what every third step would draw."""
        size = self._size_px
        style = self._styles.read(self._styles.draw(1, size, generator), size)
        half = _CONTENTS // 2
        photographs = self._contents.read(self._contents.draw(half, size, generator), size)
        made = procedural_contents(half, size, [style], generator)
        mixed = torch.stack([photographs, made], dim=1).flatten(0, 1)
        low, high = _STYLE_WEIGHTS
        place = float(torch.rand((), generator=generator))
        settings = AdaptationSettings(
            steps=_STEPS,
            batch=1,
            style_size_px=size,
            loss=LossSettings(style_weight=math.exp(math.log(low) + place * math.log(high / low))),
        )
        adapt_to_style(
            self._base,
            self._judge,
            [style],
            mixed,
            settings,
            on_step=_keeper(self._waiting),
            preview_images=mixed[:_SHOWN],
        )


def _keeper(kept: list[Tensor]) -> Callable[[StepReport], None]:
    def keep(report: StepReport) -> None:
        if report.step % _STEPS_BETWEEN_PICTURES == 0:
            kept.extend(report.preview())

    return keep
