"""What an adaptation is asked for, and what it gives back."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ...metastyle_core.adaptation import AdaptationSettings
from ...metastyle_core.style import AdaptedStyle
from .sockets import StyleValue


@dataclass(frozen=True)
class AdaptationRequest:
    """What the node was asked for.

    Attributes:
        style_images: batches IMAGE, whose pictures are all of one style.
        content_images: batches IMAGE to adapt on; none for photographs that ship.
        resume: style to go on from, or None.
        encoder: name of the perceptual encoder.
        settings: of the adaptation.
        style_masks: (1, 1, H, W), where style pictures count, one for all or one each; None
            for everywhere.
        keep_statistics: whether the style also gets what refining needs of its pictures.
    """

    style_images: Sequence[Tensor]
    content_images: Sequence[Tensor]
    resume: StyleValue | None
    encoder: str
    settings: AdaptationSettings
    style_masks: Sequence[Tensor] | None = None
    keep_statistics: bool = False


@dataclass(frozen=True)
class AdaptationResult:
    """What the node gives back.

    Attributes:
        style: with a thumbnail where memory allowed one, where the host wants it.
        preview: (B, 3, H, W), the first contents or our own scene in the style, [0, 1].
        report: losses and settings for people, one fact a line.
    """

    style: AdaptedStyle
    preview: Tensor
    report: str
