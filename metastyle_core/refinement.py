"""Refinement: gradient steps on the pixels of one picture, for stills.

A network of this size draws in one pass what it can; a few dozen steps on the pixels
themselves go on from there under the same loss: the sliced distance from the style and
the content loss from the photograph. Large pictures are refined coarse to fine, and
those that memory cannot hold in tiles, whose gradients add up to that of the whole.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Generator, Tensor

from .adaptation import (
    MAX_STYLE_PIXELS,
    MIN_STYLE_SIDE_PX,
    RETRY_FACTOR,
    OnStep,
    StepReport,
    rate_share,
    wants_to_stop,
)
from .checks import require_above_zero, require_from, require_unit_range
from .encoder import PerceptualEncoder
from .errors import AdaptationDiverged, ShapeError
from .images import fit_within, resize
from .levels import USUAL_LEVELS
from .losses import LossSettings, StyleTarget, chroma_variation
from .network import MIN_SIDE_PX
from .picture_loss import PictureLoss
from .precision import Precision, autocast
from .style_distance import SlicedTarget, kept_places
from .style_pictures import StylePicture, style_pictures
from .style_statistics import StyleStatistics, keep_statistics

COARSEST_PX = 512
# Four times as many as in adaptation: here nothing but the places averages out the noise.
_PLACES = 4096


@dataclass(frozen=True)
class RefinementSettings:
    """How to refine.

    Attributes:
        steps: at the coarsest size; every size twice as large has half as many. 0 gives
            the start itself.
        style_weight: factor of the style loss against the content loss.
        nearest_weight: factor, in the style loss, of the distance from the nearest places of the
            style; see `LossSettings`. Statistics keep no places: there it counts nothing.
        chroma_weight: factor of what the variation of the colours exceeds the style's by.
        blotch_weight: factor of the colours that those of the photograph do not explain.
        style_size_px: short side of the style pictures beside the finished picture: the
            brush size. None takes the short side of the finished picture itself.
        levels: how far the style pictures are brought towards full tones, [0, 1]; see `levels`.
            Statistics have theirs already.
        learning_rate: of Adam at its highest, in units of [0, 1].
        tile_px: most rows and columns that are encoded at once, without their rims.
        seed: of the places and directions that are compared.
        precision: of the convolutions.
    """

    steps: int = 80
    style_weight: float = 12.0
    nearest_weight: float = 0.25
    chroma_weight: float = 300.0
    blotch_weight: float = LossSettings.blotch_weight
    style_size_px: int | None = None
    levels: float = USUAL_LEVELS
    learning_rate: float = 0.02
    tile_px: int = 512
    seed: int = 0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        require_from(self, 0, "steps")
        require_from(self, 0.0, "style_weight", "nearest_weight", "chroma_weight", "blotch_weight")
        require_from(self, 0.0, "levels", most=1.0)
        require_from(self, MIN_STYLE_SIDE_PX, "tile_px")
        require_above_zero(self, "learning_rate")
        if self.style_size_px is not None:
            require_from(self, MIN_STYLE_SIDE_PX, "style_size_px")


def refine(
    encoder: PerceptualEncoder,
    photograph: Tensor,
    start: Tensor,
    style: list[Tensor] | StyleStatistics,
    settings: RefinementSettings | None = None,
    *,
    on_step: OnStep | None = None,
    on_tile: Callable[[], None] | None = None,
) -> Tensor:
    """Refine the pixels of one stylized picture.

    Pictures whose long side is above 512 px are refined from 512 px upwards, in sizes
    at most twice the last; every size starts from its part of `start` and from what the size before
    has changed. Those above `tile_px` are encoded in tiles with rims; the gradient is
    that of the whole picture up to rounding, which 20 steps turn into a mean difference
    of 0.2 levels of 255 in float32 and 0.8 in bfloat16 (another seed: 5.5). At 2,048 px
    with the compact encoder the process then peaks at 1.4 GB.

    Args:
        encoder: of the perceptual loss, frozen; the work is done on its device.
        photograph: (1, 3, H, W), [0, 1], whose content is to be kept; both sides at
            least 16 px.
        start: (1, 3, H, W), [0, 1], the photograph in the style.
        style: (1, 3, H', W') pictures of the style from 64 px up, [0, 1], or what a style
            keeps of them.
        settings: how; the defaults when left out.
        on_step: called after each step, its losses those of the whole picture.
            `StopLearning` raised in it ends the steps, and the picture as it then is, at its
            full size, is the result; another exception passes through.
        on_tile: called before each tile is encoded, many times a step where a picture is
            large; an exception raised in it stops and passes through.

    Returns:
        (1, 3, H, W), float32, [0, 1], on the device of `start`; `start` itself for 0 steps.

    Raises:
        ShapeError: a picture has the wrong shape or is too small, or sizes differ.
        SettingsError: a picture holds whole numbers, NaN or another range, such as 0..255.
        CheckpointError: the statistics belong to another encoder.
        AdaptationDiverged: the gradient was not finite, and again at a tenth of the rate.
    """
    settings = settings or RefinementSettings()
    if settings.steps == 0:
        return start
    device = encoder.get_buffer("mean").device
    source = _checked("photograph", photograph, MIN_SIDE_PX).to(device)
    begin = _checked("start", start, MIN_SIDE_PX).to(device)
    if source.shape != begin.shape:
        raise ShapeError(
            f"The start is {_size(begin)} and the photograph {_size(source)}; one size is needed. "
            "Refine what was drawn from this photograph."
        )
    goal = style if isinstance(style, StyleStatistics) else _checked_style(style, device)
    run = _Run(encoder, source, begin, goal, settings, on_step, on_tile)
    try:
        refined = run.all_sizes(settings.learning_rate)
    except AdaptationDiverged:
        refined = run.all_sizes(settings.learning_rate * RETRY_FACTOR)
    return refined.to(start.device)


def measure_statistics(
    encoder: PerceptualEncoder,
    style_images: list[Tensor],
    style_size_px: int,
    precision: Precision = "auto",
    style_masks: Sequence[Tensor] | None = None,
    levels: float = 0.0,
) -> StyleStatistics:
    """What a style must keep to be refined without its pictures.

    Args:
        encoder: that refinement will use.
        style_images: (1, 3, H, W), [0, 1], at least one.
        style_size_px: short side at which they are seen: the brush size.
        precision: of the convolutions.
        style_masks: where the pictures count; see `adapt_to_style`.
        levels: how far they are brought towards full tones; see `levels`.

    Raises:
        ShapeError: there is no picture, or one has the wrong shape or is too small.
        SettingsError: as `refine`.
    """
    device = encoder.get_buffer("mean").device
    checked = _checked_style(style_images, device)
    styles = style_pictures(checked, style_masks, MIN_STYLE_SIDE_PX)
    scaled = [_style_at(each, style_size_px).with_levels(levels) for each in styles]
    features, chroma = _seen(encoder, scaled, precision)
    return keep_statistics(encoder, features, chroma=float(chroma), style_size_px=style_size_px)


@torch.no_grad()
def _seen(
    encoder: PerceptualEncoder, styles: list[StylePicture], precision: Precision
) -> tuple[list[dict[str, Tensor]], Tensor]:
    """Style features of each picture, and the variation of their colours, (1,)."""
    layers = encoder.spec.style_layers
    with autocast(precision, styles[0].pixels.device, gradients=True):
        features = [each.counted(encoder(each.pixels, layers)) for each in styles]
    chroma = [chroma_variation(each.pixels) / each.share() for each in styles]
    return features, torch.stack(chroma).mean(0)


class _Run:
    """One refinement: its sizes, from the coarsest to the full one."""

    def __init__(
        self,
        encoder: PerceptualEncoder,
        photograph: Tensor,
        start: Tensor,
        style: list[Tensor] | StyleStatistics,
        settings: RefinementSettings,
        on_step: OnStep | None,
        on_tile: Callable[[], None] | None,
    ) -> None:
        self._encoder, self._photograph, self._start = encoder, photograph, start
        self._style, self._settings = style, settings
        self._on_step, self._on_tile = on_step, on_tile
        self._sizes = sizes_px(*photograph.shape[-2:])
        self._steps = [max(1, round(settings.steps / 2**i)) for i in range(len(self._sizes))]

    def all_sizes(self, rate: float) -> Tensor:
        """Refine at every size in turn; returns the picture at the full one."""
        generator = Generator().manual_seed(self._settings.seed)
        began_s, done = time.monotonic(), 0
        picture = resize(self._start, *self._sizes[0])
        for size, steps in zip(self._sizes, self._steps, strict=True):
            picture = self._begin(size, picture)
            judge = self._judge(size, generator)
            optimizer = torch.optim.Adam([picture])
            for step in range(1, steps + 1):
                optimizer.param_groups[0]["lr"] = rate * rate_share(step, steps)
                losses, picture.grad = judge.look(picture, generator)
                optimizer.step()
                picture.clamp_(0, 1)
                if self._tell(done + step, losses, picture, time.monotonic() - began_s):
                    picture.grad = None
                    return self._begin(self._sizes[-1], picture)
            done += steps
            picture.grad = None
        return picture

    def _begin(self, size: tuple[int, int], coarser: Tensor) -> Tensor:
        """The start at a size, changed as the coarser picture was."""
        reduced = resize(self._start, *size)
        change = coarser - resize(self._start, *coarser.shape[-2:])
        enlarged = F.interpolate(change, size, mode="bilinear", align_corners=False)
        return enlarged.add_(reduced).clamp_(0, 1)

    def _judge(self, size: tuple[int, int], generator: Generator) -> PictureLoss:
        photograph = resize(self._photograph, *size)
        target = self._target(size, generator)
        chosen = self._settings
        return PictureLoss(
            self._encoder,
            photograph,
            target,
            style_weight=chosen.style_weight,
            nearest_weight=chosen.nearest_weight,
            chroma_weight=chosen.chroma_weight,
            blotch_weight=chosen.blotch_weight,
            places=_PLACES,
            tile_px=chosen.tile_px,
            precision=chosen.precision,
            on_tile=self._on_tile,
        )

    def _target(self, size: tuple[int, int], generator: Generator) -> StyleTarget:
        """What the style's features are like beside a picture of a size."""
        if isinstance(self._style, StyleStatistics):
            layers = self._style.targets(self._encoder, compared=_PLACES)
            chroma = self._photograph.new_tensor([self._style.chroma])
            return StyleTarget(layers, chroma, torch.zeros_like(chroma))
        share = min(size) / min(self._photograph.shape[-2:])
        scaled = [
            _style_at(StylePicture(image), round(share * self._brush_px(image)))
            for image in self._style
        ]
        styles = [style.with_levels(self._settings.levels) for style in scaled]
        features, chroma = _seen(self._encoder, styles, self._settings.precision)
        layers = {
            layer: SlicedTarget(kept_places([each[layer] for each in features], generator), _PLACES)
            for layer in features[0]
        }
        # Pixels can be as sharp as they like: no detail is asked for.
        return StyleTarget(layers, chroma, torch.zeros_like(chroma))

    def _brush_px(self, style_image: Tensor) -> int:
        """Short side of a style picture beside the finished one; never enlarged unasked."""
        own, finished = min(style_image.shape[-2:]), min(self._photograph.shape[-2:])
        return self._settings.style_size_px or min(own, finished)

    def _tell(self, step: int, losses: dict[str, float], picture: Tensor, elapsed_s: float) -> bool:
        """Report a step; True where the steps are to end with it."""
        steps, shown = sum(self._steps), picture.detach().clone
        report = StepReport(step, steps, **losses, elapsed_s=elapsed_s, preview=shown)
        return wants_to_stop(self._on_step, report)


