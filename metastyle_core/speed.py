"""Timings of stylization and adaptation, fair on a busy machine.

Two ways of doing a thing take turns, A B A B, and the median of the ratios of
neighbours is reported: what slows the machine slows both.
"""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Generator, Tensor

from .adaptation import AdaptationSettings, adapt_to_style
from .base import Base
from .borders import Seamless, bordered
from .encoder import ENCODER_SPECS, PerceptualEncoder
from .finishing import AS_DRAWN
from .low_rank import merge_updates
from .network import ConvNorm, OutputConv, StylizationNetwork, UpsampleConv
from .precision import Precision
from .seeding import seeded
from .style import AdaptedStyle
from .stylization import stylize


@dataclass(frozen=True)
class Row:
    """One number of the table."""

    name: str
    value: float
    unit: str


class PlainOutputConv(OutputConv):
    """The last convolution as the paper has it: what the one on blocks is timed against."""

    def forward(self, input: Tensor, seamless: Seamless = "none") -> Tensor:
        """Convolve (B, C, H, W)."""
        padded = bordered(input, self.kernel_size[0] // 2, seamless)
        return F.conv2d(padded, self.weight, self.bias)


class PlainUpsampleConv(UpsampleConv):
    """The enlargement in two steps, as the paper has it: what the fused form is timed against."""

    def forward(self, features: Tensor, seamless: Seamless = "none") -> Tensor:
        """Enlarge (B, C, H, W) by 2, then convolve."""
        enlarged = F.interpolate(features, scale_factor=2, mode="nearest")
        padded = bordered(enlarged, 1, seamless)
        return F.conv2d(padded, self.weight, self.bias)


def measure_speed(
    base: Base, compact: PerceptualEncoder, *, rounds: int, precision: Precision
) -> list[Row]:
    """Time stylization at three sizes, adaptation, and both against slower ways.

    Args:
        base: on the device to measure.
        compact: the shipped encoder, on the same device.
        rounds: repetitions of each timing.
        precision: of the convolutions in our own way.
    """
    style = _instant(base, precision)
    rows = _stylization_rows(base, style, rounds, precision)
    rows += _adaptation_rows(base, compact, rounds, precision)
    peak = _peak_bytes(base.device)
    return rows if peak is None else [*rows, Row("peak memory", peak / 2**20, "MiB")]


def _peak_bytes(device: torch.device) -> int | None:
    """Most memory in use so far: the device's, or this process's where the system tells."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _instant(base: Base, precision: Precision) -> AdaptedStyle:
    picture = _picture(256, base.device)
    settings = AdaptationSettings(
        steps=0, precision=precision, initialisation="predicted" if base.predictor else "fixed"
    )
    return adapt_to_style(base, None, [picture], settings=settings)


def _stylization_rows(
    base: Base, style: AdaptedStyle, rounds: int, precision: Precision
) -> list[Row]:
    rows: list[Row] = []
    for size in (256, 512, 1024):
        images = _picture(size, base.device)
        seconds = _median_s(
            lambda x=images: stylize(base, style, x, precision=precision),
            rounds,
        )
        rows.append(Row(f"stylize {size} px", 1000 * seconds, "ms per image"))
    plain = _plain_network(base, style)
    as_drawn = partial(stylize, base, style, colouring=AS_DRAWN)
    images = _picture(512, base.device)

    def run_plain() -> None:
        with torch.inference_mode():
            plain(images)

    ratio = _median_ratio(
        run_plain,
        lambda: as_drawn(images, precision=precision),
        rounds,
    )
    exact = _median_ratio(
        run_plain,
        lambda: as_drawn(images, precision="fp32"),
        rounds,
    )
    return [
        *rows,
        Row("stylize 512 px: plain eager fp32 forward / ours", ratio, "times"),
        Row("stylize 512 px: plain eager fp32 forward / ours in fp32", exact, "times"),
    ]


def _plain_network(base: Base, style: AdaptedStyle) -> StylizationNetwork:
    """The same network without our faster forms of convolutions, in plain NCHW float32."""
    channels = base.network.channels
    network = base.network.untrained()
    for layer, outputs in zip(network.decoder, (2 * channels, channels), strict=True):
        cast("ConvNorm", layer).convolution = PlainUpsampleConv(2 * outputs, outputs)
    network.output = PlainOutputConv(channels, 3, 9)
    own = base.network.state_dict()
    network.load_state_dict({**own, **merge_updates(own, style.fast_weights)})
    return network.requires_grad_(False).to(base.device)


def _adaptation_rows(
    base: Base, compact: PerceptualEncoder, rounds: int, precision: Precision
) -> list[Row]:
    vgg = _random_vgg19(base.device)
    few = replace(
        AdaptationSettings(precision=precision),
        steps=4,
        content_count=4,
        initialisation="predicted" if base.predictor else "fixed",
    )
    contents = torch.cat([_picture(few.content_size_px, base.device)] * few.content_count)
    painting = _picture(few.style_size_px, base.device)

    def seconds_per_step(encoder: PerceptualEncoder) -> float:
        """Time between the first and the last step, so that preparation does not count."""
        marks: list[float] = []

        def mark(_: object) -> None:
            _synchronise(base.device)
            marks.append(time.perf_counter())

        adapt_to_style(base, encoder, [painting], contents, few, on_step=mark)
        return (marks[-1] - marks[0]) / (len(marks) - 1)

    seconds_per_step(compact)
    pairs = [(seconds_per_step(vgg), seconds_per_step(compact)) for _ in range(rounds)]
    began_s = time.perf_counter()
    defaults = replace(AdaptationSettings(precision=precision), initialisation=few.initialisation)
    adapt_to_style(base, compact, [painting], settings=defaults)
    whole_s = time.perf_counter() - began_s
    return [
        Row("adaptation step, compact", 1000 * statistics.median(c for _, c in pairs), "ms"),
        Row("adaptation step, vgg19", 1000 * statistics.median(v for v, _ in pairs), "ms"),
        Row(
            "adaptation step: vgg19 / compact", statistics.median(v / c for v, c in pairs), "times"
        ),
        Row(f"default style ({defaults.steps} steps, {defaults.mode})", whole_s, "s"),
    ]


def _random_vgg19(device: torch.device) -> PerceptualEncoder:
    # Its weights do not matter to its speed, and are not at hand everywhere.
    with seeded(0):
        encoder = PerceptualEncoder(ENCODER_SPECS["vgg19"])
    return encoder.requires_grad_(False).to(device)


def _picture(size_px: int, device: torch.device) -> Tensor:
    generator = Generator().manual_seed(size_px)
    return torch.rand(1, 3, size_px, size_px, generator=generator).to(device)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _seconds(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began_s


def _median_s(work: Callable[[], object], rounds: int) -> float:
    work()
    return statistics.median(_seconds(work) for _ in range(rounds))


def _median_ratio(first: Callable[[], object], second: Callable[[], object], rounds: int) -> float:
    first()
    second()
    return statistics.median(_seconds(first) / _seconds(second) for _ in range(rounds))
