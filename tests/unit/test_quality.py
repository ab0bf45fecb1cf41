"""Quality: one word for several settings, which custom and later options leave in charge."""

import pytest

from metastyle_core.adaptation import AdaptationSettings
from metastyle_core.cli import build_parser
from metastyle_core.cli.options import settings_from
from metastyle_core.errors import SettingsError
from metastyle_core.quality import PRESETS, QUALITIES, with_quality

OWN = AdaptationSettings(steps=7, mode="decoder", batch=1, seed=4)


def parsed(*options: str):
    return build_parser().parse_args(["adapt", "a.png", "-o", "b.safetensors", *options])


def test_custom_leaves_the_single_settings_in_charge():
    assert with_quality(OWN, "vgg16", "custom") == (OWN, "vgg16")


@pytest.mark.parametrize("quality", PRESETS)
def test_a_word_sets_all_of_its_settings_and_no_other(quality):
    settings, encoder = with_quality(OWN, "vgg16", quality)
    preset = PRESETS[quality]
    assert (settings.steps, settings.mode, settings.batch) == (
        preset.steps,
        preset.mode,
        preset.batch,
    )
    assert (settings.seed, encoder) == (4, preset.encoder)


def test_each_word_takes_longer_than_the_one_before():
    assert tuple(PRESETS) == QUALITIES[1:]
    settings = [with_quality(OWN, "compact", word)[0] for word in PRESETS]
    assert [(each.steps, each.mode) for each in settings] == [
        (30, "norm"),
        (60, "norm"),
        (100, "low_rank"),
    ]


def test_an_unknown_word_is_refused():
    with pytest.raises(SettingsError, match="quality is 'good'; choose custom, fast"):
        with_quality(OWN, "compact", "good")


def test_on_the_command_line_options_behind_it_win():
    arguments = parsed("--encoder", "vgg16", "--quality", "best", "--steps", "250")
    settings = settings_from(arguments, AdaptationSettings, style_size_px=576)
    assert (settings.steps, settings.mode, arguments.encoder) == (250, "low_rank", "compact")
    plain = settings_from(parsed(), AdaptationSettings, style_size_px=576)
    assert plain == AdaptationSettings()


def test_help_says_what_the_words_stand_for(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    told = " ".join(capsys.readouterr().out.split())
    assert "best is 100 steps of low_rank" in told
