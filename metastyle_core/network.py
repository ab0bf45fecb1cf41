"""The image transformation network: photograph in, stylized picture out.

One network serves every style. A style is a set of *fast weights*, replacements for
some of the network's parameters, and `stylize_with` runs the one forward pass with
them. This file knows nothing of losses, encoders or training.

Source: Johnson et al. 2016 with the instance norm of Dumoulin et al. 2017, as used by
MetaStyle (Zhang, Zhu, Zhu 2019).
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor, nn
from torch.func import functional_call

from .borders import Seamless, bordered, wraps
from .checks import require_pictures, require_sides
from .errors import SettingsError, ShapeError
from .low_rank import initial_updates, merge_updates

MIN_SIDE_PX = 16
# Of two layers of stride 2: sides inside the network are multiples of it.
STRIDE_PX = 4
MAX_CHANNELS, MAX_BLOCKS = 256, 64
# Drawn around every picture and cut off: what the network draws at its own border is a
# rim of dots, because encoders, which judge it, pad with zeros there.
MARGIN_PX = 8
NORM_EPSILON = 1e-5  # beside the variance, in every norm
# Full grain then varies as much as a picture does.
_GRAIN_GAIN = 3.2
# A megabyte in float32.
_CACHED_NUMBERS = 2**18
AdaptationMode = Literal["norm", "low_rank", "decoder", "full"]
ADAPTATION_MODES: tuple[AdaptationMode, ...] = ("norm", "low_rank", "decoder", "full")
FastWeights = Mapping[str, Tensor]
# The buffers of instance norms by name, (C,) each: what they normalise by in place of what
# they see. Every norm's mean and variance, or none.
NormStatistics = Mapping[str, Tensor]


class InstanceNorm(nn.Module):
    """Instance normalisation with a scale and a shift per channel.

    As fast weights, `weight` and `bias` may also have shape (B, C): one style per
    picture of the batch. With `mean` and `variance` set, as `stylize_with` does, pictures
    are normalised by these, and each pixel depends on its surroundings alone. With `shares`
    set besides, all four have shape (S, C), and each place mixes these S styles.
    """

    mean: Tensor | None
    variance: Tensor | None
    shares: Tensor | None

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", None, persistent=False)
        self.register_buffer("variance", None, persistent=False)
        self.register_buffer("shares", None, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise (B, C, H, W) over H and W, then scale and shift."""
        if self.shares is not None and self.mean is not None and self.variance is not None:
            return self._by_place(features, self.shares, self.mean, self.variance)
        batch, channels, height, width = features.shape
        if _has_pixels_side_by_side(features) and not features.requires_grad:
            return self._normalise_channels_last(features)
        weight = self.weight.expand(batch, channels).reshape(-1)
        bias = self.bias.expand(batch, channels).reshape(-1)
        # Pictures become channels of one picture, so that the fused kernel of batch
        # norm serves any mixture of styles.
        flat = features.reshape(1, batch * channels, height, width)
        if self.mean is None or self.variance is None:
            normed = F.batch_norm(flat, None, None, weight, bias, training=True, eps=NORM_EPSILON)
        else:
            mean, variance = self.mean.repeat(batch), self.variance.repeat(batch)
            normed = F.batch_norm(flat, mean, variance, weight, bias, eps=NORM_EPSILON)
        return normed.view(batch, channels, height, width)

    def _normalise_channels_last(self, features: Tensor) -> Tensor:
        """The same where the fused kernel's sums would depend on the number of threads."""
        weights, biases = (p.expand(len(features), -1) for p in (self.weight, self.bias))
        normed: list[Tensor] = []
        for picture, weight, bias in zip(features.split(1), weights, biases, strict=True):
            mean, variance = self.mean, self.variance
            if mean is None or variance is None:
                mean, variance = _moments(picture[0].permute(1, 2, 0))
            normed.append(F.batch_norm(picture, mean, variance, weight, bias, eps=NORM_EPSILON))
        return torch.cat(normed) if len(normed) > 1 else normed[0]

    def _by_place(self, features: Tensor, shares: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        """Normalise, scale and shift each place as its own mixture of the styles would."""
        small = F.interpolate(shares, features.shape[-2:], mode="area")
        scales = self.weight * torch.rsqrt(variance + NORM_EPSILON)
        shifts = self.bias - mean * scales
        scale, shift = (torch.einsum("bshw,sc->bchw", small, each) for each in (scales, shifts))
        return torch.addcmul(shift, features.to(shift), scale).to(features)


def _moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, without Bessel's correction, of each channel of (H, W, C).

    Summed over blocks of rows that fit a processor's cache, as distances to the mean of the
    first, which keeps the digits that squares would lose.
    """
    height, width, channels = pixels.shape
    blocks = pixels.split(max(1, _CACHED_NUMBERS // (width * channels)))
    shift = blocks[0].mean((0, 1))
    sums = squares = torch.zeros_like(shift)
    for block in blocks:
        centred = block - shift
        sums = sums + centred.sum((0, 1))
        squares = squares + centred.square().sum((0, 1))
    mean = sums / (height * width)
    variance = squares / (height * width) - mean.square()
    return shift + mean, variance.clamp_min(0)


def _has_pixels_side_by_side(features: Tensor) -> bool:
    """Whether (B, C, H, W) lies on the CPU in full precision, the channels of a pixel together."""
    if features.device.type != "cpu" or features.dtype not in {torch.float32, torch.float64}:
        return False
    ordered = features.is_contiguous(memory_format=torch.channels_last)
    return ordered and not features.is_contiguous()


class ReflectConv(nn.Conv2d):
    """Convolution whose border repeats the picture mirrored, so that no frame shows.

    Along axes that wrap, the border is the other edge instead.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride)

    def forward(self, input: Tensor, seamless: Seamless = "none") -> Tensor:
        """Convolve (B, C, H, W)."""
        return self.convolve(bordered(input, self.kernel_size[0] // 2, seamless))

    def convolve(self, wide: Tensor) -> Tensor:
        """Convolve what has its border already."""
        return F.conv2d(wide, self.weight, self.bias, self.stride)


class UpsampleConv(nn.Module):
    """Nearest-neighbour enlargement by 2 followed by a 3x3 convolution, in one step.

    After the enlargement neighbouring taps of the kernel see the same pixel, so the
    two steps equal one transposed convolution with a 4x4 kernel (four 2x2 kernels, one
    for each position of the output pixel): 2.25 times fewer multiplications, the same
    result and the same 3x3 parameters. The reflected border of the enlarged picture
    equals a replicated border of the small one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, kernel_size=3)  # for its initialisation
        self.weight = plain.weight
        self.bias = plain.bias

    def forward(self, features: Tensor, seamless: Seamless = "none") -> Tensor:
        """Map (B, C, H, W) to (B, C', 2H, 2W)."""
        return self.convolve(bordered(features, 1, seamless, "replicate"))

    def convolve(self, wide: Tensor) -> Tensor:
        """Enlarge and convolve what has its border of 1 px already."""
        kernel = _spread_over_enlargement(self.weight)
        return F.conv_transpose2d(wide, kernel, self.bias, stride=2, padding=3)


def _spread_over_enlargement(kernel: Tensor) -> Tensor:
    """The (C, C', 4, 4) transposed kernel equal to enlarging and then applying (C', C, 3, 3)."""
    mirrored = F.pad(kernel.flip(-1, -2).transpose(0, 1), (1, 1, 1, 1))
    upper, lower = mirrored[..., :-1, :], mirrored[..., 1:, :]
    rows = upper + lower
    return (rows[..., :-1] + rows[..., 1:]).contiguous()


class OutputConv(ReflectConv):
    """A wide convolution with few output channels, computed for blocks of 2x2 pixels.

    Processors multiply many output channels at once; three leave most of that idle. Here
    the four pixels of a block are channels: the 9x9 kernel, at each of the four places in a
    10x10 one, moves in steps of two. 1.2 times as many multiplications, the same result, in
    about half the time.
    """

    def convolve(self, wide: Tensor) -> Tensor:
        """Map what has its border already to (B, C', H, W); H and W must be even."""
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        blocks = F.conv2d(wide, spread_over_blocks(self.weight), bias, stride=2)
        return F.pixel_shuffle(blocks, 2)


def spread_over_blocks(kernel: Tensor) -> Tensor:
    """The (4C', C, n+1, n+1) kernel for 2x2 blocks equal to (C', C, n, n) for their pixels."""
    shifted = [F.pad(kernel, (left, 1 - left, top, 1 - top)) for top in (0, 1) for left in (0, 1)]
    return torch.stack(shifted, dim=1).flatten(0, 1)


def with_grain_kernel(kernel: Tensor) -> Tensor:
    """The (C', 4, n, n) kernel that sees grain as (C', 3, n, n) would see it on the picture.

    A network that begins so has strokes from the start and learns what they are good for. Beside
    the picture, without a meaning, it learns to leave them alone.
    """
    return torch.cat([kernel, kernel.sum(1, keepdim=True) / _GRAIN_GAIN], 1)


def smoothing_kernel(amount: float) -> Tensor:
    """The (3, 3) kernel between nothing, at 0, and a binomial low-pass, at 1."""
    line = torch.tensor([0.25, 0.5, 0.25])
    nothing = torch.zeros(3, 3)
    nothing[1, 1] = 1.0
    return torch.lerp(nothing, line[:, None] * line, amount)


class ConvNorm(nn.Module):
    """Convolution and instance norm, perhaps with a skip connection between the two."""

    def __init__(self, convolution: nn.Module, channels: int, *, skips: bool = False) -> None:
        super().__init__()
        self.convolution = convolution
        self.skip: nn.Conv2d | None = None
        if skips:
            self.skip = nn.Conv2d(channels, channels, kernel_size=1, bias=False)
            # It starts as the network without it, whose weights may follow.
            nn.init.zeros_(self.skip.weight)
        self.norm = InstanceNorm(channels)

    def forward(
        self, features: Tensor, seamless: Seamless = "none", earlier: Tensor | None = None
    ) -> Tensor:
        """Convolve (B, C, H, W), add what passes of an earlier layer, and normalise."""
        drawn = self.convolution(features, seamless)
        if self.skip is not None and earlier is not None:
            drawn = drawn + self.skip(earlier)
        return self.norm(drawn)


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(ReflectConv(channels, channels, 3), channels)
        self.second = ConvNorm(ReflectConv(channels, channels, 3), channels)

    def forward(self, features: Tensor, seamless: Seamless = "none") -> Tensor:
        """Add the block's change to (B, C, H, W)."""
        return features + self.second(F.relu(self.first(features, seamless)), seamless)


class StylizationNetwork(nn.Module):
    """The paper's network, where no option is set: 1,679,235 parameters, 3,200 of them in norms."""

    def __init__(
        self,
        channels: int = 32,
        blocks: int = 5,
        *,
        reads_grain: bool = False,
        skips: bool = False,
        smoothing: float = 0.0,
    ) -> None:
        """Build it with random weights.

        Args:
            channels: of the first and last layers; 32 is the paper's. The middle has
                four times as many.
            blocks: residual blocks; 5 is the paper's.
            reads_grain: read grain as a fourth channel beside the picture, where the paper's
                network has three and would find it in the picture itself.
            skips: let the first two layers pass what they see on to the last two, where the
                paper's network squeezes everything through a quarter of the picture's sides.
            smoothing: how much of the finest octave behind the residual blocks and behind the
                first enlargement is taken away, 0 to 1; 0 is the paper's. On their grids of
                4 and 2 px they fill flat areas with lattices and hatching.
        """
        super().__init__()
        self.channels, self.blocks, self.reads_grain = channels, blocks, reads_grain
        self.skips, self.smoothing = skips, smoothing
        narrow, middle, wide = channels, 2 * channels, 4 * channels
        self.encoder = nn.ModuleList(
            [
                ConvNorm(ReflectConv(4 if reads_grain else 3, narrow, 9), narrow),
                ConvNorm(ReflectConv(narrow, middle, 3, stride=2), middle),
                ConvNorm(ReflectConv(middle, wide, 3, stride=2), wide),
            ]
        )
        if reads_grain:
            with torch.no_grad():
                kernel = self.encoder[0].get_parameter("convolution.weight")
                kernel.copy_(with_grain_kernel(kernel[:, :3]))
        self.residual = nn.ModuleList([ResidualBlock(wide) for _ in range(blocks)])
        self.decoder = nn.ModuleList(
            [
                ConvNorm(UpsampleConv(wide, middle), middle, skips=skips),
                ConvNorm(UpsampleConv(middle, narrow), narrow, skips=skips),
            ]
        )
        self.output = OutputConv(narrow, 3, 9)

    def forward(self, images: Tensor, seamless: Seamless = "none") -> Tensor:
        """Stylize pictures.

        Args:
            images: (B, 3, H, W), RGB, [0, 1], both sides at least 16 px, or with their
                strokes from `with_strokes`. They are padded by reflection, 8 px all round and to a
                multiple of 4, and cropped back.
            seamless: axes along which they wrap, in every layer, so that copies of a result
                join there as pixels do inside; those sides must be multiples of 4.

        Returns:
            (B, 3, H, W), RGB, [0, 1], the dtype of `images`. Gradients flow, twice too.

        Raises:
            ShapeError: not a batch of RGB pictures, grain that is not read, too small, or of a
                size that cannot wrap.
        """
        if not (self.reads_grain and images.ndim == 4 and images.shape[1] == 4):
            require_pictures(images)
        images = self.completed(images)
        height, width = images.shape[-2:]
        require_sides("Image", height, width, MIN_SIDE_PX)
        features, top, left = _framed(images, seamless)
        passed_on: list[Tensor] = []
        for number, layer in enumerate(self.encoder):
            if self.skips and number:
                passed_on.append(features)
            features = F.relu(layer(features, seamless))
        for block in self.residual:
            features = block(features, seamless)
        for layer in self.decoder:
            if self.smoothing:
                features = self.smoothed(bordered(features, 1, seamless, "replicate"))
            # Nothing else holds it: it is freed as soon as it was read.
            features = F.relu(layer(features, seamless, passed_on.pop() if passed_on else None))
        logits = self.output(features, seamless)[..., top : top + height, left : left + width]
        return torch.sigmoid(logits.to(images.dtype))

    def untrained(self) -> "StylizationNetwork":
        """Another of the same size, with random weights."""
        return StylizationNetwork(
            self.channels,
            self.blocks,
            reads_grain=self.reads_grain,
            skips=self.skips,
            smoothing=self.smoothing,
        )

    def smoothed(self, wide: Tensor) -> Tensor:
        """Features (B, C, H + 2, W + 2), which have their border, as (B, C, H, W)."""
        kernel = smoothing_kernel(self.smoothing).to(wide)
        return F.conv2d(wide, kernel.expand(wide.shape[1], 1, 3, 3), groups=wide.shape[1])

    def with_strokes(self, pictures: Tensor, strokes: Tensor) -> Tensor:
        """Pictures with strokes, as this network reads them.

        Args:
            pictures: (B, 3, H, W), [0, 1].
            strokes: (B, 1, H, W), those of `in_touches` times their strength.

        Returns:
            (B, 3, H, W), the sum, or (B, 4, H, W) where grain is read by itself.
        """
        strokes = strokes.to(pictures)
        if not self.reads_grain:
            return pictures + strokes
        return torch.cat([pictures, _GRAIN_GAIN * strokes], 1)

    def completed(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) with a grain of zero, where grain is read; others as they are."""
        if self.reads_grain and images.shape[1] == 3:
            return F.pad(images, (0, 0, 0, 0, 0, 1))
        return images


def _framed(pictures: Tensor, seamless: Seamless) -> tuple[Tensor, int, int]:
    """Pictures (B, C, H, W) with their margins; rows above them, columns before them."""
    height, width = pictures.shape[-2:]
    left, right = margins(width, wraps(seamless, "x"))
    top, bottom = margins(height, wraps(seamless, "y"))
    return F.pad(pictures, (left, right, top, bottom), mode="reflect"), top, left


def margins(side_px: int, wrapping: bool) -> tuple[int, int]:
    """What is added before and behind a side: nothing where the picture wraps."""
    if not wrapping:
        return MARGIN_PX, MARGIN_PX + -side_px % STRIDE_PX
    if side_px % STRIDE_PX:
        raise ShapeError(
            f"A side of {side_px} px cannot wrap; resize it to a multiple of {STRIDE_PX} px."
        )
    return 0, 0


def stylize_with(
    network: StylizationNetwork,
    fast_weights: FastWeights,
    images: Tensor,
    statistics: NormStatistics | None = None,
    seamless: Seamless = "none",
    shares: Tensor | None = None,
) -> Tensor:
    """Run the network's one forward pass with some parameters replaced.

    Args:
        network: the base; it is not changed.
        fast_weights: parameter name to value. Those of instance norms may have
            shape (B, C) to give every picture of the batch its own style. Low-rank
            updates of convolutions (see `low_rank`) are added to the network's kernels.
        images: (B, 3, H, W), [0, 1], or with grain.
        statistics: what all instance norms normalise by, from `noted_statistics`; None
            takes each picture's own.
        seamless: axes along which they wrap; those sides must be multiples of 4.
        shares: (B, S, H, W) or (1, S, H, W), adding up to 1 over S: how much of each of S
            styles every pixel has. Fast weights are then those of instance norms alone, and
            they and the statistics, which are needed, have shape (S, C).

    Returns:
        (B, 3, H, W), [0, 1]. Gradients flow to `fast_weights`, `images` and network.

    Raises:
        SettingsError: shares without statistics.
    """
    if shares is not None and not statistics:
        raise SettingsError("Shares of styles need the statistics of each; note them before.")
    replaced = merge_updates(dict(network.named_parameters()), fast_weights)
    replaced |= {**(statistics or {}), **_norm_shares(network, shares, seamless)}
    return functional_call(network, replaced, (images, seamless))


def _norm_shares(
    network: StylizationNetwork, shares: Tensor | None, seamless: Seamless
) -> dict[str, Tensor]:
    """The buffers through which every norm gets the shares, framed as the pictures are."""
    if shares is None:
        return {}
    framed, _, _ = _framed(shares, seamless)
    names = (name for name, module in network.named_modules() if isinstance(module, InstanceNorm))
    return {f"{name}.shares": framed for name in names}


@contextmanager
def noted_statistics(
    network: StylizationNetwork, *, held: bool = False
) -> Generator[dict[str, Tensor]]:
    """Note what the instance norms see while the network runs inside the block.

    Runs in which they go by given statistics count only where `held` is set. Gives a
    dictionary, which each run over whole pictures fills as `NormStatistics`: float32, over all
    pictures of the run, the variance without Bessel's correction, as the norms themselves have
    it.
    """
    noted: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_pre_hook(_noting(noted, name, held=held))
        for name, module in network.named_modules()
        if isinstance(module, InstanceNorm)
    ]
    try:
        yield noted
    finally:
        for hook in hooks:
            hook.remove()


def own_statistics(
    network: StylizationNetwork, fast_weights: FastWeights, picture: Tensor
) -> NormStatistics:
    """What the norms see while one picture is drawn that does not wrap.

    Where it does wrap, these are still what to normalise by. In networks that were trained on
    pictures with borders alone some channels answer to little else; norms that never see a border
    would make the most of the nothing between.

    Args:
        network: the base.
        fast_weights: see `stylize_with`.
        picture: (1, 3, H, W), [0, 1], or with grain.
    """
    with noted_statistics(network) as noted:
        stylize_with(network, fast_weights, picture)
    return noted


def _noting(
    noted: dict[str, Tensor], name: str, *, held: bool
) -> Callable[[InstanceNorm, tuple[Tensor]], None]:
    def note(norm: InstanceNorm, inputs: tuple[Tensor]) -> None:
        if norm.mean is not None and not held:
            return
        features = inputs[0].float()
        mean = features.mean((0, 2, 3))
        # Eight times as fast on the CPU as var_mean, which is as exact.
        variance = (features - mean[:, None, None]).square_().mean((0, 2, 3))
        noted[f"{name}.mean"], noted[f"{name}.variance"] = mean, variance

    return note


def norm_parameter_names(network: nn.Module) -> tuple[str, ...]:
    """Names of the parameters of all instance norms, in the order of the network."""
    return tuple(
        f"{prefix}.{name}"
        for prefix, module in network.named_modules()
        if isinstance(module, InstanceNorm)
        for name, _ in module.named_parameters()
    )


def adapted_parameter_names(network: StylizationNetwork, mode: AdaptationMode) -> tuple[str, ...]:
    """Names of the parameters that a mode replaces, in the order of the network.

    Args:
        network: the base.
        mode: `norm` and `low_rank` the instance norms (`low_rank` adds updates of the
            convolutions besides, see there); `decoder` the instance norms, the
            convolutions that enlarge and draw, and the skip connections; `full` everything.
    """
    names = [name for name, _ in network.named_parameters()]
    if mode == "full":
        return tuple(names)
    chosen = set(norm_parameter_names(network))
    if mode == "decoder":
        drawing = {id(p) for part in (network.decoder, network.output) for p in part.parameters()}
        chosen |= {name for name, p in network.named_parameters() if id(p) in drawing}
    return tuple(name for name in names if name in chosen)


def adapted_weights(
    network: StylizationNetwork, mode: AdaptationMode, rank: int
) -> dict[str, Tensor]:
    """What a mode adapts, as it stands in the network before any step.

    Args:
        network: the base.
        mode: see `adapted_parameter_names`.
        rank: of the updates of convolutions, where the mode is `low_rank`.

    Returns:
        Name to the network's own parameters and to new updates, which require gradients.
    """
    own = dict(network.named_parameters())
    weights: dict[str, Tensor] = {n: own[n] for n in adapted_parameter_names(network, mode)}
    if mode == "low_rank":
        for name, update in initial_updates(own, rank).items():
            weights[name] = update.requires_grad_()
    return weights
