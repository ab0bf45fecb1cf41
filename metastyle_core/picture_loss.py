"""The loss of one picture's pixels and its gradient, whole or in tiles.

Content and sliced style distance under an encoder, and the penalty on colour noise. Tiles
bound memory: their gradients add up to that of the whole picture, up to rounding.
"""

import math
from collections.abc import Callable, Collection

import torch
from torch import Generator, Tensor

from .encoder import PerceptualEncoder
from .encoder_tiles import Tile, gather, map_size, plan_tiles, stride_of
from .errors import AdaptationDiverged
from .losses import StyleTarget, chroma_variation
from .precision import Precision, autocast
from .style_distance import at_least_float32, draw_places

_TINY = 1e-8


class PictureLoss:
    """The loss of a picture of one size and its gradient, tile by tile."""

    def __init__(
        self,
        encoder: PerceptualEncoder,
        photograph: Tensor,
        target: StyleTarget,
        *,
        style_weight: float,
        chroma_weight: float,
        places: int,
        tile_px: int,
        precision: Precision,
        on_tile: Callable[[], None] | None = None,
    ) -> None:
        """Encode the photograph once.

        Args:
            encoder: frozen, on the device of the rest.
            photograph: (1, 3, H, W), [0, 1].
            target: of the style.
            style_weight: factor of the style loss.
            chroma_weight: factor of the colour noise.
            places: most places of a layer that one look compares.
            tile_px: most rows and columns that are encoded at once, without their rims.
            precision: of the convolutions.
            on_tile: called before each tile is encoded; may raise to stop.
        """
        self._encoder, self._photograph, self._target = encoder, photograph, target
        self._style_weight, self._chroma_weight = style_weight, chroma_weight
        self._precision: Precision = precision
        self._on_tile = on_tile
        self._places = places
        self._size = (photograph.shape[-2], photograph.shape[-1])
        self._tiles = plan_tiles(encoder.spec, *self._size, tile_px)
        self._kept: dict[str, Tensor] | None = None
        self._energy = dict.fromkeys(encoder.spec.content_layers, 0.0)
        with torch.no_grad():
            for tile in self._tiles:
                content = self._content_of(tile)
                for layer, features in content.items():
                    self._energy[layer] += float(features.square().sum())
                # Of a picture in one piece the content's features are found once.
                self._kept = content if len(self._tiles) == 1 else None

    @torch.enable_grad()
    def look(self, picture: Tensor, generator: Generator) -> tuple[dict[str, float], Tensor]:
        """Losses of a picture (1, 3, H, W) as numbers, and the gradient of their total.

        Two passes: the style distance needs the features of all tiles before the gradient
        of any is known. A picture in one piece needs only one.
        """
        asked = self._ask(generator)
        alone = self._encode(self._tiles[0], picture) if len(self._tiles) == 1 else None
        style, pulls = self._style(self._seen(picture, asked, alone), generator)
        content = 0.0
        colour, gradient = self._colour(picture)
        for tile in self._tiles:
            pixels, features = alone or self._encode(tile, picture)
            parts = self._content_parts(tile, features)
            pulled = self._pulled(tile, features, asked, pulls)
            (found,) = torch.autograd.grad(parts + pulled, pixels)
            tile.cut(gradient).add_(found)
            content += float(parts.detach())
        total = content + self._style_weight * style + colour
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
        features = self._features(tile.cut(self._photograph), self._encoder.spec.content_layers)
        return {k: at_least_float32(tile.own(v, stride_of(k))) for k, v in features.items()}

    def _seen(
        self,
        picture: Tensor,
        asked: dict[str, Tensor],
        alone: tuple[Tensor, dict[str, Tensor]] | None,
    ) -> dict[str, Tensor]:
        """Features at the places asked for, from all tiles: layer to (1, P, C), detached."""
        parts: dict[str, list[Tensor]] = {layer: [] for layer in asked}
        held: dict[str, list[Tensor]] = {layer: [] for layer in asked}
        with torch.no_grad():
            for tile in self._tiles:
                features = alone[1] if alone else self._features(tile.cut(picture))
                for layer, places in asked.items():
                    mask, picked = self._picked(tile, layer, features[layer], places)
                    parts[layer].append(at_least_float32(picked))
                    held[layer].append(mask)
        return {layer: gather(parts[layer], held[layer]) for layer in asked}

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
        distances = [
            self._target.layers[layer].distance(places.mT[..., None], generator)
            for layer, places in leaves.items()
        ]
        style = torch.stack(distances).mean()
        pulls = torch.autograd.grad(self._style_weight * style, list(leaves.values()))
        return float(style.detach()), dict(zip(leaves, pulls, strict=True))

    def _content_parts(self, tile: Tile, features: dict[str, Tensor]) -> Tensor:
        """A tile's part of the content loss, which the parts of all tiles add up to."""
        wanted = self._content_of(tile)
        parts = [
            (at_least_float32(tile.own(features[layer], stride_of(layer))) - each).square().sum()
            / max(self._energy[layer], _TINY)
            for layer, each in wanted.items()
        ]
        return torch.stack(parts).mean()

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

    def _colour(self, picture: Tensor) -> tuple[float, Tensor]:
        """The weighted penalty on colour noise and its gradient in the pixels."""
        if self._chroma_weight == 0:
            return 0.0, torch.zeros_like(picture)
        leaf = picture.detach().requires_grad_()
        excess = (chroma_variation(leaf) - self._target.chroma).clamp_min(0)
        penalty = self._chroma_weight * excess.mean()
        (gradient,) = torch.autograd.grad(penalty, leaf)
        return float(penalty.detach()), gradient
