"""Styles: files of kilobytes, and the arithmetic of blending."""

from dataclasses import replace

import pytest
import torch
from samples import low_rank_style, picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import load_base
from metastyle_core.checkpoint import read_tensors, write_tensors
from metastyle_core.encoder import load_encoder
from metastyle_core.errors import BaseMismatchError, CheckpointError, SettingsError
from metastyle_core.low_rank import merge_updates
from metastyle_core.refinement import measure_statistics
from metastyle_core.style import (
    STYLE_FORMAT,
    AdaptedStyle,
    blend_styles,
    check_style,
    load_style,
    save_style,
    scale_style,
)
from metastyle_core.stylization import stylize


def make_style(base, seed: int) -> AdaptedStyle:
    settings = AdaptationSettings(steps=0, style_size_px=64)
    return adapt_to_style(
        base, None, [picture(64, 64, seed=seed)], settings=settings, name=f"style {seed}"
    )


def test_a_norm_style_is_at_most_16_kb_and_half_of_that_in_float16(tmp_path, base_file):
    settings = AdaptationSettings(steps=0, style_size_px=64, initialisation="fixed")
    style = adapt_to_style(load_base(base_file), None, [picture(64, 64)], settings=settings)
    save_style(style, tmp_path / "full.safetensors")
    save_style(style, tmp_path / "half.safetensors", half=True)
    assert (tmp_path / "full.safetensors").stat().st_size <= 16 * 1024
    assert (tmp_path / "half.safetensors").stat().st_size <= 10 * 1024


def test_round_trip_keeps_everything(tmp_path, random_base):
    style = make_style(random_base, 1).with_thumbnail(picture(300, 400)[0])
    style = replace(style, losses={"total": 1.5})
    save_style(style, tmp_path / "a.safetensors")
    loaded = load_style(tmp_path / "a.safetensors")
    for name, tensor in style.fast_weights.items():
        assert torch.equal(loaded.fast_weights[name], tensor)
    assert (loaded.name, loaded.mode, loaded.base_sha256) == (
        style.name, style.mode, style.base_sha256,
    )  # fmt: skip
    assert loaded.losses == {"total": 1.5}
    assert loaded.settings["style_size_px"] == 64
    assert loaded.thumbnail == style.thumbnail
    assert loaded.thumbnail is not None
    assert len(loaded.thumbnail) <= 8 * 1024
    check_style(loaded, random_base)


@pytest.fixture
def style_with_statistics(random_base, tiny_encoder) -> AdaptedStyle:
    kept = measure_statistics(tiny_encoder, [picture(64, 80)], 64)
    return replace(make_style(random_base, 1), statistics=kept)


def test_statistics_pass_through_a_file(tmp_path, style_with_statistics, random_base, tiny_encoder):
    path = tmp_path / "a.safetensors"
    save_style(style_with_statistics, path)
    loaded = load_style(path)
    check_style(loaded, random_base)
    assert loaded.fast_weights.keys() == style_with_statistics.fast_weights.keys()
    before, after = style_with_statistics.statistics, loaded.statistics
    assert replace(after, quantiles={}) == replace(before, quantiles={})
    for layer, quantiles in before.quantiles.items():
        assert torch.equal(after.quantiles[layer], quantiles)
    assert after.targets(tiny_encoder).keys() == set(tiny_encoder.spec.style_layers)


def test_a_style_with_statistics_is_at_most_64_kb(tmp_path, base_file):
    settings = AdaptationSettings(steps=0, style_size_px=64, initialisation="fixed")
    style = adapt_to_style(load_base(base_file), None, [picture(64, 64)], settings=settings)
    style = style.with_thumbnail(torch.rand(3, 200, 200))
    kept = measure_statistics(load_encoder("compact"), [picture(64, 64)], 64)
    save_style(replace(style, statistics=kept), tmp_path / "a.safetensors", half=True)
    assert (tmp_path / "a.safetensors").stat().st_size <= 64 * 1024
    assert load_style(tmp_path / "a.safetensors").statistics is not None


