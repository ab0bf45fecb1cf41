"""How far a picture is from a style: two distances between the features of one layer.

`sliced` compares the whole distribution of features: both sides are projected onto random
directions, sorted, and subtracted. `gram` is the paper's, which compares second moments
only. Both give one value per picture, (B,), so that a batch may mix styles.

A target holds what is needed of the style; `losses` adds the layers up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from einops import rearrange
from torch import Generator, Tensor

from .errors import ShapeError
from .precision import autocast

StyleDistance = Literal["sliced", "gram"]
STYLE_DISTANCES: tuple[StyleDistance, ...] = get_args(StyleDistance)
Normalisation = Literal["target_energy", "none"]
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)

DIRECTIONS = 64
PLACES = 1024
# Places kept of a style: each step draws from these, however large its picture is.
_KEPT_PLACES = 16384
_LEAST_SPREAD = 1e-2
_TINY = 1e-8


class LayerTarget(Protocol):
    """What the features of one layer are compared with, without gradient."""

    def distance(
        self,
        features: Tensor,
        generator: Generator,
        *,
        normalisation: Normalisation = "target_energy",
    ) -> Tensor:
        """Distance (B,) of features (B, C, H, W). Gradients flow, twice too.

        Args:
            features: of the stylized pictures.
            generator: on the CPU, the only source of chance.
            normalisation: `target_energy` makes the distance relative to the style, so that
                a weight means the same for every style; `none` leaves the plain mean.
        """
        ...

    def repeat(self, times: int) -> "LayerTarget":
        """Each style `times` in a row, for several pictures per style."""
        ...


@dataclass(frozen=True)
class GramTarget:
    """The paper's: a Gram matrix.

    Attributes:
        gram: (B, C, C), or (1, C, C) for all pictures of a batch, from `gram_matrix`.
    """

    gram: Tensor

    def distance(
        self,
        features: Tensor,
        generator: Generator,
        *,
        normalisation: Normalisation = "target_energy",
    ) -> Tensor:
        """Mean squared difference of Gram matrices; nothing is drawn.

        Source:
            Johnson et al. 2016, equation 4, with the mean for the sum.
        """
        error = (gram_matrix(at_least_float32(features)) - self.gram).square().mean(dim=(1, 2))
        if normalisation == "none":
            return error
        return error / self.gram.square().mean(dim=(1, 2)).clamp_min(_TINY)

    def repeat(self, times: int) -> "GramTarget":
        """Each style `times` in a row."""
        return GramTarget(self.gram.repeat_interleave(times, 0))


@dataclass(frozen=True)
class SlicedTarget:
    """Features of a style at some of its places.

    Attributes:
        places: (B, P, C), or (1, P, C) for all pictures of a batch.
        compared: most places that one look compares; more are less noisy, and slower.
    """

    places: Tensor
    compared: int = PLACES

    def distance(
        self,
        features: Tensor,
        generator: Generator,
        *,
        normalisation: Normalisation = "target_energy",
    ) -> Tensor:
        """Sliced Wasserstein-2 distance along 64 random directions at random places.

        `target_energy` divides by the mean variance of the style along the same directions.
        Fewer places or directions make it noisier, not biased.

        Source:
            Heitz et al. 2021; the relative form is ours.
        """
        own = spread_out(features)
        count = min(self.compared, own.shape[1], self.places.shape[1])
        directions = random_directions(own.shape[2], DIRECTIONS, generator).to(self.places)
        drawn = draw_places(own.shape[1], count, generator).to(features.device)
        projected = _project(own.index_select(1, drawn), directions)
        drawn = draw_places(self.places.shape[1], count, generator).to(features.device)
        wanted = _project(self.places.index_select(1, drawn), directions)
        return transport_cost(projected, wanted, normalisation=normalisation)

    def nearest(self, features: Tensor, generator: Generator) -> Tensor:
        """Relaxed earth mover's distance (B,) of features (B, C, H, W), at 1,024 random places."""
        own, wanted = (_some(places, generator) for places in (spread_out(features), self.places))
        return relaxed_earth_movers(own, wanted)

    def repeat(self, times: int) -> "SlicedTarget":
        """Each style `times` in a row."""
        return replace(self, places=self.places.repeat_interleave(times, 0))


