"""Regions: several styles in one picture, each where its mask says.

Styles of mode `norm` are drawn in one pass whose instance norms vary over the picture, so that
strokes run across the borders; others each in a pass of their own, laid over one another. What
masks leave free is drawn in a rest style, or stays the photograph.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from .base import Base
from .brushwork import brushwork_at, in_brushwork
from .checks import (
    require_finite_result,
    require_pictures,
    require_shares,
    require_sides,
    require_unit_range,
)
from .colour import Colouring, recolour
from .drawing import enlargement, require_supersampling, scaled
from .errors import SettingsError
from .finishing import AS_DRAWN, IN_STYLE, finish
from .grain import grain_relief
from .images import resize
from .masks import fitted_mask, require_mask
from .mixing import scale_style
from .network import MIN_SIDE_PX, FastWeights, own_statistics, stylize_with
from .precision import Precision, autocast
from .style import AdaptedStyle, check_style
from .stylization import stylize
from .touches import in_touches
from .transparency import fill_hidden

# Of a step that a Gaussian has softened, all but the last 2% on both sides lies within four
# deviations.
_DEVIATIONS_ACROSS = 4.0
# Where no mask is set and the photograph stays, the hidden drawing is a mixture of all styles.
_ANYWHERE = 1e-3


@dataclass(frozen=True)
class Region:
    """A style and where it goes.

    Attributes:
        style: of any mode.
        mask: (M, 1, H, W), [0, 1]: 1 where the style goes; one for all pictures or one each,
            of their size or their ratio.
    """

    style: AdaptedStyle
    mask: Tensor


@dataclass(frozen=True)
class RegionSettings:
    """How regions are drawn.

    Attributes:
        feather_px: width of the passage from one style to the next, in pixels of the pictures.
        strength: 0 gives the pictures back, 1 is the full styles.
        grain: strength of the strokes along the forms, 0 to 1.
        seed: of the grain.
        precision: of the convolutions.
        colouring: whose colours the result has.
        abstraction: how far the pictures are painted over first, 0 to 1.
        supersampling: how many times as large they are drawn before they are reduced, 1 to 2.
    """

    feather_px: float = 0.0
    strength: float = 1.0
    grain: float = 0.0
    seed: int = 0
    precision: Precision = "auto"
    colouring: Colouring = IN_STYLE
    abstraction: float = 0.0
    supersampling: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.feather_px < math.inf:
            raise SettingsError(
                f"feather is {self.feather_px} px; a finite number from 0 up is needed."
            )
        require_shares(strength=self.strength, grain=self.grain, abstraction=self.abstraction)
        require_supersampling(self.supersampling)


def stylize_regions(
    base: Base,
    regions: Sequence[Region],
    images: Tensor,
    settings: RegionSettings | None = None,
    *,
    rest: AdaptedStyle | None = None,
    alpha: Tensor | None = None,
) -> Tensor:
    """Draw pictures of one size in several styles at once.

    Where masks overlap, their weights are normalised; where they add up to less than 1, the
    rest style, or the photograph, has what they leave.

    Args:
        base: of all the styles.
        regions: at least one.
        images: (B, 3, H, W), [0, 1], any device; both sides at least 16 px.
        settings: how; the defaults when left out.
        rest: the style of all other places; None leaves them as they are.
        alpha: (B, 1, H, W), [0, 1], of pictures with transparency.

    Returns:
        (B, 3, H, W), float32, [0, 1], on the device of `images`. No gradients.

    Raises:
        ShapeError: not a batch of RGB pictures, or a mask does not fit them.
        SettingsError: no region, a mask that is empty or holds NaN, or pictures of another
            range than [0, 1].
        BaseMismatchError: a style belongs to another base.
        ResultError: a picture comes out with NaN or infinity.
    """
    settings = settings or RegionSettings()
    require_pictures(images)
    require_sides("Image", images.shape[-2], images.shape[-1], MIN_SIDE_PX)
    require_unit_range(images, "Batch of pictures")
    require_regions(regions, *images.shape[:1], *images.shape[-2:])
    styles = [region.style for region in regions] + ([] if rest is None else [rest])
    for style in styles:
        check_style(style, base)
    with torch.inference_mode():
        content = images.float().clamp(0, 1)
        if settings.strength == 0 or not len(images):
            return content
        masks = [fitted_mask(region.mask, *images.shape[-2:]).to(content) for region in regions]
        shares, covered = region_shares(masks, settings.feather_px, whole=rest is not None)
        if settings.strength < 1:
            styles = [scale_style(base, each, (1 + settings.strength) / 2) for each in styles]
            lighter = settings.strength * settings.abstraction
            settings = replace(settings, abstraction=lighter)
        draw = _draw_together if all(each.mode == "norm" for each in styles) else _draw_apart
        drawn = draw(base, styles, content, shares, settings, alpha)
        require_finite_result(drawn, " + ".join(each.name for each in styles), settings.precision)
        seen = _multiplied(covered, alpha)
        drawn = _each_coloured(styles, content, drawn, shares, settings.colouring, seen)
        return finish(
            content,
            drawn,
            strength=settings.strength,
            colouring=settings.colouring,
            alpha=alpha,
            mask=covered,
        )


def _each_coloured(
    styles: Sequence[AdaptedStyle],
    content: Tensor,
    drawn: Tensor,
    shares: Tensor,
    colouring: Colouring,
    seen: Tensor | None,
) -> Tensor:
    """The drawing (B, 3, H, W), each of S styles in its own palette by what is seen of it.

    Args:
        styles: S.
        content: the photographs, as large as the drawing.
        drawn: of all styles.
        shares: (1 or B, S, H, W), of each style at each pixel.
        colouring: whose colours are asked for.
        seen: (1 or B, 1, H, W), [0, 1], how much of the drawing shows; None for all of it.
    """
    own = [colouring.on(style.palette) for style in styles]
    if all(each is colouring for each in own):
        return drawn
    parts = shares.expand(len(drawn), -1, -1, -1).split(1, dim=1)
    mixed = torch.zeros_like(drawn)
    for part, each in zip(parts, own, strict=True):
        counting = part if seen is None else part * seen.to(part)
        mixed += part * recolour(drawn, content, each, counting)
    return mixed.clamp(0, 1)


def _multiplied(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """The product of what there is of two."""
    if one is None or other is None:
        return one if other is None else other
    return one * other.to(one)


def require_regions(regions: Sequence[Region], count: int, height: int, width: int) -> None:
    """Refuse regions that cannot be laid over pictures, each mask by its number.

    Args:
        regions: to look at.
        count: of the pictures.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.

    Raises:
        ShapeError: a mask has another shape, number or ratio.
        SettingsError: there is no region, or a mask is 0 everywhere or holds NaN.
    """
    if not regions:
        raise SettingsError("There is no region; give at least one style with its mask.")
    for number, region in enumerate(regions, start=1):
        require_mask(region.mask, count, height, width, what=f"Mask {number}")


def region_shares(
    masks: Sequence[Tensor], feather_px: float, *, whole: bool
) -> tuple[Tensor, Tensor | None]:
    """How much of each style every pixel has, and how much of the picture is drawn there.

    Args:
        masks: one (1 or B, 1, H, W) per region, [0, 1].
        feather_px: width of the passage between them.
        whole: whether a rest style follows, which takes what the masks leave.

    Returns:
        Shares (1 or B, S, H, W), which add up to 1 over S, the regions and the rest style; and
        what they cover of the photograph (1 or B, 1, H, W), or None for all of it.
    """
    stacked = torch.cat(torch.broadcast_tensors(*masks), dim=1)
    soft = feathered(stacked, feather_px)
    total = soft.sum(1, keepdim=True)
    if whole:
        own = soft / total.clamp_min(1)
        return torch.cat([own, 1 - own.sum(1, keepdim=True)], dim=1), None
    covered = total.clamp_max(1)
    usual = soft.mean((2, 3), keepdim=True) + _ANYWHERE
    everywhere = soft + (1 - covered) * _ANYWHERE * usual
    return everywhere / everywhere.sum(1, keepdim=True), covered


def feathered(masks: Tensor, width_px: float) -> Tensor:
    """Masks whose edges pass from 0 to 1 over a width.

    Args:
        masks: (B, C, H, W).
        width_px: about how wide; 0 leaves them as they are. What lies beyond the picture's
            border counts as what lies on it.
    """
    deviation = width_px / _DEVIATIONS_ACROSS
    radius = math.ceil(3 * deviation)
    if not radius:
        return masks
    places = torch.arange(-radius, radius + 1, dtype=masks.dtype, device=masks.device)
    bell = torch.exp(-0.5 * (places / deviation).square())
    bell = (bell / bell.sum()).view(1, 1, 1, -1)
    flat = masks.flatten(0, 1)[:, None]
    rows = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), bell)
    both = F.conv2d(F.pad(rows, (0, 0, radius, radius), mode="replicate"), bell.mT)
    return both.view_as(masks)


def _draw_together(
    base: Base,
    styles: Sequence[AdaptedStyle],
    content: Tensor,
    shares: Tensor,
    settings: RegionSettings,
    alpha: Tensor | None,
) -> Tensor:
    """One pass in which every place has its own mixture of styles of mode `norm`.

    Norms take the statistics that each style's own pass has. Those of the mixed picture would
    tear contrasts apart: a dark style beside a light one makes both more so.
    """
    read = content if alpha is None else fill_hidden(content, alpha)
    own = (content.shape[-2], content.shape[-1])
    factor = enlargement(min(own), settings.supersampling)
    height, width = (round(side * factor) for side in own)
    shares = resize(shares, height, width)
    relief = None
    if settings.grain or settings.abstraction:
        relief = grain_relief(height, width, settings.seed).to(base.device)
    weights = [style.to(base.device).fast_weights for style in styles]
    places = shares.to(base.device).expand(len(read), -1, -1, -1)
    drawn: list[Tensor] = []
    with autocast(settings.precision, base.device):
        for each, place in zip(read.split(1), places.split(1), strict=True):
            picture = scaled(each.to(base.device), (height, width))
            if relief is not None:
                picture, strokes = in_touches(
                    picture, relief, _in_each_place(settings.abstraction, styles, place)
                )
                if settings.grain:
                    grain = _in_each_place(settings.grain, styles, place)
                    picture = base.network.with_strokes(picture, grain * strokes)
            whole = _draw_one(base, weights, picture, place)
            drawn.append(scaled(whole.float(), own).to(content.device))
    return torch.cat(drawn)


def _in_each_place(amount: float, styles: Sequence[AdaptedStyle], shares: Tensor) -> Tensor:
    """An amount (1, 1, H, W) in the brushwork of styles by their shares (1, S, H, W)."""
    short = min(shares.shape[-2:])
    amounts = [in_brushwork(amount, brushwork_at(style.brushwork, short)) for style in styles]
    return (shares * shares.new_tensor(amounts).view(1, -1, 1, 1)).sum(1, keepdim=True)


def _draw_one(base: Base, styles: Sequence[FastWeights], picture: Tensor, shares: Tensor) -> Tensor:
    """One picture (1, 3 or 4, H, W) by shares (1, S, H, W) of so many styles."""
    statistics = _stacked([own_statistics(base.network, style, picture) for style in styles])
    return stylize_with(base.network, _stacked(styles), picture, statistics, shares=shares)


def _stacked(sets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([each[name] for each in sets]) for name in sets[0]}


def _draw_apart(
    base: Base,
    styles: Sequence[AdaptedStyle],
    content: Tensor,
    shares: Tensor,
    settings: RegionSettings,
    alpha: Tensor | None,
) -> Tensor:
    """A pass for each style, laid over one another by the shares."""
    mixed = torch.zeros_like(content)
    for number, style in enumerate(styles):
        drawn = stylize(
            base,
            style,
            content,
            precision=settings.precision,
            grain=settings.grain,
            seed=settings.seed,
            alpha=alpha,
            colouring=AS_DRAWN,
            abstraction=settings.abstraction,
            supersampling=settings.supersampling,
        )
        mixed += shares[:, number : number + 1] * drawn
    return mixed
