"""Styles: files of kilobytes, which belong to one base."""

import json
from dataclasses import replace
from io import BytesIO

import pytest
import torch
from PIL import Image
from samples import low_rank_style, picture

from metastyle_core import style as style_module
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
    assert loaded.palette == style.palette
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
        with pytest.raises(CheckpointError, match=words) as told:
            load_style(path)
        assert str(told.value).startswith(f"{path}:")


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
    with pytest.raises(CheckpointError, match="adapt it again"):
        check_style(replace(style, mode="full"), random_base)


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
        ({"palette": "{"}, "palette"),
        ({"palette": '{"mean": [0, 0]}'}, "damaged .its palette holds no numbers"),
    ):
        write_tensors(path, file.tensors, file_format=STYLE_FORMAT, metadata={**kept, **change})
        with pytest.raises(CheckpointError, match=reason):
            load_style(path)


def test_a_file_of_another_kind_is_refused(tmp_path, random_base):
    path = tmp_path / "a.safetensors"
    save_style(make_style(random_base, 1), path)
    file = read_tensors(path)
    kept = {k: v for k, v in file.metadata.items() if not k.startswith("format")}
    write_tensors(path, file.tensors, file_format="metastyle.base", metadata=kept)
    with pytest.raises(CheckpointError, match=r"metastyle\.base"):
        load_style(path)


def test_a_thumbnail_that_is_no_picture_is_dropped(tmp_path, random_base):
    path = tmp_path / "a.safetensors"
    save_style(replace(make_style(random_base, 1), thumbnail=b"<script>"), path)
    assert load_style(path).thumbnail is None


MADE_UP = AdaptedStyle({"a": torch.ones(2), "b": torch.zeros(3)}, "f" * 64, "norm", "waves")


@pytest.mark.parametrize(
    ("settings", "size_px"),
    [({"style_size_px": 96}, 96), ({}, 576), ({"style_size_px": "96"}, 576)],
)
def test_the_size_of_a_style_is_that_of_its_pictures_or_the_usual(settings, size_px):
    assert replace(MADE_UP, settings=settings).size_px == size_px


def test_a_style_moves_only_where_a_tensor_does():
    here, elsewhere = torch.device("cpu"), torch.device("meta")
    assert MADE_UP.to(here) is MADE_UP
    assert MADE_UP.to(here, torch.float32) is MADE_UP
    for moved, device, dtype in (
        (MADE_UP.to(elsewhere), elsewhere, torch.float32),
        (MADE_UP.to(elsewhere, torch.float32), elsewhere, torch.float32),
        (MADE_UP.to(here, torch.float16), here, torch.float16),
    ):
        assert {name: t.shape for name, t in moved.fast_weights.items()} == {"a": (2,), "b": (3,)}
        assert {(t.device, t.dtype) for t in moved.fast_weights.values()} == {(device, dtype)}
        assert (moved.name, moved.base_sha256) == ("waves", "f" * 64)


def test_a_foreign_style_is_told_which_base_it_needs(random_base, monkeypatch):
    base = replace(random_base, sha256="e" * 64)
    with pytest.raises(BaseMismatchError) as unknown:
        MADE_UP.require_base(base)
    assert str(unknown.value) == (
        "Style 'waves' was made for base ffffffffffff, but the loaded base is eeeeeeeeeeee. "
        "Load the base it was made for, or adapt it again."
    )
    monkeypatch.setattr(style_module, "shipped_name", {"f" * 64: "main"}.get)
    with pytest.raises(BaseMismatchError) as known:
        MADE_UP.require_base(base)
    assert str(known.value) == (
        "Style 'waves' was made for base ffffffffffff (main), but the loaded base is eeeeeeeeeeee. "
        "Load the main base, or adapt the painting to the loaded one: with 0 steps, an instant "
        "style, that takes a second."
    )


def test_a_small_picture_is_webp_of_at_most_192_px():
    large = picture(100, 400).half().requires_grad_()
    style = MADE_UP.with_thumbnail(large).with_painting(large[0])
    assert style.thumbnail == style.painting
    with Image.open(BytesIO(style.thumbnail)) as image:
        assert (image.format, image.size) == ("WEBP", (192, 48))


