"""The arithmetic of styles: shares of a whole, sums of differences, the passage over frames."""

import re
from dataclasses import replace

import pytest
import torch
from samples import low_rank_style, picture

from metastyle_core import mixing
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import BaseMismatchError, SettingsError
from metastyle_core.low_rank import merge_updates
from metastyle_core.mixing import (
    StyleSchedule,
    add_styles,
    growth_note,
    mix_styles,
    scale_style,
    shares_of_sum,
    widened,
)
from metastyle_core.style import AdaptedStyle, check_style
from metastyle_core.stylization import stylize


def make_style(base, seed: int) -> AdaptedStyle:
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(
        base, None, [picture(64, 64, seed=seed)], settings=settings, name=f"style {seed}"
    )


@pytest.fixture(scope="module")
def styles(random_base):
    return [replace(make_style(random_base, s), name=f"s{s}") for s in range(3)]


def close(found, wanted):
    for name, tensor in wanted.fast_weights.items():
        torch.testing.assert_close(found.fast_weights[name], tensor)


def test_shares_add_up_to_a_whole_so_that_the_base_cancels_out(random_base, styles):
    close(mix_styles(styles, [2.0, 1.0, 1.0]), add_styles(random_base, styles, [0.5, 0.25, 0.25]))
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


def set_to(style, size_px, levels):
    settings = {"style_size_px": size_px, "levels": levels, "brushwork": levels / 2}
    return replace(style, settings=settings)


def test_a_mixture_tells_its_shares_and_has_size_and_levels_between_theirs(random_base, styles):
    pair = [set_to(styles[0], 64, 0.5), set_to(styles[1], 256, 0.25)]
    mixed = mix_styles(pair, [3, 1])
    assert mixed.settings["blend"] == ["75% s0", "25% s1"]
    assert mixed.size_px == 91  # 64 * 4**(1/4)
    assert (mixed.levels, mixed.brushwork) == pytest.approx((0.4375, 0.21875))
    added = add_styles(random_base, pair, [2.0, -1.0])
    assert added.settings["blend"] == ["2 s0", "-1 s1"]
    assert added.size_px == 102  # 64 * 4**(1/3)
    assert (added.levels, added.brushwork) == pytest.approx((5 / 12, 5 / 24))
    assert added.name == "2 s0 + -1 s1"


def test_a_sum_of_nothing_has_size_and_levels_between_its_styles(random_base, styles):
    pair = [set_to(styles[0], 64, 0.0), set_to(styles[1], 256, 1.0)]
    nothing = add_styles(random_base, pair, [0.0, 0.0])
    assert (nothing.size_px, nothing.levels) == (128, 0.5)
    faint = scale_style(random_base, pair[1], 0.0)
    assert (faint.size_px, faint.levels) == (256, 1.0)


def test_levels_stay_what_they_are_in_a_mixture_of_alike_ones(styles):
    """Shares that add up to more than 1 by rounding do not lead out of the range."""
    pair = [set_to(style, 64, 1.0) for style in styles[:2]]
    for shares in ([0.1, 0.2], [0.3, 0.6], [0.7, 0.1], [1.0, 3.0]):
        assert mix_styles(pair, shares).levels == pytest.approx(1.0)


@pytest.mark.parametrize("mode", ["norm", "low_rank", "full"])
def test_the_base_comes_to_the_device_of_the_first_style(random_base, styles, mode, monkeypatch):
    away, summed = styles[0].to(torch.device("meta")), []

    def look(sets, _):
        summed.extend(sets[:2])
        return {}

    monkeypatch.setattr(mixing, "add_up", look)
    add_styles(random_base, [away, made_in(random_base, mode)], [0.5, 0.5])
    assert {t.device.type for each in summed for t in each.values()} == {"meta"}


def test_shares_of_a_sum_that_is_small_are_given():
    assert shares_of_sum([1e-6]) == [1.0]


def test_refused_mixtures_are_told_whole(random_base, styles):
    def refuses(error, message, action, *arguments):
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            action(*arguments)

    other = replace(styles[1], base_sha256="feed" * 16, name="other")
    refuses(
        BaseMismatchError,
        f"Style 'other' was made for base feedfeedfeed and 's0' for {random_base.sha256[:12]}. "
        "Adapt them again on one base.",
        mix_styles, [styles[0], other], [1, 1],
    )  # fmt: skip
    refuses(
        SettingsError,
        "Style 's1' is of mode full and 's0' of mode norm; to mix them give the base too (the "
        "input 'model'), or mix styles of one mode.",
        mix_styles, [styles[0], replace(styles[1], mode="full")], [1, 1],
    )  # fmt: skip
    lacking = replace(styles[1], fast_weights={})
    refuses(
        SettingsError,
        "Styles 's1' and 's0' of mode norm and norm have different tensors. Adapt one of them "
        "again.",
        mix_styles, [styles[0], lacking], [1, 1],
    )  # fmt: skip
    refuses(
        SettingsError,
        "Weights are [1, -1], which add up to 0; shares of a sum other than 0 are needed. Change "
        "one of them.",
        mix_styles, styles[:2], [1, -1],
    )  # fmt: skip
    refuses(
        SettingsError,
        "Got curve 'linear' and route 'round'; choose a curve of linear, smooth and a route of "
        "once, there_and_back.",
        StyleSchedule, tuple(styles), "linear", "round",
    )  # fmt: skip


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


