"""What a meta-update reads: style weights, shifts, shares of processes, and its settings."""

from dataclasses import replace

import pytest
import torch
from torch import Generator
from unit.small_training import META

from metastyle_core.errors import SettingsError
from metastyle_core.training.recipe import Shard
from metastyle_core.training.tasks import MetaSettings, TaskSampler


def test_style_weights_are_drawn_from_their_range_and_below(pool):
    settings = replace(META, styles=2000, style_weight_range=(5.0, 40.0), light_tasks=0.25)
    drawn = TaskSampler(pool, pool, settings)._draw_style_weights(Generator().manual_seed(0))
    assert 0 <= drawn.min() < 0.1
    assert 39 < drawn.max() <= 40
    assert float((drawn < 5).float().mean()) == pytest.approx(0.25, abs=0.03)
    usual = drawn[drawn >= 5]
    assert float(usual.log().mean().exp()) == pytest.approx(200**0.5, rel=0.05)


def test_shifts_fall_everywhere_between_the_strides_but_on_them(pool):
    generator = Generator().manual_seed(0)
    moving = TaskSampler(pool, pool, replace(META, shift_weight=1.0))
    drawn = {moving._draw_shift(generator) for _ in range(300)}
    assert drawn == {(down, right) for down in range(4) for right in range(4)} - {(0, 0)}
    assert moving.sample(generator, Shard()).shift_px in drawn
    assert TaskSampler(pool, pool, META).sample(generator, Shard()).shift_px == (0, 0)


def test_shards_together_read_what_one_process_reads(tiny_encoder, pool):
    settings = replace(
        META, styles=4, support=2, query=1, style_weight_range=(5.0, 40.0), grain=1.0, patterns=0.5
    )
    sampler = TaskSampler(pool, pool, settings)
    whole = sampler.sample(Generator().manual_seed(1), Shard())
    parts = [sampler.sample(Generator().manual_seed(1), Shard(r, 2)) for r in range(2)]
    for rank, part in enumerate(parts):
        rows = torch.arange(rank, 4, 2)
        wanted = whole.select(rows)
        assert torch.equal(part.styles, wanted.styles)
        assert torch.equal(part.support_contents, wanted.support_contents)
        assert torch.equal(part.query_contents, wanted.query_contents)
        assert torch.equal(part.style_weights, wanted.style_weights)
        assert torch.equal(part.query_grain, wanted.query_grain)
        assert part.seed == wanted.seed
    assert len(set(whole.style_weights.tolist())) == 4


def test_support_and_query_share_no_picture(pool):
    sampler = TaskSampler(pool, pool, replace(META, styles=2, support=3, query=3))
    tasks = sampler.sample(Generator().manual_seed(2), Shard())
    for support in tasks.support_contents:
        assert not any(torch.equal(support, query) for query in tasks.query_contents)


@pytest.mark.parametrize(
    "wrong",
    [
        {"inner_steps": -1},
        {"inner_lr": 0.0},
        {"crop_px": 8},
        {"channels": 0},
        {"style_weight_range": (0.0, 1.0)},
        {"style_weight_range": (9.0, 1.0)},
        {"light_tasks": 2.0},
        {"shift_weight": -1.0},
    ],
)
def test_illegal_settings_of_a_meta_update_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        MetaSettings(**wrong)


def test_reptile_without_an_inner_step_is_refused():
    with pytest.raises(SettingsError, match="Reptile needs at least one inner step"):
        replace(META, algorithm="reptile", inner_steps=0)
