"""Timings: what is compared draws the same, and the table has a row for everything."""

from functools import partial

import pytest
import torch
from samples import low_rank_style, picture

from metastyle_core import speed
from metastyle_core.adaptation import AdaptationSettings
from metastyle_core.finishing import AS_DRAWN
from metastyle_core.stylization import stylize


def test_the_plain_network_draws_the_same_picture(random_base):
    style, images = low_rank_style(random_base, 1), picture(40, 53)
    plain = speed._plain_network(random_base, style)
    ours = stylize(random_base, style, images, precision="fp32", colouring=AS_DRAWN)
    torch.testing.assert_close(plain(images).clamp(0, 1), ours, rtol=0, atol=1e-5)


def test_the_table_has_a_row_for_every_way(random_base, tiny_encoder, monkeypatch):
    few = partial(AdaptationSettings, steps=2, content_count=2, content_size_px=64,
                  style_size_px=64)  # fmt: skip
    monkeypatch.setattr(speed, "AdaptationSettings", few)
    monkeypatch.setattr(speed, "_picture", lambda *_: picture(64, 64))
    monkeypatch.setattr(speed, "_random_vgg19", lambda _: tiny_encoder)
    rows = speed.measure_speed(random_base, tiny_encoder, rounds=1, precision="fp32")
    assert [(row.name, row.unit) for row in rows] == [
        ("stylize 256 px", "ms per image"),
        ("stylize 512 px", "ms per image"),
        ("stylize 1024 px", "ms per image"),
        ("stylize 512 px: plain eager fp32 forward / ours", "times"),
        ("stylize 512 px: plain eager fp32 forward / ours in fp32", "times"),
        ("adaptation step, compact", "ms"),
        ("adaptation step, vgg19", "ms"),
        ("adaptation step: vgg19 / compact", "times"),
        ("default style (2 steps, norm)", "s"),
        ("peak memory", "MiB"),
    ]
    assert all(row.value > 0 for row in rows)


def test_the_middle_of_several_ratios_of_neighbours_counts(monkeypatch):
    # Pairs of 2 and 1 s, 9 and 3 s, 4 and 1 s.
    times = iter([2.0, 1.0, 9.0, 3.0, 4.0, 1.0])
    monkeypatch.setattr(speed, "_seconds", lambda _: next(times))
    assert speed._median_ratio(lambda: None, lambda: None, 3) == pytest.approx(3.0)
