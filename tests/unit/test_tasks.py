"""What a meta-update reads: style weights, shifts, shares of processes, and its settings."""

import itertools
import math
from dataclasses import fields, replace

import pytest
import torch
from torch import Generator
from unit.small_training import META

from metastyle_core.errors import SettingsError
from metastyle_core.network import MAX_BLOCKS, MAX_CHANNELS
from metastyle_core.touches import in_touches
from metastyle_core.training import tasks as tasks_module
from metastyle_core.training.recipe import Shard
from metastyle_core.training.tasks import MetaSettings, TaskSampler


@pytest.fixture
def touched(monkeypatch):
    """What was painted over: pictures, relief, amounts and axes that wrap."""
    calls = []

    def look(*arguments):
        calls.append(arguments)
        return in_touches(*arguments)

    monkeypatch.setattr(tasks_module, "in_touches", look)
    return calls


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


def test_the_judge_begins_anywhere_up_to_its_shift(pool):
    generator = Generator().manual_seed(0)
    moving = TaskSampler(pool, pool, replace(META, judge_shift=3))
    drawn = {moving._draw_judged_from(generator) for _ in range(300)}
    assert drawn == set(itertools.product(range(4), repeat=2))
    sampled = {moving.sample(generator, Shard()).judged_from for _ in range(30)}
    assert len(sampled) > 5
    assert sampled <= drawn
    still = TaskSampler(pool, pool, META)
    assert {still.sample(generator, Shard()).judged_from for _ in range(10)} == {(0, 0)}


def test_contents_wrap_in_their_share_of_updates_and_move_then_too(pool):
    settings = replace(META, shift_weight=1.0, wrapping=0.25)
    sampler, generator = TaskSampler(pool, pool, settings), Generator().manual_seed(0)
    drawn = [sampler.sample(generator, Shard()) for _ in range(200)]
    assert 30 < sum(tasks.seamless == "both" for tasks in drawn) < 70
    assert {tasks.seamless for tasks in drawn} == {"both", "none"}
    assert all(tasks.shift_px != (0, 0) for tasks in drawn)


def test_contents_that_wrap_go_on_at_their_edges_and_end_in_the_middle(pool, touched):
    drawn = [
        TaskSampler(pool, pool, replace(META, grain=1.0, wrapping=share)).sample(
            Generator().manual_seed(4), Shard()
        )
        for share in (0.0, 1.0)
    ]
    assert [call[3] for call in touched] == [tasks.seamless for tasks in drawn] == ["none", "both"]
    usual, wrapping = (
        (tasks.query_contents, *call[:2]) for tasks, call in zip(drawn, touched, strict=True)
    )
    for found, plain in zip(wrapping, usual, strict=True):
        quarters = [plain[..., a : a + 32, b : b + 32] for a in (32, 0) for b in (32, 0)]
        top, bottom = torch.cat(quarters[:2], 3), torch.cat(quarters[2:], 3)
        assert torch.equal(found, torch.cat([top, bottom], 2))


@pytest.mark.parametrize(("share", "wanted"), [(0.0, "none"), (1.0, "both")])
def test_no_content_wraps_or_all_of_them_do(pool, share, wanted):
    sampler = TaskSampler(pool, pool, replace(META, wrapping=share))
    generator = Generator().manual_seed(0)
    assert {sampler.sample(generator, Shard()).seamless for _ in range(20)} == {wanted}


def test_shards_together_read_what_one_process_reads(tiny_encoder, pool):
    settings = replace(META, styles=4, support=2, query=3, style_weight_range=(5.0, 40.0))
    settings = replace(settings, grain=1.0, patterns=0.5, shift_weight=1.0, wrapping=0.5)
    settings = replace(settings, abstraction=0.5, judge_shift=16)
    sampler = TaskSampler(pool, pool, settings)
    whole = sampler.sample(Generator().manual_seed(1), Shard())
    assert whole.styles.shape == (4, 3, 64, 64)
    assert whole.support_contents.shape == (8, 3, 64, 64)
    assert whole.query_contents.shape == (12, 3, 64, 64)
    assert whole.query_touches.shape == (12, 4, 64, 64)
    assert len({tuple(strokes.flatten().tolist()) for strokes in whole.query_touches[:, 3]}) > 6
    parts = [sampler.sample(Generator().manual_seed(1), Shard(r, 2)) for r in range(2)]
    for rank, part in enumerate(parts):
        rows = torch.arange(rank, 4, 2)
        wanted = whole.select(rows)
        assert torch.equal(part.styles, wanted.styles)
        assert torch.equal(part.support_contents, wanted.support_contents)
        assert torch.equal(part.query_contents, wanted.query_contents)
        assert torch.equal(part.style_weights, wanted.style_weights)
        assert torch.equal(part.query_touches, wanted.query_touches)
        assert (part.seed, part.shift_px) == (wanted.seed, wanted.shift_px)
        assert (part.judged_from, part.seamless) == (wanted.judged_from, wanted.seamless)
    assert whole.judged_from != (0, 0)
    assert len(set(whole.style_weights.tolist())) == 4
    assert whole.seed > 2**32, "few seeds would repeat the projections of the style distance"
    assert len(sampler.sample(Generator().manual_seed(1), Shard(4, 5))) == 0


