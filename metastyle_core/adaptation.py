"""Adaptation: a few gradient steps that turn the base into one style.

This is the inner loop at test time. It works on copies: the base, the encoder and the
given pictures are the same afterwards, whatever happens. Progress, previews and
stopping go through one callback.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TypeVar

import torch
from torch import Generator, Tensor

from .base import Base
from .brushwork import brushwork_at, brushwork_of, in_brushwork
from .checks import (
    require_above_zero,
    require_from,
    require_one_of,
    require_pictures,
    require_sides,
    require_unit_range,
)
from .colour import Palette, recolour
from .content import shipped_contents
from .drawing import USUAL_SUPERSAMPLING, enlargement
from .encoder import PerceptualEncoder, features_at_scales
from .errors import AdaptationDiverged, SettingsError, ShapeError
from .finishing import IN_STYLE
from .grain import USUAL_GRAIN, drawn_relief, grain_relief
from .images import fit_within
from .initialisation import InitialisationForm, predicted_norms
from .levels import USUAL_LEVELS
from .losses import LossSettings, content_layers, perceptual_loss, style_target
from .low_rank import merge_updates, rank_of
from .network import (
    ADAPTATION_MODES,
    AdaptationMode,
    adapted_weights,
    norm_parameter_names,
    stylize_with,
)
from .precision import Precision, autocast
from .style import STYLE_SIZE_PX, AdaptedStyle, check_style
from .style_pictures import StylePicture, style_pictures
from .touches import USUAL_ABSTRACTION, content_of, in_touches

MIN_STYLE_SIDE_PX = 64
MAX_STYLE_PIXELS = 1024 * 1024
_LEARNING_RATES: Mapping[AdaptationMode, float] = {
    "norm": 8e-2,
    "low_rank": 2e-2,
    "decoder": 2e-3,
    "full": 1e-3,
}
_SMOOTHING = 0.9
_AVERAGED = 10
_WARM_UP = 0.1
# Of the learning rate, where steps diverged and begin again.
RETRY_FACTOR = 0.1
_EXPLODED = 10.0
_SMALLEST_BRUSH_PX = 128
# Beyond this a picture of 16:9 has more than the megapixel to which style pictures are limited.
LARGEST_BRUSH_PX = 768
# What a few photographs teach beyond the start holds for others by half.
_HOLDS_FOR_OTHERS = 0.5
# By how much the relief under contents is larger than they are, so that they differ in it.
_RELIEF_ROOM_PX = 128


@dataclass(frozen=True)
class AdaptationSettings:
    """How to adapt.

    Attributes:
        mode: which parameters adapt.
        rank: of the updates of convolutions in mode `low_rank`; a style that is resumed
            keeps the rank it has.
        steps: gradient steps; 0 gives the initialisation itself.
        learning_rate: of Adam at its highest, after a tenth of the steps; it then
            falls to zero along a cosine. None takes the rate that suits the mode.
        batch: contents of `content_size_px` per step, and of larger ones as many as have as many
            pixels, at least one. Four take twice as long and end no better.
        content_count: how many crops of the user's own photographs, or of those that ship where
            no contents are given, to adapt on at most; see `own_contents`.
        content_size_px: their short side at least.
        style_size_px: short side the style pictures are scaled to, or what keeps
            them within one megapixel: the brush. Pictures drawn at this short side get
            strokes as large as they are in the painting; see `brush_for`.
        levels: how far style pictures, whose reproductions fade, are brought towards full tones,
            [0, 1]; see `levels`.
        abstraction: how far contents are painted over before a style learns to draw them, as what
            it draws later is, [0, 1]; 0 for films, whose frames are not.
        brushwork: how much the strokes of the style pictures show, [0, 1]; None measures it (see
            `brushwork`). Pictures get as many touches, now and later.
        initialisation: where to start; `predicted` needs a base with a predictor.
        loss: weights of the perceptual loss.
        seed: of all that is drawn at random: crops, strokes, the order in which contents are
            used, places and directions of the style distance.
        precision: of the convolutions.
    """

    mode: AdaptationMode = "norm"
    rank: int = 4
    steps: int = 60
    learning_rate: float | None = None
    batch: int = 2
    content_count: int = 32
    content_size_px: int = 192
    style_size_px: int = STYLE_SIZE_PX
    levels: float = USUAL_LEVELS
    abstraction: float = USUAL_ABSTRACTION
    brushwork: float | None = None
    initialisation: InitialisationForm = "predicted"
    loss: LossSettings = field(default_factory=LossSettings)
    seed: int = 0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        require_one_of(self, "mode", ADAPTATION_MODES)
        require_from(self, 0, "steps")
        require_from(self, 1, "rank", "batch", "content_count")
        require_from(self, MIN_STYLE_SIDE_PX, "content_size_px", "style_size_px")
        require_from(self, 0.0, "levels", "abstraction", most=1.0)
        if self.brushwork is not None:
            require_from(self, 0.0, "brushwork", most=1.0)
        if self.learning_rate is not None:
            require_above_zero(self, "learning_rate")


def brush_for(height: int, width: int, supersampling: float = USUAL_SUPERSAMPLING) -> int:
    """The style size at which strokes are as large in a picture as they are in the painting.

    Args:
        height: of the picture to be drawn, in pixels.
        width: likewise.
        supersampling: with which it will be drawn.

    Returns:
        The short side that is drawn, within what a style can be read at: 128 to 768 px.
    """
    short = min(height, width)
    short_px = round(short * enlargement(short, supersampling))
    return min(max(short_px, _SMALLEST_BRUSH_PX), LARGEST_BRUSH_PX)


def refining_brush(style_size_px: int) -> int:
    """The size at which refining, which looks at the finished picture, reads a style's pictures.

    Args:
        style_size_px: at which the style is read, for pictures that are drawn larger first.
    """
    return max(MIN_STYLE_SIDE_PX, round(style_size_px / USUAL_SUPERSAMPLING))


@dataclass(frozen=True)
class StepReport:
    """What `on_step` is told after each step.

    Attributes:
        step: steps done, from 1.
        steps: steps in all.
        content: content loss of this step's batch.
        style: style loss of this step's batch.
        total: weighted loss of this step's batch.
        elapsed_s: seconds since adaptation began.
        preview: call it to stylize the preview pictures as stills are, with the style so far:
            (B, 3, H, W), [0, 1], on the device.
    """

    step: int
    steps: int
    content: float
    style: float
    total: float
    elapsed_s: float
    preview: Callable[[], Tensor]


@dataclass(frozen=True)
class AdaptationReport(StepReport):
    """What `on_step` of `adapt_to_style` is told after each step.

    Attributes:
        judged: what the losses are of: this step's batch as the network drew it, not recoloured,
            (B, 3, H, W), [0, 1], on the device.
    """

    judged: Tensor


OnStep = Callable[[StepReport], None]
OnAdaptationStep = Callable[[AdaptationReport], None]
_Report = TypeVar("_Report", bound=StepReport)


class StopLearning(Exception):  # noqa: N818 - names the event
    """Raised in `on_step` to end the steps and keep what they have reached."""


def wants_to_stop(on_step: Callable[[_Report], None] | None, report: _Report) -> bool:
    """Tell a step to whoever listens; True where they raise `StopLearning`."""
    try:
        if on_step is not None:
            on_step(report)
    except StopLearning:
        return True
    return False


def adapt_to_style(
    base: Base,
    encoder: PerceptualEncoder | None,
    style_images: list[Tensor],
    contents: Tensor | None = None,
    settings: AdaptationSettings | None = None,
    *,
    name: str = "style",
    resume: AdaptedStyle | None = None,
    on_step: OnAdaptationStep | None = None,
    on_content: Callable[[], None] | None = None,
    preview_images: Tensor | None = None,
    style_masks: Sequence[Tensor] | None = None,
) -> AdaptedStyle:
    """Turn one or several pictures of one style into an adapted style.

    Args:
        base: where to start; not changed.
        encoder: of the perceptual loss, on the device of the base; not changed.
            Not needed for 0 steps.
        style_images: (1, 3, H, W) pictures, any sizes from 64 px up, [0, 1], which count
            as one; see `style_target`.
        contents: (N, 3, H, W), [0, 1]: pictures to draw while adapting, painted over by the
            `abstraction` of the settings and with grain of every strength where the base reads it;
            see `own_contents`. None takes such crops of the
            photographs that ship; a style of mode `norm` then
            goes half of the way from its start, unless that is `fixed`, since it is to draw others
            than those; its losses, and those of the steps, are of the whole way.
        settings: how; the defaults when left out.
        name: what the style is called.
        resume: go on from this style instead of the initialisation.
        on_step: called after each step. `StopLearning` raised in it ends the steps, and
            the best state so far is the style; another exception passes through.
        on_content: called before each content is made, before it is painted over and before the
            encoder looks at it; an exception raised in it passes through.
        preview_images: (B, 3, H, W), [0, 1], what `StepReport.preview` stylizes; the
            first contents when left out.
        style_masks: (1, 1, H, W), [0, 1], one for all style pictures or one each, of their
            ratio: only where it is white does a picture count; see `style_pictures`.

    Returns:
        The best state met, or what lies half way to it, on the device of the base.

    Raises:
        ShapeError: a picture has the wrong shape or is too small, or a mask does not fit.
        SettingsError: NaN in a picture or mask, an empty mask, a predicted start without a
            predictor, or steps without an encoder.
        BaseMismatchError: `resume` belongs to another base.
        AdaptationDiverged: the loss exploded, and again at a tenth of the rate.

    Source:
        Finn et al. 2017, algorithm 1, whose inner loop this is at test time. Half of the way:
        Wortsman et al. 2022 (WiSE-FT), equation 1.
    """
    settings = settings or AdaptationSettings()
    scaled = _prepare_styles(style_images, style_masks, settings, base.device)
    brushwork = settings.brushwork
    if brushwork is None:
        brushwork = round(brushwork_of(scaled), 2)
    if contents is not None:
        contents = _checked_batch("Content", contents, MIN_STYLE_SIDE_PX).to(base.device)
    start = _starting_weights(base, scaled, settings, resume)
    reached = _Reached(start, {}, 0)
    palette = Palette.of([each.pixels for each in scaled], [each.mask for each in scaled])
    if settings.steps:
        if encoder is None:
            raise SettingsError("Adapting needs an encoder; pass one, or set steps to 0.")
        given = _shipped_contents(base, settings, on_content) if contents is None else contents
        drawn = _Contents.of(given, settings, brushwork, on_content)
        shown = given[: settings.batch] if preview_images is None else preview_images
        preview = _Preview(base, shown.to(base.device), settings.abstraction, brushwork, palette)
        from_a_style = resume is not None or settings.initialisation == "predicted"
        halved = contents is None and settings.mode == "norm" and from_a_style
        share = _HOLDS_FOR_OTHERS if halved else 1.0
        loop = _InnerLoop(base, encoder, scaled, drawn, settings, preview, share, on_content)
        reached = _run_with_one_retry(loop, start, on_step)
    return AdaptedStyle(
        fast_weights=reached.weights,
        base_sha256=base.sha256,
        mode=settings.mode,
        name=name,
        settings={
            **asdict(settings),
            "brushwork": brushwork,
            "rank": rank_of(reached.weights),
            "encoder": encoder.spec.name if encoder else None,
            "contents": "shipped" if contents is None else len(contents),
            "style_images": len(style_images),
            **({} if style_masks is None else {"style_masks": len(style_masks)}),
            **({} if reached.steps == settings.steps else {"stopped_after": reached.steps}),
            "resumed_from": resume.name if resume else None,
        },
        losses=reached.losses,
        palette=palette,
    )


@dataclass(frozen=True)
class _Reached:
    """Where a run of steps ended: its best weights, their smoothed losses, the steps done.

    The losses are of the whole way from the start, whatever share of it the weights go.
    """

    weights: dict[str, Tensor]
    losses: dict[str, float]
    steps: int


def _shipped_contents(
    base: Base, settings: AdaptationSettings, on_content: Callable[[], None] | None
) -> Tensor:
    generator = Generator().manual_seed(settings.seed)
    count, size_px = settings.content_count, settings.content_size_px
    return shipped_contents(count, size_px, generator, on_content).to(base.device)


@dataclass(frozen=True)
class _Contents:
    """Contents as they are read later.

    Attributes:
        pictures: (N, 3, H, W), [0, 1].
        painted: as many, painted over.
        strokes: (N, 1, H, W), of that, with their strengths.
    """

    pictures: Tensor
    painted: Tensor
    strokes: Tensor

    @classmethod
    def of(
        cls,
        pictures: Tensor,
        settings: AdaptationSettings,
        brushwork: float,
        on_content: Callable[[], None] | None,
    ) -> "_Contents":
        """Paint pictures (N, 3, H, W) over, one by one.

        Each by a part of the relief of its own, and together with strokes of all strengths; one
        content alone has about the usual grain. All as the brushwork of the style has it.
        """
        count, _, height, width = pictures.shape
        generator = Generator().manual_seed(settings.seed)
        sides = (height + _RELIEF_ROOM_PX, width + _RELIEF_ROOM_PX)
        relief = drawn_relief(*sides, generator, pictures.device)
        strengths = (torch.randperm(count, generator=generator) + 0.5) / count
        corners = torch.randint(_RELIEF_ROOM_PX + 1, (count, 2), generator=generator)
        painted: list[Tensor] = []
        strokes: list[Tensor] = []
        for picture, strength, (top, left) in zip(
            pictures.split(1), strengths.tolist(), corners.tolist(), strict=True
        ):
            if on_content is not None:
                on_content()
            piece = relief[..., top : top + height, left : left + width]
            touched = in_touches(picture, piece, in_brushwork(settings.abstraction, brushwork))
            painted.append(touched[0])
            strokes.append(in_brushwork(strength, brushwork) * touched[1])
        return cls(pictures, torch.cat(painted), torch.cat(strokes))


def _run_with_one_retry(
    loop: "_InnerLoop", start: dict[str, Tensor], on_step: OnAdaptationStep | None
) -> _Reached:
    rate = loop.settings.learning_rate or _LEARNING_RATES[loop.settings.mode]
    try:
        return loop.run(start, rate, on_step)
    except AdaptationDiverged:
        return loop.run(start, rate * RETRY_FACTOR, on_step)


class _InnerLoop:
    """One adaptation: its targets, found once, and its steps."""

    def __init__(
        self,
        base: Base,
        encoder: PerceptualEncoder,
        styles: list[StylePicture],
        contents: _Contents,
        settings: AdaptationSettings,
        preview: "_Preview",
        share: float,
        on_content: Callable[[], None] | None = None,
    ) -> None:
        """Find the targets; `share` is how much of the way from the start a style goes."""
        self.settings, self._share = settings, share
        self._base, self._encoder, self._preview = base, encoder, preview
        self._contents = contents.pictures
        with torch.no_grad(), autocast(settings.precision, base.device, gradients=True):
            layers = encoder.spec.style_layers
            scales = settings.loss.style_scales
            features = [
                each.counted(features_at_scales(encoder, each.pixels, scales, layers))
                for each in styles
            ]
            generator = Generator().manual_seed(settings.seed)
            self._target = style_target(
                features,
                [each.pixels for each in styles],
                settings.loss.style_distance,
                generator,
                [each.share() for each in styles],
            )
            strokes = contents.strokes
            if not base.network.reads_grain:
                strokes = torch.zeros_like(strokes)
            self._read = base.network.with_strokes(contents.painted, strokes)
            kept = content_of(contents.pictures, contents.painted, strokes)
            # Contents repeat, so their features are found once.
            kept_layers = content_layers(encoder.spec, settings.loss.content_distance)
            self._content_features = _features_of_each(encoder, kept_layers, kept, on_content)

    @torch.enable_grad()
    def run(
        self, start: dict[str, Tensor], rate: float, on_step: OnAdaptationStep | None
    ) -> _Reached:
        """All steps from `start`, or those up to `StopLearning`."""
        steps, began_s = self.settings.steps, time.monotonic()
        weights = {k: v.detach().clone().requires_grad_() for k, v in start.items()}
        optimizer = torch.optim.Adam(weights.values(), lr=rate)
        generator = Generator().manual_seed(self.settings.seed)
        batches = self._batches(generator)
        best, tracker = _detached(start), _LossTracker(steps)
        for step in range(1, steps + 1):
            for group in optimizer.param_groups:
                group["lr"] = rate * rate_share(step, steps)
            losses, judged = self._step(weights, optimizer, next(batches), generator)
            reached = {k: torch.lerp(start[k], w.detach(), self._share) for k, w in weights.items()}
            if tracker.add(losses, step):
                best = reached
            preview = partial(self._preview.draw, reached)
            elapsed_s = time.monotonic() - began_s
            report = AdaptationReport(
                step, steps, **losses, elapsed_s=elapsed_s, preview=preview, judged=judged
            )
            if wants_to_stop(on_step, report):
                return _Reached(best, tracker.best, step)
        return _Reached(best, tracker.best, steps)

    def _batches(self, generator: Generator) -> Iterator[Tensor]:
        """Positions of contents, reshuffled whenever all were used."""
        height, width = self._contents.shape[-2:]
        fitting = self.settings.batch * self.settings.content_size_px**2 // (height * width)
        count = min(max(fitting, 1), self.settings.batch, len(self._contents))
        while True:
            order = torch.randperm(len(self._contents), generator=generator)
            for first in range(0, len(order) - count + 1, count):
                yield order[first : first + count].to(self._contents.device)

    def _step(
        self,
        weights: dict[str, Tensor],
        optimizer: torch.optim.Adam,
        rows: Tensor,
        generator: Generator,
    ) -> tuple[dict[str, float], Tensor]:
        """Take a step; its losses, and the pictures (B, 3, H, W) that they are of."""
        with autocast(self.settings.precision, self._base.device, gradients=True):
            stylized = stylize_with(self._base.network, weights, self._read[rows])
            features = features_at_scales(self._encoder, stylized, self.settings.loss.style_scales)
        content = {layer: f[rows] for layer, f in self._content_features.items()}
        terms = perceptual_loss(
            stylized,
            self._contents[rows],
            features,
            content,
            self._target,
            self.settings.loss,
            generator,
        )
        # Not backward(): that would also fill .grad of a base that is being trained.
        gradients = torch.autograd.grad(terms.total.mean(), list(weights.values()))
        if not bool(torch.stack([gradient.sum() for gradient in gradients]).isfinite().all()):
            raise AdaptationDiverged(
                "The gradient holds NaN or infinity, also at a lower rate. Lower the learning "
                "rate or the style weight."
            )
        for weight, gradient in zip(weights.values(), gradients, strict=True):
            weight.grad = gradient
        optimizer.step()
        return terms.mean(), stylized.detach()


def _features_of_each(
    encoder: PerceptualEncoder,
    layers: Sequence[str],
    contents: Tensor,
    on_content: Callable[[], None] | None,
) -> dict[str, Tensor]:
    """These layers of all contents, found one by one."""
    rows: list[Mapping[str, Tensor]] = []
    for content in contents:
        if on_content is not None:
            on_content()
        rows.append(encoder(content[None], layers))
    return {layer: torch.cat([row[layer] for row in rows]) for layer in layers}


class _LossTracker:
    """Smoothed losses, the best of them, and the alarm for a loss that explodes.

    Some contents are easier than others, so that a few steps tell little: until enough of them
    are averaged the latest state counts as the best.
    """

    def __init__(self, steps: int) -> None:
        self._steps = 0
        self._needed = min(_AVERAGED, (steps + 1) // 2)
        self._sums: dict[str, float] = {}
        self._smoothed: dict[str, float] = {}
        self.best: dict[str, float] = {}

    def add(self, losses: Mapping[str, float], step: int) -> bool:
        """Take in one step's losses; True when the smoothed total is the best so far."""
        total, usual = losses["total"], self._smoothed.get("total", losses["total"])
        if not math.isfinite(total) or total > _EXPLODED * max(usual, 1e-12):
            raise AdaptationDiverged(
                f"The loss became {total:.3g} at step {step} (before: {usual:.3g}), also at a "
                "lower rate. Lower the learning rate or the style weight."
            )
        self._steps += 1
        weights = 1 - _SMOOTHING**self._steps
        for name, value in losses.items():
            self._sums[name] = _SMOOTHING * self._sums.get(name, 0.0) + (1 - _SMOOTHING) * value
            self._smoothed[name] = self._sums[name] / weights
        if self._steps > self._needed and self._smoothed["total"] > self.best["total"]:
            return False
        self.best = dict(self._smoothed)
        return True