def sizes_px(height: int, width: int) -> list[tuple[int, int]]:
    """Sizes at which a picture is refined, coarsest first: (height, width).

    Long sides lead from 512 px to the picture's own in equal ratios of at most 2.
    """
    long_px = max(height, width)
    doublings = max(0, math.ceil(math.log2(long_px / COARSEST_PX)))
    shrinks = [(COARSEST_PX / long_px) ** (1 - i / doublings) for i in range(doublings)] + [1.0]
    return [
        (max(MIN_SIDE_PX, round(height * s)), max(MIN_SIDE_PX, round(width * s))) for s in shrinks
    ]


def _style_at(style: StylePicture, size_px: int) -> StylePicture:
    """A style picture with this short side, or what keeps it within a megapixel."""
    sides = style.pixels.shape[-2:]
    factor = max(MIN_STYLE_SIDE_PX, size_px) / min(sides)
    height, width = (round(side * factor) for side in sides)
    return style.resized(*fit_within(height, width, MAX_STYLE_PIXELS))


def _checked_style(images: list[Tensor], device: torch.device) -> list[Tensor]:
    if not images:
        raise ShapeError("There is no picture of the style; give at least one.")
    return [_checked("style", image, MIN_STYLE_SIDE_PX).to(device) for image in images]


def _checked(role: str, image: Tensor, least_px: int) -> Tensor:
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise ShapeError(f"The {role} has shape {tuple(image.shape)}; (1, 3, H, W) is needed.")
    if min(image.shape[-2:]) < least_px:
        raise ShapeError(
            f"The {role} is {_size(image)}; both sides must be at least {least_px} px. "
            "Resize it or pick a larger image."
        )
    require_unit_range(image, f"The {role}")
    return image.detach().float().clamp(0, 1)


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]}x{image.shape[-2]} px"
