"""The reporting metric and the tables made of it."""

import pytest
import torch
from samples import picture

from metastyle_core.adaptation import AdaptationSettings
from metastyle_core.errors import SettingsError
from metastyle_core.evaluation import (
    Entry,
    evaluate,
    geometric_mean,
    score,
    structural_similarity,
    summarise,
)

QUICK = AdaptationSettings(
    batch=2, content_count=2, content_size_px=64, style_size_px=64, precision="fp32"
)


def test_the_content_itself_has_no_content_error_and_full_similarity(tiny_encoder):
    content, style = picture(64, 64, seed=1), picture(64, 64, seed=2)
    result = score(tiny_encoder, content, content, style)
    assert result.content == 0
    assert result.ssim == pytest.approx(1)
    assert result.total == pytest.approx(20 * result.style)
    assert result.style == pytest.approx(sum(result.style_layers.values()) / 2)


def test_the_style_itself_has_no_style_error(tiny_encoder):
    content, style = picture(64, 64, seed=1), picture(64, 64, seed=2)
    assert score(tiny_encoder, style, content, style).style == pytest.approx(0, abs=1e-12)


def test_similarity_falls_with_noise(generator):
    image = picture(64, 64)
    values = [
        structural_similarity(
            image, (image + s * torch.randn(image.shape, generator=generator)).clamp(0, 1)
        )
        for s in (0.0, 0.05, 0.2)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(1)


def test_geometric_mean_by_hand():
    assert geometric_mean([1.0, 4.0, 16.0]) == pytest.approx(4.0)


def test_summaries_are_geometric_over_styles():
    def entry(total: float) -> Entry:
        return Entry("s", "norm", 10, 0.1, 0.2, total, 0.5, {}, 1.0)

    (row,) = summarise([entry(1.0), entry(4.0)])
    assert row["total"] == pytest.approx(2.0)
    assert row["styles"] == 2


def test_evaluation_yields_every_combination_and_hands_over_pictures(random_base, tiny_encoder):
    pictures = []
    entries = list(
        evaluate(
            random_base,
            tiny_encoder,
            tiny_encoder,
            {"one": picture(64, 64, seed=1), "two": picture(64, 64, seed=2)},
            [picture(64, 64, seed=3)],
            modes=["norm", "scratch"],
            steps=[0, 3],
            settings=QUICK,
            on_picture=lambda *told: pictures.append(told[:3]),
        )
    )
    found = [(e.style_name, e.mode, e.steps) for e in entries]
    assert found == [(s, m, n) for s in ("one", "two") for m in ("norm", "scratch") for n in (0, 3)]
    assert pictures == found
    assert all(e.total > 0 for e in entries)


def test_unknown_modes_are_refused(random_base, tiny_encoder):
    with pytest.raises(SettingsError, match="scratch"):
        next(
            evaluate(
                random_base, tiny_encoder, tiny_encoder, {"a": picture(64, 64)}, [],
                modes=["other"], steps=[0], settings=QUICK,
            )
        )  # fmt: skip