@pytest.mark.parametrize("fitting", [80, 30, 0])
def test_a_small_picture_has_the_best_quality_that_fits(monkeypatch, fitting):
    tried = []

    class Drawn:
        def save(self, buffer, *, format: str, quality: int, method: int) -> None:
            assert (format, method) == ("WEBP", 6)
            tried.append(quality)
            buffer.write(bytes(4600 if quality == fitting else 4601))

    monkeypatch.setattr(style_module, "to_pil", lambda _: Drawn())
    assert len(MADE_UP.with_thumbnail(picture(16, 16)).thumbnail) == (4600 if fitting else 4601)
    steps = [80, 70, 60, 50, 40, 30, 20, 5]
    assert tried == (steps[: steps.index(fitting) + 1] if fitting else steps)


def test_a_file_holds_each_part_under_its_name(tmp_path):
    small = MADE_UP.with_thumbnail(picture(16, 16))
    style = replace(
        small.with_painting(1 - picture(16, 16)), settings={"steps": 3}, losses={"total": 2}
    )
    save_style(style, tmp_path / "a.safetensors", half=True)
    file = read_tensors(tmp_path / "a.safetensors", file_format=STYLE_FORMAT)
    assert {t.dtype for t in file.tensors.values()} == {torch.float16}
    told = file.metadata
    assert (told["base_sha256"], told["mode"], told["name"]) == ("f" * 64, "norm", "waves")
    assert (json.loads(told["settings"]), json.loads(told["losses"])) == (
        {"steps": 3},
        {"total": 2},
    )
    loaded = load_style(tmp_path / "a.safetensors")
    assert {t.dtype for t in loaded.fast_weights.values()} == {torch.float32}
    assert loaded.losses == {"total": 2.0}
    assert loaded.settings == {"steps": 3}
    assert style.thumbnail != style.painting
    assert (loaded.thumbnail, loaded.painting) == (style.thumbnail, style.painting)
    save_style(MADE_UP, tmp_path / "b.safetensors")
    assert read_tensors(tmp_path / "b.safetensors").tensors["a"].dtype == torch.float32
    loaded = load_style(tmp_path / "b.safetensors")
    assert (loaded.thumbnail, loaded.painting, loaded.statistics) == (None, None, None)


def test_what_a_header_lacks_is_told_in_one_line(tmp_path):
    path = tmp_path / "a.safetensors"
    whole = {"base_sha256": "f", "mode": "norm", "settings": "{}", "losses": "{}"}

    def load_without(key: str, **changed: str) -> AdaptedStyle:
        metadata = {k: v for k, v in (whole | changed).items() if k != key}
        write_tensors(path, MADE_UP.fast_weights, file_format=STYLE_FORMAT, metadata=metadata)
        return load_style(path)

    assert load_without("name").name == "a"
    for key, line in (
        ("mode", "unknown adaptation mode 'None'; update MetaStyle."),
        ("losses", "header entry 'losses' is missing or damaged; download or save it again."),
        ("settings", "header entry 'settings' is missing or damaged; download or save it again."),
    ):
        with pytest.raises(CheckpointError) as told:
            load_without(key)
        assert str(told.value) == f"{path}: {line}"
    with pytest.raises(CheckpointError) as told:
        load_without("base_sha256")
    assert str(told.value) == f"{path} does not say which base it belongs to; adapt it again."
    with pytest.raises(CheckpointError) as told:
        load_without("name", losses='{"total": "much"}')
    assert str(told.value) == (
        f"{path}: its header is damaged (could not convert string to float: 'much'); "
        "download or save it again."
    )


def test_the_first_three_tensors_that_do_not_fit_are_named(random_base):
    style = make_style(random_base, 1)
    first, *others = sorted(style.fast_weights)
    weights = {first: style.fast_weights[first], "more": torch.zeros(1)}
    with pytest.raises(CheckpointError) as told:
        check_style(replace(style, fast_weights=weights), random_base)
    assert str(told.value) == (
        f"Style 'style 1' has missing, unknown or misshapen tensors {others[:3]}; adapt it again."
    )
    weights = {**style.fast_weights, "more": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"misshapen tensors \['more'\]; "):
        check_style(replace(style, fast_weights=weights), random_base)
