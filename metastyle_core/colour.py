"""Colour: whose colours a stylized picture has, those of the style or others.

Works on pixels alone, after drawing; it knows neither networks nor styles.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, cast, get_args

import torch
from torch import Tensor

from .checks import require_from, require_one_of, require_pictures, require_unit_range
from .errors import SettingsError, ShapeError
from .images import luminance

Colour = Literal["style", "photograph", "match"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
# How far a drawing goes to the palette of its style's pictures. All the way colours get harsh.
_TO_OWN_PALETTE = 0.5
# Variance of an even error of two levels of 255: what flatter pictures are taken to have.
_LEAST_VARIANCE = (2 / 255) ** 2 / 3
_LEAST_WEIGHT = 1e-6  # of a pixel that nobody sees
_LARGEST_GAIN = 4.0  # of contrast, so that next to flat pictures do not show their noise
# Mean (B, 3, 1), and covariance (B, 3, 3) in float64 on the CPU.
Moments: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Palette:
    """The colours of a style's pictures: what a drawing in that style moves towards.

    Attributes:
        mean: of R, G and B, each in [0, 1], to four digits, as a file keeps it.
        covariance: three rows of three, likewise.
    """

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, pictures: Sequence[Tensor], counting: Sequence[Tensor | None]) -> "Palette":
        """The palette of pictures that count alike, whatever their sizes.

        Args:
            pictures: (1, 3, H, W) each, [0, 1].
            counting: (1, 1, H, W) of each, how much its pixels count, or None where all do.
        """
        found = [_moments_of(*each) for each in zip(pictures, counting, strict=True)]
        each = [cls._from(mean[0].cpu().double(), spread[0]) for mean, spread in found]
        return cls.mixed(each, [1 / len(each)] * len(each))

    @classmethod
    def mixed(cls, palettes: Sequence["Palette"], shares: Sequence[float]) -> "Palette":
        """The mean of palettes by shares, which add up to 1: what lies between their colours."""
        pairs = list(zip(palettes, shares, strict=True))
        mean = torch.stack([share * each._tensors()[0] for each, share in pairs]).sum(0)
        spread = torch.stack([share * each._tensors()[1] for each, share in pairs]).sum(0)
        return cls._from(mean, spread)

    @classmethod
    def _from(cls, mean: Tensor, covariance: Tensor) -> "Palette":
        first, *rows = (
            tuple(float(f"{number:.4g}") for number in cast("list[float]", row.tolist()))
            for row in (mean.flatten(), *covariance)
        )
        return cls(first, tuple(rows))

    @classmethod
    def from_header(cls, header: Mapping[str, object]) -> "Palette":
        """From what `header` gives.

        Raises:
            ValueError: it is something else.
        """
        parts = [header.get("mean"), header.get("covariance")]
        try:
            mean, covariance = (torch.tensor(part, dtype=torch.float64) for part in parts)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise ValueError("its palette holds no numbers") from error
        if mean.shape != (3,) or covariance.shape != (6,):
            raise ValueError("its palette is not three numbers and six")
        # Where no colour leaves [0, 1], no covariance is larger than 1. NaN is neither.
        numbers = torch.cat([mean, covariance])
        if not bool((numbers.abs() <= 1).all() & (mean >= 0).all()):
            raise ValueError("its palette is of colours beyond 0 to 1")
        return cls._from(mean, covariance[torch.tensor([[0, 1, 2], [1, 3, 4], [2, 4, 5]])])

    def header(self) -> dict[str, object]:
        """As plain values, for a file: of the covariance what stands on and above its diagonal."""
        above = [value for row in range(3) for value in self.covariance[row][row:]]
        return {"mean": list(self.mean), "covariance": above}

    def moments(self) -> "Moments":
        """As a palette of pictures has them."""
        mean, covariance = self._tensors()
        return mean.float()[None, :, None], covariance[None]

    def _tensors(self) -> tuple[Tensor, Tensor]:
        mean, covariance = (
            torch.tensor(v, dtype=torch.float64) for v in (self.mean, self.covariance)
        )
        return mean, covariance


@dataclass(frozen=True)
class Colouring:
    """Whose colours to give stylized pictures.

    Attributes:
        colour: `style` takes those of the style: as they are drawn, moved half of the way to the
            palette of its pictures where the style knows it (see `on`). `photograph` takes those
            of the photograph and the luminance of the drawing, `match` takes the palette.
        amount: how far to go, from 0, where all stays as it is drawn, to 1.
        palette: pictures (N, 3, H, W), [0, 1], whose colours `match` takes, or what is known of
            them.
    """

    colour: Colour = "style"
    amount: float = 1.0
    palette: Tensor | Palette | None = None

    def __post_init__(self) -> None:
        require_one_of(self, "colour", COLOURS)
        require_from(self, 0.0, "amount", most=1.0)
        if self.colour == "match":
            _require_palette(self.palette)

    @cached_property
    def wanted(self) -> "Moments | None":
        """Mean and covariance of the palette, found once for all pictures; None without one."""
        if isinstance(self.palette, Palette):
            return self.palette.moments()
        return None if self.palette is None else palette_moments(self.palette)

    def on(self, palette: Palette | None) -> "Colouring":
        """What it comes to for drawings in one style.

        Args:
            palette: of the style's pictures, or None where the style does not know it.
        """
        if self.colour != "style" or not self.amount or palette is None:
            return self
        return Colouring("match", _TO_OWN_PALETTE * self.amount, palette)


def _require_palette(palette: Tensor | Palette | None) -> None:
    if palette is None:
        raise SettingsError(
            "colour is 'match', but there is no palette; give the painting, or any picture, "
            "as 'palette'."
        )
    if isinstance(palette, Palette):
        return
    require_pictures(palette, "palette")
    if not palette.numel():
        raise ShapeError("The palette has no pixels; give a picture.")
    require_unit_range(palette, "The palette")


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
    if colouring.colour == "match" and colouring.wanted is not None:
        mapped = palette_map or _map_to(colouring.wanted, *_moments_of(stylized, alpha))
        return torch.lerp(stylized, mapped(stylized), colouring.amount)
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


def palette_moments(palette: Tensor) -> Moments:
    """Mean and covariance of the colours of (N, 3, H, W), which count as one picture."""
    colours = palette.float().movedim(1, 0).flatten(1)[None]
    return _moments(colours, torch.ones_like(colours[:, :1]))


def _moments_of(images: Tensor, alpha: Tensor | None) -> Moments:
    pixels = images.flatten(2)
    weights = torch.ones_like(pixels[:, :1]) if alpha is None else alpha.flatten(2).to(pixels)
    return _moments(pixels, weights.clamp(min=_LEAST_WEIGHT))


class ColourMoments:
    """Mean and covariance of the colours of a picture, strip by strip, or of several."""

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

    def moved(self, picture: Tensor, share: float) -> "ColourMoments":
        """A mixture with those of one more picture (1, 3, H, W), which has this share of it."""
        other, mixed = ColourMoments(), ColourMoments()
        other.add(picture)
        pairs = zip(self._sums, other._sums, strict=True)
        mixed._sums = [torch.lerp(a / self._sums[0], b / other._sums[0], share) for a, b in pairs]
        return mixed

    def map_to(self, wanted: Moments) -> PaletteMap:
        """The map of the whole picture to the moments of a palette."""
        weight, colours, products = self._sums
        mean = colours / weight
        return _map_to(wanted, mean[None], _levelled(products / weight - mean @ mean.T)[None])


def _map_to(palette: Moments, mean: Tensor, covariance: Tensor) -> PaletteMap:
    """What gives pictures of this mean and covariance those of a palette.

    Of all linear maps that do so this one moves colours the least. Contrast grows four times at
    most, where a picture is next to flat.

    Source:
        The linear Monge-Kantorovich map, Pitie and Kokaram 2007, section 3.
    """
    wanted_mean, wanted = palette
    root, inverse = _powers(covariance, 0.5), _powers(covariance, -0.5)
    linear_map = inverse @ _powers(root @ wanted @ root, 0.5) @ inverse
    return PaletteMap(_at_most(linear_map, _LARGEST_GAIN), mean, wanted_mean)


def _moments(pixels: Tensor, weights: Tensor) -> Moments:
    """Mean (B, 3, 1), and covariance (B, 3, 3) in float64 on the CPU, of (B, 3, N)."""
    shares = weights / weights.sum(2, keepdim=True)
    mean = (pixels * shares).sum(2, keepdim=True)
    centred = pixels - mean
    covariance = (centred * shares) @ centred.transpose(1, 2)
    return mean, _levelled(covariance.cpu().double())


def _levelled(covariance: Tensor) -> Tensor:
    """With the variance that the flattest pictures are taken to have."""
    return covariance + _LEAST_VARIANCE * torch.eye(3, dtype=torch.float64)


def _at_most(matrices: Tensor, gain: float) -> Tensor:
    """Symmetric matrices (B, 3, 3) none of whose eigenvalues is larger."""
    values, vectors = torch.linalg.eigh(matrices)
    return (vectors * values.clamp(max=gain).unsqueeze(-2)) @ vectors.transpose(-2, -1)


def _powers(matrices: Tensor, exponent: float) -> Tensor:
    """Powers of symmetric positive matrices (B, 3, 3)."""
    values, vectors = torch.linalg.eigh(matrices)
    raised = values.clamp(min=1e-12).pow(exponent).unsqueeze(-2)
    return (vectors * raised) @ vectors.transpose(-2, -1)
