"""Shots of a film, and statistics that hold over each: of instance norms, and of colours.

A network with instance norms sets its contrast by the whole picture: what enters a frame
changes the colours of all the rest, and a fade to black stays as bright as it began. Held to
the statistics of reference frames, every pixel depends on its surroundings alone. A cut begins
a new shot, with references of its own. What a style makes of black may still be as bright as
paper: a fade is drawn as the picture that fades, and its gain is passed on.

A film is looked through first (`find_shots`), then the references are measured
(`measure_shots`), then it is drawn (`draw_shots`); no pass keeps more than a frame.

Source: cuts by the distance of luminance histograms go back to Zhang, Kankanhalli and Smoliar
1993; here the histograms are those of blocks, compared by the earth mover's distance.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from einops import rearrange
from torch import Tensor

from .checks import require_from
from .colour import ColourMoments
from .errors import SettingsError
from .images import luminance
from .network import NormStatistics, StylizationNetwork, noted_statistics

LockKind = Literal["first", "frame", "mean", "slow"]
# Draws (1, 3, H, W) with given statistics, or None for the picture's own.
Draw = Callable[[Tensor, NormStatistics | None], Tensor]
# Finishes a drawing, given the photograph, the drawing and the colours of all that is drawn.
Finish = Callable[[Tensor, Tensor, ColourMoments], Tensor]
_T = TypeVar("_T")

_LOOK_PX = 256  # the short side at which frames are compared, at least
_BLOCKS, _BLOCK_PX = 4, 16
# Photographs cut one to another are 0.13 or more apart, textures of one brightness 0.03 to
# 0.07; a pan by a twelfth of the frame in one step reaches 0.05.
_CUT_DISTANCE = 0.05
_CUT_BEYOND_NEIGHBOURS = 3.0
_NEIGHBOURS = 4
_BLACK = 0.03  # luminance below which a frame shows nothing
_CLEAR = 0.8  # of a shot's usual contrast, from which a frame may be a reference
# A fade is as long as frames are brighter than one of so many after them, by so much.
_FADE_STEPS, _FADE_RISE = 3, 1.01
_LEAST_GAIN = 1 / 64  # below, too few of 256 levels are left to be drawn brighter
_SLOW_FRAMES = 50  # over which a slowly moving mean forgets


@dataclass(frozen=True)
class Lock:
    """Which statistics a shot is held to.

    Attributes:
        kind: `first` the first clear frame of the shot, `frame` one chosen frame for its shot
            and the first for others, `mean` frames spread over the shot, `slow` a mean that
            starts at the first clear frame and moves with the shot.
        number: the chosen frame, counted from 1, or how many frames the mean is of.
    """

    kind: LockKind
    number: int = 1

    def __post_init__(self) -> None:
        require_from(self, 1, "number")

    @staticmethod
    def parse(text: str) -> "Lock":
        """Read `first`, a frame's number, `mean:8` or `slow`.

        Raises:
            SettingsError: it is none of these.
        """
        kind, colon, number = text.partition(":")
        if text in ("first", "slow"):
            return Lock(text)
        if text.isdecimal():
            return Lock("frame", int(text))
        if kind == "mean" and colon and number.isdecimal():
            return Lock("mean", int(number))
        raise SettingsError(
            f"The lock is '{text}'; write first, a frame's number, mean:N for the mean of N "
            "frames, or slow."
        )


@dataclass(frozen=True)
class Shot:
    """Frames between two cuts.

    Attributes:
        frames: their places in the film, from 0.
        clear: the places of those that show something; never empty.
        gains: brightness of those that fade to or from black, by their place, as a share of
            what it is before or after the fade.
    """

    frames: range
    clear: tuple[int, ...]
    gains: Mapping[int, float] = field(default_factory=dict[int, float])


@dataclass(frozen=True)
class Held:
    """What a shot is held to.

    Attributes:
        norms: what instance norms normalise by.
        colours: of the drawings of the references.
    """

    norms: NormStatistics
    colours: ColourMoments


@dataclass(frozen=True)
class _Look:
    """What is kept of a frame: mean and standard deviation of its luminance."""

    level: float
    contrast: float

    @property
    def black(self) -> bool:
        return self.level + self.contrast < _BLACK


def find_shots(images: Iterable[Tensor]) -> list[Shot]:
    """Look through a film for its cuts.

    A cut lies where most blocks of the picture change, by more than a change of brightness
    and by much more than around it; an object in a quarter of the frame, a fade, a flash
    and a pan are none. After black a new shot begins. Slow dissolves are not found.

    Args:
        images: the frames, (1, 3, H, W), [0, 1].

    Returns:
        Shots, which together cover all frames.

    Raises:
        SettingsError: there is no frame.
    """
    looks: list[_Look] = []
    distances, blocks = [0.0], None
    for image in images:
        before, (look, blocks) = blocks, _look_at(image)
        if before is not None:
            distances.append(_distance(looks[-1], before, look, blocks))
        looks.append(look)
    if not looks:
        raise SettingsError("The film has no frame; choose another one or another part of it.")
    starts = [place for place in range(1, len(looks)) if _begins_shot(place, distances, looks)]
    return [_shot(range(*edge), looks) for edge in pairwise([0, *starts, len(looks)])]


def _look_at(image: Tensor) -> tuple[_Look, Tensor]:
    """A look at a frame, and the sorted luminances of its blocks, (16, 256)."""
    stride = max(1, min(image.shape[-2:]) // _LOOK_PX)
    small = F.adaptive_avg_pool2d(luminance(image[..., ::stride, ::stride]), _BLOCKS * _BLOCK_PX)
    blocks = rearrange(small[0, 0], "(y h) (x w) -> (y x) (h w)", y=_BLOCKS, x=_BLOCKS)
    return _Look(float(small.mean()), float(small.std())), blocks.sort(dim=1).values


def _distance(first: _Look, first_blocks: Tensor, second: _Look, second_blocks: Tensor) -> float:
    """Earth mover's distance of the luminances of the median block, brightness aside."""
    plain = first_blocks - second_blocks
    levelled = first_blocks / max(first.level, 1e-3) - second_blocks / max(second.level, 1e-3)
    brighter = max(first.level, second.level)
    return float(min(d.abs().mean(dim=1).median() for d in (plain, brighter * levelled)))


