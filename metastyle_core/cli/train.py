"""`metastyle train`: train the base, with or without an inner loop."""

import argparse
from functools import partial
from pathlib import Path

import torch

from ..base import base_file
from ..encoder import load_encoder
from ..initialisation import PredictorSize
from ..losses import LossSettings
from ..training.data import ImagePool
from ..training.meta_training import MetaTraining
from ..training.tasks import MetaSettings
from .inputs import open_encoder
from .options import (
    Commands,
    add_compute_options,
    add_encoder_options,
    add_loss_weights,
    add_setting,
    add_training_data_options,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    settings_from,
)
from .training_run import run_training


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "train",
        help="train the base network",
        description="Train the base: multi-style with --inner-steps 0, meta-learning with more. "
        "Starts on several processes under torchrun.",
    )
    add_training_data_options(parser)
    meta = parser.add_argument_group("meta-learning")
    add = partial(add_setting, meta, MetaSettings)
    add("--algorithm", help="of the outer gradient")
    add("--inner-steps", kind=non_negative_int, help="T; 0 is multi-style training")
    add("--inner-optimizer", help="of the inner loop; adam is what adapts a style later")
    add("--inner-lr", kind=positive_float, help="learning rate of the inner loop")
    add(
        "--learn-inner-lr",
        help="learn one inner learning rate per parameter tensor; they shape training only, "
        "the base does not carry them and adaptation does not use them",
    )
    add(
        "--start-share",
        kind=non_negative_float,
        help="share of the outer loss before the inner loop, 0 to 1: instant styles stay good",
    )
    add("--inner-mode", help="what the inner loop adapts")
    add(
        "--rank",
        kind=positive_int,
        help="of the updates of convolutions in inner mode low_rank",
    )
    add("--initialisation", help="of each style")
    add("--batch", "styles", kind=positive_int, help="styles per update")
    add("--support", kind=positive_int, help="contents per inner step")
    add("--query", kind=positive_int, help="contents per outer loss")
    add("--crop", "crop_px", kind=positive_int, help="side of contents and styles in pixels")
    add("--max-style-scale", kind=positive_float, help="largest zoom into a style")
    add("--channels", kind=positive_int, help="width of the network")
    add("--blocks", kind=positive_int, help="residual blocks")
    add(
        "--smoothing",
        kind=non_negative_float,
        help="how much of the finest octave before each enlargement is taken away, 0 to 1",
    )
    add("--skips", help="let the first layers pass what they see on to the last ones")
    add("--reads-grain", help="let the network read grain as a channel of its own")
    add_setting(
        meta,
        PredictorSize,
        "--predictor-width",
        "hidden",
        kind=positive_int,
        help="of its hidden layers",
    )
    meta.add_argument(
        "--start-from", type=base_file, metavar="BASE", help="begin with the weights of this base"
    )
    _add_loss_options(parser)
    add_encoder_options(parser)
    parser.add_argument(
        "--style-encoder-weights", type=Path, help="compact encoder that the predictor reads"
    )
    add_compute_options(parser)
    parser.set_defaults(run=run)


def _add_loss_options(parser: argparse.ArgumentParser) -> None:
    loss = parser.add_argument_group("loss")
    add_loss_weights(loss)
    loss.add_argument(
        "--style-weight-range",
        type=positive_float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="draw each task's style weight between these; the predictor is told which",
    )
    add_setting(
        loss, LossSettings, "--content-weight", kind=non_negative_float, help="of the content loss"
    )
    add_setting(loss, LossSettings, "--normalisation", help="of each layer's error")
    add_setting(
        loss,
        MetaSettings,
        "--grain",
        kind=non_negative_float,
        help="largest strength of the grain on contents, 0 to 1",
    )
    add_setting(
        loss,
        MetaSettings,
        "--abstraction",
        kind=non_negative_float,
        help="largest amount by which photographs are painted over along their forms, 0 to 1",
    )
    add_setting(
        loss,
        MetaSettings,
        "--patterns",
        kind=non_negative_float,
        help="share of made-up styles of two colours, 0 to 1",
    )
    add_setting(
        loss,
        MetaSettings,
        "--shift-weight",
        kind=non_negative_float,
        help="weight of the penalty on flicker in video",
    )
    add_setting(
        loss,
        MetaSettings,
        "--judge-shift",
        kind=non_negative_int,
        help="most pixels by which the judge's blocks move against those of the network",
    )
    add_setting(
        loss,
        MetaSettings,
        "--wrapping",
        kind=non_negative_float,
        help="share of the updates whose photographs wrap and so have no borders, 0 to 1",
    )
    add_setting(loss, MetaSettings, "--objective", help="of the outer loss")


def run(arguments: argparse.Namespace) -> None:
    """Train, and write `base.safetensors` into the output folder."""
    run_training(arguments, _build)


def _build(
    arguments: argparse.Namespace, device: torch.device, unreadable: list[str]
) -> MetaTraining:
    open_pool = partial(ImagePool.from_folder, manifest=arguments.manifest, unreadable=unreadable)
    recipe = MetaTraining(
        open_encoder(arguments, device),
        load_encoder("compact", weights=arguments.style_encoder_weights),
        open_pool(arguments.content),
        open_pool(arguments.style),
        settings_from(arguments, MetaSettings),
        device=device,
        seed=arguments.seed,
    )
    if arguments.start_from:
        recipe.start_from(arguments.start_from)
    return recipe
