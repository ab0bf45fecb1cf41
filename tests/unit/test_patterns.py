"""Made-up styles: two colours each, repeatable, the same on every process."""

from dataclasses import replace

import pytest
import torch
from samples import picture

from metastyle_core.training import patterns
from metastyle_core.training.data import ImagePool
from metastyle_core.training.patterns import as_pattern
from metastyle_core.training.recipe import Shard
from metastyle_core.training.tasks import MetaSettings, TaskSampler


@pytest.mark.parametrize("kind", patterns._KINDS, ids=lambda kind: kind.__name__.strip("_"))
def test_a_pattern_has_two_colours_at_most(kind, monkeypatch, generator):
    monkeypatch.setattr(patterns, "_KINDS", (kind,))
    drawn = as_pattern(picture(48, 60), generator)
    assert drawn.shape == (1, 3, 48, 60)
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    colours = drawn.flatten(2)[0].T.unique(dim=0)
    assert len(colours) == (1 if kind.__name__ == "_flat" else 2)


def test_halftone_and_dither_follow_the_picture(monkeypatch):
    dark_to_light = torch.linspace(0, 1, 96).expand(1, 3, 96, 96)
    for kind in (patterns._halftone, patterns._dither):
        mask = kind(dark_to_light[:, :1], torch.Generator().manual_seed(1))
        assert mask[..., :24].mean() < 0.3 < 0.7 < mask[..., -24:].mean()


def test_half_of_all_patterns_are_black_and_white(generator):
    drawn = [as_pattern(picture(16, 16), generator) for _ in range(200)]
    extremes = [bool(((d == 0) | (d == 1)).all() and d.min() < d.max()) for d in drawn]
    # Of six kinds five have two colours.
    assert 0.3 < sum(extremes) / len(extremes) < 0.55


def test_patterns_are_the_same_whatever_the_number_of_processes():
    pool = ImagePool([(picture(64, 64, seed=s)[0] * 255).byte() for s in range(3)])
    settings = MetaSettings(styles=12, crop_px=64, patterns=0.5, grain=0.5)
    sampler = TaskSampler(pool, pool, settings)

    def sample(shard):
        return sampler.sample(torch.Generator().manual_seed(5), shard)

    whole, halves = sample(Shard()), [sample(Shard(rank, 2)) for rank in range(2)]
    for name in ("styles", "query_contents", "query_touches", "style_weights"):
        parts = [getattr(half, name) for half in halves]
        joined = torch.stack(parts, dim=1).flatten(0, 1)
        assert torch.equal(joined, getattr(whole, name)), name
    assert {half.seed for half in halves} == {whole.seed}
    plain = TaskSampler(pool, pool, replace(settings, patterns=0.0)).sample(
        torch.Generator().manual_seed(5), Shard()
    )
    changed = (whole.styles != plain.styles).flatten(1).any(1)
    assert 0 < int(changed.sum()) < 12
