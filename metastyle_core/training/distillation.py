"""Distillation: a compact encoder learns to stand in for VGG.

The teacher's features at each tap are projected onto their leading principal
axes and scaled to unit energy. The student's taps learn those projections. An
orthonormal projection keeps distances and Gram matrices, so the losses measured
with the student are, up to what the axes leave out, the teacher's own. The
teacher and its projections are needed only for training.

Adaptation goes where its judge errs, so the student also learns from what is drawn while
a base adapts and the student itself is the judge (see `judged_pictures`).

Source: knowledge distillation of VGG for style transfer, Wang et al. 2020
(arXiv 2003.08436); the projection onto principal axes is ours.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from einops import rearrange
from torch import Generator, Tensor, nn

from ..base import Base
from ..checks import require_from
from ..encoder import EncoderSpec, PerceptualEncoder, load_encoder, save_encoder
from ..errors import CheckpointError, SettingsError
from ..growth import grown_weights
from ..precision import Precision, autocast
from ..seeding import seeded
from ..style_distance import gram_matrix
from .data import ImagePool
from .judged_pictures import JudgedPictures
from .recipe import Outcome, Shard

COMPACT_FILE = "compact.safetensors"
_ENERGY_FLOOR = 0.05
_REMEMBERED_BATCHES = 64
# One size for the axes, whatever the crop, so that a student can go on at another.
_AXES_BATCHES, _AXES_BATCH, _AXES_CROP_PX = 32, 8, 128


@dataclass(frozen=True)
class DistillationSettings:
    """What one update of distillation looks at.

    Attributes:
        batch: pictures per update, over all processes.
        crop_px: side of a picture.
        gram_weight: weight of the Gram error beside the feature error.
        distorted: fraction of photographs and paintings that get noise or are mixed,
            [0, 1].
        replay: updates on earlier pictures for each update on new ones. The teacher,
            which takes half of the time, is asked once per picture. The last 64 batches
            are remembered on the device, 35 MB each for 8 pictures of 192 px, and not
            kept in checkpoints: a resumed run begins with new pictures.
        precision: of the convolutions.
    """

    batch: int = 8
    crop_px: int = 128
    gram_weight: float = 1.0
    distorted: float = 0.4
    replay: int = 0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        require_from(self, 2, "batch")
        require_from(self, 32, "crop_px")
        require_from(self, 0, "replay")
        require_from(self, 0.0, "gram_weight")
        require_from(self, 0.0, "distorted", most=1.0)


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
        base: Base | None = None,
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
            base: with a predictor; a third of all pictures are then what it draws while
                it adapts and the student is the judge.

        Raises:
            SettingsError: the teacher lacks a tap, the base a predictor, or batch and
                crop are too small for what a base draws.
        """
        if base is not None and settings.batch < 3:
            raise SettingsError(
                f"batch is {settings.batch}; with a base, which draws one, 3 are needed at least."
            )
        self.settings, self._device = settings, device
        self._teacher = teacher.to(device)
        self._contents, self._styles = contents, styles
        generator = Generator().manual_seed(seed)
        with seeded(seed):
            self._student = PerceptualEncoder(spec).to(device)
        self._axes = TeacherAxes(teacher, dict(spec.projected_channels)).to(device)
        seen = [
            self._real_pictures(_AXES_BATCH, _AXES_CROP_PX, generator) for _ in range(_AXES_BATCHES)
        ]
        self._axes.fit(self._teacher, seen)
        self._modules = nn.ModuleDict({"student": self._student, "axes": self._axes})
        self._judged = None
        if base is not None:
            self._judged = JudgedPictures(
                base.to(device),
                self._student,
                contents,
                styles,
                size_px=settings.crop_px,
                precision=settings.precision,
            )
        self._remembered: list[tuple[Tensor, dict[str, Tensor]]] = []
        self._replays_left = 0

    def start_from(self, path: Path | str) -> None:
        """Begin with the weights of an encoder file in place of random ones.

        The axes depend on the seed and the pictures alone, so a student that was
        trained with both the same goes on where it stopped. A narrower one is grown.

        Raises:
            CheckpointError: the file is missing, damaged or of an encoder that does not fit.
        """
        other = load_encoder("compact", weights=path)
        if not _fits_into(other.spec, self._student.spec):
            raise CheckpointError(
                f"{path} holds an encoder of other or wider layers, {other.spec.blocks}; what "
                f"fits into {self._student.spec.blocks} is needed. Name another file."
            )
        grown = grown_weights(self._student.state_dict(), other.state_dict())
        self._student.load_state_dict(grown)

    @property
    def modules(self) -> nn.Module:
        """Student (trains) and axes (fixed, kept so that a resumed run has the same)."""
        return self._modules

    def accumulate_gradients(self, generator: Generator, shard: Shard) -> Outcome:
        """Add the gradients of one batch of pictures."""
        pictures, targets = self._batch(generator, shard)
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

    def _batch(self, generator: Generator, shard: Shard) -> tuple[Tensor, dict[str, Tensor]]:
        """This shard's pictures and what the teacher says of them: new ones, or remembered."""
        remembered = self._remembered
        if self._replays_left:
            self._replays_left -= 1
            pictures, targets = remembered[_draw_below(len(remembered), generator)]
            return pictures.float(), {tap: target.float() for tap, target in targets.items()}
        pictures = self._pictures(generator)[shard.rank :: shard.world_size]
        with torch.no_grad(), autocast(self.settings.precision, self._device, gradients=True):
            features = self._teacher(pictures, self._axes.taps)
        targets = self._axes(features)
        if self.settings.replay:
            self._replays_left = self.settings.replay
            if len(remembered) == _REMEMBERED_BATCHES:
                del remembered[_draw_below(len(remembered), generator)]
            halved = {tap: target.bfloat16() for tap, target in targets.items()}
            remembered.append((pictures.bfloat16(), halved))
        return pictures, targets

    def _real_pictures(self, count: int, size_px: int, generator: Generator) -> Tensor:
        contents = self._contents.draw(count // 2, size_px, generator)
        styles = self._styles.draw(count - count // 2, size_px, generator)
        pictures = [self._contents.read(contents, size_px), self._styles.read(styles, size_px)]
        return torch.cat(pictures).to(self._device)

    def _pictures(self, generator: Generator) -> Tensor:
        count = self.settings.batch
        judged = max(1, round(count / 3)) if self._judged else 0
        real = self._real_pictures(count - judged, self.settings.crop_px, generator)
        pictures = _distort(real, self.settings.distorted, generator)
        if self._judged is None:
            return pictures
        # As they are: the student shall know exactly these.
        return torch.cat([self._judged.draw(judged, generator), pictures])

    def draw_picture(self) -> None:
        """An encoder has no picture of its own."""
        return

    def export(self, folder: Path, provenance: dict[str, object]) -> None:
        """Write the student in half precision as `compact.safetensors`."""
        description = {
            **provenance,
            "teacher": self._teacher.spec.name,
            "settings": asdict(self.settings),
            "judged_pictures": self._judged is not None,
        }
        save_encoder(folder / COMPACT_FILE, self._student, description, half=True)

    def keep_beside(self, checkpoint: Path) -> None:
        """Nothing: the teacher is named when the run is resumed."""

    def take_from(self, checkpoint: Path) -> None:
        """Nothing."""


def _fits_into(smaller: EncoderSpec, larger: EncoderSpec) -> bool:
    """Whether one encoder is the other with fewer channels in its convolutions."""
    layers = [[len(block) for block in spec.blocks] for spec in (smaller, larger)]
    widths = [[width for block in spec.blocks for width in block] for spec in (smaller, larger)]
    alike = replace(smaller, name=larger.name, blocks=larger.blocks) == larger
    return alike and layers[0] == layers[1] and all(map(int.__le__, *widths))


def _draw_below(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


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
