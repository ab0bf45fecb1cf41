"""A training so small that its updates take milliseconds."""

from dataclasses import replace

import torch

from metastyle_core.losses import LossSettings
from metastyle_core.training.meta_training import MetaTraining
from metastyle_core.training.tasks import MetaSettings
from metastyle_core.training.trainer import Trainer, TrainerSettings

# Which place of a style is the nearest may hang on rounding, and with it the gradient.
META = MetaSettings(
    styles=2, crop_px=64, inner_steps=1, inner_lr=0.01, channels=8, blocks=1, precision="fp32",
    loss=LossSettings(nearest_weight=0.0),
)  # fmt: skip
LOOP = TrainerSettings(updates=4, optimizer="adam", picture_every=0, warmup_updates=2, log_every=1)
SAVE_ALWAYS = replace(LOOP, checkpoint_minutes=1e-9)


def make_recipe(encoder, pool, settings=META) -> MetaTraining:
    return MetaTraining(encoder, encoder, pool, pool, settings, device=torch.device("cpu"), seed=3)


def run(recipe, folder, settings=LOOP, **options) -> Trainer:
    trainer = Trainer(recipe, settings, folder, **options)
    trainer.run()
    return trainer


def parameters(recipe) -> dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in recipe.modules.state_dict().items()}
