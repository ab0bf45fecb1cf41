"""`metastyle train`: train the base, with or without an inner loop."""

import argparse
from pathlib import Path
from typing import get_args

import torch

from ..encoder import load_encoder
from ..initialisation import PredictorSize
from ..losses import LossSettings
from ..network import ADAPTATION_MODES
from ..style_distance import STYLE_DISTANCES
from ..training.data import ImagePool
from ..training.meta_training import MetaLearning
from ..training.tasks import Algorithm, MetaSettings
from .options import (
    Commands,
    add_compute_options,
    add_encoder_options,
    add_training_data_options,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
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
    meta.add_argument(
        "--algorithm", choices=get_args(Algorithm), default="fomaml", help="default: fomaml"
    )
    meta.add_argument(
        "--inner-steps", type=non_negative_int, default=0, help="T; 0 is multi-style training"
    )
    meta.add_argument(
        "--inner-lr", type=positive_float, default=1e-2, help="learning rate of the inner loop"
    )
    meta.add_argument(
        "--learn-inner-lr",
        action="store_true",
        help="learn one inner learning rate per parameter tensor; they shape training only, "
        "the base does not carry them and adaptation does not use them",
    )
    meta.add_argument(
        "--inner-mode", choices=ADAPTATION_MODES, default="norm", help="what the inner loop adapts"
    )
    meta.add_argument(
        "--rank",
        type=positive_int,
        default=MetaSettings.rank,
        help="of the updates of convolutions in inner mode low_rank (default: %(default)d)",
    )
    meta.add_argument(
        "--initialisation",
        choices=("predicted", "fixed"),
        default="predicted",
        help="of each style",
    )
    meta.add_argument("--support", type=positive_int, default=1, help="contents per inner step")
    meta.add_argument("--query", type=positive_int, default=1, help="contents per outer loss")
    meta.add_argument("--channels", type=positive_int, default=32, help="width of the network")
    meta.add_argument("--blocks", type=positive_int, default=5, help="residual blocks")
    meta.add_argument(
        "--predictor-width",
        type=positive_int,
        default=PredictorSize.hidden,
        help="of its hidden layers (default: %(default)d)",
    )
    meta.add_argument(
        "--predictor-covariances",
        type=non_negative_int,
        default=PredictorSize.covariances,
        help="channels per layer whose covariances it reads (default: %(default)d)",
    )
    meta.add_argument(
        "--start-from", type=Path, metavar="BASE", help="begin with the weights of this base"
    )
    loss = parser.add_argument_group("loss")
    loss.add_argument("--style-weight", type=non_negative_float, default=20.0)
    loss.add_argument(
        "--style-weight-range",
        type=positive_float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="draw each task's style weight between these; the predictor is told which",
    )
    loss.add_argument(
        "--style-distance",
        choices=STYLE_DISTANCES,
        default=LossSettings.style_distance,
        help="how pictures and paintings are compared (default: %(default)s)",
    )
    loss.add_argument(
        "--grain",
        type=non_negative_float,
        default=MetaSettings.grain,
        help="largest strength of the grain on contents, 0 to 1 (default: %(default)g)",
    )
    loss.add_argument("--content-weight", type=non_negative_float, default=1.0)
    loss.add_argument("--tv-weight", type=non_negative_float, default=0.0)
    loss.add_argument(
        "--chroma-weight",
        type=non_negative_float,
        default=LossSettings.chroma_weight,
        help="weight of the penalty on colour noise (default: %(default)g)",
    )
    loss.add_argument(
        "--detail-weight",
        type=non_negative_float,
        default=LossSettings.detail_weight,
        help="against softness (default: %(default)g)",
    )
    loss.add_argument(
        "--shift-weight",
        type=non_negative_float,
        default=MetaSettings.shift_weight,
        help="weight of the penalty on flicker in video (default: %(default)g)",
    )
    loss.add_argument("--objective", choices=("log_total", "total"), default="log_total")
    loss.add_argument("--normalisation", choices=("target_energy", "none"), default="target_energy")
    loss.add_argument(
        "--patterns",
        type=non_negative_float,
        default=MetaSettings.patterns,
        help="share of made-up styles of two colours, 0 to 1 (default: %(default)g)",
    )
    loss.add_argument(
        "--max-style-scale", type=positive_float, default=1.0, help="largest zoom into a style"
    )
    add_encoder_options(parser)
    parser.add_argument(
        "--style-encoder-weights", type=Path, help="compact encoder that the predictor reads"
    )
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train, and write `base.safetensors` into the output folder."""
    run_training(arguments, _build)


def _build(arguments: argparse.Namespace, device: torch.device) -> MetaLearning:
    recipe = MetaLearning(
        load_encoder(
            arguments.encoder,
            weights=arguments.encoder_weights,
            download_folder=arguments.download_encoder_to,
        ),
        load_encoder("compact", weights=arguments.style_encoder_weights),
        ImagePool.from_folder(arguments.content, manifest=arguments.manifest),
        ImagePool.from_folder(arguments.style, manifest=arguments.manifest),
        _meta_settings(arguments),
        device=device,
        seed=arguments.seed,
    )
    if arguments.start_from:
        recipe.start_from(arguments.start_from)
    return recipe


def _meta_settings(arguments: argparse.Namespace) -> MetaSettings:
    return MetaSettings(
        algorithm=arguments.algorithm,
        inner_steps=arguments.inner_steps,
        inner_lr=arguments.inner_lr,
        learn_inner_lr=arguments.learn_inner_lr,
        inner_mode=arguments.inner_mode,
        rank=arguments.rank,
        initialisation=arguments.initialisation,
        styles=arguments.batch or 4,
        support=arguments.support,
        query=arguments.query,
        crop_px=arguments.crop,
        channels=arguments.channels,
        blocks=arguments.blocks,
        predictor=PredictorSize(arguments.predictor_width, arguments.predictor_covariances),
        max_style_scale=arguments.max_style_scale,
        objective=arguments.objective,
        loss=LossSettings(
            content_weight=arguments.content_weight,
            style_weight=arguments.style_weight,
            style_distance=arguments.style_distance,
            tv_weight=arguments.tv_weight,
            chroma_weight=arguments.chroma_weight,
            detail_weight=arguments.detail_weight,
            normalisation=arguments.normalisation,
        ),
        style_weight_range=(
            tuple(arguments.style_weight_range) if arguments.style_weight_range else None
        ),
        shift_weight=arguments.shift_weight,
        grain=arguments.grain,
        patterns=arguments.patterns,
        precision=arguments.precision,
    )
