"""The loss of one picture's pixels and its gradient, whole or in tiles.

Standardised content and sliced style distance under an encoder, and the penalties on colour
noise and blotches. Tiles bound memory: their gradients add up to that of the whole picture, up
to rounding.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from .encoder import PerceptualEncoder
from .encoder_tiles import Tile, gather, map_size, plan_tiles, stride_of
from .errors import AdaptationDiverged
from .losses import (
    StyleTarget,
    blotches,
    chroma_variation,
    content_layers,
    nearest_distance,
    standardised_error,
)
from .precision import Precision, autocast
from .style_distance import at_least_float32, draw_places


@dataclass(frozen=True)
class _Sums:
    """Sums over the places of one layer, each (1, C): of features, squares, and products.

    The products are those with the photograph's features at the same places.
    """

    features: Tensor
    squares: Tensor
    products: Tensor

    @classmethod
    def of(cls, own: Tensor, wanted: Tensor) -> "_Sums":
        """Over a tile: features (1, C, h, w) of the picture and of the photograph."""
        parts = (own, own.square(), own * wanted)
        # Some devices have no float64.
        return cls(*(part.sum((2, 3)).cpu().double() for part in parts))

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.features + other.features,
            self.squares + other.squares,
            self.products + other.products,
        )


@dataclass(frozen=True)
class _ContentPull:
    """How the content loss of one layer changes with the features there.

    Attributes:
        mean: (1, C, 1, 1), of the picture's channels.
        wanted: (1, C, 1, 1), of the photograph's.
        by_variance: (1, C, 1, 1), derivative in the variance, over the number of places.
        by_covariance: (1, C, 1, 1), likewise in the covariance with the photograph.
    """

    mean: Tensor
    wanted: Tensor
    by_variance: Tensor
    by_covariance: Tensor

    def on(self, own: Tensor, wanted: Tensor) -> Tensor:
        """A number whose gradient in features (1, C, h, w) is the loss's."""
        away = own - self.mean
        variance = (self.by_variance * away.square()).sum()
        return variance + (self.by_covariance * away * (wanted - self.wanted)).sum()


