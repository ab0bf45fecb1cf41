"""Distillation: a compact encoder learns to stand in for VGG.

The teacher's features at each tap are projected onto their leading principal
axes and scaled to unit energy. The student's taps learn those projections. An
orthonormal projection keeps distances and Gram matrices, so the losses measured
with the student are, up to what the axes leave out, the teacher's own. The
teacher and its projections are needed only for training.

Source: knowledge distillation of VGG for style transfer, Wang et al. 2020
(arXiv 2003.08436); the projection onto principal axes is ours.
"""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Generator, Tensor, nn

from ..base import Base
from ..checkpoint import write_tensors
from ..encoder import ENCODER_FORMAT, EncoderSpec, PerceptualEncoder, load_encoder
from ..errors import CheckpointError, SettingsError
from ..initialisation import initial_norms
from ..losses import gram_matrix
from ..network import stylize_with
from ..precision import Precision, autocast
from .data import ImagePool
from .trainer import Outcome, Shard

COMPACT_FILE = "compact.safetensors"
_ENERGY_FLOOR = 0.05
_HEAVIEST_STYLE = 40.0


@dataclass(frozen=True)
class DistillationSettings:
    """What one update of distillation looks at.

    Attributes:
        batch: pictures per update, over all processes.
        crop_px: side of a picture.
        gram_weight: weight of the Gram error beside the feature error.
        distorted: fraction of pictures that get noise or are mixed, [0, 1].
        precision: of the convolutions.
    """

    batch: int = 8
    crop_px: int = 128
    gram_weight: float = 1.0
    distorted: float = 0.4
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if self.batch < 2 or self.crop_px < 32:
            raise SettingsError("Distillation needs a batch of at least 2 crops of at least 32 px.")
        if self.gram_weight < 0 or not 0 <= self.distorted <= 1:
            raise SettingsError("gram_weight must be 0 or more, distorted between 0 and 1.")


