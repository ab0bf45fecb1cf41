"""Measures that only the benchmark needs: structure, steadiness over time, and memory."""

import itertools
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from metastyle_core.encoder import PerceptualEncoder

STRUCTURE_LAYER = "relu4_1"
_TEMPERATURE = 0.1
_PLACES_PER_SIDE = 24
_FRAMES = 6
_PAN_PX = (3, 2)
_ZOOM = 1.02


@torch.inference_mode()
def structure_distance(encoder: PerceptualEncoder, stylized: Tensor, content: Tensor) -> float:
    """How far the picture's self-similarity has moved from the content's.

    Each place of the feature map has a distribution over all other places: the softmax of
    its cosine similarities, divided by a temperature without which all would look alike.
    The result is the mean Kullback-Leibler divergence of the stylized picture's from the
    content's. Colours and textures may change freely as long as what looked alike still
    does.

    Args:
        encoder: VGG.
        stylized: (1, 3, H, W), [0, 1].
        content: (1, 3, H, W), [0, 1].

    Source:
        The idea of CFSD, "content feature structural distance" (Chung et al. 2024).
    """
    log_p, log_q = (_log_similarity(encoder, image) for image in (content, stylized))
    return float(F.kl_div(log_q, log_p, log_target=True, reduction="batchmean"))


def _log_similarity(encoder: PerceptualEncoder, image: Tensor) -> Tensor:
    features = encoder(image, [STRUCTURE_LAYER])[STRUCTURE_LAYER]
    grid = F.adaptive_avg_pool2d(features, _PLACES_PER_SIDE)
    places = F.normalize(grid.flatten(2)[0].T, dim=1)
    return F.log_softmax(places @ places.T / _TEMPERATURE, dim=1)


def warping_error(stylize: Callable[[Tensor], Tensor], photograph: Tensor, size_px: int) -> float:
    """How much a style flickers when the picture moves in an exactly known way.

    A window of the photograph pans, then zooms. Each stylized frame, moved as the content
    moved, is compared with the next.

    Args:
        stylize: (1, 3, size, size) to the same shape.
        photograph: (1, 3, H, W), at least `size_px` plus the way of the pan.
        size_px: side of the window.

    Returns:
        Root of the mean squared difference over all pairs of frames, [0, 1].
    """
    errors = [
        *_pan_errors(stylize, photograph, size_px),
        *_zoom_errors(stylize, photograph, size_px),
    ]
    return float(torch.stack(errors).mean().sqrt())


def _pan_errors(
    stylize: Callable[[Tensor], Tensor], photograph: Tensor, size_px: int
) -> list[Tensor]:
    right, down = _PAN_PX
    frames = [
        stylize(photograph[..., t * down : t * down + size_px, t * right : t * right + size_px])
        for t in range(_FRAMES)
    ]
    return [
        (before[..., down:, right:] - after[..., :-down, :-right]).square().mean()
        for before, after in itertools.pairwise(frames)
    ]


def _zoom_errors(
    stylize: Callable[[Tensor], Tensor], photograph: Tensor, size_px: int
) -> list[Tensor]:
    window = photograph[..., :size_px, :size_px]
    frames = [stylize(_zoomed(window, _ZOOM**t)) for t in range(_FRAMES)]
    margin = size_px // 16
    inner = slice(margin, -margin)
    return [
        (_zoomed(before, _ZOOM) - after)[..., inner, inner].square().mean()
        for before, after in itertools.pairwise(frames)
    ]


def _zoomed(image: Tensor, factor: float) -> Tensor:
    """Enlarge about the centre; the size stays."""
    matrix = image.new_tensor([[[1 / factor, 0, 0], [0, 1 / factor, 0]]])
    grid = F.affine_grid(matrix, list(image.shape), align_corners=False)
    return F.grid_sample(
        image, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )


class PeakMemory:
    """Most memory that this process held since the object was made, where Linux tells."""

    _RESET = Path("/proc/self/clear_refs")
    _STATUS = Path("/proc/self/status")

    def __init__(self) -> None:
        if self._RESET.exists():
            self._RESET.write_text("5")  # 5 resets the high-water mark, see proc(5)

    def mebibytes(self) -> float | None:
        """Peak resident memory in MiB; None on other systems."""
        if not self._STATUS.exists():
            return None
        fields = dict(line.split(":", 1) for line in self._STATUS.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