def test_a_sum_with_weights_that_add_up_to_one_is_the_weighted_mean(random_base):
    first, second = make_style(random_base, 1), make_style(random_base, 2)
    added = add_styles(random_base, [first, second], [0.25, 0.75])
    for name, tensor in added.fast_weights.items():
        mean = 0.25 * first.fast_weights[name] + 0.75 * second.fast_weights[name]
        torch.testing.assert_close(tensor, mean)
    assert added.name == "0.25 style 1 + 0.75 style 2"


def test_scaling_moves_from_the_base_through_the_style_and_beyond(random_base):
    style = make_style(random_base, 1)
    own = dict(random_base.network.named_parameters())
    for strength in (0.0, 0.5, 1.0, 1.5, -1.0):
        scaled = scale_style(random_base, style, strength)
        for name, tensor in scaled.fast_weights.items():
            wanted = own[name] + strength * (style.fast_weights[name] - own[name])
            torch.testing.assert_close(tensor, wanted)


def test_adding_a_norm_and_a_decoder_style_keeps_the_wider_mode(random_base):
    narrow = make_style(random_base, 1)
    settings = AdaptationSettings(steps=0, style_size_px=64, mode="decoder")
    wide = adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)
    added = add_styles(random_base, [narrow, wide], [0.5, 0.5])
    assert added.mode == "decoder"
    check_style(added, random_base)


def test_sums_of_low_rank_styles_are_sums_of_their_kernels(random_base):
    one, two = (low_rank_style(random_base, seed, rank=seed) for seed in (1, 2))
    own = dict(random_base.network.named_parameters())
    added = add_styles(random_base, [one, two, make_style(random_base, 3)], [0.5, -1.0, 0.25])
    assert added.mode == "low_rank"
    check_style(added, random_base)
    found = merge_updates(own, added.fast_weights)
    kernels = [merge_updates(own, style.fast_weights) for style in (one, two)]
    name = "output.weight"
    wanted = own[name] + 0.5 * (kernels[0][name] - own[name]) - (kernels[1][name] - own[name])
    torch.testing.assert_close(found[name], wanted)


@pytest.mark.parametrize("other", ["decoder", "full"])
def test_adding_a_low_rank_style_to_a_wider_one_gives_a_full_one(random_base, other):
    narrow = low_rank_style(random_base, 1)
    settings = AdaptationSettings(steps=0, style_size_px=64, mode=other)
    wide = adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)
    added = add_styles(random_base, [narrow, wide], [1.0, 0.0])
    assert added.mode == "full"
    check_style(added, random_base)
    image = picture(32, 32)
    torch.testing.assert_close(
        stylize(random_base, added, image, precision="fp32"),
        stylize(random_base, narrow, image, precision="fp32"),
        rtol=1e-4,
        atol=1e-5,
    )


def test_adding_changes_none_of_its_inputs(random_base):
    style = make_style(random_base, 1)
    before = {k: v.clone() for k, v in style.fast_weights.items()}
    add_styles(random_base, [style, style], [3.0, -1.0])
    assert all(torch.equal(style.fast_weights[k], v) for k, v in before.items())


def test_bad_sums_are_refused(random_base):
    style = make_style(random_base, 1)
    for styles, weights, words in (
        ([], [], "0 styles and 0 weights"),
        ([style], [1.0, 2.0], "1 styles and 2 weights"),
        ([style], [float("nan")], r"\[nan\]; finite"),
    ):
        with pytest.raises(SettingsError, match=words):
            add_styles(random_base, styles, weights)
    with pytest.raises(BaseMismatchError, match="'style 1' was made for base 0,"):
        add_styles(random_base, [style, replace(style, base_sha256="0")], [0.5, 0.5])


def test_a_schedule_visits_its_styles_in_order(styles):
    schedule = StyleSchedule(tuple(styles))
    for frame, style in zip((0, 2, 4), styles, strict=True):
        close(schedule.at_frame(frame, 5), style)
    close(schedule.at_frame(1, 5), mix_styles(styles[:2], [0.5, 0.5]))
    close(schedule.at_frame(0, 1), styles[0])
    close(schedule.at_frame(1, 2), styles[2])
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


def made_in(base, mode: str) -> AdaptedStyle:
    """A style of a mode whose every tensor differs from the base's."""
    if mode == "low_rank":
        return replace(low_rank_style(base, 7), name="low_rank")
    settings = AdaptationSettings(steps=0, style_size_px=64, mode=mode)
    style = adapt_to_style(base, None, [picture(64, 64, seed=9)], settings=settings, name=mode)
    weights = {name: 1.03 * tensor + 0.01 for name, tensor in style.fast_weights.items()}
    return replace(style, fast_weights=weights)


