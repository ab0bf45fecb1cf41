"""Meta-learning: one task, its inner loop, and the gradient that moves the initialisation.

`meta_step` is MAML, FOMAML and Reptile in one, and with no inner steps it is plain
multi-style training, the control. `MetaLearning` wraps it as a recipe for the trainer.

Source: MetaStyle (Zhang, Zhu, Zhu 2019), equations 4 and 5; MAML (Finn et al. 2017);
Reptile (Nichol et al. 2018); learned inner rates: Meta-SGD (Li et al. 2017).
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from ..adaptation import AdaptationSettings, adapt_to_style
from ..base import Base, Predictor, load_base, save_base
from ..encoder import PerceptualEncoder
from ..errors import CheckpointError, SettingsError
from ..images import contact_sheet
from ..initialisation import (
    InitialisationForm,
    PredictorSize,
    StylePredictor,
    count_statistics,
    initial_norms,
)
from ..losses import (
    LossSettings,
    StyleTarget,
    at_least_float32,
    perceptual_loss,
    style_target,
)
from ..low_rank import is_update, merge_updates
from ..network import (
    AdaptationMode,
    StylizationNetwork,
    adapted_weights,
    stylize_with,
)
from ..precision import Precision, autocast
from .data import ImagePool
from .trainer import Outcome, Shard

BASE_FILE = "base.safetensors"
Algorithm = Literal["maml", "fomaml", "reptile"]
_POISONED = 1e4
# Below this a loss is as good as zero; the logarithm must not chase it further.
_LOG_OFFSET = 0.1
_METRICS: tuple[str, ...] = ("content", "style", "total", "log_total", "shift")
_PICTURE_STYLES, _PICTURE_CONTENTS, _PICTURE_STEPS = 6, 3, 20
# The network halves a picture twice: it may answer differently to each of these places.
_STRIDE_PX = 4
_BORDER_PX = 8


@dataclass(frozen=True)
class MetaSettings:
    """One update of meta-training.

    Attributes:
        algorithm: `maml` is the full second-order gradient, `fomaml` leaves the
            second derivatives out, `reptile` moves towards the adapted weights.
        inner_steps: T of the paper; 0 trains without an inner loop (the control).
        inner_lr: rate of the inner gradient steps, or where learned rates start.
        learn_inner_lr: learn one rate per parameter tensor. The rates stay in the
            checkpoints of the run: adaptation uses Adam, not the inner loop's rates.
        inner_mode: what the inner loop adapts.
        rank: of the updates of convolutions where that is `low_rank`.
        initialisation: `fixed` or `predicted`.
        styles: tasks per update, over all processes.
        support: contents per task in the inner loop.
        query: contents per task in the outer loss.
        crop_px: side of contents and styles.
        channels: width of the network; 32 is the paper's.
        blocks: residual blocks of the network; 5 is the paper's.
        predictor: size of the predictor, where the initialisation is `predicted`.
        max_style_scale: largest enlargement of a style picture before its crop.
        objective: of the outer loss. `log_total` takes the logarithm of each
            picture's loss, so that every style pulls alike however hard it is.
        loss: weights of the perceptual loss.
        style_weight_range: draw each task's style weight log-uniformly between these
            instead of taking the one of `loss`; the predictor is told which.
        light_tasks: share of the tasks whose weight is drawn between 0 and the lower
            end of the range, so that the way to the plain content is learned too.
        shift_weight: factor of the shift error of the outer loss: how much a picture
            changes beyond its own motion when its content moves by a few pixels, which
            is what flickers in video.
        precision: of the convolutions.
    """

    algorithm: Algorithm = "fomaml"
    inner_steps: int = 0
    inner_lr: float = 1e-2
    learn_inner_lr: bool = False
    inner_mode: AdaptationMode = "norm"
    rank: int = 4
    initialisation: InitialisationForm = "predicted"
    styles: int = 4
    support: int = 1
    query: int = 1
    crop_px: int = 128
    channels: int = 32
    blocks: int = 5
    predictor: PredictorSize = field(default_factory=PredictorSize)
    max_style_scale: float = 1.0
    objective: Literal["log_total", "total"] = "log_total"
    loss: LossSettings = field(default_factory=LossSettings)
    style_weight_range: tuple[float, float] | None = None
    light_tasks: float = 0.15
    shift_weight: float = 0.0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if self.style_weight_range and not 0 < self.style_weight_range[0] < float("inf"):
            raise SettingsError("style_weight_range must begin above 0.")
        if self.style_weight_range and self.style_weight_range[0] > self.style_weight_range[1]:
            raise SettingsError("style_weight_range must not begin above its end.")
        if not 0 <= self.light_tasks <= 1:
            raise SettingsError(f"light_tasks is {self.light_tasks}; 0 to 1 is needed.")
        if not 0 <= self.shift_weight < float("inf"):
            raise SettingsError(f"shift_weight is {self.shift_weight}; 0 or more is needed.")
        if self.inner_steps < 0 or min(self.styles, self.support, self.query, self.rank) < 1:
            raise SettingsError(
                "inner_steps must be 0 or more; styles, support, query and rank at least 1."
            )
        if not 0 < self.inner_lr < float("inf"):
            raise SettingsError(f"inner_lr is {self.inner_lr}; a number above 0 is needed.")
        if self.crop_px < 64:
            raise SettingsError(f"crop_px is {self.crop_px}; at least 64 is needed.")
        if not (1 <= self.channels <= 256 and 1 <= self.blocks <= 64):
            raise SettingsError("channels must be 1 to 256 and blocks 1 to 64.")
        if self.algorithm == "reptile" and self.inner_steps == 0:
            raise SettingsError("Reptile needs at least one inner step.")


@dataclass(frozen=True)
class Tasks:
    """Several styles with their contents.

    Attributes:
        styles: (S, 3, H, W).
        support_contents: (S * support, 3, H, W), those of one style in a row.
        query_contents: (S * query, 3, H, W), likewise.
        style_weights: (S,), of the perceptual loss.
        shift_px: by how much the query contents move for the shift error, down and right.
    """

    styles: Tensor
    support_contents: Tensor
    query_contents: Tensor
    style_weights: Tensor
    shift_px: tuple[int, int] = (0, 0)

    def __len__(self) -> int:
        return len(self.styles)

    def select(self, rows: Tensor) -> "Tasks":
        """The tasks at the given positions (N,)."""
        support, query = self.support_contents, self.query_contents
        return Tasks(
            self.styles[rows],
            support.unflatten(0, (len(self), -1))[rows].flatten(0, 1),
            query.unflatten(0, (len(self), -1))[rows].flatten(0, 1),
            self.style_weights[rows],
            self.shift_px,
        )

    def to(self, device: torch.device) -> "Tasks":
        """The tasks on a device."""
        return Tasks(
            self.styles.to(device),
            self.support_contents.to(device),
            self.query_contents.to(device),
            self.style_weights.to(device),
            self.shift_px,
        )


@dataclass(frozen=True)
class Learner:
    """What meta-training moves, and the frozen encoders it is judged by.

    Attributes:
        network: the image transformation network.
        predictor: None with the fixed initialisation.
        inner_log_rates: logarithm of the learned inner rate per parameter name,
            dots replaced by bars; empty when the rate is given.
        loss_encoder: of the perceptual loss.
        style_encoder: what the predictor reads.
    """

    network: StylizationNetwork
    predictor: StylePredictor | None
    inner_log_rates: nn.ParameterDict
    loss_encoder: PerceptualEncoder
    style_encoder: PerceptualEncoder


class TaskSampler:
    """Draws tasks: styles of one pool, contents of another."""

    def __init__(self, contents: ImagePool, styles: ImagePool, settings: MetaSettings) -> None:
        self._contents, self._styles, self._settings = contents, styles, settings

    def sample(self, generator: Generator, shard: Shard) -> Tasks:
        """Draw `settings.styles` tasks and read those of this shard.

        The same generator state gives the same tasks on every process.
        """
        settings, size = self._settings, self._settings.crop_px
        support = settings.support if settings.inner_steps else 0
        styles = self._styles.draw(
            settings.styles, size, generator, max_scale=settings.max_style_scale
        )
        per_task = support + settings.query
        contents = self._contents.draw(settings.styles * per_task, size, generator)
        weights = self._draw_style_weights(generator)
        mine = range(shard.rank, settings.styles, shard.world_size)
        grouped = [contents[i * per_task : (i + 1) * per_task] for i in mine]
        queries = [crop for group in grouped for crop in group[support:]]
        supports = [crop for group in grouped for crop in group[:support]]
        read = self._contents.read
        return Tasks(
            self._styles.read([styles[i] for i in mine], size),
            read(supports, size) if supports else torch.empty(0, 3, size, size),
            read(queries, size) if queries else torch.empty(0, 3, size, size),
            weights[list(mine)],
            self._draw_shift(generator) if settings.shift_weight else (0, 0),
        )

    def _draw_shift(self, generator: Generator) -> tuple[int, int]:
        """One of the ways to fall between the network's strides, all alike."""
        place = int(torch.randint(1, _STRIDE_PX**2, (), generator=generator))
        return place // _STRIDE_PX, place % _STRIDE_PX

    def _draw_style_weights(self, generator: Generator) -> Tensor:
        settings = self._settings
        if settings.style_weight_range is None:
            return torch.full((settings.styles,), settings.loss.style_weight)
        low, high = settings.style_weight_range
        kind, place = torch.rand(2, settings.styles, generator=generator)
        usual = low * (high / low) ** place
        light = torch.expm1(math.log1p(low) * place)
        return torch.where(kind < settings.light_tasks, light, usual)


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
    metrics: dict[str, float] = {}
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
        target = style_target(encoder(tasks.styles, encoder.spec.style_layers), tasks.styles)
    start = _initial_weights(learner, tasks, settings)
    adapted = start
    for _ in range(settings.inner_steps):
        adapted = _inner_step(learner, adapted, tasks, target, settings)
    reptile = settings.algorithm == "reptile"
    with torch.set_grad_enabled(not reptile):
        losses = _losses(
            learner, adapted, tasks, tasks.query_contents, target, settings, tasks.shift_px
        )
    good = torch.isfinite(losses.objective) & (losses.total.detach() < _POISONED)
    if not bool(good.all()):
        kept = _group_step(learner, tasks.select(good.nonzero().flatten()), settings)
        return Outcome(kept.count, kept.skipped + int((~good).sum()), kept.metrics)
    if reptile:
        own = dict(learner.network.named_parameters())
        _backward_reptile(merge_updates(own, start), merge_updates(own, adapted))
    else:
        losses.objective.sum().backward()
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

    def sums(self) -> dict[str, float]:
        return {name: float(getattr(self, name).detach().sum()) for name in _METRICS}