@dataclass(frozen=True)
class QuantileTarget:
    """What is kept of a style without its picture: quantiles along fixed directions.

    Attributes:
        directions: (C, K), unit vectors.
        quantiles: (B, K, Q), or (1, K, Q) for all pictures of a batch, at `quantile_levels`.
        compared: most places that one look compares.
    """

    directions: Tensor
    quantiles: Tensor
    compared: int = PLACES

    def distance(
        self,
        features: Tensor,
        generator: Generator,
        *,
        normalisation: Normalisation = "target_energy",
    ) -> Tensor:
        """Sliced Wasserstein-2 distance along 64 of the directions at random places.

        As `SlicedTarget.distance`, but for the quantiles between those that are kept, which
        are interpolated, and for the directions, which never change.
        """
        own = spread_out(features)
        count = min(self.compared, own.shape[1])
        total = self.directions.shape[1]
        chosen = draw_places(total, min(DIRECTIONS, total), generator).to(features.device)
        drawn = draw_places(own.shape[1], count, generator).to(features.device)
        directions = self.directions.index_select(1, chosen)
        projected = _project(own.index_select(1, drawn), directions)
        wanted = interpolate_quantiles(self.quantiles.index_select(1, chosen), count)
        return transport_cost(projected, wanted, normalisation=normalisation)

    def repeat(self, times: int) -> "QuantileTarget":
        """Each style `times` in a row."""
        return replace(self, quantiles=self.quantiles.repeat_interleave(times, 0))


def layer_target(
    distance: StyleDistance, features: Sequence[Tensor], generator: Generator
) -> LayerTarget:
    """What one layer's features should be like, from the pictures of each style.

    Args:
        distance: `sliced` or `gram`.
        features: one (B, C, H, W) per picture of a style, sizes may differ. Gram matrices
            are averaged, places pooled.
        generator: on the CPU; draws the places that are kept.
    """
    if distance == "gram":
        grams = [gram_matrix(at_least_float32(f.detach())) for f in features]
        return GramTarget(torch.stack(grams).mean(0))
    return SlicedTarget(kept_places(features, generator))