@pytest.mark.parametrize(
    ("modes", "wanted"),
    [
        (("norm", "low_rank"), "low_rank"),
        (("low_rank", "norm"), "low_rank"),
        (("norm", "decoder"), "decoder"),
        (("full", "norm"), "full"),
        (("low_rank", "full"), "full"),
        (("low_rank", "decoder"), "full"),
    ],
)
def test_styles_of_different_modes_mix_in_the_narrowest_that_holds_them(random_base, modes, wanted):
    styles = [made_in(random_base, mode) for mode in modes]
    wide = [widened(random_base, style, wanted) for style in styles]
    image = picture(40, 48)
    for style, wider in zip(styles, wide, strict=True):
        check_style(wider, random_base)
        drawn = (stylize(random_base, s, image, precision="fp32") for s in (style, wider))
        torch.testing.assert_close(*drawn, rtol=1e-4, atol=1e-5)
    mixed = mix_styles(wide, [1, 3])
    assert mixed.mode == wanted
    check_style(mixed, random_base)
    added = add_styles(random_base, styles, [0.25, 0.75])
    drawn = (stylize(random_base, s, image, precision="fp32") for s in (mixed, added))
    torch.testing.assert_close(*drawn, rtol=1e-4, atol=1e-4)


def test_norm_and_low_rank_mix_without_the_base_also_over_frames(random_base):
    narrow, wide = make_style(random_base, 1), made_in(random_base, "low_rank")
    mixed = mix_styles([narrow, wide], [3, 1])
    assert mixed.mode == "low_rank"
    added = add_styles(random_base, [narrow, wide], [0.75, 0.25])
    image = picture(40, 48)
    drawn = (stylize(random_base, s, image, precision="fp32") for s in (mixed, added))
    torch.testing.assert_close(*drawn, rtol=1e-4, atol=1e-4)
    schedule = StyleSchedule((narrow, wide))
    assert [schedule.at_frame(i, 3).mode for i in range(3)] == ["norm", "low_rank", "low_rank"]
    for frame in range(3):
        check_style(schedule.at_frame(frame, 3), random_base)


def test_other_modes_ask_for_the_base(random_base):
    styles = [make_style(random_base, 1), made_in(random_base, "full")]
    with pytest.raises(SettingsError, match="give the base too"):
        mix_styles(styles, [1, 1])


def test_a_mixture_that_grew_says_so(random_base):
    narrow, wide = make_style(random_base, 1), made_in(random_base, "full")
    mixed = mix_styles([widened(random_base, s, "full") for s in (narrow, wide)], [1, 1])
    note = growth_note([narrow, wide], mixed)
    count = sum(p.numel() for p in random_base.network.parameters())
    assert note.startswith(f"The mixture is of mode full and holds {count:,} numbers; 'style 1'")
    assert growth_note([wide], mixed) is None


def test_the_note_of_growth_names_the_smallest_style(random_base):
    modes = ("low_rank", "norm", "decoder")
    styles = [made_in(random_base, mode) for mode in modes]
    mixed = made_in(random_base, "full")
    sizes = [sum(tensor.numel() for tensor in s.fast_weights.values()) for s in (mixed, styles[1])]
    assert growth_note(styles, mixed) == (
        f"The mixture is of mode full and holds {sizes[0]:,} numbers; 'norm' alone is of mode norm "
        f"and holds {sizes[1]:,}."
    )


def test_a_mixture_has_the_palette_between_those_of_its_styles(random_base, styles):
    first, second = (style.palette for style in styles[:2])
    mixed = mix_styles(styles[:2], [3, 1]).palette
    for found, one, other in zip(mixed.mean, first.mean, second.mean, strict=True):
        assert found == pytest.approx(0.75 * one + 0.25 * other, rel=1e-3)
    assert mixed.covariance[1][2] == pytest.approx(
        0.75 * first.covariance[1][2] + 0.25 * second.covariance[1][2], rel=1e-3
    )
    assert scale_style(random_base, styles[0], 0.3).palette == first
    unknown = replace(styles[1], palette=None)
    assert mix_styles([styles[0], unknown], [1, 1]).palette is None
    assert add_styles(random_base, styles[:2], [1.0, -0.5]).palette is None
    assert add_styles(random_base, styles[:2], [0.0, 0.0]).palette is None
    assert add_styles(random_base, styles[:1], [1e-7]).palette is None
    assert add_styles(random_base, [styles[0], unknown], [1.0, 0.0]).palette == first


def test_a_passage_to_a_style_without_a_palette_never_has_one(styles):
    unknown = replace(styles[1], palette=None)
    passage = StyleSchedule((styles[0], unknown))
    assert [passage.at_frame(frame, 3).palette for frame in range(3)] == [None] * 3
    assert StyleSchedule(tuple(styles[:2])).at_frame(0, 3).palette == styles[0].palette
