"""Colour: whose colours a stylized picture has, those of the style or others.

Works on pixels alone, after drawing; it knows neither networks nor styles.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from .checks import require_from, require_one_of, require_pictures
from .errors import SettingsError, ShapeError
from .images import luminance

Colour = Literal["style", "photograph", "match"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
# Variance of an even error of two levels of 255: what flatter pictures are taken to have.
_LEAST_VARIANCE = (2 / 255) ** 2 / 3
_LEAST_WEIGHT = 1e-6  # of a pixel that nobody sees


@dataclass(frozen=True)
class Colouring:
    """Whose colours to give stylized pictures.

    Attributes:
        colour: `style` leaves them as they are drawn, `photograph` takes those of the
            photograph and the luminance of the drawing, `match` takes the palette.
        amount: how far to go, from 0 to 1.
        palette: pictures (N, 3, H, W), [0, 1], whose colours `match` takes.
    """

    colour: Colour = "style"
    amount: float = 1.0
    palette: Tensor | None = None

    def __post_init__(self) -> None:
        require_one_of(self, "colour", COLOURS)
        require_from(self, 0.0, "amount", most=1.0)
        if self.colour == "match":
            _require_palette(self.palette)


def _require_palette(palette: Tensor | None) -> None:
    if palette is None:
        raise SettingsError(
            "colour is 'match', but there is no palette; give the painting, or any picture, "
            "as 'palette'."
        )
    require_pictures(palette, "palette")
    if not palette.numel():
        raise ShapeError("The palette has no pixels; give a picture.")
    if not bool(torch.isfinite(palette).all()):
        raise SettingsError("The palette holds NaN or infinity; load or render it again.")


@dataclass(frozen=True)
class PaletteMap:
    """A linear map of colours.

    Attributes:
        matrix: (B, 3, 3), float64, on the CPU.
        origin: (B, 3, 1): the mean of the colours that are mapped.
        target: (B or 1, 3, 1): what becomes of it.
    """

    matrix: Tensor
    origin: Tensor
    target: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Map the colours of (B, 3, H, W); what leaves [0, 1] is clamped."""
        pixels = images.flatten(2)
        moved = self.matrix.to(pixels) @ (pixels - self.origin.to(pixels))
        return (moved + self.target.to(pixels)).view_as(images).clamp(0, 1)


def recolour(
    stylized: Tensor,
    photographs: Tensor,
    colouring: Colouring,
    alpha: Tensor | None = None,
    palette_map: PaletteMap | None = None,
) -> Tensor:
    """Give stylized pictures the colours asked for.

    Args:
        stylized: (B, 3, H, W), [0, 1].
        photographs: what they were drawn from, of the same shape.
        colouring: whose colours, and how far.
        alpha: (B, 1, H, W), [0, 1]: how much each pixel counts in the palette of a picture
            with transparency.
        palette_map: of the whole pictures, where these are a part of them; see
            `ColourMoments`.

    Returns:
        (B, 3, H, W), [0, 1]; `stylized` itself where nothing is to change.
    """
    if colouring.amount == 0:
        return stylized
    if colouring.colour == "photograph":
        return torch.lerp(stylized, keep_colours(stylized, photographs), colouring.amount)
    if colouring.colour == "match" and colouring.palette is not None:
        if palette_map is not None:
            return torch.lerp(stylized, palette_map(stylized), colouring.amount)
        matched = match_palette(stylized, colouring.palette.to(stylized), alpha)
        return torch.lerp(stylized, matched, colouring.amount)
    return stylized


def keep_colours(stylized: Tensor, photographs: Tensor) -> Tensor:
    """Luminance of the one, colours of the other.

    Where both together leave the range, colours fade until they fit, so that the luminance
    is exactly that of the drawing.

    Args:
        stylized: (B, 3, H, W), [0, 1].
        photographs: the same shape.

    Returns:
        (B, 3, H, W), [0, 1].

    Source:
        Gatys et al. 2016, "Preserving color in neural artistic style transfer", section 4.
        There the luminance of the style is matched as well, and nothing fades.
    """
    light = luminance(stylized)
    chroma = photographs - luminance(photographs)
    room = torch.where(chroma > 0, 1 - light, light)
    fitting = (room / chroma.abs().clamp(min=1e-6)).amin(1, keepdim=True).clamp(max=1)
    return (light + fitting * chroma).clamp(0, 1)


