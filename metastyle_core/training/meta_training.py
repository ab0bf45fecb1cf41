"""Meta-training: `MetaTraining`, the recipe with which the trainer trains a base.

It owns the learner, the tasks it draws and the file it exports; one update is `meta_step`
of `meta_learning`.
"""

import math
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from ..adaptation import AdaptationSettings, adapt_to_style
from ..base import Base, Predictor, load_base, save_base
from ..encoder import PerceptualEncoder, load_encoder, save_encoder
from ..errors import CheckpointError
from ..finishing import AS_DRAWN
from ..grain import USUAL_GRAIN
from ..images import contact_sheet
from ..initialisation import StylePredictor, count_statistics
from ..network import StylizationNetwork, adapted_weights, with_grain_kernel
from ..seeding import seeded
from ..stylization import stylize
from ..touches import USUAL_ABSTRACTION
from .data import ImagePool
from .meta_learning import Learner, meta_step, rate_key
from .recipe import Outcome, Shard
from .tasks import MetaSettings, TaskSampler

BASE_FILE = "base.safetensors"
_READ_FILE = "predictor_encoder.safetensors"
_PICTURE_STYLES, _PICTURE_CONTENTS, _PICTURE_STEPS = 6, 3, 20


class MetaTraining:
    """The recipe that trains the base."""

    def __init__(
        self,
        loss_encoder: PerceptualEncoder,
        style_encoder: PerceptualEncoder,
        contents: ImagePool,
        styles: ImagePool,
        settings: MetaSettings,
        *,
        device: torch.device,
        seed: int = 0,
    ) -> None:
        """Build an untrained learner.

        Args:
            loss_encoder: of the perceptual loss, frozen.
            style_encoder: what the predictor reads, frozen; it ships with the base.
            contents: photographs.
            styles: paintings.
            settings: of one update.
            device: where to compute.
            seed: of the first weights.
        """
        self.settings, self._device = settings, device
        # On an accelerator pictures stay where crops are needed: nothing is copied per update.
        contents, styles = contents.to(device), styles.to(device)
        self._sampler = TaskSampler(contents, styles, settings)
        with seeded(seed):
            network = StylizationNetwork(
                settings.channels,
                settings.blocks,
                reads_grain=settings.reads_grain,
                skips=settings.skips,
                smoothing=settings.smoothing,
            )
            predictor = None
            if settings.initialisation == "predicted":
                reader = StylePredictor(network, style_encoder, settings.predictor)
                predictor = Predictor(reader, style_encoder.to(device))
        names = tuple(adapted_weights(network, settings.inner_mode, settings.rank))
        learned = names if settings.learn_inner_lr and settings.inner_steps else ()
        rates = nn.ParameterDict(
            {rate_key(n): nn.Parameter(torch.tensor(math.log(settings.inner_lr))) for n in learned}
        )
        self.learner = Learner(network, predictor, rates, loss_encoder.to(device))
        parts: dict[str, nn.Module] = {"network": network, "inner_log_rates": rates}
        if predictor is not None:
            parts["predictor"] = predictor.network
        self._modules = nn.ModuleDict(parts).to(device)
        generator, size = Generator().manual_seed(seed), max(128, settings.crop_px)
        shown = styles.draw(_PICTURE_STYLES, size, generator)
        self._picture_styles = styles.read(shown, size)
        shown = contents.draw(_PICTURE_CONTENTS, size, generator)
        self._picture_contents = contents.read(shown, size)

    @property
    def modules(self) -> nn.Module:
        """Network, predictor and learned rates."""
        return self._modules

    def start_from(self, path: Path | str) -> None:
        """Begin with the weights of a base in place of random ones.

        Args:
            path: a base file. Where it does not read grain, skip or smooth and the new one
                does, it begins to. Its predictor is taken over where both have one, grown if need
                be, with the encoder that this predictor reads.

        Raises:
            CheckpointError: the file is missing, damaged or of another kind.
            SettingsError: its predictor is too large.
        """
        base = load_base(path)
        own = self.learner.network
        if (base.network.channels, base.network.blocks) != (own.channels, own.blocks):
            raise CheckpointError(
                f"{path} has {base.network.channels} channels and {base.network.blocks} blocks; "
                f"{own.channels} and {own.blocks} are asked for."
            )
        if base.network.reads_grain and not own.reads_grain:
            raise CheckpointError(f"{path} reads grain; ask for it with --reads-grain.")
        if base.network.smoothing and not own.smoothing:
            amount = base.network.smoothing
            raise CheckpointError(f"{path} smooths; ask for it with --smoothing {amount:g}.")
        if base.network.skips and not own.skips:
            raise CheckpointError(f"{path} has skip connections; ask for them with --skips.")
        own.load_state_dict(_grown(own.state_dict(), base.network.state_dict()))
        predictor = self.learner.predictor
        if predictor is not None and base.predictor is not None:
            read = base.predictor.encoder.to(self._device)
            if count_statistics(read) != count_statistics(predictor.encoder):
                raise CheckpointError(
                    f"{path}: its predictor reads an encoder of other layers; name that encoder's "
                    "file with --style-encoder-weights."
                )
            predictor.network.grow_from(base.predictor.network)
            self.learner = replace(self.learner, predictor=replace(predictor, encoder=read))

    def keep_beside(self, checkpoint: Path) -> None:
        """Write the encoder that the predictor reads: `start_from` may have brought its own."""
        if self.learner.predictor is not None:
            path, encoder = checkpoint / _READ_FILE, self.learner.predictor.encoder
            save_encoder(path, encoder, {}, half=False)

    def take_from(self, checkpoint: Path) -> None:
        """Let the predictor read the encoder that it read before."""
        path, predictor = checkpoint / _READ_FILE, self.learner.predictor
        if predictor is not None and path.is_file():
            read = load_encoder("compact", weights=path).to(self._device)
            self.learner = replace(self.learner, predictor=replace(predictor, encoder=read))

    def accumulate_gradients(self, generator: Generator, shard: Shard) -> Outcome:
        """Draw tasks and add up their outer gradients."""
        tasks = self._sampler.sample(generator, shard)
        return meta_step(self.learner, tasks.to(self._device), self.settings)

    def draw_picture(self) -> Tensor:
        """Fixed styles by fixed contents, before and after a short adaptation.

        Each row is one style: its picture, the contents at 0 steps, and, where the run has an
        inner loop, the contents after `_PICTURE_STEPS` steps: minutes, on processors, of little use
        to a run that learns from instant styles. Colours are the network's own, and grain and
        abstraction the usual ones where the run trains with any.
        """
        learner = self.learner
        base = Base(learner.network, learner.predictor, sha256="in training", training={})
        styles, contents = self._picture_styles, self._picture_contents
        grain = USUAL_GRAIN if self.settings.grain else 0.0
        abstraction = USUAL_ABSTRACTION if self.settings.abstraction else 0.0
        rows: list[list[Tensor]] = []
        for style in styles.split(1):
            row = [style[0]]
            for steps in (0, _PICTURE_STEPS)[: 1 + bool(self.settings.inner_steps)]:
                settings = AdaptationSettings(
                    steps=steps,
                    mode=self.settings.inner_mode,
                    rank=self.settings.rank,
                    initialisation=self.settings.initialisation,
                    style_size_px=style.shape[-1],
                    abstraction=abstraction,
                    levels=0.0,
                    loss=self.settings.loss,
                    precision=self.settings.precision,
                )
                adapted = adapt_to_style(base, learner.loss_encoder, [style], contents, settings)
                row += stylize(
                    base, adapted, contents,
                    precision=settings.precision, grain=grain, abstraction=abstraction,
                    colouring=AS_DRAWN,
                )  # fmt: skip
            rows.append(row)
        return contact_sheet([[picture.cpu() for picture in row] for row in rows])

    def export(self, folder: Path, provenance: dict[str, object]) -> None:
        """Write the base as `base.safetensors`."""
        description = {
            **provenance,
            "meta": asdict(self.settings),
            "loss_encoder": self.learner.loss_encoder.spec.name,
        }
        learner = self.learner
        save_base(folder / BASE_FILE, learner.network, learner.predictor, description)


def _grown(larger: dict[str, Tensor], smaller: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a network, with what another has for the skips that it lacks, and for grain."""
    taken = {**larger, **smaller}
    for name, weight in smaller.items():
        if weight.ndim == 4 and weight.shape[1] < larger[name].shape[1]:
            taken[name] = with_grain_kernel(weight.to(larger[name]))
    return taken