class PictureLoss:
    """The loss of a picture of one size and its gradient, tile by tile."""

    def __init__(
        self,
        encoder: PerceptualEncoder,
        photograph: Tensor,
        target: StyleTarget,
        *,
        style_weight: float,
        nearest_weight: float,
        chroma_weight: float,
        blotch_weight: float,
        places: int,
        tile_px: int,
        precision: Precision,
        on_tile: Callable[[], None] | None = None,
    ) -> None:
        """Encode the photograph and keep its moments; in tiles each look encodes it again.

        Args:
            encoder: frozen, on the device of the rest.
            photograph: (1, 3, H, W), [0, 1].
            target: of the style.
            style_weight: factor of the style loss.
            nearest_weight: within it, of the distance from the nearest places of the style.
            chroma_weight: factor of the colour noise.
            blotch_weight: factor of the blotches.
            places: most places of a layer that one look compares.
            tile_px: most rows and columns that are encoded at once, without their rims.
            precision: of the convolutions.
            on_tile: called before each tile is encoded; may raise to stop.
        """
        self._encoder, self._photograph, self._target = encoder, photograph, target
        self._style_weight, self._chroma_weight = style_weight, chroma_weight
        self._nearest_weight, self._blotch_weight = nearest_weight, blotch_weight
        self._precision: Precision = precision
        self._on_tile = on_tile
        self._places = places
        self._size = (photograph.shape[-2], photograph.shape[-1])
        self._tiles = plan_tiles(encoder.spec, *self._size, tile_px)
        self._kept: dict[str, Tensor] | None = None
        self._layers = content_layers(encoder.spec, "standardised")
        self._photographs: dict[str, _Sums] = {}
        for tile in self._tiles:
            content = self._content_of(tile)
            _add_sums(self._photographs, content, content)
            # Of a picture in one piece the content's features are found once.
            self._kept = content if len(self._tiles) == 1 else None

    @torch.enable_grad()
    def look(self, picture: Tensor, generator: Generator) -> tuple[dict[str, float], Tensor]:
        """Losses of a picture (1, 3, H, W) as numbers, and the gradient of their total.

        Two passes: both distances need the features of all tiles before the gradient of any
        is known. A picture in one piece needs only one; in tiles both encode the photograph
        too.
        """
        asked = self._ask(generator)
        alone = self._encode(self._tiles[0], picture) if len(self._tiles) == 1 else None
        seen, sums = self._seen(picture, asked, alone)
        style, pulls = self._style(seen, generator)
        content, content_pulls = self._content(sums)
        penalty, gradient = self._penalty(picture)
        for tile in self._tiles:
            pixels, features = alone or self._encode(tile, picture)
            own, wanted = self._owned(tile, features), self._content_of(tile)
            kept = [pull.on(own[k], wanted[k]) for k, pull in content_pulls.items()]
            pulled = self._pulled(tile, features, asked, pulls)
            (found,) = torch.autograd.grad(torch.stack([*kept, pulled]).sum(), pixels)
            tile.cut(gradient).add_(found)
        total = content + self._style_weight * style + penalty
        if not math.isfinite(total) or not bool(gradient.sum().isfinite()):
            raise AdaptationDiverged(
                "Refinement met NaN or infinity, also at a lower rate. Lower the style weight, "
                "or set precision to fp32."
            )
        return {"content": content, "style": style, "total": total}, gradient

    def _ask(self, generator: Generator) -> dict[str, Tensor]:
        """Places of each style layer's map that this look compares: (P,), ascending."""
        asked: dict[str, Tensor] = {}
        for layer in self._target.layers:
            total = math.prod(self._map(layer))
            drawn = draw_places(total, min(self._places, total), generator)
            asked[layer] = drawn.to(self._photograph.device)
        return asked

    def _map(self, layer: str) -> tuple[int, int]:
        return map_size(*self._size, layer)

    def _features(self, pixels: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        if self._on_tile is not None:
            self._on_tile()
        with autocast(self._precision, pixels.device, gradients=True):
            return self._encoder(pixels, layers)

    def _encode(self, tile: Tile, picture: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Pixels of a tile as a leaf, and its features with the way back to it."""
        pixels = tile.cut(picture).detach().requires_grad_()
        return pixels, self._features(pixels)

    @torch.no_grad()
    def _content_of(self, tile: Tile) -> dict[str, Tensor]:
        """Features of the photograph that a tile owns, in float32."""
        if self._kept is not None:
            return self._kept
        return self._owned(tile, self._features(tile.cut(self._photograph), self._layers))

    def _owned(self, tile: Tile, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Content layers at the places that a tile owns, in float32."""
        return {k: at_least_float32(tile.own(features[k], stride_of(k))) for k in self._layers}

    def _seen(
        self,
        picture: Tensor,
        asked: dict[str, Tensor],
        alone: tuple[Tensor, dict[str, Tensor]] | None,
    ) -> tuple[dict[str, Tensor], dict[str, _Sums]]:
        """Features at the places asked for, layer to (1, P, C), and sums, from all tiles."""
        parts: dict[str, list[Tensor]] = {layer: [] for layer in asked}
        held: dict[str, list[Tensor]] = {layer: [] for layer in asked}
        sums: dict[str, _Sums] = {}
        with torch.no_grad():
            for tile in self._tiles:
                features = alone[1] if alone else self._features(tile.cut(picture))
                for layer, places in asked.items():
                    mask, picked = self._picked(tile, layer, features[layer], places)
                    parts[layer].append(at_least_float32(picked))
                    held[layer].append(mask)
                _add_sums(sums, self._owned(tile, features), self._content_of(tile))
        return {layer: gather(parts[layer], held[layer]) for layer in asked}, sums

    def _picked(
        self, tile: Tile, layer: str, features: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which of the places a tile owns (P,), and its features there (1, P', C)."""
        width, stride = self._map(layer)[1], stride_of(layer)
        mask = tile.holds(places, width, stride)
        return mask, tile.pick(features, places[mask], width, stride)

    def _style(
        self, seen: dict[str, Tensor], generator: Generator
    ) -> tuple[float, dict[str, Tensor]]:
        """The style loss, and the weighted gradient at every place: layer to (1, P, C)."""
        leaves = {layer: places.requires_grad_() for layer, places in seen.items()}
        features = {layer: places.mT[..., None] for layer, places in leaves.items()}
        distances = [
            self._target.layers[layer].distance(own, generator) for layer, own in features.items()
        ]
        style = torch.stack(distances).mean()
        if self._nearest_weight:
            nearest = nearest_distance(features, self._target, generator).mean()
            style = style + self._nearest_weight * nearest
        pulls = torch.autograd.grad(self._style_weight * style, list(leaves.values()))
        return float(style.detach()), dict(zip(leaves, pulls, strict=True))

    def _content(self, sums: dict[str, _Sums]) -> tuple[float, dict[str, _ContentPull]]:
        """The content loss, and how it pulls at each layer."""
        losses: list[float] = []
        pulls: dict[str, _ContentPull] = {}
        for layer, own in sums.items():
            wanted, count = self._photographs[layer], math.prod(self._map(layer))
            mean, wanted_mean = own.features / count, wanted.features / count
            covariance = (own.products / count - mean * wanted_mean).requires_grad_()
            # Rounding must not leave a flat channel less than nothing.
            variance = (own.squares / count - mean.square()).clamp_min(0).requires_grad_()
            wanted_variance = (wanted.squares / count - wanted_mean.square()).clamp_min(0)
            loss = standardised_error(variance, covariance, wanted_variance)[0]
            slopes = torch.autograd.grad(loss / (len(sums) * count), (variance, covariance))
            device = self._photograph.device
            each = (v.float()[..., None, None] for v in (mean, wanted_mean, *slopes))
            pulls[layer] = _ContentPull(*(v.to(device) for v in each))
            losses.append(float(loss.detach()))
        return sum(losses) / len(losses), pulls

    def _pulled(
        self,
        tile: Tile,
        features: dict[str, Tensor],
        asked: dict[str, Tensor],
        pulls: dict[str, Tensor],
    ) -> Tensor:
        """A number whose gradient in the pixels is a tile's part of the style loss's."""
        parts: list[Tensor] = []
        for layer, places in asked.items():
            mask, picked = self._picked(tile, layer, features[layer], places)
            parts.append((at_least_float32(picked) * pulls[layer][:, mask]).sum())
        return torch.stack(parts).sum()

    def _penalty(self, picture: Tensor) -> tuple[float, Tensor]:
        """The weighted penalties on colour noise and blotches and their gradient in the pixels."""
        leaf = picture.detach().requires_grad_()
        penalty = torch.zeros((), device=leaf.device)
        if self._chroma_weight:
            excess = (chroma_variation(leaf) - self._target.chroma).clamp_min(0)
            penalty = penalty + self._chroma_weight * excess.mean()
        if self._blotch_weight:
            penalty = penalty + self._blotch_weight * blotches(leaf, self._photograph).mean()
        if not penalty.requires_grad:
            return 0.0, torch.zeros_like(picture)
        (gradient,) = torch.autograd.grad(penalty, leaf)
        return float(penalty.detach()), gradient


def _add_sums(sums: dict[str, _Sums], own: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Take in a tile."""
    for layer, features in own.items():
        found = _Sums.of(features, wanted[layer])
        sums[layer] = sums[layer] + found if layer in sums else found