def kept_places(features: Sequence[Tensor], generator: Generator) -> Tensor:
    """Features of a style at up to 16,384 places of its pictures, pooled.

    Args:
        features: one (B, C, H, W) per picture of a style, sizes may differ.
        generator: on the CPU; draws the places.

    Returns:
        (B, P, C), at least float32, without gradient.
    """
    share = max(1, _KEPT_PLACES // len(features))
    kept: list[Tensor] = []
    for each in features:
        flat = spread_out(each.detach())
        chosen = draw_places(flat.shape[1], min(share, flat.shape[1]), generator)
        kept.append(at_least_float32(flat.index_select(1, chosen.to(flat.device))))
    fewest = min(flat.shape[1] for flat in kept)
    return torch.cat([_thin(flat, fewest, generator) for flat in kept], dim=1)


def relaxed_earth_movers(own: Tensor, wanted: Tensor) -> Tensor:
    """How far features are from the nearest of a style's, and a style's from the nearest of them.

    Where the sliced distance asks whether all features together are like the style's, this asks
    of each place whether the style has anything like it.

    Args:
        own: (B, N, C). Gradients flow, twice too.
        wanted: (B, M, C) or (1, M, C).

    Returns:
        (B,), 0 to 2: the larger mean of both ways, by the cosine of features without the mean
        of the style's.

    Source:
        Kolkin et al. 2019 (STROTSS), equations 5 and 6; taking the mean away is ours.
    """
    wanted = at_least_float32(wanted)
    centre = wanted.mean(1, keepdim=True)
    one, other = (F.normalize(v - centre, dim=2) for v in (at_least_float32(own), wanted))
    with torch.no_grad(), autocast("fp32", own.device):
        alike = one @ other.transpose(1, 2)
    # Only the nearest have a gradient, so it goes to them and not through all pairs.
    other = other.expand(len(one), -1, -1)
    there = 1 - (one * _at(other, alike.argmax(2))).sum(2)
    back = 1 - (_at(one, alike.argmax(1)) * other).sum(2)
    return torch.maximum(there.mean(1), back.mean(1))


def transport_cost(
    projected: Tensor, wanted: Tensor, *, normalisation: Normalisation = "target_energy"
) -> Tensor:
    """Mean squared difference of two sets of values along each direction, sorted.

    Args:
        projected: (B, K, N), any order. Gradients flow, twice too.
        wanted: (B, K, N) or (1, K, N), any order.
        normalisation: `target_energy` divides by the mean variance of `wanted`.

    Returns:
        (B,).
    """
    error = (_ordered(projected) - _ordered(wanted)).square().mean(dim=(1, 2))
    return error if normalisation == "none" else error / spread(wanted)


def spread(projected: Tensor) -> Tensor:
    """Mean variance (B,) of values (B, K, N) along their directions, never next to zero.

    A flat style has none; below one hundredth of the mean square it counts as that.
    """
    energy = projected.square().mean(dim=(1, 2))
    variance = projected.var(dim=2, correction=0).mean(1)
    return torch.maximum(variance, _LEAST_SPREAD * energy).clamp_min(_TINY)


def quantile_levels(count: int) -> Tensor:
    """Shares of the places below each kept quantile: (count,), float32, from 0 to 1.

    They stand closer together towards both ends, where features have their long tails.
    """
    return (1 - torch.cos(torch.linspace(0, torch.pi, count))) / 2


def quantiles_along(places: Tensor, directions: Tensor, count: int) -> Tensor:
    """Quantiles of projected features at `quantile_levels`.

    Args:
        places: (B, P, C), any float type.
        directions: (C, K), unit vectors on the same device.
        count: how many quantiles, at least 2.

    Returns:
        (B, K, count), at least float32, ascending.
    """
    ordered = _ordered(_project(places, directions))
    position = quantile_levels(count).to(ordered) * (ordered.shape[2] - 1)
    lower = position.long().clamp_max(max(0, ordered.shape[2] - 2))
    upper = (lower + 1).clamp_max(ordered.shape[2] - 1)
    share = position - lower
    return torch.lerp(ordered[..., lower], ordered[..., upper], share)


def interpolate_quantiles(quantiles: Tensor, count: int) -> Tensor:
    """As many evenly spaced values as asked for, in the distribution of the quantiles.

    Args:
        quantiles: (B, K, Q) at `quantile_levels`.
        count: how many values.

    Returns:
        (B, K, count), ascending, at least float32.
    """
    known = at_least_float32(quantiles)
    levels = quantile_levels(known.shape[2]).to(known)
    asked = (torch.arange(count).to(known) + 0.5) / count
    upper = torch.searchsorted(levels, asked).clamp(1, known.shape[2] - 1)
    lower = upper - 1
    share = (asked - levels[lower]) / (levels[upper] - levels[lower])
    return torch.lerp(known[..., lower], known[..., upper], share)


def random_directions(channels: int, count: int, generator: Generator) -> Tensor:
    """Unit vectors, evenly over the sphere: (channels, count), float32, on the CPU."""
    directions = torch.randn(channels, count, generator=generator)
    return directions / directions.norm(dim=0, keepdim=True)


def gram_matrix(features: Tensor) -> Tensor:
    """Channel correlations of a feature map, averaged over C*H*W.

    Args:
        features: (B, C, H, W), floating point, any range. Gradients flow.

    Returns:
        (B, C, C), symmetric, same dtype and device.

    Raises:
        ShapeError: `features` is not four-dimensional.

    Source:
        Johnson et al. 2016, section 3.1. Gatys et al. 2016 scale inside the loss instead.
    """
    places = spread_out(features)
    with autocast("fp32", places.device):
        return places.transpose(1, 2) @ places / (places.shape[1] * places.shape[2])


def spread_out(features: Tensor) -> Tensor:
    """A feature map (B, C, H, W) as places (B, H*W, C); a view where channels come last.

    Raises:
        ShapeError: `features` is not four-dimensional.
    """
    if features.ndim != 4:
        raise ShapeError(f"Got features of shape {tuple(features.shape)}; (B, C, H, W) is needed.")
    return rearrange(features, "b c h w -> b (h w) c")


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32, or as they are in float64."""
    return values if values.dtype == torch.float64 else values.float()


def _ordered(values: Tensor) -> Tensor:
    """Values (B, K, N), ascending along N. Gradients flow, twice too."""
    if values.device.type != "cpu":
        return values.sort(dim=2).values
    # NumPy sorts with vector instructions, several times as fast as PyTorch on the CPU.
    order = torch.from_numpy(np.argsort(values.detach().numpy(), axis=2))
    return values.gather(2, order)


def _project(places: Tensor, directions: Tensor) -> Tensor:
    """Places (B, N, C) along directions (C, K), as (B, K, N)."""
    with autocast("fp32", places.device):
        return directions.T @ at_least_float32(places).transpose(1, 2)


def draw_places(total: int, count: int, generator: Generator) -> Tensor:
    """So many of the positions below `total`, one out of each of `count` equal stretches.

    Returns:
        (count,), ascending, on the CPU; all positions, without chance, where `count` is `total`.
    """
    if count == total:
        return torch.arange(total)
    chance = torch.rand(count, generator=generator, dtype=torch.float64)
    drawn = (torch.arange(count) + chance) * (total / count)
    return drawn.long().clamp_max(total - 1)


def _at(places: Tensor, chosen: Tensor) -> Tensor:
    """Places (B, P, C) in the order chosen (B, N), as (B, N, C)."""
    return places.gather(1, chosen[..., None].expand(-1, -1, places.shape[2]))


def _some(places: Tensor, generator: Generator) -> Tensor:
    """At most 1,024 of places (B, P, C)."""
    return _thin(places, min(PLACES, places.shape[1]), generator)


def _thin(places: Tensor, count: int, generator: Generator) -> Tensor:
    drawn = draw_places(places.shape[1], count, generator)
    return places.index_select(1, drawn.to(places.device))
