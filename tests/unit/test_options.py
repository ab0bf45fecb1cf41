"""From options to settings: each default stated once, each option in its field."""

import pytest

from metastyle_core.adaptation import AdaptationSettings
from metastyle_core.cli import build_parser
from metastyle_core.cli.options import settings_from
from metastyle_core.grain import USUAL_GRAIN
from metastyle_core.initialisation import PredictorSize
from metastyle_core.losses import LossSettings
from metastyle_core.sweep import Sweep, parse_numbers
from metastyle_core.training.distillation import DistillationSettings
from metastyle_core.training.tasks import MetaSettings
from metastyle_core.training.trainer import TrainerSettings

FOLDERS = "--content a --style b -o c"
TRAIN = f"train {FOLDERS}"
DISTILL = f"distill {FOLDERS} --teacher-weights d"
# Its brush follows the pictures to adapt on unless it is given.
ADAPT = f"adapt a.png -o b.safetensors --style-size {AdaptationSettings.style_size_px}"


def parsed(command: str):
    return build_parser().parse_args(command.split())


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        (TRAIN, MetaSettings),
        (TRAIN, TrainerSettings),
        (DISTILL, DistillationSettings),
        (DISTILL, TrainerSettings),
        (ADAPT, AdaptationSettings),
        ("demo", AdaptationSettings),
    ],
)
def test_without_options_a_command_has_the_defaults_of_its_settings(command, settings):
    assert settings_from(parsed(command), settings) == settings()


def test_without_options_a_sweep_has_the_usual_grain():
    grains = parsed("sweep a.png --style b -o c.png").grains
    assert parse_numbers(grains, "--grains") == Sweep.grains == (USUAL_GRAIN,)


def test_options_reach_their_fields_and_those_of_settings_inside():
    options = "--batch 3 --crop 72 --style-weight-range 2 4 --learn-inner-lr --seed 5 --lr 0.5"
    inside = "--predictor-width 7 --style-weight 6 --normalisation none"
    arguments = parsed(f"{TRAIN} {options} {inside}")
    assert settings_from(arguments, MetaSettings) == MetaSettings(
        styles=3, crop_px=72, style_weight_range=(2.0, 4.0), learn_inner_lr=True,
        predictor=PredictorSize(hidden=7),
        loss=LossSettings(style_weight=6.0, normalisation="none"),
    )  # fmt: skip
    assert settings_from(arguments, TrainerSettings) == TrainerSettings(learning_rate=0.5, seed=5)


def test_values_that_no_argument_gives_are_added():
    arguments = parsed("evaluate --styles a --contents b --json c --steps 0,5 --lr 0.5")
    found = settings_from(arguments, AdaptationSettings, style_size_px=100)
    assert found == AdaptationSettings(learning_rate=0.5, style_size_px=100)
