"""Clips made of photographs, whose motion is known at every pixel.

A camera pans and zooms over a still photograph, an object moves in front of it, one scene cuts
to another, a scene fades to black. Everything is a function of the photographs alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from metastyle_core.images import resize_short_side

_ROOM = 1.25  # the photograph's short side by the frame's
_PAN_PX = (0.5, 1.25)  # down and right, from frame to frame
_ZOOM = 0.99  # of the width seen, from frame to frame
_OBJECT_PX = 5.0  # to the right, from frame to frame
_RADIUS = 0.45  # of the object, by half of the frame's side


@dataclass(frozen=True)
class Motion:
    """From one frame to the next.

    Attributes:
        origin: (1, H, W, 2), where each pixel was, x and y in [-1, 1] from edge to edge.
        seen: (1, 1, H, W), whether it was to be seen.
        gain: by how much it has become brighter.
    """

    origin: Tensor
    seen: Tensor
    gain: float = 1.0


@dataclass(frozen=True)
class Clip:
    """Frames of one size.

    Attributes:
        name: what moves.
        frames: (1, 3, H, W) each, [0, 1].
        motions: one fewer; None across a cut.
    """

    name: str
    frames: tuple[Tensor, ...]
    motions: tuple[Motion | None, ...]


@dataclass(frozen=True)
class _View:
    """A square of a photograph: its centre and half of its side, y and x, in pixels."""

    centre: tuple[float, float]
    half: float


def make_clips(photographs: Sequence[Tensor], size_px: int, count: int) -> list[Clip]:
    """All clips.

    Args:
        photographs: two at least, (1, 3, H, W), [0, 1]; they are scaled to the frame.
        size_px: side of the frames.
        count: frames of each clip, 4 at least.
    """
    first, second, *_ = (resize_short_side(each, round(_ROOM * size_px)) for each in photographs)
    pan = _pan(first, size_px, count)
    half = count // 2
    return [
        pan,
        _zoom(first, size_px, count),
        _object(first, second, size_px, count),
        _cut(_pan(first, size_px, half), _pan(second, size_px, count - half)),
        _fade(pan),
    ]


def warping_error(drawn: Sequence[Tensor], clip: Clip) -> float:
    """How much drawn frames change beyond the motion, in levels of 255.

    Args:
        drawn: (1, 3, H, W) each, [0, 1], one per frame of the clip.
        clip: what they were drawn from.

    Returns:
        Mean absolute difference of each frame from the one before, moved and brightened as the
        content was, where it was to be seen and away from the borders.
    """
    changes = [
        _change(before, after, motion)
        for (before, after), motion in zip(pairwise(drawn), clip.motions, strict=True)
        if motion is not None
    ]
    return 255 * sum(changes) / len(changes)


def _change(before: Tensor, after: Tensor, motion: Motion) -> float:
    moved = motion.gain * F.grid_sample(before, motion.origin, mode="bilinear", align_corners=False)
    margin = before.shape[-1] // 16
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    inside = (motion.origin.abs().amax(-1) < 1 - 2 / before.shape[-1])[:, None]
    seen = (motion.seen & inside)[inner].expand(-1, 3, -1, -1)
    return float((after - moved)[inner].abs()[seen].mean())


def _places(size_px: int) -> Tensor:
    """Middles of pixels, (1, H, W, 2), x and y in [-1, 1]."""
    line = (2 * torch.arange(size_px) + 1) / size_px - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y], dim=-1)[None]


def _photographed(photograph: Tensor, view: _View, size_px: int) -> Tensor:
    height, width = photograph.shape[-2:]
    centre = torch.tensor([2 * view.centre[1] / width - 1, 2 * view.centre[0] / height - 1])
    scale = torch.tensor([2 * view.half / width, 2 * view.half / height])
    grid = centre + scale * _places(size_px)
    return F.grid_sample(
        photograph, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    ).clamp(0, 1)


def _between(before: _View, after: _View, size_px: int) -> Motion:
    moved = [(after.centre[axis] - before.centre[axis]) / before.half for axis in (1, 0)]
    origin = torch.tensor(moved) + after.half / before.half * _places(size_px)
    return Motion(origin, torch.ones(1, 1, size_px, size_px, dtype=torch.bool))


def _scene(name: str, photograph: Tensor, views: Sequence[_View], size_px: int) -> Clip:
    return Clip(
        name,
        tuple(_photographed(photograph, view, size_px) for view in views),
        tuple(_between(before, after, size_px) for before, after in pairwise(views)),
    )


def _pan(photograph: Tensor, size_px: int, count: int) -> Clip:
    down, right = _PAN_PX
    half = size_px / 2
    views = [_View((half + down * place, half + right * place), half) for place in range(count)]
    return _scene("pan", photograph, views, size_px)


def _zoom(photograph: Tensor, size_px: int, count: int) -> Clip:
    height, width = photograph.shape[-2:]
    halves = [_ROOM * size_px / 2 * _ZOOM**place for place in range(count)]
    views = [_View((height / 2, width / 2), half) for half in halves]
    return _scene("zoom", photograph, views, size_px)


def _object(photograph: Tensor, other: Tensor, size_px: int, count: int) -> Clip:
    """A disc cut out of another photograph comes in from the left, before a still one."""
    height, width = photograph.shape[-2:]
    view = _View((height / 2, width / 2), size_px / 2)
    still, texture = (_photographed(each, view, size_px) for each in (photograph, other))
    step = 2 * _OBJECT_PX / size_px
    centres = [torch.tensor([-1 - _RADIUS + step * (place + 1), 0.2]) for place in range(count)]
    discs = [_disc(centre, size_px) for centre in centres]
    frames = [
        torch.lerp(still, _moved(texture, centre, size_px), disc)
        for centre, disc in zip(centres, discs, strict=True)
    ]
    places = _places(size_px)
    motions = [
        Motion(
            torch.where((after > 0.5)[0, 0, ..., None], places - torch.tensor([step, 0.0]), places),
            (after == 1) | ((after == 0) & (before == 0)),
        )
        for before, after in pairwise(discs)
    ]
    return Clip("object", tuple(frames), tuple(motions))


def _disc(centre: Tensor, size_px: int) -> Tensor:
    """1 within, 0 without, (1, 1, H, W); its edge is a pixel wide."""
    distance = (_places(size_px) - centre).norm(dim=-1)[:, None]
    return ((_RADIUS - distance) * size_px / 2 + 0.5).clamp(0, 1)


def _moved(texture: Tensor, centre: Tensor, size_px: int) -> Tensor:
    grid = _places(size_px) - centre
    return F.grid_sample(texture, grid, padding_mode="reflection", align_corners=False)


def _cut(first: Clip, second: Clip) -> Clip:
    motions = (*first.motions, None, *second.motions)
    return Clip("cut", (*first.frames, *second.frames), motions)


def _fade(clip: Clip) -> Clip:
    """To black over the second half."""
    count = len(clip.frames)
    half = count // 2
    gains = [min(1.0, (count - 1 - place) / half) for place in range(count)]
    frames = [gain * frame for gain, frame in zip(gains, clip.frames, strict=True)]
    motions = [
        motion and Motion(motion.origin, motion.seen, after / before)
        for motion, (before, after) in zip(clip.motions, pairwise(gains), strict=True)
    ]
    return Clip("fade", tuple(frames), tuple(motions))
