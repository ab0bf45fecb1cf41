"""Styles: files of kilobytes, which belong to one base."""

from dataclasses import replace

import pytest
import torch
from samples import low_rank_style, picture

from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.base import load_base
from metastyle_core.checkpoint import read_tensors, write_tensors
from metastyle_core.encoder import load_encoder
from metastyle_core.errors import BaseMismatchError, CheckpointError
from metastyle_core.refinement import measure_statistics
from metastyle_core.style import (
    STYLE_FORMAT,
    AdaptedStyle,
    check_style,
    load_style,
    save_style,
)


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
    with pytest.raises(AttributeError, match="field 'name'"):
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