class TeacherAxes(nn.Module):
    """Principal axes of the teacher's features, one matrix (K, C) per tap, as buffers."""

    def __init__(self, teacher: PerceptualEncoder, channels: dict[str, int]) -> None:
        super().__init__()
        self.taps = tuple(channels)
        for tap, count in channels.items():
            self.register_buffer(tap, torch.zeros(count, teacher.channels_of(tap)))

    @torch.no_grad()
    def fit(self, teacher: PerceptualEncoder, batches: list[Tensor]) -> None:
        """Find the axes from pictures (B, 3, H, W) and scale them to unit mean energy."""
        moments: dict[str, Tensor] = {}
        for images in batches:
            for tap, features in teacher(images, self.taps).items():
                flat = rearrange(features.double(), "b c h w -> c (b h w)")
                moment = flat @ flat.T / flat.shape[1] / len(batches)
                moments[tap] = moments.get(tap, torch.zeros_like(moment)) + moment
        for tap in self.taps:
            axes = self.get_buffer(tap)
            energies, vectors = torch.linalg.eigh(moments[tap])
            leading = vectors[:, -axes.shape[0] :].flip(1).T
            energy = energies[-axes.shape[0] :].mean()
            axes.copy_(leading / energy.sqrt())

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Project (B, C, H, W) features to (B, K, H, W)."""
        return {
            tap: torch.einsum("kc,bchw->bkhw", self.get_buffer(tap), features[tap].float())
            for tap in self.taps
        }


class Distillation:
    """The recipe: student taps against projected teacher taps."""

    def __init__(
        self,
        teacher: PerceptualEncoder,
        spec: EncoderSpec,
        contents: ImagePool,
        styles: ImagePool,
        settings: DistillationSettings,
        *,
        device: torch.device,
        seed: int = 0,
        stylize: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """Build the student and find the teacher's axes.

        Args:
            teacher: a frozen VGG that has all of the student's taps.
            spec: the student.
            contents: photographs.
            styles: paintings.
            settings: of one update.
            device: where to compute.
            seed: of the student's first weights and the pictures for the axes.
            stylize: contents (B, 3, H, W) and styles (B, 3, H, W) to stylized
                pictures; a third of all pictures then come from it.
        """
        self.settings, self._device, self._stylize = settings, device, stylize
        self._teacher = teacher.to(device)
        self._contents, self._styles = contents, styles
        generator = Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._student = PerceptualEncoder(spec).to(device)
        self._axes = TeacherAxes(teacher, dict(spec.projected_channels)).to(device)
        self._axes.fit(self._teacher, [self._real_pictures(generator) for _ in range(32)])
        self._modules = nn.ModuleDict({"student": self._student, "axes": self._axes})

    def start_from(self, path: Path | str) -> None:
        """Begin with the weights of an encoder file in place of random ones.

        The axes depend on the seed and the pictures alone, so a student that was
        trained with both the same goes on where it stopped.

        Raises:
            CheckpointError: the file is missing, damaged or of another encoder.
        """
        other = load_encoder("compact", weights=path)
        if other.spec != self._student.spec:
            raise CheckpointError(f"{path} holds an encoder of other layers; name another file.")
        self._student.load_state_dict(other.state_dict())

    @property
    def modules(self) -> nn.Module:
        """Student (trains) and axes (fixed, kept so that a resumed run has the same)."""
        return self._modules

    def accumulate_gradients(self, generator: Generator, shard: Shard) -> Outcome:
        """Add the gradients of one batch of pictures."""
        pictures = self._pictures(generator)[shard.rank :: shard.world_size]
        with torch.no_grad(), autocast(self.settings.precision, self._device, gradients=True):
            teacher_features = self._teacher(pictures, self._axes.taps)
        targets = self._axes(teacher_features)
        with autocast(self.settings.precision, self._device, gradients=True):
            features = self._student(pictures, self._axes.taps)
        errors = {
            f"{kind}_{tap}": error
            for tap in self._axes.taps
            for kind, error in _tap_errors(features[tap].float(), targets[tap]).items()
        }
        weights = {"feature": 1.0, "gram": self.settings.gram_weight}
        losses = torch.stack(
            [weights[name.split("_")[0]] * error for name, error in errors.items()]
        ).sum(0)
        terms = {"loss": losses, **errors}
        if not bool(torch.isfinite(losses).all()):
            return Outcome(0, len(losses), dict.fromkeys(terms, 0.0))
        losses.sum().backward()
        return Outcome(len(losses), 0, {k: float(v.detach().sum()) for k, v in terms.items()})

    def _real_pictures(self, generator: Generator) -> Tensor:
        half, size = self.settings.batch // 2, self.settings.crop_px
        contents = self._contents.draw(half, size, generator)
        styles = self._styles.draw(self.settings.batch - half, size, generator)
        pictures = [self._contents.read(contents, size), self._styles.read(styles, size)]
        return torch.cat(pictures).to(self._device)

    def _pictures(self, generator: Generator) -> Tensor:
        pictures = self._real_pictures(generator)
        if self._stylize is not None:
            count = max(1, round(self.settings.batch / 3))
            contents, styles = pictures[:count], pictures.flip(0)[:count]
            pictures = torch.cat([self._stylize(contents, styles), pictures[count:]])
        return _distort(pictures, self.settings.distorted, generator)

    def draw_picture(self) -> None:
        """An encoder has no picture of its own."""
        return

    def export(self, folder: Path, provenance: dict[str, object]) -> None:
        """Write the student in half precision as `compact.safetensors`."""
        spec = self._student.spec
        description = {
            **provenance,
            "teacher": self._teacher.spec.name,
            "settings": asdict(self.settings),
            "stylized_pictures": self._stylize is not None,
        }
        write_tensors(
            folder / COMPACT_FILE,
            {name: tensor.half() for name, tensor in self._student.state_dict().items()},
            file_format=ENCODER_FORMAT,
            metadata={"spec": json.dumps(spec.to_json()), "training": json.dumps(description)},
        )


def instant_stylizer(base: Base, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """Stylized pictures for the student to see, drawn by a base with a predictor.

    Args:
        base: moved to `device`.
        device: where to compute.

    Returns:
        Contents (B, 3, H, W) and styles (B, 3, H, W) to pictures (B, 3, H, W), each pair
        at another balance of content and style, the same for the same pictures.

    Raises:
        SettingsError: the base has no predictor.
    """
    predictor = base.to(device).predictor
    if predictor is None:
        raise SettingsError("Stylized pictures need a base with a predictor; name another base.")

    @torch.no_grad()
    def stylize(contents: Tensor, styles: Tensor) -> Tensor:
        with autocast("auto", device):
            features = predictor.encoder(styles, predictor.encoder.spec.style_layers)
        statistics = predictor.network.statistics(features)
        balance = torch.logspace(0, math.log10(_HEAVIEST_STYLE), len(styles), device=device)
        norms = initial_norms(base.network, predictor.network, statistics, balance)
        with autocast("auto", device):
            return stylize_with(base.network, norms, contents)

    return stylize


def _tap_errors(features: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Relative squared errors (B,) of features and of Gram matrices."""
    energy = targets.square().mean(dim=(1, 2, 3))
    feature = (features - targets).square().mean(dim=(1, 2, 3)) / (energy + _ENERGY_FLOOR)
    own, target = gram_matrix(features), gram_matrix(targets)
    target_energy = target.square().sum(dim=(1, 2))
    floor = (_ENERGY_FLOOR / targets.shape[1]) ** 2
    gram = (own - target).square().sum(dim=(1, 2)) / (target_energy + floor)
    return {"feature": feature, "gram": gram}


def _distort(pictures: Tensor, fraction: float, generator: Generator) -> Tensor:
    """Make some pictures imperfect: noise, mixtures, weak or strong contrast.

    What a stylization network draws while it learns looks like neither a
    photograph nor a painting; the student must not be blind to it.
    """
    count = len(pictures)
    chances = torch.rand(count, 4, generator=generator).to(pictures.device)
    noise = torch.randn(pictures.shape, generator=generator).to(pictures)
    chosen = (chances[:, 0] < fraction).float()
    kind = (chances[:, 1] * 3).floor()
    amount = chances[:, 2]
    noisy = pictures + noise * 0.2 * amount.view(-1, 1, 1, 1)
    mixed = torch.lerp(pictures, pictures.roll(1, 0), 0.5 * amount.view(-1, 1, 1, 1))
    gray = pictures.mean(dim=(1, 2, 3), keepdim=True)
    contrast = gray + (pictures - gray) * (0.3 + 1.7 * amount).view(-1, 1, 1, 1)
    options = torch.stack([noisy, mixed, contrast])
    changed = options[kind.long(), torch.arange(count, device=pictures.device)]
    return torch.lerp(pictures, changed, chosen.view(-1, 1, 1, 1)).clamp(0, 1)
