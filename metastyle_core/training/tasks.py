"""Tasks of meta-training: what one is, how it is drawn, and the settings of an update.

A task is one style with the contents of its inner loop (support) and of its outer loss
(query). What is done with tasks is said in `meta_learning`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import torch
from torch import Generator, Tensor

from ..borders import Seamless
from ..checks import require_above_zero, require_from
from ..errors import SettingsError
from ..grain import drawn_relief, turned_relief
from ..initialisation import InitialisationForm, PredictorSize
from ..losses import LossSettings
from ..network import MAX_BLOCKS, MAX_CHANNELS, STRIDE_PX, AdaptationMode
from ..precision import Precision
from ..touches import in_touches
from .data import ImagePool
from .patterns import as_pattern
from .recipe import Shard

Algorithm = Literal["maml", "fomaml", "reptile"]
InnerOptimizer = Literal["sgd", "adam"]


@dataclass(frozen=True)
class MetaSettings:
    """One update of meta-training.

    Attributes:
        algorithm: `maml` is the full second-order gradient, `fomaml` leaves the
            second derivatives out, `reptile` moves towards the adapted weights.
        inner_steps: T of the paper; 0 trains without an inner loop (the control).
        inner_optimizer: of the inner loop: `sgd` is the paper's, `adam` is what adapts a style
            later; it needs a first-order algorithm.
        inner_lr: learning rate of the inner loop, or where learned ones start.
        learn_inner_lr: learn one rate per parameter tensor. The rates stay in the
            checkpoints of the run: adaptation uses Adam, not the inner loop's rates.
        start_share: share of the outer loss that is taken at the start of the inner loop
            in place of its end, [0, 1]: instant styles are learned beside adapted ones.
        inner_mode: what the inner loop adapts.
        rank: of the updates of convolutions where that is `low_rank`.
        initialisation: `fixed` or `predicted`.
        styles: tasks per update, over all processes.
        support: contents per task in the inner loop.
        query: contents per task in the outer loss.
        crop_px: side of contents and styles.
        channels: width of the network; 32 is the paper's.
        blocks: residual blocks of the network; 5 is the paper's.
        reads_grain: whether the network reads grain as a channel of its own.
        skips: whether the first layers of the network pass what they see on to the last.
        smoothing: of the network before its enlargements, [0, 1].
        predictor: size of the predictor, where the initialisation is `predicted`.
        patterns: share of the styles that are made-up patterns (see `patterns`) in place of
            pictures of the pool.
        max_style_scale: largest enlargement of a style picture before its crop.
        objective: of the outer loss. `log_total` takes the logarithm of each
            picture's loss, so that every style pulls alike however hard it is.
        loss: weights of the perceptual loss.
        style_weight_range: draw each task's style weight log-uniformly between these
            instead of taking the one of `loss`; the predictor is told which.
        light_tasks: share of the tasks whose weight is drawn between 0 and the lower
            end of the range, so that the way to the plain content is learned too.
        shift_weight: factor of the shift penalty of the outer loss: how much a picture
            changes beyond its own motion when its content moves by a few pixels, which
            is what flickers in video.
        judge_shift: the judge sees pictures from up to so many pixels below and right of their
            corners on, as many in every picture of an update. The network answers in blocks of
            four pixels, and a judge that pools in blocks always in the same place never sees the
            weave between them.
        wrapping: share of the updates whose query contents wrap, [0, 1]: they have no borders, so
            that what the network makes of a picture hangs less on how much of it lies near one.
            The side of the contents is a multiple of 4 px then.
        grain: largest strength of the grain on the contents of the outer loss, [0, 1]; each has its
            own strength, a few of them none. Strokes count as content by half (see `content_of`).
        abstraction: largest amount by which the contents of the outer loss are painted over, as
            stills are before the network reads them, [0, 1]; a third of them are as they are. Half
            of the content is that of the photograph.
        precision: of the convolutions.
    """

    algorithm: Algorithm = "fomaml"
    inner_steps: int = 0
    inner_optimizer: InnerOptimizer = "sgd"
    inner_lr: float = 1e-2
    learn_inner_lr: bool = False
    start_share: float = 0.0
    inner_mode: AdaptationMode = "norm"
    rank: int = 4
    initialisation: InitialisationForm = "predicted"
    styles: int = 4
    support: int = 1
    query: int = 1
    crop_px: int = 128
    channels: int = 32
    blocks: int = 5
    reads_grain: bool = False
    skips: bool = False
    smoothing: float = 0.0
    predictor: PredictorSize = field(default_factory=PredictorSize)
    patterns: float = 0.0
    max_style_scale: float = 1.0
    objective: Literal["log_total", "total"] = "log_total"
    loss: LossSettings = field(default_factory=LossSettings)
    style_weight_range: tuple[float, float] | None = None
    light_tasks: float = 0.15
    shift_weight: float = 0.0
    judge_shift: int = 0
    wrapping: float = 0.0
    grain: float = 0.0
    abstraction: float = 0.0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        require_from(self, 0, "inner_steps")
        require_from(self, 1, "styles", "support", "query", "rank")
        require_from(self, 64, "crop_px")
        require_from(self, 1, "channels", most=MAX_CHANNELS)
        require_from(self, 1, "blocks", most=MAX_BLOCKS)
        require_from(
            self,
            0.0,
            "light_tasks",
            "patterns",
            "grain",
            "abstraction",
            "smoothing",
            "start_share",
            "wrapping",
            most=1.0,
        )
        require_from(self, 0.0, "shift_weight")
        require_from(self, 0, "judge_shift", most=self.crop_px // 4)
        require_above_zero(self, "inner_lr")
        if self.style_weight_range is not None:
            low, high = self.style_weight_range
            if not 0 < low <= high < float("inf"):
                raise SettingsError(
                    f"style_weight_range is {low} to {high}; it must begin above 0 and not "
                    "above its end."
                )
        if self.wrapping and self.crop_px % STRIDE_PX:
            raise SettingsError(
                f"crop_px is {self.crop_px}; contents that wrap have a multiple of {STRIDE_PX} px."
            )
        self._check_inner_loop()

    def _check_inner_loop(self) -> None:
        if self.algorithm == "reptile" and self.inner_steps == 0:
            raise SettingsError("Reptile needs at least one inner step.")
        if self.algorithm == "reptile" and self.start_share:
            raise SettingsError("Reptile has no outer loss; leave start_share at 0.")
        if self.algorithm == "reptile" and self.judge_shift:
            raise SettingsError("Reptile has no outer loss; leave judge_shift at 0.")
        if self.algorithm == "reptile" and self.wrapping:
            raise SettingsError("Reptile has no outer loss; leave wrapping at 0.")
        if self.inner_optimizer == "adam" and self.algorithm == "maml":
            raise SettingsError("Adam's steps have no second order; choose sgd, or fomaml.")
        if self.inner_optimizer == "adam" and self.learn_inner_lr:
            raise SettingsError("Adam takes one rate for all; choose sgd to learn them.")


@dataclass(frozen=True)
class Tasks:
    """Several styles with their contents.

    Attributes:
        styles: (S, 3, H, W).
        support_contents: (S * support, 3, H, W), those of one style in a row.
        query_contents: (S * query, 3, H, W), likewise.
        style_weights: (S,), of the perceptual loss.
        query_touches: (S * query, 4, H, W), the painting that the network reads in place of the
            query contents, and its strokes; None without either.
        shift_px: by how much the query contents move for the shift penalty, down and right.
        judged_from: row and column where what the judge sees of the query contents begins.
        seamless: axes along which the query contents wrap; they go on at their edges then, and
            where they end is a cross in the middle.
        seed: of what the style distance draws.
    """

    styles: Tensor
    support_contents: Tensor
    query_contents: Tensor
    style_weights: Tensor
    query_touches: Tensor | None
    shift_px: tuple[int, int] = (0, 0)
    judged_from: tuple[int, int] = (0, 0)
    seamless: Seamless = "none"
    seed: int = 0

    def __len__(self) -> int:
        return len(self.styles)

    def select(self, rows: Tensor) -> "Tasks":
        """The tasks at the given positions (N,)."""

        def of_rows(pictures: Tensor) -> Tensor:
            return pictures.unflatten(0, (len(self), -1))[rows].flatten(0, 1)

        touches = self.query_touches
        return replace(
            self,
            styles=self.styles[rows],
            support_contents=of_rows(self.support_contents),
            query_contents=of_rows(self.query_contents),
            style_weights=self.style_weights[rows],
            query_touches=None if touches is None else of_rows(touches),
        )

    def to(self, device: torch.device) -> "Tasks":
        """The tasks on a device."""
        touches = self.query_touches
        return replace(
            self,
            styles=self.styles.to(device),
            support_contents=self.support_contents.to(device),
            query_contents=self.query_contents.to(device),
            style_weights=self.style_weights.to(device),
            query_touches=None if touches is None else touches.to(device),
        )


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
        read = partial(self._contents.read, size_px=size)
        queries = read([crop for group in grouped for crop in group[support:]])
        supports = read([crop for group in grouped for crop in group[:support]])
        strengths = relief = None
        if settings.grain or settings.abstraction:
            relief = self._of_shard(self._draw_relief(generator), mine)
        if settings.grain:
            strengths = self._of_shard(self._draw_grain(generator), mine)
        seed = int(torch.randint(2**62, (), generator=generator))
        shift = self._draw_shift(generator) if settings.shift_weight else (0, 0)
        judged_from = self._draw_judged_from(generator) if settings.judge_shift else (0, 0)
        seamless: Seamless = "none"
        if float(torch.rand((), generator=generator)) < settings.wrapping:
            # What the judge sees at its borders is then nothing that the network could know.
            middle = (size // 2, size // 2)
            queries = queries.roll(middle, (2, 3))
            relief = None if relief is None else relief.roll(middle, (2, 3))
            seamless = "both"
        touches = None
        if relief is not None:
            amounts: Tensor | float = 0.0
            if settings.abstraction:
                amounts = self._of_shard(self._draw_abstraction(generator), mine)
            painted, strokes = in_touches(queries, relief, amounts, seamless)
            strength = 0.0 if strengths is None else strengths[:, None, None, None]
            touches = torch.cat([painted, strength * strokes], dim=1)
        return Tasks(
            self._draw_patterns(self._styles.read([styles[i] for i in mine], size), mine, seed),
            supports,
            queries,
            weights[list(mine)],
            touches,
            shift,
            judged_from,
            seamless,
            seed,
        )

    def _draw_shift(self, generator: Generator) -> tuple[int, int]:
        """One of the ways to fall between the network's strides, all alike.

        It halves a picture twice, and may answer differently to each.
        """
        place = int(torch.randint(1, STRIDE_PX**2, (), generator=generator))
        return place // STRIDE_PX, place % STRIDE_PX

    def _draw_judged_from(self, generator: Generator) -> tuple[int, int]:
        row, column = torch.randint(self._settings.judge_shift + 1, (2,), generator=generator)
        return int(row), int(column)

    def _draw_patterns(self, styles: Tensor, places: Sequence[int], seed: int) -> Tensor:
        """The styles, some of them made into patterns; alike on every process."""
        drawn = list(styles.split(1))
        for row, place in enumerate(places):
            chance = Generator().manual_seed(seed + place)
            if bool(torch.rand((), generator=chance) < self._settings.patterns):
                drawn[row] = as_pattern(drawn[row], chance)
        return torch.cat(drawn)

    def _of_shard(self, each: Tensor, mine: range) -> Tensor:
        """This shard's of what is there for each content: (styles * query, ...)."""
        per_style = each.unflatten(0, (self._settings.styles, self._settings.query))
        return per_style[list(mine)].flatten(0, 1).to(self._contents.device)

    def _draw_relief(self, generator: Generator) -> Tensor:
        """What contents are painted over by: (styles * query, 4, H, W), pieces of one relief."""
        size, count = self._settings.crop_px, self._settings.styles * self._settings.query
        device = self._contents.device
        relief = drawn_relief(2 * size, 2 * size, generator, device)
        corners = torch.randint(size + 1, (count, 2), generator=generator).tolist()
        pieces = [relief[..., top : top + size, left : left + size] for top, left in corners]
        turns = math.pi * torch.rand(count, generator=generator)
        return turned_relief(torch.cat(pieces), turns.to(device))

    def _draw_grain(self, generator: Generator) -> Tensor:
        """How strong the strokes of each content are: (styles * query,)."""
        # Strong grain more often: what is used at once is learned from it. None now and then.
        chance = torch.rand(self._settings.styles * self._settings.query, generator=generator)
        return self._settings.grain * (1.25 * chance.sqrt() - 0.25).clamp_min(0)

    def _draw_abstraction(self, generator: Generator) -> Tensor:
        """How much each content is painted over: (styles * query,)."""
        chance = torch.rand(self._settings.styles * self._settings.query, generator=generator)
        return self._settings.abstraction * (1.5 * chance - 0.5).clamp_min(0)

    def _draw_style_weights(self, generator: Generator) -> Tensor:
        settings = self._settings
        if settings.style_weight_range is None:
            return torch.full((settings.styles,), settings.loss.style_weight)
        low, high = settings.style_weight_range
        kind, place = torch.rand(2, settings.styles, generator=generator)
        usual = low * (high / low) ** place
        light = torch.expm1(math.log1p(low) * place)
        return torch.where(kind < settings.light_tasks, light, usual)
