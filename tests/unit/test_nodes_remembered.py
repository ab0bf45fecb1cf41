"""What was adapted in this run of the host is not adapted again, and memory stays bounded."""

import pytest
import torch
from unit.conftest import image
from unit.fake_host import FakeMemoryError, Interrupted


@pytest.fixture
def counted(pack, monkeypatch):
    """How often the steps are really taken."""
    module, runs = pack.nodes.hosting.bounded_adaptation, []
    whole = module.adapt_to_style

    def counting(*arguments, **options):
        runs.append(1)
        return whole(*arguments, **options)

    monkeypatch.setattr(module, "adapt_to_style", counting)
    return runs


def test_a_seed_that_comes_back_brings_its_style_at_once(adapt, counted, caplog):
    caplog.set_level("INFO")
    first, other, again = (adapt(seed=seed) for seed in (1, 2, 1))
    assert len(counted) == 2
    for name, weights in first.style.fast_weights.items():
        assert torch.equal(again.style.fast_weights[name], weights)
    assert torch.equal(again.preview, first.preview)
    assert not torch.equal(other.preview, first.preview)
    assert (again.report, again.ui) == (first.report, first.ui)
    assert again.ui["metastyle_losses"]
    assert "MB of styles are kept" in caplog.text


CHANGES = {
    "pictures": {"style_images": image(72, 80, seed=9)},
    "contents": {"content_images": image(80, 80)},
    "mask": {"style_mask": torch.ones(1, 72, 80)},
    "steps": {"steps": 3},
    "weight": {"style_weight": 5.0},
    "mode": {"mode": "full"},
    "statistics": {"keep_statistics": True},
}


def test_whatever_changes_is_adapted(adapt, counted):
    adapt()
    for number, (change, inputs) in enumerate(CHANGES.items(), start=2):
        adapt(**inputs)
        assert len(counted) == number, change
    for inputs in ({}, *CHANGES.values()):
        adapt(**inputs)
    assert len(counted) == 1 + len(CHANGES)


def test_a_style_that_goes_on_from_another_is_its_own(adapt, counted):
    start = adapt(seed=5).style
    for resume in (start, adapt(seed=6).style, start):
        adapt(resume=resume)
    assert len(counted) == 4


def test_what_was_stopped_or_cancelled_is_adapted_anew(adapt, counted, pack, fake_host):
    whole = pack.nodes.hosting.watcher.Watcher.__call__

    def stopping(self, report):
        self.stopping = True
        return whole(self, report)

    pack.nodes.hosting.watcher.Watcher.__call__ = stopping
    assert adapt().style.settings["stopped_after"] == 1
    pack.nodes.hosting.watcher.Watcher.__call__ = whole
    fake_host.interrupt_after = fake_host.checks
    with pytest.raises(Interrupted):
        adapt()
    fake_host.interrupt_after = None
    assert "stopped_after" not in adapt().style.settings
    assert len(counted) == 3


# For which arguments of which function of which file memory is too short.
LACKS = {
    "contents in quarters": (
        "bounded_adaptation", "adapt_to_style", lambda given: given[3].shape[-1] > 64,
    ),
    "half the batch": (
        "bounded_adaptation", "adapt_to_style",
        lambda given: given[3].shape[-1] > 64 or given[4].batch > 1,
    ),
    "no statistics": ("bounded_adaptation", "measure_statistics", lambda _: True),
    "a small preview": ("previews", "stylize_as_usual", lambda given: max(given[2].shape) > 100),
    "a preview without the style": ("previews", "stylize_as_usual", lambda _: True),
    "no thumbnail": ("previews", "draw_thumbnail", lambda _: True),
}  # fmt: skip


@pytest.mark.parametrize("lack", LACKS)
def test_what_memory_was_too_short_for_is_adapted_anew(adapt, counted, pack, monkeypatch, lack):
    file, name, is_too_much = LACKS[lack]
    module = getattr(pack.nodes.hosting, file)
    enough, failed = getattr(module, name), []

    def greedy(*arguments, **options):
        if is_too_much(arguments):
            failed.append(1)
            raise FakeMemoryError
        return enough(*arguments, **options)

    inputs = {"content_images": image(128, 128), "keep_statistics": True}
    monkeypatch.setattr(module, name, greedy)
    adapt(**inputs)
    assert failed
    monkeypatch.setattr(module, name, enough)
    whole = adapt(**inputs)
    assert len(counted) == 2
    assert whole.style.settings["contents"] == 1
    assert whole.style.statistics is not None
    assert whole.style.thumbnail is not None
    assert whole.preview.shape == (1, 128, 128, 3)
    assert adapt(**inputs).style is whole.style, "what is whole is kept"
    assert len(counted) == 2


def test_the_oldest_go_where_there_is_no_room(pack):
    kept = pack.nodes.hosting.remembered.Remembered(most_bytes=10)
    kept.keep("a", 1, 4)
    kept.keep("b", 2, 4)
    assert kept.get("a") == 1
    kept.keep("c", 3, 4)
    assert [kept.get(key) for key in "abc"] == [1, None, 3]
    kept.keep("d", 4, 11)
    assert (kept.get("d"), kept.bytes_kept) == (None, 8)