def _initial_weights(learner: Learner, tasks: Tasks, settings: MetaSettings) -> dict[str, Tensor]:
    """Where the inner loop starts: rows (S, C) for norms, plain shapes for the rest."""
    encoder = learner.style_encoder
    if learner.predictor is None:
        statistics = tasks.styles.new_zeros(len(tasks), 1)
    else:
        with torch.no_grad(), autocast(settings.precision, tasks.styles.device, gradients=True):
            features = encoder(tasks.styles, encoder.spec.style_layers)
        statistics = learner.predictor.statistics(features)
    norms = initial_norms(learner.network, learner.predictor, statistics, tasks.style_weights)
    if settings.inner_steps == 0:
        return norms
    weights = adapted_weights(learner.network, settings.inner_mode, settings.rank)
    return {name: norms.get(name, weight) for name, weight in weights.items()}


def _losses(
    learner: Learner,
    weights: dict[str, Tensor],
    tasks: Tasks,
    contents: Tensor,
    target: StyleTarget,
    settings: MetaSettings,
    shift_px: tuple[int, int] = (0, 0),
) -> _TaskLosses:
    each = len(contents) // len(tasks)
    rows = {
        # One row per picture; convolutions and their updates have no rows and are shared.
        name: weight.repeat_interleave(each, 0) if _has_rows(name, weight) else weight
        for name, weight in weights.items()
    }
    encoder = learner.loss_encoder
    with autocast(settings.precision, contents.device, gradients=True):
        stylized = stylize_with(learner.network, rows, contents)
        features = encoder(stylized)
        with torch.no_grad():
            content = encoder(contents, encoder.spec.content_layers)
    style_weights = tasks.style_weights.repeat_interleave(each)
    terms = perceptual_loss(
        stylized, features, content, target.repeat(each), settings.loss, style_weights
    )
    shift = torch.zeros_like(terms.total)
    if any(shift_px):
        shift = _shift_error(learner.network, rows, contents, stylized, shift_px, settings)
    total = terms.total + settings.shift_weight * shift
    log_total = (total + _LOG_OFFSET).log()
    objective = log_total if settings.objective == "log_total" else total
    parts = (terms.content, terms.style, total, log_total, shift, objective)
    return _TaskLosses(*(part.unflatten(0, (len(tasks), each)).mean(1) for part in parts))


