"""Meta-learning: the inner loop of a task, and the gradient that moves the initialisation.

`meta_step` is MAML, FOMAML and Reptile in one, and with no inner steps it is plain
multi-style training, the control. `meta_training` wraps it as a recipe for the trainer.

Source: MetaStyle (Zhang, Zhu, Zhu 2019), equations 4 and 5; MAML (Finn et al. 2017);
Reptile (Nichol et al. 2018); learned inner learning rates: Meta-SGD (Li et al. 2017);
an outer loss at several points of the inner loop: MAML++ (Antoniou et al. 2019).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from ..base import Predictor
from ..borders import Seamless
from ..encoder import PerceptualEncoder, features_at_scales
from ..initialisation import fixed_norms, predicted_norms
from ..losses import StyleTarget, content_layers, perceptual_loss, style_target
from ..low_rank import is_update, merge_updates
from ..network import STRIDE_PX, StylizationNetwork, adapted_weights, stylize_with
from ..precision import autocast
from ..style_distance import at_least_float32
from ..touches import content_of
from .recipe import Outcome
from .tasks import MetaSettings, Tasks

_POISONED = 1e4
# Below this a loss is as good as zero; the logarithm must not chase it further.
_LOG_OFFSET = 0.1
_METRICS: tuple[str, ...] = ("content", "style", "total", "log_total", "shift")
_BORDER_PX = 8


@dataclass(frozen=True)
class Learner:
    """What meta-training moves, and the frozen encoders it is judged by.

    Attributes:
        network: the image transformation network.
        predictor: with the encoder that it reads; None with the fixed initialisation.
        inner_log_rates: logarithm of the learned inner learning rate per parameter name,
            dots replaced by bars; empty when the rate is given.
        loss_encoder: of the perceptual loss.
    """

    network: StylizationNetwork
    predictor: Predictor | None
    inner_log_rates: nn.ParameterDict
    loss_encoder: PerceptualEncoder


def meta_step(learner: Learner, tasks: Tasks, settings: MetaSettings) -> Outcome:
    """Add the summed outer gradient of some tasks into `.grad` of the learner.

    Instance-norm inner loops run all tasks at once, one row of parameters each;
    other modes run task by task.

    Args:
        learner: network, predictor and rates; only their `.grad` changes.
        tasks: styles with support and query contents, on the learner's device.
        settings: algorithm, inner loop and loss.

    Returns:
        How many tasks counted and were skipped, and sums of their outer losses
        (`content`, `style`, `total`, geometric: `log_total`).

    Source:
        MetaStyle, equations 4 and 5; first order: Finn et al. 2017, section 5.2;
        Reptile: Nichol et al. 2018, algorithm 2.
    """
    outcomes = [_group_step(learner, group, settings) for group in _groups(tasks, settings)]
    metrics: dict[str, Tensor | float] = {}
    for outcome in outcomes:
        for name, value in outcome.metrics.items():
            metrics[name] = metrics.get(name, 0.0) + value
    count, skipped = sum(o.count for o in outcomes), sum(o.skipped for o in outcomes)
    return Outcome(count, skipped, metrics)


def _groups(tasks: Tasks, settings: MetaSettings) -> Iterator[Tasks]:
    if settings.inner_mode == "norm" or settings.inner_steps == 0:
        yield tasks
        return
    for row in range(len(tasks)):
        yield tasks.select(torch.tensor([row], device=tasks.styles.device))


def _group_step(learner: Learner, tasks: Tasks, settings: MetaSettings) -> Outcome:
    zeros = dict.fromkeys(_METRICS, 0.0)
    if not len(tasks):
        return Outcome(0, 0, zeros)
    with torch.no_grad(), autocast(settings.precision, tasks.styles.device, gradients=True):
        encoder = learner.loss_encoder
        features = features_at_scales(
            encoder, tasks.styles, settings.loss.style_scales, encoder.spec.style_layers
        )
        distance, generator = settings.loss.style_distance, Generator().manual_seed(tasks.seed)
        target = style_target([features], [tasks.styles], distance, generator)
    start = _initial_weights(learner, tasks, settings)
    inner_loop = _adam_steps if settings.inner_optimizer == "adam" else _gradient_steps
    adapted = inner_loop(learner, start, tasks, target, generator, settings)
    reptile = settings.algorithm == "reptile"
    with torch.set_grad_enabled(not reptile):
        losses = _outer_losses(learner, adapted, tasks, target, generator, settings)
        objective, share = losses.objective, settings.start_share
        if share and settings.inner_steps:
            at_start = _outer_losses(learner, start, tasks, target, generator, settings)
            objective = torch.lerp(objective, at_start.objective, share)
    good = torch.isfinite(objective) & (losses.total.detach() < _POISONED)
    if not bool(good.all()):
        kept = _group_step(learner, tasks.select(good.nonzero().flatten()), settings)
        return Outcome(kept.count, kept.skipped + int((~good).sum()), kept.metrics)
    if reptile:
        own = dict(learner.network.named_parameters())
        _backward_reptile(merge_updates(own, start), merge_updates(own, adapted))
    else:
        objective.sum().backward()
    return Outcome(len(tasks), 0, losses.sums())


@dataclass(frozen=True)
class _TaskLosses:
    """Losses per task, each (S,)."""

    content: Tensor
    style: Tensor
    total: Tensor
    log_total: Tensor
    shift: Tensor
    objective: Tensor

    def sums(self) -> dict[str, Tensor | float]:
        return {name: getattr(self, name).detach().sum() for name in _METRICS}


def _initial_weights(learner: Learner, tasks: Tasks, settings: MetaSettings) -> dict[str, Tensor]:
    """Where the inner loop starts: rows (S, C) for norms, plain shapes for the rest."""
    predictor = learner.predictor
    if predictor is None:
        norms = fixed_norms(learner.network, len(tasks))
    else:
        statistics = predictor.statistics(tasks.styles, settings.precision, gradients=True)
        norms = predicted_norms(learner.network, predictor.network, statistics, tasks.style_weights)
    if settings.inner_steps == 0:
        return norms
    weights = adapted_weights(learner.network, settings.inner_mode, settings.rank)
    return {name: norms.get(name, weight) for name, weight in weights.items()}


def _outer_losses(
    learner: Learner,
    weights: dict[str, Tensor],
    tasks: Tasks,
    target: StyleTarget,
    generator: Generator,
    settings: MetaSettings,
) -> _TaskLosses:
    """Losses on the query contents, with their touches, their shift and their borders."""
    return _losses(
        learner,
        weights,
        tasks,
        tasks.query_contents,
        target,
        generator,
        settings,
        tasks.query_touches,
        tasks.shift_px,
        tasks.judged_from,
        tasks.seamless,
    )


def _losses(
    learner: Learner,
    weights: dict[str, Tensor],
    tasks: Tasks,
    contents: Tensor,
    target: StyleTarget,
    generator: Generator,
    settings: MetaSettings,
    touches: Tensor | None = None,
    shift_px: tuple[int, int] = (0, 0),
    judged_from: tuple[int, int] = (0, 0),
    seamless: Seamless = "none",
) -> _TaskLosses:
    each = len(contents) // len(tasks)
    rows = {
        # One row per picture; convolutions and their updates have no rows and are shared.
        name: weight.repeat_interleave(each, 0) if _has_rows(name, weight) else weight
        for name, weight in weights.items()
    }
    encoder = learner.loss_encoder
    layers = content_layers(encoder.spec, settings.loss.content_distance)
    read = kept = contents
    if touches is not None:
        painted, strokes = touches.split([3, 1], dim=1)
        read = learner.network.with_strokes(painted, strokes)
        kept = content_of(contents, painted, strokes)
    with autocast(settings.precision, contents.device, gradients=True):
        stylized = stylize_with(learner.network, rows, read, seamless=seamless)
        seen, wanted = _judged((stylized, kept), judged_from, settings)
        features = features_at_scales(encoder, seen, settings.loss.style_scales)
        with torch.no_grad():
            content = encoder(wanted, layers)
    style_weights = tasks.style_weights.repeat_interleave(each)
    terms = perceptual_loss(
        stylized,
        contents,
        features,
        content,
        target.repeat(each),
        settings.loss,
        generator,
        style_weights,
    )
    shift = torch.zeros_like(terms.total)
    if any(shift_px):
        shift = _shift_error(learner.network, rows, read, stylized, shift_px, seamless, settings)
    total = terms.total + settings.shift_weight * shift
    log_total = (total + _LOG_OFFSET).log()
    objective = log_total if settings.objective == "log_total" else total
    parts = (terms.content, terms.style, total, log_total, shift, objective)
    return _TaskLosses(*(part.unflatten(0, (len(tasks), each)).mean(1) for part in parts))


def _judged(
    pictures: tuple[Tensor, Tensor], first: tuple[int, int], settings: MetaSettings
) -> Iterator[Tensor]:
    """What the judge sees of pictures: as large wherever it begins."""
    top, left = first
    rows, columns = (slice(at, at + settings.crop_px - settings.judge_shift) for at in (top, left))
    return (each[..., rows, columns] for each in pictures)


def _has_rows(name: str, weight: Tensor) -> bool:
    return weight.ndim == 2 and not is_update(name)


def _shift_error(
    network: StylizationNetwork,
    weights: dict[str, Tensor],
    contents: Tensor,
    stylized: Tensor,
    shift_px: tuple[int, int],
    seamless: Seamless,
    settings: MetaSettings,
) -> Tensor:
    """Mean squared difference (B,) of what was stylized and then moved to the reverse.

    The gradient flows through `stylized` alone: contents are cropped anywhere, so that the
    two change places often enough, and one pass backward is saved.
    """

    def drawn(moved: Tensor) -> Tensor:
        # In the format of the picture that it is compared with, through which gradients flow.
        with torch.no_grad(), autocast(settings.precision, contents.device, gradients=True):
            return stylize_with(network, weights, moved, seamless=seamless)

    down, right = shift_px
    if seamless == "both":
        before, after = (v.roll((-down, -right), (2, 3)) for v in (contents, stylized))
        difference = at_least_float32(after) - at_least_float32(drawn(before))
    else:
        height, width = (side - STRIDE_PX for side in contents.shape[-2:])
        # As large for every shift: what is compiled or tuned for one size serves all.
        window = (..., slice(down, down + height), slice(right, right + width))
        difference = at_least_float32(stylized[window]) - at_least_float32(drawn(contents[window]))
        # At its borders a picture may change: what it reflects there has changed.
        difference = difference[..., _BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX]
    return difference.square().mean(dim=(1, 2, 3))


def _gradient_steps(
    learner: Learner,
    start: dict[str, Tensor],
    tasks: Tasks,
    target: StyleTarget,
    generator: Generator,
    settings: MetaSettings,
) -> dict[str, Tensor]:
    """Where plain gradient descent on the support contents leads."""
    adapted = start
    for _ in range(settings.inner_steps):
        adapted = _inner_step(learner, adapted, tasks, target, generator, settings)
    return adapted


def _adam_steps(
    learner: Learner,
    start: dict[str, Tensor],
    tasks: Tasks,
    target: StyleTarget,
    generator: Generator,
    settings: MetaSettings,
) -> dict[str, Tensor]:
    """Where Adam leads; in first order the start moves as what it leads to."""
    moving = {name: weight.detach().clone().requires_grad_() for name, weight in start.items()}
    optimizer = torch.optim.Adam(moving.values(), lr=settings.inner_lr)
    for _ in range(settings.inner_steps):
        gradients = _support_gradients(learner, moving, tasks, target, generator, settings)
        for weight, gradient in zip(moving.values(), gradients, strict=True):
            weight.grad = gradient
        optimizer.step()
    return {name: weight + (moving[name] - weight).detach() for name, weight in start.items()}


def _inner_step(
    learner: Learner,
    weights: dict[str, Tensor],
    tasks: Tasks,
    target: StyleTarget,
    generator: Generator,
    settings: MetaSettings,
) -> dict[str, Tensor]:
    """One gradient step on the support contents, differentiable where MAML needs it."""
    second_order = settings.algorithm == "maml"
    if not second_order:
        inputs = {name: w.detach().requires_grad_() for name, w in weights.items()}
    else:
        inputs = weights
    gradients = _support_gradients(learner, inputs, tasks, target, generator, settings)
    rates = learner.inner_log_rates
    updated: dict[str, Tensor] = {}
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        key = rate_key(name)
        rate = rates[key].exp() if key in rates else settings.inner_lr
        updated[name] = weight - rate * gradient
    return updated


def _support_gradients(
    learner: Learner,
    weights: dict[str, Tensor],
    tasks: Tasks,
    target: StyleTarget,
    generator: Generator,
    settings: MetaSettings,
) -> tuple[Tensor, ...]:
    """Gradients of the loss on the support contents, differentiable where MAML needs it."""
    losses = _losses(learner, weights, tasks, tasks.support_contents, target, generator, settings)
    return torch.autograd.grad(
        losses.objective.sum(),
        list(weights.values()),
        create_graph=settings.algorithm == "maml",
    )


def _backward_reptile(start: dict[str, Tensor], adapted: dict[str, Tensor]) -> None:
    """Reptile's gradient, the start minus the adapted weights, into whatever gave the start."""
    tensors = list(start.values())
    directions = [(s - adapted[name]).detach() for name, s in start.items()]
    torch.autograd.backward(tensors, directions)


def rate_key(parameter_name: str) -> str:
    """Name of a parameter's learned rate; a ParameterDict allows no dots."""
    return parameter_name.replace(".", "|")