@pytest.mark.parametrize("wrapping", [0.0, 1.0])
def test_contents_of_the_outer_loss_are_painted_over_and_some_are_as_they_are(
    pool, wrapping, touched
):
    settings = replace(META, styles=12, inner_steps=1, wrapping=wrapping, grain=1.0)

    def tasks(largest):
        sampler = TaskSampler(pool, pool, replace(settings, abstraction=largest))
        return sampler.sample(Generator().manual_seed(5), Shard())

    plain, painted = tasks(0.0), tasks(0.5)
    assert torch.equal(painted.support_contents, plain.support_contents)
    assert torch.equal(painted.query_contents, plain.query_contents)
    assert torch.equal(plain.query_touches[:, :3], plain.query_contents)
    assert torch.equal(painted.query_touches[:, 3], plain.query_touches[:, 3])
    difference = (painted.query_touches[:, :3] - plain.query_contents).abs()
    same = difference.flatten(1).amax(1) < 1e-5
    assert 2 <= same.sum() <= len(same) // 2
    contents, relief, amounts, seamless = touched[-1]
    assert torch.equal(contents, plain.query_contents)
    assert (amounts == 0).sum() >= 2
    assert same[amounts == 0].all()
    assert 0.2 < amounts.max() < 0.5
    strongest, _ = in_touches(contents, relief, 0.5, seamless)
    furthest = (strongest - plain.query_contents).abs().flatten(1).mean(1)
    went = difference.flatten(1).mean(1)
    assert (went[~same] < furthest[~same]).all()


def test_contents_are_painted_over_where_no_strokes_are_read_too(pool):
    settings = replace(META, styles=12, inner_steps=0)
    plain, painted = (
        TaskSampler(pool, pool, replace(settings, abstraction=largest)).sample(
            Generator().manual_seed(5), Shard()
        )
        for largest in (0.0, 1.0)
    )
    assert plain.query_touches is None
    pictures, strokes = painted.query_touches.split([3, 1], dim=1)
    assert not strokes.any()
    changed = (pictures - plain.query_contents).abs().flatten(1).amax(1)
    assert (changed > 1e-2).sum() > 4


def test_support_and_query_share_no_picture(pool):
    sampler = TaskSampler(pool, pool, replace(META, styles=2, support=3, query=3))
    tasks = sampler.sample(Generator().manual_seed(2), Shard())
    assert len(tasks.support_contents) == len(tasks.query_contents) == 6
    for support in tasks.support_contents:
        assert not any(torch.equal(support, query) for query in tasks.query_contents)


def test_without_an_inner_step_no_support_is_read(pool):
    sampler = TaskSampler(pool, pool, replace(META, inner_steps=0, support=3))
    tasks = sampler.sample(Generator().manual_seed(2), Shard())
    assert (len(tasks.support_contents), len(tasks.query_contents)) == (0, 2)


def test_styles_alone_are_enlarged_before_their_crop(pool, monkeypatch):
    drawn = {}

    def draw(count, size_px, generator, *, max_scale=1.0):
        drawn[count] = max_scale
        return type(pool).draw(pool, count, size_px, generator, max_scale=max_scale)

    monkeypatch.setattr(pool, "draw", draw)
    settings = replace(META, styles=3, max_style_scale=2.5)
    TaskSampler(pool, pool, settings).sample(Generator().manual_seed(0), Shard())
    assert drawn == {3: 2.5, 6: 1.0}


def test_so_many_styles_become_patterns_as_were_asked_for(pool):
    def styles(share):
        sampler = TaskSampler(pool, pool, replace(META, styles=24, patterns=share))
        return sampler.sample(Generator().manual_seed(3), Shard()).styles

    plain, some, every = styles(0.0), styles(0.5), styles(1.0)
    changed = (some != plain).flatten(1).any(1)
    assert 6 <= changed.sum() <= 18
    assert torch.equal(some[changed], every[changed])
    assert (every != plain).flatten(1).any(1).all()


