"""`metastyle distill`: train the compact encoder."""

import argparse
from functools import partial
from pathlib import Path

import torch

from ..base import base_file, load_base
from ..encoder import ENCODER_SPECS, load_encoder
from ..training.data import ImagePool
from ..training.distillation import Distillation, DistillationSettings
from .options import (
    Commands,
    add_compute_options,
    add_setting,
    add_training_data_options,
    non_negative_float,
    non_negative_int,
    positive_int,
    settings_from,
)
from .training_run import run_training


def add_parser(commands: Commands) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "distill",
        help="train the compact encoder to stand in for VGG",
        description="Train the compact encoder to stand in for VGG in the perceptual loss. "
        "Starts on several processes under torchrun.",
    )
    add_training_data_options(parser)
    teacher = parser.add_argument_group("teacher")
    teacher.add_argument(
        "--teacher",
        choices=[name for name in ENCODER_SPECS if name != "compact"],
        default="vgg19_caffe",
        help="the encoder to stand in for (default: vgg19_caffe)",
    )
    teacher.add_argument(
        "--teacher-weights", type=Path, required=True, help=".safetensors file of the teacher"
    )
    student = parser.add_argument_group("distillation")
    add = partial(add_setting, student, DistillationSettings)
    add("--batch", kind=positive_int, help="pictures per update")
    add("--crop", "crop_px", kind=positive_int, help="side of a picture in pixels")
    add("--gram-weight", kind=non_negative_float, help="weight of the Gram error")
    add(
        "--replay",
        kind=non_negative_int,
        help="updates on earlier pictures for each on new ones; the teacher, which takes half of "
        "the time, sees each picture once",
    )
    student.add_argument(
        "--stylized-by",
        type=base_file,
        metavar="BASE",
        help="let a third of the pictures be what this base draws while it adapts and the "
        "student is the judge, so that the student errs less where adaptation leads",
    )
    student.add_argument(
        "--start-from",
        type=Path,
        metavar="ENCODER",
        help="begin with the weights of this encoder; a narrower one is grown",
    )
    add_compute_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train, and write `compact.safetensors` into the output folder."""
    run_training(arguments, _build)


def _build(
    arguments: argparse.Namespace, device: torch.device, unreadable: list[str]
) -> Distillation:
    open_pool = partial(ImagePool.from_folder, manifest=arguments.manifest, unreadable=unreadable)
    recipe = Distillation(
        load_encoder(arguments.teacher, weights=arguments.teacher_weights),
        ENCODER_SPECS["compact"],
        open_pool(arguments.content),
        open_pool(arguments.style),
        settings_from(arguments, DistillationSettings),
        device=device,
        seed=arguments.seed,
        base=load_base(arguments.stylized_by) if arguments.stylized_by else None,
    )
    if arguments.start_from:
        recipe.start_from(arguments.start_from)
    return recipe