def test_spoilt_statistics_are_refused(tmp_path, style_with_statistics):
    path = tmp_path / "a.safetensors"
    save_style(style_with_statistics, path)
    file = read_tensors(path)
    kept = {k: v for k, v in file.tensors.items() if k.startswith("statistics.")}
    bare = {k: v for k, v in file.tensors.items() if k not in kept}
    name = next(iter(kept))
    told = file.metadata["statistics"]
    for tensors, description, words in (
        (bare, told, "statistics are missing or misshapen"),
        ({**file.tensors, name: kept[name][0]}, told, "statistics are missing or misshapen"),
        (file.tensors, None, "'statistics' is missing or damaged"),
        (file.tensors, "[]", "'statistics' is not a JSON object"),
        (file.tensors, '{"encoder": "tiny"}', "description of its statistics is damaged"),
        (file.tensors, told.replace('"chroma": ', '"chroma": "x'), "damaged"),
    ):
        metadata = {k: v for k, v in file.metadata.items() if k != "statistics"}
        metadata |= {} if description is None else {"statistics": description}
        write_tensors(path, tensors, file_format=STYLE_FORMAT, metadata=metadata)
        with pytest.raises(CheckpointError, match=words):
            load_style(path)


def test_even_a_noisy_thumbnail_stays_small(random_base):
    style = make_style(random_base, 1).with_thumbnail(torch.rand(3, 500, 500))
    assert style.thumbnail is not None
    assert len(style.thumbnail) <= 8 * 1024


def test_styles_are_frozen(random_base):
    with pytest.raises(AttributeError):
        make_style(random_base, 1).name = "other"  # type: ignore[misc]


def test_another_base_is_refused(random_base):
    style = replace(make_style(random_base, 1), base_sha256="f" * 64)
    with pytest.raises(BaseMismatchError, match="ffffffffffff"):
        check_style(style, random_base)


def test_missing_extra_and_misshapen_tensors_are_refused(random_base):
    style = make_style(random_base, 1)
    weights = dict(style.fast_weights)
    name = next(iter(weights))
    for changed in (
        {k: v for k, v in weights.items() if k != name},
        {**weights, "more": torch.zeros(1)},
        {**weights, name: torch.zeros(5)},
    ):
        with pytest.raises(CheckpointError, match="adapt it again"):
            check_style(replace(style, fast_weights=changed), random_base)


def test_low_rank_styles_of_any_rank_fit_their_base_and_spoilt_ones_do_not(tmp_path, random_base):
    for rank in (1, 5):
        style = low_rank_style(random_base, 1, rank=rank)
        save_style(style, tmp_path / "a.safetensors")
        check_style(load_style(tmp_path / "a.safetensors"), random_base)
    weights = dict(style.fast_weights)
    up = next(name for name in weights if name.endswith(".up"))
    down = up.removesuffix("up") + "down"
    for changed in (
        {k: v for k, v in weights.items() if k != up},
        {k: v for k, v in weights.items() if k != down},
        {**weights, up: weights[up][:, :3]},
        {**weights, up: weights[up][:-1]},
        {**weights, up: torch.tensor(1.0)},
        {**weights, down: weights[down][:, :-1]},
    ):
        with pytest.raises(CheckpointError, match="adapt it again"):
            check_style(replace(style, fast_weights=changed), random_base)
    with pytest.raises(CheckpointError, match="adapt it again"):
        check_style(replace(style, mode="norm"), random_base)


def test_spoilt_headers_are_refused(tmp_path, random_base):
    path = tmp_path / "a.safetensors"
    save_style(make_style(random_base, 1), path)
    file = read_tensors(path)
    kept = {k: v for k, v in file.metadata.items() if not k.startswith("format")}
    for change, reason in (
        ({"mode": "strange"}, "mode 'strange'"),
        ({"base_sha256": ""}, "which base"),
        ({"losses": "[1]"}, "losses"),
        ({"settings": "{"}, "settings"),
        ({"thumbnail": "***"}, "damaged"),
    ):
        write_tensors(path, file.tensors, file_format=STYLE_FORMAT, metadata={**kept, **change})
        with pytest.raises(CheckpointError, match=reason):
            load_style(path)


