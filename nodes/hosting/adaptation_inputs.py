"""What the node that adapts receives: lists, as the host sends them to a node that takes lists."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor

from ...metastyle_core.adaptation import AdaptationSettings
from ...metastyle_core.errors import MetaStyleError, SettingsError
from ...metastyle_core.losses import LossSettings
from ...metastyle_core.network import AdaptationMode
from ...metastyle_core.quality import Quality, with_quality
from .adaptation_request import AdaptationRequest
from .bounded_adaptation import brush_or_default
from .model import MetaStyleModel
from .pictures import mask_to_core
from .plain_words import advice_first
from .sockets import StyleValue
from .weights import missing_encoder

# Pictures and masks count together, however many there are.
_TOGETHER = frozenset({"style_images", "content_images", "style_mask"})


@dataclass(frozen=True)
class AdaptationInputs:
    """The arguments of the node by name.

    A host that knows lists sends one for every input, and several pictures of different sizes
    arrive as several batches; an older host sends plain values.

    Attributes:
        values: as they arrived.
    """

    values: Mapping[str, object]

    def runs(self) -> "list[AdaptationInputs]":
        """One for each style that is wanted, as the host runs other nodes over lists.

        All pictures and masks go into every run. Of each other input the first run has the
        first value, the second the second, and so on; a shorter list repeats its last.

        Raises:
            SettingsError: a list is empty.
        """
        together = {name: value for name, value in self.values.items() if name in _TOGETHER}
        lists = {name: self.each(name) for name in self.values if name not in _TOGETHER}
        lists = {name: found for name, found in lists.items() if found}
        count = max(map(len, lists.values()), default=1)
        return [
            AdaptationInputs(
                together | {name: found[min(i, len(found) - 1)] for name, found in lists.items()}
            )
            for i in range(count)
        ]

    def each(self, name: str) -> list[object]:
        """All values of an input; none where nothing is connected.

        Raises:
            SettingsError: it is an empty list.
        """
        value = self.values.get(name)
        if not isinstance(value, list):
            return [] if value is None else [value]
        if not value:
            raise SettingsError(
                f"Input '{name}' is an empty list; at least one value is needed. Fill the list, "
                "or disconnect it."
            )
        return cast("list[object]", value)

    def batches(self, name: str) -> list[Tensor]:
        """The batches of pictures or masks of an input.

        Raises:
            SettingsError: there is something else among them.
        """
        found = [each for each in self.each(name) if each is not None]
        for each in found:
            if not isinstance(each, Tensor):
                raise _unsuitable(name, each, "pictures are")
        return cast("list[Tensor]", found)

    def whole(self, name: str) -> int:
        """A whole number."""
        return cast(int, self._value(name, int, "a whole number is"))

    def number(self, name: str) -> float:
        """A number."""
        return cast(float, self._value(name, (int, float), "a number is"))

    def word(self, name: str) -> str:
        """One of the words that a list of choices has."""
        return cast(str, self._value(name, str, "one of its words is"))

    def quality(self) -> Quality:
        """The quality; `custom` where none is given."""
        found = self.values.get("quality")
        return "custom" if found is None else cast(Quality, self.word("quality"))

    def model(self) -> MetaStyleModel:
        """The model to adapt a copy of."""
        return cast(MetaStyleModel, self._value("model", MetaStyleModel, "a model is"))

    def _value(self, name: str, kind: type | tuple[type, ...], needed: str) -> object:
        """The value of an input in one run.

        Raises:
            SettingsError: there is none, or it is of another kind.
        """
        value = self.values.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _unsuitable(name, value, needed)
        return value


def _unsuitable(name: str, value: object, needed: str) -> SettingsError:
    arrived = "missing" if value is None else f"of type {type(value).__name__}"
    return SettingsError(f"Input '{name}' is {arrived}; {needed} needed. Connect another output.")


def adaptation_request(inputs: AdaptationInputs) -> AdaptationRequest:
    """What the node was asked for in one of its `runs`.

    Raises:
        SettingsError: a value of another kind, or a setting out of its range.
    """
    contents = inputs.batches("content_images")
    settings = AdaptationSettings(
        mode=cast(AdaptationMode, inputs.word("mode")),
        steps=inputs.whole("steps"),
        style_size_px=brush_or_default(inputs.whole("brush_size"), contents),
        loss=_loss(inputs),
        seed=inputs.whole("seed"),
    )
    for name in ("abstraction", "levels"):
        if inputs.values.get(name) is not None:
            settings = replace(settings, **{name: inputs.number(name)})
    settings, encoder = with_quality(settings, inputs.word("encoder"), inputs.quality())
    masks = [row[None] for mask in inputs.batches("style_mask") for row in mask_to_core(mask)]
    return AdaptationRequest(
        style_images=_styles(inputs),
        content_images=contents,
        resume=cast("StyleValue | None", inputs.values.get("resume")),
        encoder=encoder,
        settings=settings,
        style_masks=masks or None,
        keep_statistics=bool(inputs.values.get("keep_statistics")),
    )


def _loss(inputs: AdaptationInputs) -> LossSettings:
    """The weights; strokes are optional, and the usual ones where they are left out."""
    loss = LossSettings(style_weight=inputs.number("style_weight"))
    if inputs.values.get("strokes") is None:
        return loss
    return replace(loss, nearest_weight=inputs.number("strokes"))


def _styles(inputs: AdaptationInputs) -> list[Tensor]:
    found = inputs.batches("style_images")
    if not found:
        raise _unsuitable("style_images", None, "at least one picture is")
    return found


def unusable_encoder(encoder: object, quality: object) -> str | None:
    """Why what is to judge cannot, or None; values that are not known yet are None.

    Args:
        encoder: a name, or a list of it.
        quality: a word, or a list of it.
    """
    try:
        runs = AdaptationInputs({"encoder": encoder, "quality": quality}).runs()
        judges = [_judge(each) for each in runs]
    except MetaStyleError as error:
        return advice_first(str(error))
    return next(filter(None, map(missing_encoder, judges)), None)


def _judge(inputs: AdaptationInputs) -> str | None:
    name = cast(str, inputs.values.get("encoder"))
    return with_quality(AdaptationSettings(), name, inputs.quality())[1]