def _begins_shot(place: int, distances: Sequence[float], looks: Sequence[_Look]) -> bool:
    if looks[place].black:
        return False
    if looks[place - 1].black:
        return not all(look.black for look in looks[:place])
    around = distances[max(1, place - _NEIGHBOURS) : place]
    around = [*around, *distances[place + 1 : place + 1 + _NEIGHBOURS]]
    usual = median(around) if around else 0.0
    return distances[place] > max(_CUT_DISTANCE, _CUT_BEYOND_NEIGHBOURS * usual)


def _shot(frames: range, looks: Sequence[_Look]) -> Shot:
    gains = _gains(frames, looks)
    steady = {place: looks[place].contrast for place in frames if place not in gains}
    usual = sorted(steady.values())[len(steady) // 2 :]
    clear = tuple(p for p, contrast in steady.items() if contrast >= _CLEAR * median(usual))
    return Shot(frames, clear, gains)


def _gains(frames: range, looks: Sequence[_Look]) -> dict[int, float]:
    levels = {place: looks[place].level for place in frames}
    lit = [place for place in frames if not looks[place].black]
    gains: dict[int, float] = {}
    if lit and looks[frames[-1]].black:
        gains = _gains_of_fade(levels, frames, lit[-1])
    if lit and looks[frames[0]].black:
        gains |= _gains_of_fade(levels, frames[::-1], lit[0])
    gains.pop(max(levels, key=levels.__getitem__), None)
    return gains


def _gains_of_fade(
    levels: Mapping[int, float], order: Sequence[int], last_lit: int
) -> dict[int, float]:
    """Shares of the brightness from which frames fall to the black ones after the last lit one."""
    first = order.index(last_lit) + 1
    while first > 0:
        earlier = range(max(0, first - _FADE_STEPS), first)
        brightest = max(earlier, key=lambda index: levels[order[index]])
        if levels[order[brightest]] <= _FADE_RISE * levels[order[first]]:
            break
        first = brightest
    top = max(levels[order[first]], 1e-6)
    return {place: levels[place] / top for place in order[first + 1 :]}


def measure_shots(
    draw: Draw,
    network: StylizationNetwork,
    images: Iterable[Tensor],
    shots: Sequence[Shot],
    lock: Lock,
) -> list[Held]:
    """What each shot is held to, or begins with.

    Args:
        draw: runs the network on one frame.
        network: what it runs.
        images: the frames from the first on; not read beyond the last reference.
        shots: from `find_shots`.
        lock: which frames are references.

    Raises:
        SettingsError: the chosen frame lies beyond the film.
    """
    if lock.kind == "frame" and lock.number > shots[-1].frames.stop:
        raise SettingsError(
            f"The lock is frame {lock.number}, the film has {shots[-1].frames.stop}; choose one "
            "of them."
        )
    references = [_references(shot, lock) for shot in shots]
    owners = {place: owner for owner, places in enumerate(references) for place in places}
    noted: list[list[NormStatistics]] = [[] for _ in shots]
    colours = [ColourMoments() for _ in shots]
    for place, image in enumerate(images):
        if place in owners:
            with noted_statistics(network) as seen:
                colours[owners[place]].add(draw(image, None))
            noted[owners[place]].append(seen)
        if place == max(owners):
            break
    return [Held(_pooled(norms), own) for norms, own in zip(noted, colours, strict=True)]


def _references(shot: Shot, lock: Lock) -> tuple[int, ...]:
    if lock.kind == "frame" and lock.number - 1 in shot.frames:
        return (lock.number - 1,)
    count = min(lock.number, len(shot.clear)) if lock.kind == "mean" else 1
    return tuple(shot.clear[i * len(shot.clear) // count] for i in range(count))


def _pooled(noted: Sequence[NormStatistics]) -> NormStatistics:
    """Mean and variance over all frames together, as though they were one picture."""
    pooled: dict[str, Tensor] = {}
    for name in noted[0]:
        if name.endswith(".mean"):
            spread = name.removesuffix("mean") + "variance"
            means = torch.stack([each[name] for each in noted])
            within = torch.stack([each[spread] for each in noted]).mean(dim=0)
            pooled[name] = means.mean(dim=0)
            pooled[spread] = within + means.var(dim=0, correction=0)
    return pooled


def draw_shots(
    draw: Draw,
    finish: Finish,
    network: StylizationNetwork,
    frames: Iterable[tuple[_T, Tensor | None]],
    shots: Sequence[Shot],
    held: Sequence[Held],
    lock: Lock,
) -> Iterator[tuple[_T, Tensor | None]]:
    """Draw a film with the statistics of its shots.

    Args:
        draw: runs the network on one frame.
        finish: what is done to a drawing.
        network: what is run.
        frames: anything with its image (1, 3, H, W), or None where it need not be drawn; all
            of the film in order.
        shots: from `find_shots`.
        held: from `measure_shots`.
        lock: whether statistics move.

    Yields:
        Each of `frames` with its drawn image, or None.
    """
    following = iter(frames)
    for shot, current in zip(shots, held, strict=True):
        clear = frozenset(shot.clear) if lock.kind == "slow" else frozenset[int]()
        for place, (frame, image) in zip(shot.frames, following, strict=False):
            if image is None:
                yield frame, None
                continue
            gain = shot.gains.get(place, 1.0)
            read = image if gain == 1 else (image / max(gain, _LEAST_GAIN)).clamp(0, 1)
            noting = noted_statistics(network, held=True) if place in clear else nullcontext({})
            with noting as seen:
                drawn = draw(read, current.norms)
            # What fades is drawn as it is without the fade, then fades.
            yield frame, gain * finish(read, drawn, current.colours)
            if place in clear:
                current = _moved(current, seen, drawn)


def _moved(current: Held, seen: NormStatistics, drawn: Tensor) -> Held:
    """A running mean over about `_SLOW_FRAMES` frames, one frame on."""
    share = 1 / _SLOW_FRAMES
    norms = {name: torch.lerp(value, seen[name], share) for name, value in current.norms.items()}
    return Held(norms, current.colours.moved(drawn, share))
