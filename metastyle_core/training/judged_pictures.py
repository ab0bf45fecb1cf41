"""Pictures that an encoder meets when it is the judge of adaptation.

Adaptation moves a style to wherever its judge sees the least loss, so also to where the
judge errs. An encoder that learns from what is drawn on the way there errs less.

Source: training on the states that one's own decisions lead to, Ross et al. 2011 (DAgger).
"""

import logging
import math

import torch
from torch import Generator, Tensor

from ..adaptation import MIN_STYLE_SIDE_PX, AdaptationReport, AdaptationSettings, adapt_to_style
from ..base import Base
from ..encoder import PerceptualEncoder
from ..errors import AdaptationDiverged, SettingsError, TrainingError
from ..losses import LossSettings
from ..precision import Precision
from .data import ImagePool

logger = logging.getLogger(__name__)
_STEPS, _CONTENTS = 30, 8
_STYLE_WEIGHTS = (5.0, 40.0)
# So many wait that those drawn together come from several styles.
_WAITING = 80
_GIVE_UP_AFTER = 10


class JudgedPictures:
    """A supply of pictures drawn while a base adapts to one style after another."""

    def __init__(
        self,
        base: Base,
        judge: PerceptualEncoder,
        contents: ImagePool,
        styles: ImagePool,
        *,
        size_px: int,
        precision: Precision,
    ) -> None:
        """Prepare; nothing is drawn yet.

        Args:
            base: with a predictor, on the device of the judge; not changed.
            judge: of the perceptual loss, as it is whenever a style begins.
            contents: photographs.
            styles: paintings.
            size_px: side of all pictures.
            precision: of the convolutions while adapting.

        Raises:
            SettingsError: the base has no predictor, or the pictures are too small.
        """
        if base.predictor is None:
            raise SettingsError("Judged pictures need a base with a predictor; name another base.")
        if size_px < MIN_STYLE_SIDE_PX:
            raise SettingsError(
                f"Judged pictures are {size_px} px; crops of at least {MIN_STYLE_SIDE_PX} px "
                "are needed to adapt."
            )
        self._base, self._judge = base, judge
        self._contents, self._styles = contents, styles
        self._size_px = size_px
        self._precision: Precision = precision
        self._waiting: list[Tensor] = []

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Take `count` pictures out of the supply, (count, 3, size_px, size_px), [0, 1].

        The same generator state, judge and supply give the same pictures. Whatever
        happens in an adaptation, `generator` moves on by one number.

        Raises:
            TrainingError: many adaptations in a row diverged.
        """
        own = Generator().manual_seed(int(torch.randint(2**31, (), generator=generator)))
        failures = 0
        while len(self._waiting) < max(count, _WAITING):
            drawn = self._adapt(own)
            failures = 0 if drawn else failures + 1
            if failures == _GIVE_UP_AFTER:
                raise TrainingError(
                    f"{failures} adaptations in a row diverged under the student; train it longer "
                    "without a base first, or lower the learning rate."
                )
            self._waiting += drawn
        order = torch.randperm(len(self._waiting), generator=own).tolist()
        taken = torch.stack([self._waiting[i] for i in order[:count]])
        self._waiting = [self._waiting[i] for i in order[count:]]
        return taken

    def _adapt(self, generator: Generator) -> list[Tensor]:
        """Adapt to one style; what the judge saw at each step, or nothing if it diverged."""
        size = self._size_px
        style = self._styles.read(self._styles.draw(1, size, generator), size)
        photographs = self._contents.read(self._contents.draw(_CONTENTS, size, generator), size)
        low, high = _STYLE_WEIGHTS
        place = float(torch.rand((), generator=generator))
        settings = AdaptationSettings(
            steps=_STEPS,
            batch=1,
            style_size_px=size,
            levels=0.0,
            loss=LossSettings(style_weight=math.exp(math.log(low) + place * math.log(high / low))),
            precision=self._precision,
        )
        drawn: list[Tensor] = []

        def keep(report: AdaptationReport) -> None:
            if report.step == 1:
                drawn.clear()  # the first try diverged, this is the second
            drawn.extend(report.judged)

        try:
            adapt_to_style(self._base, self._judge, [style], photographs, settings, on_step=keep)
        except AdaptationDiverged as error:
            logger.warning("No pictures from one style: %s", error)
            return []
        return drawn