def test_a_thumbnail_that_is_no_picture_is_dropped(tmp_path, random_base):
    path = tmp_path / "a.safetensors"
    save_style(replace(make_style(random_base, 1), thumbnail=b"<script>"), path)
    assert load_style(path).thumbnail is None


def test_blend_with_weights_that_sum_to_one_is_the_weighted_mean(random_base):
    first, second = make_style(random_base, 1), make_style(random_base, 2)
    blended = blend_styles(random_base, [first, second], [0.25, 0.75])
    for name, tensor in blended.fast_weights.items():
        mean = 0.25 * first.fast_weights[name] + 0.75 * second.fast_weights[name]
        torch.testing.assert_close(tensor, mean)
    assert blended.name == "0.25 style 1 + 0.75 style 2"


def test_scaling_moves_from_the_base_through_the_style_and_beyond(random_base):
    style = make_style(random_base, 1)
    own = dict(random_base.network.named_parameters())
    for strength in (0.0, 0.5, 1.0, 1.5, -1.0):
        scaled = scale_style(random_base, style, strength)
        for name, tensor in scaled.fast_weights.items():
            wanted = own[name] + strength * (style.fast_weights[name] - own[name])
            torch.testing.assert_close(tensor, wanted)


def test_blending_a_norm_with_a_decoder_style_keeps_the_wider_one(random_base):
    narrow = make_style(random_base, 1)
    settings = AdaptationSettings(steps=0, style_size_px=64, mode="decoder")
    wide = adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)
    blended = blend_styles(random_base, [narrow, wide], [0.5, 0.5])
    assert blended.mode == "decoder"
    check_style(blended, random_base)


def test_blends_of_low_rank_styles_are_sums_of_their_kernels(random_base):
    one, two = (low_rank_style(random_base, seed, rank=seed) for seed in (1, 2))
    own = dict(random_base.network.named_parameters())
    blended = blend_styles(random_base, [one, two, make_style(random_base, 3)], [0.5, -1.0, 0.25])
    assert blended.mode == "low_rank"
    check_style(blended, random_base)
    found = merge_updates(own, blended.fast_weights)
    kernels = [merge_updates(own, style.fast_weights) for style in (one, two)]
    name = "output.weight"
    wanted = own[name] + 0.5 * (kernels[0][name] - own[name]) - (kernels[1][name] - own[name])
    torch.testing.assert_close(found[name], wanted)


@pytest.mark.parametrize("other", ["decoder", "full"])
def test_blending_a_low_rank_style_with_a_wider_one_gives_a_full_one(random_base, other):
    narrow = low_rank_style(random_base, 1)
    settings = AdaptationSettings(steps=0, style_size_px=64, mode=other)
    wide = adapt_to_style(random_base, None, [picture(64, 64)], settings=settings)
    blended = blend_styles(random_base, [narrow, wide], [1.0, 0.0])
    assert blended.mode == "full"
    check_style(blended, random_base)
    image = picture(32, 32)
    torch.testing.assert_close(
        stylize(random_base, blended, image, precision="fp32"),
        stylize(random_base, narrow, image, precision="fp32"),
        rtol=1e-4,
        atol=1e-5,
    )


def test_blending_changes_none_of_its_inputs(random_base):
    style = make_style(random_base, 1)
    before = {k: v.clone() for k, v in style.fast_weights.items()}
    blend_styles(random_base, [style, style], [3.0, -1.0])
    assert all(torch.equal(style.fast_weights[k], v) for k, v in before.items())


def test_bad_blends_are_refused(random_base):
    style = make_style(random_base, 1)
    for styles, weights in (([], []), ([style], [1.0, 2.0]), ([style], [float("nan")])):
        with pytest.raises(SettingsError):
            blend_styles(random_base, styles, weights)
    with pytest.raises(BaseMismatchError):
        blend_styles(random_base, [style, replace(style, base_sha256="0")], [0.5, 0.5])