def _has_rows(name: str, weight: Tensor) -> bool:
    return weight.ndim == 2 and not is_update(name)


def _shift_error(
    network: StylizationNetwork,
    weights: dict[str, Tensor],
    contents: Tensor,
    stylized: Tensor,
    shift_px: tuple[int, int],
    settings: MetaSettings,
) -> Tensor:
    """Mean squared difference (B,) of what was stylized and then moved to the reverse.

    The gradient flows through `stylized` alone: contents are cropped anywhere, so that the
    two change places often enough, and one pass backward is saved.
    """
    down, right = shift_px
    with torch.no_grad(), autocast(settings.precision, contents.device):
        moved = stylize_with(network, weights, contents[..., down:, right:])
    difference = at_least_float32(stylized[..., down:, right:]) - at_least_float32(moved)
    # At its borders a picture may change: what it reflects there has changed.
    inner = slice(_BORDER_PX, -_BORDER_PX)
    return difference[..., inner, inner].square().mean(dim=(1, 2, 3))


def _inner_step(
    learner: Learner,
    weights: dict[str, Tensor],
    tasks: Tasks,
    target: StyleTarget,
    settings: MetaSettings,
) -> dict[str, Tensor]:
    """One gradient step on the support contents, differentiable where MAML needs it."""
    second_order = settings.algorithm == "maml"
    if not second_order:
        inputs = {name: w.detach().requires_grad_() for name, w in weights.items()}
    else:
        inputs = weights
    losses = _losses(learner, inputs, tasks, tasks.support_contents, target, settings)
    gradients = torch.autograd.grad(
        losses.objective.sum(), list(inputs.values()), create_graph=second_order
    )
    rates = learner.inner_log_rates
    updated: dict[str, Tensor] = {}
    for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
        key = rate_key(name)
        rate = rates[key].exp() if key in rates else settings.inner_lr
        updated[name] = weight - rate * gradient
    return updated


