"""What the steps of an adaptation promise beside a falling loss: order, schedule, guard, choice."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from samples import picture
from torch import Generator

from metastyle_core import adaptation
from metastyle_core.adaptation import AdaptationSettings, adapt_to_style
from metastyle_core.errors import AdaptationDiverged
from metastyle_core.losses import LossTerms
from metastyle_core.stylization import stylize_as_usual

QUICK = AdaptationSettings(
    steps=6, batch=2, content_count=4, content_size_px=64, style_size_px=64, precision="fp32"
)


@pytest.fixture
def style_image():
    return picture(70, 90, seed=1)


@pytest.fixture(scope="module")
def contents():
    return torch.cat([picture(64, 64, seed=s) for s in range(3)])


@pytest.fixture
def script(monkeypatch):
    """Let the total be what a script says, step by step, while gradients stay the real ones."""

    def follow(totals):
        values, original = iter(totals), adaptation.perceptual_loss

        def scripted(*arguments):
            terms = original(*arguments)
            total = terms.total + (next(values) - terms.total.detach())
            return LossTerms(terms.content, terms.style, total)

        monkeypatch.setattr(adaptation, "perceptual_loss", scripted)

    return follow


def states_drawn(base, encoder, style_image, contents, steps):
    """A style; what it draws of the first content; and what its state drew after each step."""
    previews = []
    style = adapt_to_style(
        base, encoder, [style_image], contents, replace(QUICK, steps=steps),
        on_step=lambda report: previews.append(report.preview()), preview_images=contents[:1],
    )  # fmt: skip
    # At once, so at its own size.
    drawn = stylize_as_usual(base, style, contents[:1], precision="fp32", supersampling=1.0)
    return style, drawn, previews


def test_the_best_state_met_is_returned_and_not_the_last(
    random_base, tiny_encoder, style_image, contents, script
):
    # Averaged, the last ones more: 5, 3.42, 3.63, 4.90, 5.66; the choice begins with the third.
    script([5.0, 2.0, 4.0, 8.0, 8.0])
    style, drawn, previews = states_drawn(random_base, tiny_encoder, style_image, contents, 5)
    assert [torch.allclose(drawn, each, atol=1e-5) for each in previews] == [
        False, False, True, False, False,
    ]  # fmt: skip
    assert style.losses["total"] == pytest.approx((0.81 * 5 + 0.9 * 2 + 4) / (0.81 + 0.9 + 1))


def test_an_easy_content_in_the_first_step_does_not_end_the_choice(
    random_base, tiny_encoder, style_image, contents, script
):
    script([1.0, 6.0, 6.0, 6.0, 4.0, 3.0, 3.0, 3.0])
    _, drawn, previews = states_drawn(random_base, tiny_encoder, style_image, contents, 8)
    torch.testing.assert_close(drawn, previews[-1], rtol=0, atol=1e-5)
    assert not torch.allclose(drawn, previews[0], atol=1e-5)


def test_a_loss_that_explodes_is_retried_once_and_then_named(
    random_base, tiny_encoder, style_image, contents, script
):
    steps = []
    script([1.0, 10.1, 1.0, 10.1])
    with pytest.raises(AdaptationDiverged, match=r"became 10\.1 at step 2 \(before: 1\)"):
        adapt_to_style(
            random_base, tiny_encoder, [style_image], contents, QUICK,
            on_step=lambda report: steps.append(report.step),
        )  # fmt: skip
    assert steps == [1, 1]


def test_a_loss_just_below_the_alarm_goes_on(
    random_base, tiny_encoder, style_image, contents, script
):
    script([1.0, 9.9, 9.9])
    settings = replace(QUICK, steps=3)
    style = adapt_to_style(random_base, tiny_encoder, [style_image], contents, settings)
    assert style.losses["total"] == pytest.approx((0.9 + 9.9) / 1.9)


def test_the_rate_rises_over_a_tenth_of_the_steps_and_falls_along_a_cosine(
    random_base, tiny_encoder, style_image, contents, monkeypatch
):
    rates, original = [], torch.optim.Adam.step

    def step(self, *arguments, **options):
        rates.append(self.param_groups[0]["lr"])
        return original(self, *arguments, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    settings = replace(QUICK, steps=20, learning_rate=0.01)
    adapt_to_style(random_base, tiny_encoder, [style_image], contents, settings)
    assert len(rates) == 20
    assert rates[0] == pytest.approx(0.005)
    assert rates[1] == pytest.approx(0.01 * (1 + math.cos(math.pi / 20)) / 2)
    assert rates[10] == pytest.approx(0.005)
    assert rates[15] == pytest.approx(0.01 * (1 - math.sqrt(0.5)) / 2)
    assert rates[19] == pytest.approx(0.01 * (1 - math.cos(math.pi / 20)) / 2)


def test_the_schedule_by_hand():
    assert [adaptation.rate_share(step, 2) for step in (1, 2)] == pytest.approx([1, 0.5])
    rates = [adaptation.rate_share(step, 100) for step in (1, 5, 10, 51, 76)]
    slopes = [0.5 * (1 + math.cos(math.pi * done / 100)) for done in (0, 4, 9)]
    assert rates[:3] == pytest.approx([0.1 * slopes[0], 0.5 * slopes[1], slopes[2]])
    assert rates[3:] == pytest.approx([0.5, 0.5 - math.sqrt(0.125)])


def test_losses_are_averaged_and_the_best_average_kept():
    tracker = adaptation._LossTracker(steps=6)
    assert tracker.add({"total": 10.0, "style": 2.0}, 1)
    assert tracker.best == pytest.approx({"total": 10.0, "style": 2.0})
    assert tracker.add({"total": 0.0, "style": 4.0}, 2)
    assert tracker.best == pytest.approx({"total": 9 / 1.9, "style": (1.8 + 4) / 1.9})
    assert tracker.add({"total": 20.0, "style": 0.0}, 3), "half of the steps only average"
    assert tracker.best["total"] == pytest.approx((8.1 + 20) / 2.71)
    assert tracker.add({"total": 0.0, "style": 0.0}, 4)
    assert tracker.best["total"] == pytest.approx((7.29 + 18) / 3.439)
    assert not tracker.add({"total": 20.0, "style": 0.0}, 5)
    assert tracker.best["style"] == pytest.approx((1.458 + 3.24) / 3.439)


def test_until_half_of_few_steps_are_averaged_the_latest_state_counts_as_the_best():
    for steps, averaged in ((6, 3), (5, 3), (40, 10)):
        tracker = adaptation._LossTracker(steps)
        chosen = [tracker.add({"total": float(step)}, step) for step in range(1, averaged + 3)]
        assert chosen == [True] * averaged + [False, False]


def test_of_states_that_are_alike_the_latest_is_kept():
    tracker = adaptation._LossTracker(steps=2)
    assert all(tracker.add({"total": 0.0}, step) for step in (1, 2, 3))


@pytest.mark.parametrize(
    ("usual", "last"), [(1.0, 10.1), (0.01, 0.11), (1.0, float("nan")), (1.0, float("inf"))]
)
def test_a_loss_beyond_ten_times_the_usual_one_is_an_explosion(usual, last):
    tracker = adaptation._LossTracker(steps=6)
    tracker.add({"total": usual}, 1)
    tracker.add({"total": 10 * usual}, 2)
    tracker = adaptation._LossTracker(steps=6)
    tracker.add({"total": usual}, 1)
    words = (
        rf"^The loss became {last:.3g} at step 2 \(before: {usual:.3g}\), also at a lower rate\. "
        r"Lower the learning rate or the style weight\.$"
    )
    with pytest.raises(AdaptationDiverged, match=words):
        tracker.add({"total": last}, 2)


def test_contents_come_in_a_new_order_whenever_all_were_used():
    loop = SimpleNamespace(settings=replace(QUICK, batch=2), _contents=torch.zeros(6, 1))
    batches = adaptation._InnerLoop._batches(loop, Generator().manual_seed(0))
    rounds = [torch.cat([next(batches) for _ in range(3)]).tolist() for _ in range(4)]
    assert all(sorted(each) == list(range(6)) for each in rounds)
    assert len({tuple(each) for each in rounds}) == 4
    assert list(range(6)) not in rounds


@pytest.mark.parametrize(
    ("batch", "side_px", "count"),
    [(2, 64, 2), (8, 64, 8), (2, 32, 2), (2, 65, 1), (2, 300, 1), (8, 128, 2), (9, 90, 4)],
)
def test_a_batch_holds_fewer_of_larger_contents(batch, side_px, count):
    """As many as have the pixels of the batch at 64 px."""
    contents = torch.zeros(1, 1, 1, 1).expand(12, 3, side_px, side_px)
    loop = SimpleNamespace(settings=replace(QUICK, batch=batch), _contents=contents)
    batches = adaptation._InnerLoop._batches(loop, Generator().manual_seed(0))
    assert len(next(batches)) == count


def test_every_batch_is_a_full_one():
    loop = SimpleNamespace(settings=replace(QUICK, batch=2), _contents=torch.zeros(5, 1))
    batches = adaptation._InnerLoop._batches(loop, Generator().manual_seed(0))
    assert [len(next(batches)) for _ in range(6)] == [2] * 6


def test_contents_have_strokes_from_anywhere_on_the_relief_and_of_every_strength(monkeypatch):
    def slope(height, width, generator, device):
        down, right = torch.arange(float(height)), torch.arange(float(width))
        return (1 + down[:, None] + 1000 * right)[None, None].double()

    monkeypatch.setattr(adaptation, "drawn_relief", slope)
    monkeypatch.setattr(adaptation, "in_touches", lambda content, relief, _: (content, relief))
    contents = torch.zeros(1500, 3, 4, 5)
    grain = adaptation._Contents.of(contents, QUICK, 1.0, None).strokes[:, 0]
    assert grain.shape == (1500, 4, 5)
    strengths = grain[:, 1, 0] - grain[:, 0, 0]
    wanted = (torch.arange(1500) + 0.5).double() / 1500
    torch.testing.assert_close(strengths.sort().values, wanted, rtol=0, atol=1e-6)
    assert not torch.equal(strengths, wanted)
    corners = (grain[:, 0, 0] / strengths - 1).round().long()
    for places in (corners % 1000, corners // 1000):
        assert set(places.tolist()) == set(range(129))
    alone, smooth = (
        adaptation._Contents.of(contents[:1], QUICK, brushwork, None).strokes[0, 0]
        for brushwork in (1.0, 0.0)
    )
    assert (alone[1, 0] - alone[0, 0]).item() == pytest.approx(0.5)
    assert (smooth[1, 0] - smooth[0, 0]).item() == pytest.approx(0.125)


def test_crops_of_the_shipped_photographs_come_from_the_seed(random_base):
    first, again, other = (
        adaptation._shipped_contents(random_base, replace(QUICK, seed=seed), None)
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_style_picture_keeps_within_a_megapixel():
    wide = torch.rand(1, 3, 64, 4096)
    settings, cpu = AdaptationSettings(style_size_px=768), torch.device("cpu")
    scaled, whole = (
        adaptation._prepare_styles([image], None, settings, cpu)[0]
        for image in (wide, wide[..., :64])
    )
    assert scaled.pixels.shape == (1, 3, 128, 8192)
    assert whole.pixels.shape == (1, 3, 768, 768)