def test_reliefs_are_cut_anywhere_from_one(pool, monkeypatch):
    sizes = []

    def slope(height, width, generator, device):
        sizes.append((height, width))
        down, right = (torch.arange(n) for n in (height, width))
        return (down[:, None] + 1000 * right)[None, None]

    monkeypatch.setattr(tasks_module, "drawn_relief", slope)
    monkeypatch.setattr(tasks_module, "turned_relief", lambda relief, _: relief)
    sampler = TaskSampler(pool, pool, replace(META, styles=500, query=2, grain=0.5))
    relief = sampler._draw_relief(Generator().manual_seed(0))
    assert sizes == [(128, 128)]
    assert relief.shape == (1000, 1, 64, 64)
    assert torch.equal(relief[:, 0, -1, -1] - relief[:, 0, 0, 0], torch.full((1000,), 63063))
    corners = relief[:, 0, 0, 0]
    for places in (corners % 1000, corners // 1000):
        assert set(places.tolist()) == set(range(65))


def test_strokes_are_as_strong_as_was_asked_for(pool):
    sampler = TaskSampler(pool, pool, replace(META, styles=500, query=2, grain=0.5))
    strengths = sampler._draw_grain(Generator().manual_seed(0))
    assert strengths.shape == (1000,)
    assert (strengths == 0).float().mean().item() == pytest.approx(0.04, abs=0.02)
    assert strengths.mean().item() == pytest.approx(0.5 * 0.586, abs=0.01)
    assert 0.49 < strengths.max() <= 0.5


def test_a_third_of_the_contents_are_not_painted_over_and_the_others_by_any_amount(pool):
    sampler = TaskSampler(pool, pool, replace(META, styles=500, query=2, abstraction=0.6))
    amounts = sampler._draw_abstraction(Generator().manual_seed(0))
    assert amounts.shape == (1000,)
    assert (amounts == 0).float().mean().item() == pytest.approx(1 / 3, abs=0.04)
    assert amounts[amounts > 0].mean().item() == pytest.approx(0.3, abs=0.02)
    assert 0.59 < amounts.max() <= 0.6


def test_the_touches_of_each_content_lie_their_own_way(pool):
    sampler = TaskSampler(pool, pool, replace(META, styles=20, query=2, grain=1.0))
    ways = sampler._draw_relief(Generator().manual_seed(0))[:, 2:].mean((2, 3))
    angles = 0.5 * torch.atan2(ways[:, 1], ways[:, 0])
    quarters = ((angles + math.pi / 2) / (math.pi / 4)).long()
    assert set(quarters.tolist()) == {0, 1, 2, 3}


def test_tasks_without_grain_wrap_and_are_shared_out_as_others_are(pool):
    sampler = TaskSampler(pool, pool, replace(META, styles=4, wrapping=1.0))
    whole = sampler.sample(Generator().manual_seed(1), Shard())
    parts = [sampler.sample(Generator().manual_seed(1), Shard(rank, 2)) for rank in range(2)]
    for rank, part in enumerate(parts):
        wanted = whole.select(torch.arange(rank, 4, 2)).to(torch.device("cpu"))
        assert torch.equal(part.query_contents, wanted.query_contents)
        assert part.query_touches is wanted.query_touches is None


def test_tasks_move_to_a_device_whole(pool):
    sampler = TaskSampler(pool, pool, replace(META, support=2, shift_weight=1.0, grain=1.0))
    tasks = sampler.sample(Generator().manual_seed(0), Shard())
    moved = tasks.to(torch.device("meta"))
    for field in fields(tasks):
        before, after = getattr(tasks, field.name), getattr(moved, field.name)
        if isinstance(before, torch.Tensor):
            assert (after.device.type, after.shape) == ("meta", before.shape), field.name
        else:
            assert after == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"styles": 0},
        {"support": 0},
        {"query": 0},
        {"rank": 0},
        {"channels": MAX_CHANNELS + 1},
        {"blocks": 0},
        {"blocks": MAX_BLOCKS + 1},
        {"patterns": -0.1},
        {"grain": 1.1},
        {"abstraction": 1.1},
        {"smoothing": 1.1},
        {"style_weight_range": (1.0, math.inf)},
        {"inner_steps": -1},
        {"inner_lr": 0.0},
        {"crop_px": 8},
        {"channels": 0},
        {"style_weight_range": (0.0, 1.0)},
        {"style_weight_range": (9.0, 1.0)},
        {"light_tasks": 2.0},
        {"start_share": 1.1},
        {"shift_weight": -1.0},
        {"judge_shift": -1},
        {"judge_shift": 17, "crop_px": 64},
        {"wrapping": 1.1},
        {"crop_px": 130, "wrapping": 0.5},
    ],
)
def test_illegal_settings_of_a_meta_update_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        MetaSettings(**wrong)


def test_reptile_without_an_inner_step_is_refused():
    with pytest.raises(SettingsError, match="Reptile needs at least one inner step"):
        replace(META, algorithm="reptile", inner_steps=0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"algorithm": "reptile", "start_share": 0.5}, "no outer loss; leave start_share at 0"),
        ({"algorithm": "reptile", "wrapping": 0.5}, "no outer loss; leave wrapping at 0"),
        ({"algorithm": "reptile", "judge_shift": 8}, "no outer loss; leave judge_shift at 0"),
        (
            {"algorithm": "maml", "inner_optimizer": "adam"},
            "no second order; choose sgd, or fomaml",
        ),
        ({"inner_optimizer": "adam", "learn_inner_lr": True}, "choose sgd to learn them"),
    ],
)
def test_inner_loops_that_cannot_be_are_refused(wrong, words):
    with pytest.raises(SettingsError, match=words):
        MetaSettings(inner_steps=1, **wrong)


def test_the_smallest_the_furthest_and_the_control_without_an_inner_loop_are_possible():
    MetaSettings(inner_steps=0, channels=1, blocks=1, style_weight_range=(0.5, 0.5))
    MetaSettings(judge_shift=16, crop_px=64)