def _backward_reptile(start: dict[str, Tensor], adapted: dict[str, Tensor]) -> None:
    """Reptile's gradient, the start minus the adapted weights, into whatever gave the start."""
    tensors = list(start.values())
    directions = [(s - adapted[name]).detach() for name, s in start.items()]
    torch.autograd.backward(tensors, directions)


def rate_key(parameter_name: str) -> str:
    """Name of a parameter's learned rate; a ParameterDict allows no dots."""
    return parameter_name.replace(".", "|")


class MetaLearning:
    """The recipe that trains the base."""

    def __init__(
        self,
        loss_encoder: PerceptualEncoder,
        style_encoder: PerceptualEncoder,
        contents: ImagePool,
        styles: ImagePool,
        settings: MetaSettings,
        *,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        """Build an untrained learner.

        Args:
            loss_encoder: of the perceptual loss, frozen.
            style_encoder: what the predictor reads, frozen; it ships with the base.
            contents: photographs.
            styles: paintings.
            settings: of one update.
            device: where to compute.
            seed: of the first weights.
        """
        self.settings, self._device = settings, device
        self._sampler = TaskSampler(contents, styles, settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = StylizationNetwork(settings.channels, settings.blocks)
            predicted = settings.initialisation == "predicted"
            predictor = (
                StylePredictor(network, style_encoder, settings.predictor) if predicted else None
            )
        names = tuple(adapted_weights(network, settings.inner_mode, settings.rank))
        learned = names if settings.learn_inner_lr and settings.inner_steps else ()
        rates = nn.ParameterDict(
            {rate_key(n): nn.Parameter(torch.tensor(math.log(settings.inner_lr))) for n in learned}
        )
        self.learner = Learner(network, predictor, rates, loss_encoder, style_encoder)
        parts: dict[str, nn.Module] = {"network": network, "inner_log_rates": rates}
        if predictor is not None:
            parts["predictor"] = predictor
        self._modules = nn.ModuleDict(parts).to(device)
        loss_encoder.to(device)
        style_encoder.to(device)
        generator, size = Generator().manual_seed(seed), max(128, settings.crop_px)
        shown = styles.draw(_PICTURE_STYLES, size, generator)
        self._picture_styles = styles.read(shown, size).to(device)
        shown = contents.draw(_PICTURE_CONTENTS, size, generator)
        self._picture_contents = contents.read(shown, size).to(device)

    @property
    def modules(self) -> nn.Module:
        """Network, predictor and learned rates."""
        return self._modules

    def start_from(self, path: Path | str) -> None:
        """Begin with the weights of a base in place of random ones.

        Args:
            path: a base file. Its predictor is taken over where both have one, grown
                if need be, with the encoder that this predictor reads.

        Raises:
            CheckpointError: the file is missing, damaged or of another kind.
            SettingsError: its predictor is too large.
        """
        base = load_base(path)
        own = self.learner.network
        if (base.network.channels, base.network.blocks) != (own.channels, own.blocks):
            raise CheckpointError(
                f"{path} has {base.network.channels} channels and {base.network.blocks} blocks; "
                f"{own.channels} and {own.blocks} are asked for."
            )
        self.learner.network.load_state_dict(base.network.state_dict())
        if self.learner.predictor is not None and base.predictor is not None:
            read = base.predictor.encoder.to(self._device)
            if count_statistics(read) != count_statistics(self.learner.style_encoder):
                raise CheckpointError(
                    f"{path}: its predictor reads an encoder of other layers; name that encoder's "
                    "file with --style-encoder-weights."
                )
            self.learner.predictor.grow_from(base.predictor.network)
            self.learner = replace(self.learner, style_encoder=read)

    def accumulate_gradients(self, generator: Generator, shard: Shard) -> Outcome:
        """Draw tasks and add up their outer gradients."""
        tasks = self._sampler.sample(generator, shard)
        return meta_step(self.learner, tasks.to(self._device), self.settings)

    def draw_picture(self) -> Tensor:
        """Fixed styles by fixed contents, before and after a short adaptation.

        Each row is one style: its picture, the contents at 0 steps, and the contents
        after `_PICTURE_STEPS` steps.
        """
        network, predictor = self.learner.network, self.learner.predictor
        reader = Predictor(predictor, self.learner.style_encoder) if predictor else None
        base = Base(network, reader, sha256="in training", training={})
        styles, contents = self._picture_styles, self._picture_contents
        rows: list[list[Tensor]] = []
        for style in styles.split(1):
            row = [style[0]]
            for steps in (0, _PICTURE_STEPS):
                settings = AdaptationSettings(
                    steps=steps,
                    mode=self.settings.inner_mode,
                    rank=self.settings.rank,
                    initialisation=self.settings.initialisation,
                    style_size_px=style.shape[-1],
                    loss=self.settings.loss,
                    precision=self.settings.precision,
                )
                adapted = adapt_to_style(
                    base, self.learner.loss_encoder, [style], contents, settings
                )
                with torch.no_grad():
                    row += list(stylize_with(network, adapted.fast_weights, contents))
            rows.append(row)
        return contact_sheet([[picture.cpu() for picture in row] for row in rows])

    def export(self, folder: Path, provenance: dict[str, object]) -> None:
        """Write the base as `base.safetensors`."""
        description = {
            **provenance,
            "meta": asdict(self.settings),
            "loss_encoder": self.learner.loss_encoder.spec.name,
        }
        save_base(
            folder / BASE_FILE,
            self.learner.network,
            self.learner.predictor,
            self.learner.style_encoder,
            description,
        )
