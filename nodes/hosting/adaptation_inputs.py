"""What the node that adapts receives: lists, as the host sends them to a node that takes lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from torch import Tensor

from ...metastyle_core.adaptation import AdaptationSettings
from ...metastyle_core.errors import MetaStyleError, SettingsError
from ...metastyle_core.losses import LossSettings
from ...metastyle_core.network import AdaptationMode
from ...metastyle_core.quality import Quality, with_quality
from .adaptation_request import AdaptationRequest
from .bounded_adaptation import brush_or_default
from .pictures import mask_to_core
from .plain_words import advice_first
from .sockets import StyleValue
from .weights import missing_encoder


@dataclass(frozen=True)
class AdaptationInputs:
    """The arguments of the node by name.

    A host that knows lists sends one for every input, and several pictures of different sizes
    arrive as several batches; an older host sends plain values.

    Attributes:
        values: as they arrived.
    """

    values: Mapping[str, object]

    def only(self, name: str, default: object = None) -> object:
        """The one value of an input, or the default where nothing is connected.

        Raises:
            SettingsError: it is a list of several.
        """
        found = self.each(name)
        if len(found) > 1:
            raise SettingsError(
                f"Input '{name}' is a list of {len(found)}; one value is needed, for all pictures "
                "together are one style. Connect a single one."
            )
        return found[0] if found else default

    def each(self, name: str) -> list[object]:
        """All values of an input."""
        value = self.values.get(name)
        if isinstance(value, list):
            return cast("list[object]", value)
        return [] if value is None else [value]

    def batches(self, name: str) -> list[Tensor]:
        """The batches of pictures of an input."""
        return cast("list[Tensor]", self.each(name))

    def whole(self, name: str) -> int:
        """A whole number."""
        return cast(int, self.only(name))


def adaptation_request(inputs: AdaptationInputs) -> AdaptationRequest:
    """What the node was asked for.

    Raises:
        SettingsError: a list where one value is needed, or a setting out of its range.
    """
    contents = inputs.batches("content_images")
    settings = AdaptationSettings(
        mode=cast(AdaptationMode, inputs.only("mode")),
        steps=inputs.whole("steps"),
        style_size_px=brush_or_default(inputs.whole("brush_size"), contents),
        loss=LossSettings(style_weight=cast(float, inputs.only("style_weight"))),
        seed=inputs.whole("seed"),
    )
    quality = cast(Quality, inputs.only("quality", "custom"))
    settings, encoder = with_quality(settings, cast(str, inputs.only("encoder")), quality)
    masks = [row[None] for mask in inputs.batches("style_mask") for row in mask_to_core(mask)]
    return AdaptationRequest(
        style_images=inputs.batches("style_images"),
        content_images=contents,
        resume=cast("StyleValue | None", inputs.only("resume")),
        encoder=encoder,
        settings=settings,
        style_masks=masks or None,
        keep_statistics=bool(inputs.only("keep_statistics")),
    )


def unusable_encoder(encoder: object, quality: object) -> str | None:
    """Why what is to judge cannot, or None; values that are not known yet are None.

    Args:
        encoder: a name, or a list of it.
        quality: a word, or a list of it.
    """
    given = AdaptationInputs({"encoder": encoder, "quality": quality})
    try:
        word, name = given.only("quality", "custom"), given.only("encoder")
        _, judge = with_quality(AdaptationSettings(), cast(str, name), cast(Quality, word))
    except MetaStyleError as error:
        return advice_first(str(error))
    return missing_encoder(judge)