def match_palette(images: Tensor, palette: Tensor, alpha: Tensor | None = None) -> Tensor:
    """Move the colours of each picture so that mean and covariance are those of a palette.

    Of all linear maps that do so this one moves colours the least.

    Args:
        images: (B, 3, H, W), [0, 1], each with statistics of its own.
        palette: (N, 3, H', W'), [0, 1], which count as one picture.
        alpha: (B, 1, H, W), [0, 1]: how much each pixel counts.

    Returns:
        (B, 3, H, W), [0, 1]; what the map moves out of the range is clamped.

    Source:
        The linear Monge-Kantorovich map, Pitie and Kokaram 2007, section 3.
    """
    pixels = images.flatten(2)
    weights = torch.ones_like(pixels[:, :1]) if alpha is None else alpha.flatten(2).to(pixels)
    return _map_to(palette, *_moments(pixels, weights.clamp(min=_LEAST_WEIGHT)))(images)


class ColourMoments:
    """Mean and covariance of the colours of a picture, strip by strip."""

    def __init__(self) -> None:
        # Of weight, of colours and of their products, each times its weight.
        self._sums = [torch.zeros(shape, dtype=torch.float64) for shape in ((), (3, 1), (3, 3))]

    def add(self, strip: Tensor, alpha: Tensor | None = None) -> None:
        """Take in (1, 3, H, W), each pixel with the weight in (1, 1, H, W)."""
        pixels = strip.flatten(2)[0].cpu().double()
        weights = torch.ones_like(pixels[:1]) if alpha is None else alpha.flatten(2)[0].to(pixels)
        weighted = pixels * weights.clamp(min=_LEAST_WEIGHT)
        self._sums[0] += weights.clamp(min=_LEAST_WEIGHT).sum()
        self._sums[1] += weighted.sum(1, keepdim=True)
        self._sums[2] += weighted @ pixels.T

    def map_to(self, palette: Tensor) -> PaletteMap:
        """The map of `match_palette` for the whole picture."""
        weight, colours, products = self._sums
        mean = colours / weight
        return _map_to(palette, mean[None], _levelled(products / weight - mean @ mean.T)[None])


def _map_to(palette: Tensor, mean: Tensor, covariance: Tensor) -> PaletteMap:
    colours = palette.movedim(1, 0).flatten(1)[None]
    wanted_mean, wanted = _moments(colours, torch.ones_like(colours[:, :1]))
    root, inverse = _powers(covariance, 0.5), _powers(covariance, -0.5)
    linear_map = inverse @ _powers(root @ wanted @ root, 0.5) @ inverse
    return PaletteMap(linear_map, mean, wanted_mean)


def _moments(pixels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, 3, 1), and covariance (B, 3, 3) in float64 on the CPU, of (B, 3, N)."""
    shares = weights / weights.sum(2, keepdim=True)
    mean = (pixels * shares).sum(2, keepdim=True)
    centred = pixels - mean
    covariance = (centred * shares) @ centred.transpose(1, 2)
    return mean, _levelled(covariance.cpu().double())


def _levelled(covariance: Tensor) -> Tensor:
    """With the variance that the flattest pictures are taken to have."""
    return covariance + _LEAST_VARIANCE * torch.eye(3, dtype=torch.float64)


def _powers(matrices: Tensor, exponent: float) -> Tensor:
    """Powers of symmetric positive matrices (B, 3, 3)."""
    values, vectors = torch.linalg.eigh(matrices)
    raised = values.clamp(min=1e-12).pow(exponent).unsqueeze(-2)
    return (vectors * raised) @ vectors.transpose(-2, -1)