def rate_share(step: int, steps: int) -> float:
    """Share of the learning rate at a step counted from 1: a short rise, then a cosine to 0.

    Adam's first steps have the full length whatever the gradient; without the rise they
    would throw a network with large filters off its place.
    """
    rise = min(1.0, step / max(1.0, _WARM_UP * steps))
    return rise * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))


def _detached(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


class _Preview:
    """Pictures as a style draws them so far, at their own size."""

    def __init__(
        self, base: Base, pictures: Tensor, abstraction: float, brushwork: float, palette: Palette
    ) -> None:
        """Paint pictures (B, 3, H, W) over, with the usual grain."""
        brushwork = brushwork_at(brushwork, min(pictures.shape[-2:]))
        self._base, self._palette = base, palette
        relief = grain_relief(*pictures.shape[-2:], seed=0).to(pictures.device)
        self._shown, strokes = in_touches(pictures, relief, in_brushwork(abstraction, brushwork))
        self._read = base.network.with_strokes(
            self._shown, in_brushwork(USUAL_GRAIN, brushwork) * strokes
        )

    @torch.no_grad()
    def draw(self, weights: Mapping[str, Tensor]) -> Tensor:
        drawn = stylize_with(self._base.network, weights, self._read)
        return recolour(drawn, self._shown, IN_STYLE.on(self._palette))


def _starting_weights(
    base: Base,
    styles: list[StylePicture],
    settings: AdaptationSettings,
    resume: AdaptedStyle | None,
) -> dict[str, Tensor]:
    weights = _detached(adapted_weights(base.network, settings.mode, settings.rank))
    if resume is not None:
        check_resume(resume, base, settings.mode)
        reached = resume.to(base.device, torch.float32).fast_weights
        if settings.mode == "full":
            reached = merge_updates(dict(base.network.named_parameters()), reached)
        return weights | _detached(reached)
    if settings.initialisation == "predicted":
        weights |= predict_norms(base, styles, settings.loss.style_weight, settings.precision)
    return weights


def check_resume(style: AdaptedStyle, base: Base, mode: AdaptationMode) -> None:
    """Refuse a style that an adaptation cannot go on from, before it begins.

    Args:
        style: to go on from.
        base: that is adapted.
        mode: of the adaptation; `full` goes on from every other.

    Raises:
        BaseMismatchError: the style belongs to another base.
        CheckpointError: its tensors are not those that its own mode needs.
        SettingsError: it changes what `mode` leaves alone.
    """
    check_style(style, base)
    changed = adapted_weights(base.network, mode, rank=1).keys()
    if mode != "full" and not style.fast_weights.keys() <= changed:
        wider = " or ".join(dict.fromkeys((style.mode, "full")))
        raise SettingsError(
            f"Style '{style.name}' was adapted in mode {style.mode}, which changes what "
            f"{mode} leaves alone; resume it in mode {wider}."
        )


def predict_norms(
    base: Base, styles: list[StylePicture], style_weight: float, precision: Precision
) -> dict[str, Tensor]:
    """The predicted initialisation of a style: parameter name to (C,).

    Args:
        base: with a predictor.
        styles: on the device of the base.
        style_weight: the balance to strike, as in `LossSettings`.
        precision: of the encoder.

    Raises:
        SettingsError: the base has no predictor.
    """
    if base.predictor is None:
        raise SettingsError("This base has no predictor; choose the initialisation 'fixed'.")
    read = [
        base.predictor.statistics(each.pixels, precision, counted=each.counted) for each in styles
    ]
    statistics = torch.stack(read).mean(0)
    with torch.no_grad():
        weights = statistics.new_tensor([style_weight])
        norms = predicted_norms(base.network, base.predictor.network, statistics, weights)
    return {name: norms[name][0].clone() for name in norm_parameter_names(base.network)}


def _prepare_styles(
    images: list[Tensor],
    masks: Sequence[Tensor] | None,
    settings: AdaptationSettings,
    device: torch.device,
) -> list[StylePicture]:
    if not images:
        raise ShapeError("There is no style image; give at least one.")
    checked = [_checked_batch("Style", image, MIN_STYLE_SIDE_PX).to(device) for image in images]
    scaled: list[StylePicture] = []
    for style in style_pictures(checked, masks, MIN_STYLE_SIDE_PX):
        factor = settings.style_size_px / min(style.pixels.shape[-2:])
        height, width = (round(side * factor) for side in style.pixels.shape[-2:])
        resized = style.resized(*fit_within(height, width, MAX_STYLE_PIXELS))
        scaled.append(resized.with_levels(settings.levels))
    return scaled


def _checked_batch(role: str, images: Tensor, least_px: int) -> Tensor:
    require_pictures(images, f"{role.lower()} images")
    if not len(images):
        raise ShapeError(f"There is no {role.lower()} image; give at least one.")
    height, width = images.shape[-2:]
    require_sides(f"{role} image", height, width, least_px)
    require_unit_range(images, f"{role} image")
    return images.detach().float().clamp(0, 1)
