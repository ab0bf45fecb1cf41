"""Mixtures of styles: shares of a whole, and the passage over frames."""

from dataclasses import replace

import pytest
import torch
from samples import low_rank_style, picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import BaseMismatchError, SettingsError
from metastyle_core.low_rank import merge_updates
from metastyle_core.mixing import StyleSchedule, mix_styles
from metastyle_core.style import blend_styles, check_style


@pytest.fixture(scope="module")
def styles(random_base):
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return [
        adapt_to_style(
            random_base, None, [picture(64, 64, seed=s)], settings=settings, name=f"s{s}"
        )
        for s in range(3)
    ]


def close(found, wanted):
    for name, tensor in wanted.fast_weights.items():
        torch.testing.assert_close(found.fast_weights[name], tensor)


def test_shares_add_up_to_a_whole_so_that_the_base_cancels_out(random_base, styles):
    close(mix_styles(styles, [2.0, 1.0, 1.0]), blend_styles(random_base, styles, [0.5, 0.25, 0.25]))
    assert mix_styles(styles[:2], [3, 1]).name == "75% s0 + 25% s1"


def test_one_style_is_itself_and_nothing_is_changed(styles):
    before = {name: tensor.clone() for name, tensor in styles[0].fast_weights.items()}
    close(mix_styles([styles[0]], [0.3]), styles[0])
    mix_styles(styles, [1, 1, 1])
    for name, tensor in before.items():
        assert torch.equal(styles[0].fast_weights[name], tensor)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, float("nan")], [0.0, 0.0]])
def test_bad_weights_are_refused(styles, weights):
    with pytest.raises(SettingsError, match="eights"):
        mix_styles(styles[:2], weights)


def test_styles_that_do_not_belong_together_are_refused(styles):
    with pytest.raises(BaseMismatchError, match="'other' was made for base feed"):
        mix_styles([styles[0], replace(styles[1], base_sha256="feed", name="other")], [1, 1])
    with pytest.raises(SettingsError, match="one mode"):
        mix_styles([styles[0], replace(styles[1], mode="full")], [1, 1])
    with pytest.raises(SettingsError, match="styles and 0 weights"):
        mix_styles([], [])


def test_low_rank_styles_of_different_ranks_mix(random_base):
    own = dict(random_base.network.named_parameters())
    styles = [low_rank_style(random_base, rank, rank=rank) for rank in (1, 3)]
    mixed = mix_styles(styles, [1, 3])
    check_style(mixed, random_base)
    name = "residual.0.first.convolution.weight"
    parts = [merge_updates(own, style.fast_weights)[name] for style in styles]
    found = merge_updates(own, mixed.fast_weights)[name]
    torch.testing.assert_close(found, 0.25 * parts[0] + 0.75 * parts[1])
    assert not torch.allclose(found, own[name])
    close(StyleSchedule(tuple(styles)).at_frame(0, 2), styles[0])


def test_low_rank_styles_that_are_damaged_do_not_mix(random_base):
    good, other = (low_rank_style(random_base, seed) for seed in (1, 2))
    weights = dict(other.fast_weights)
    for changed in (
        {k: v for k, v in weights.items() if k != "output.weight.down"},
        {**weights, "output.weight.up": weights["output.weight.up"][:-1]},
        {k: v for k, v in weights.items() if not k.endswith((".up", ".down"))},
    ):
        bad = replace(other, fast_weights=changed)
        for styles in ((good, bad), (bad, good)):
            with pytest.raises(SettingsError, match="Adapt one of them again"):
                StyleSchedule(styles)


def test_a_schedule_visits_its_styles_in_order(styles):
    schedule = StyleSchedule(tuple(styles))
    for frame, style in zip((0, 2, 4), styles, strict=True):
        close(schedule.at_frame(frame, 5), style)
    close(schedule.at_frame(1, 5), mix_styles(styles[:2], [0.5, 0.5]))
    close(schedule.at_frame(0, 1), styles[0])
    assert schedule.name == "s0 > s1 > s2"


def test_there_and_back_ends_where_it_began(styles):
    schedule = StyleSchedule(tuple(styles[:2]), route="there_and_back")
    close(schedule.at_frame(4, 5), styles[0])
    close(schedule.at_frame(2, 5), styles[1])


def test_smooth_rests_at_the_styles(styles):
    schedule = StyleSchedule(tuple(styles[:2]), curve="smooth")
    assert schedule.weights(0.1)[1] < 0.1
    assert schedule.weights(0.5) == (0.5, 0.5)
    assert schedule.weights(-1.0) == (1.0, 0.0)
    assert schedule.weights(2.0) == (0.0, 1.0)


def test_a_bad_schedule_is_refused(styles):
    with pytest.raises(SettingsError, match="at least 2"):
        StyleSchedule((styles[0],))
    with pytest.raises(SettingsError, match="bouncy"):
        StyleSchedule(tuple(styles), curve="bouncy")
