"""Adaptation: it lowers the loss, harms nothing it was given, and says what is wrong."""

import re
from dataclasses import asdict, replace

import pytest
import torch
from samples import TOLERANCES, picture
from torch import Generator

from metastyle_core import adaptation
from metastyle_core import base as base_module
from metastyle_core.adaptation import (
    AdaptationSettings,
    StepReport,
    StopLearning,
    adapt_to_style,
    brush_for,
    refining_brush,
)
from metastyle_core.content import shipped_contents
from metastyle_core.encoder import PerceptualEncoder
from metastyle_core.errors import (
    AdaptationDiverged,
    BaseMismatchError,
    SettingsError,
    ShapeError,
)
from metastyle_core.grain import USUAL_GRAIN
from metastyle_core.losses import CONTENT_DISTANCES, LossSettings, perceptual_loss, style_target
from metastyle_core.network import adapted_weights, norm_parameter_names, stylize_with
from metastyle_core.stylization import stylize

QUICK = AdaptationSettings(
    steps=6, batch=2, content_count=4, content_size_px=64, style_size_px=64, precision="fp32"
)


@pytest.fixture
def style_image():
    return picture(70, 90, seed=1)


@pytest.fixture(scope="module")
def contents():
    return torch.cat([picture(64, 64, seed=s) for s in range(3)])


def snapshot(base):
    return {k: v.clone() for k, v in base.network.state_dict().items()}


def assert_untouched(base, before):
    for name, value in base.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None for p in base.network.parameters())


@pytest.mark.parametrize(
    ("mode", "rate"), [("norm", 2e-2), ("low_rank", 2e-2), ("decoder", 1e-4), ("full", 1e-4)]
)
def test_adaptation_lowers_the_loss_and_leaves_the_base_alone(
    random_base, tiny_encoder, style_image, contents, mode, rate
):
    before, reports = snapshot(random_base), []
    style = adapt_to_style(
        random_base,
        tiny_encoder,
        [style_image],
        contents,
        replace(QUICK, mode=mode, steps=15, learning_rate=rate),
        on_step=reports.append,
    )
    assert [r.step for r in reports] == list(range(1, 16))
    assert style.losses["total"] < reports[0].total
    assert tuple(style.fast_weights) == tuple(adapted_weights(random_base.network, mode, rank=4))
    assert style.base_sha256 == random_base.sha256
    assert_untouched(random_base, before)


@pytest.mark.parametrize("content_distance", CONTENT_DISTANCES)
def test_its_steps_are_adams_down_the_perceptual_loss(random_base, tiny_encoder, content_distance):
    """Written out once more, for one content and Gram matrices, which leave nothing to chance."""
    spec = replace(tiny_encoder.spec, content_layers=("relu1_1",))
    encoder = PerceptualEncoder(spec).requires_grad_(False)
    encoder.load_state_dict(tiny_encoder.state_dict())
    painting, content = picture(64, 80, seed=5), picture(64, 64, seed=2)
    loss = LossSettings(
        content_distance=content_distance, style_distance="gram", chroma_weight=300.0
    )
    settings = replace(
        QUICK, steps=3, loss=loss, initialisation="fixed", abstraction=0.0, levels=0.0
    )
    found = adapt_to_style(random_base, encoder, [painting], content, settings)

    network, target_of = random_base.network, ("relu1_1", "relu2_1")
    own = dict(network.named_parameters())
    weights = {n: own[n].detach().clone().requires_grad_() for n in norm_parameter_names(network)}
    target = style_target([encoder(painting, target_of)], [painting], "gram", Generator())
    kept = ("relu1_1",) if content_distance == "plain" else ("relu2_1",)
    wanted, optimizer = encoder(content, kept), torch.optim.Adam(weights.values())
    for rate in (0.08, 0.06, 0.02):  # a cosine from the mode's own rate towards nothing
        stylized = stylize_with(network, weights, content)
        own = encoder(stylized)
        terms = perceptual_loss(stylized, content, own, wanted, target, loss, Generator())
        optimizer.zero_grad()
        terms.total.mean().backward()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    assert found.losses["total"] > terms.total.item(), "smoothed"
    for name, weight in weights.items():
        torch.testing.assert_close(found.fast_weights[name], weight.detach())


def test_a_step_judges_by_what_the_seed_draws_and_by_what_counts(
    random_base, tiny_encoder, contents, monkeypatch
):
    original, asked = adaptation.style_target, []

    def look(features, images, distance, generator, shares):
        asked.append((distance, generator.initial_seed(), shares))
        return original(features, images, distance, generator, shares)

    monkeypatch.setattr(adaptation, "style_target", look)
    half = torch.zeros(1, 1, 80, 128)
    half[..., :64] = 1
    painting, settings = picture(80, 128, seed=1), replace(QUICK, style_size_px=80, seed=11)
    adapt_to_style(random_base, tiny_encoder, [painting], contents, settings, style_masks=[half])
    ((distance, seed, shares),) = asked
    assert (distance, seed) == ("sliced", 11)
    assert shares == pytest.approx([0.5], abs=0.02)


def test_pictures_are_read_at_the_layers_that_their_loss_asks_for(
    random_base, tiny_encoder, style_image, contents, monkeypatch
):
    spec = replace(tiny_encoder.spec, content_layers=("relu1_1",), style_layers=("relu2_1",))
    encoder = PerceptualEncoder(spec).requires_grad_(False)
    original, asked = PerceptualEncoder.forward, []

    def look(self, images, layers=None):
        asked.append(layers)
        return original(self, images, layers)

    monkeypatch.setattr(PerceptualEncoder, "forward", look)
    loss = LossSettings(content_distance="plain")
    settings = replace(QUICK, steps=1, loss=loss, initialisation="fixed")
    adapt_to_style(random_base, encoder, [style_image], contents, settings)
    of_drawn = None  # all that the encoder has
    assert asked == [("relu2_1",), *[("relu1_1",)] * len(contents), of_drawn]


def test_steps_compute_in_formats_that_gradients_bear(
    random_base, tiny_encoder, style_image, contents, monkeypatch
):
    original, asked = adaptation.autocast, []

    def look(precision, device, *, gradients=False):
        asked.append((precision, gradients))
        return original(precision, device, gradients=gradients)

    for module in (adaptation, base_module):
        monkeypatch.setattr(module, "autocast", look)
    settings = replace(QUICK, steps=1)
    adapt_to_style(random_base, tiny_encoder, [style_image], contents, settings)
    assert asked == [("fp32", False), ("fp32", True), ("fp32", True)], "prediction, targets, step"


def test_a_style_tells_how_it_was_made(random_base, tiny_encoder, style_image, contents):
    instant = replace(QUICK, steps=0)
    first = adapt_to_style(random_base, None, [style_image], settings=instant)
    wanted = asdict(instant) | {
        "rank": 0, "brushwork": 1.0, "encoder": None, "contents": "shipped", "style_images": 1,
        "resumed_from": None,
    }  # fmt: skip
    assert (first.name, first.mode) == ("style", "norm")
    assert (first.settings, first.losses) == (wanted, {})
    second = adapt_to_style(
        random_base, tiny_encoder, [style_image, style_image], contents, instant,
        name="wave", resume=first, style_masks=[torch.ones(1, 1, 70, 90)],
    )  # fmt: skip
    assert second.name == "wave"
    assert second.settings == wanted | {
        "encoder": "tiny", "contents": 3, "style_images": 2, "style_masks": 1,
        "resumed_from": "style",
    }  # fmt: skip


def test_refining_reads_a_style_at_the_size_of_the_finished_picture():
    """A style is read for pictures that are drawn larger."""
    assert [refining_brush(brush_for(size, size)) for size in (200, 384, 512)] == [200, 384, 512]
    assert refining_brush(64) == 64


def test_the_brush_is_the_side_drawn_within_what_a_style_can_be_read_at():
    sizes = [brush_for(height, width) for height, width in ((200, 300), (700, 650), (128, 129))]
    assert sizes == [300, 768, 192]
    assert brush_for(20, 500) == 128
    assert brush_for(3000, 4000) == 768


def test_each_photograph_crop_and_look_at_a_content_can_be_stopped(
    random_base, tiny_encoder, style_image, contents
):
    heard = []
    settings = replace(QUICK, steps=1)
    adapt_to_style(
        random_base, tiny_encoder, [style_image], contents, settings,
        on_content=lambda: heard.append(1),
    )  # fmt: skip
    assert len(heard) == 3 + 3, "each is painted over and looked at"
    heard.clear()
    adapt_to_style(
        random_base, tiny_encoder, [style_image], settings=settings,
        on_content=lambda: heard.append(1),
    )  # fmt: skip
    assert len(heard) == 11 + 4 + 4 + 4, "photographs, and crops, which are treated likewise"


def test_the_same_seed_gives_the_same_style(random_base, tiny_encoder, style_image):
    one, other = (
        adapt_to_style(random_base, tiny_encoder, [style_image], settings=QUICK) for _ in range(2)
    )
    for name, tensor in one.fast_weights.items():
        assert torch.equal(tensor, other.fast_weights[name])
    changed = adapt_to_style(
        random_base, tiny_encoder, [style_image], settings=replace(QUICK, seed=9)
    )
    assert any(
        not torch.equal(tensor, changed.fast_weights[name])
        for name, tensor in one.fast_weights.items()
    )


def test_the_callers_random_state_is_not_touched(random_base, tiny_encoder, style_image):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    adapt_to_style(random_base, tiny_encoder, [style_image], settings=QUICK)
    assert torch.equal(torch.get_rng_state(), before)


def test_zero_steps_give_the_prediction_and_need_no_encoder(random_base, style_image):
    style = adapt_to_style(random_base, None, [style_image], settings=replace(QUICK, steps=0))
    own = dict(random_base.network.named_parameters())
    assert any(not torch.equal(t, own[n]) for n, t in style.fast_weights.items())
    fixed = adapt_to_style(
        random_base, None, [style_image], settings=replace(QUICK, steps=0, initialisation="fixed")
    )
    assert all(torch.equal(t, own[n]) for n, t in fixed.fast_weights.items())


def test_resuming_goes_on_from_the_style(random_base, tiny_encoder, style_image, contents):
    first = adapt_to_style(random_base, tiny_encoder, [style_image], contents, QUICK)
    more = adapt_to_style(
        random_base, tiny_encoder, [style_image], contents, replace(QUICK, steps=20), resume=first
    )
    assert more.losses["total"] < first.losses["total"]
    again = adapt_to_style(
        random_base, None, [style_image], settings=replace(QUICK, steps=0), resume=first
    )
    for name, tensor in first.fast_weights.items():
        assert torch.equal(again.fast_weights[name], tensor)


def test_what_goes_on_from_half_precision_is_in_full(random_base, style_image):
    instant = replace(QUICK, steps=0)
    style = adapt_to_style(random_base, None, [style_image], settings=instant)
    half = style.to(torch.device("cpu"), torch.float16)
    more = adapt_to_style(random_base, None, [style_image], settings=instant, resume=half)
    assert {tensor.dtype for tensor in more.fast_weights.values()} == {torch.float32}


def test_a_narrow_style_can_be_resumed_wider_but_not_the_reverse(
    random_base, tiny_encoder, style_image, contents
):
    narrow = adapt_to_style(random_base, tiny_encoder, [style_image], contents, QUICK)
    wide = adapt_to_style(
        random_base, tiny_encoder, [style_image], contents, replace(QUICK, mode="full"),
        resume=narrow,
    )  # fmt: skip
    assert wide.mode == "full"
    with pytest.raises(SettingsError, match=r"resume it in mode full\.$"):
        adapt_to_style(random_base, tiny_encoder, [style_image], contents, QUICK, resume=wide)


def test_low_rank_goes_on_from_norm_and_full_from_low_rank(
    random_base, tiny_encoder, style_image, contents
):
    def adapt(mode, resume=None, **changed):
        settings = replace(QUICK, mode=mode, **changed)
        images = [style_image]
        return adapt_to_style(random_base, tiny_encoder, images, contents, settings, resume=resume)

    norm = adapt("norm")
    pictures = [stylize(random_base, norm, contents, precision="fp32")]
    started = adapt("low_rank", norm, steps=0)
    pictures.append(stylize(random_base, started, contents, precision="fp32"))
    torch.testing.assert_close(*pictures)
    learned = adapt("low_rank", started, rank=2)
    updates = [t for name, t in learned.fast_weights.items() if name.endswith(".up")]
    assert all(float(up.abs().max()) > 0 for up in updates)
    assert {up.shape[1] for up in updates} == {learned.settings["rank"]} == {4}
    whole = adapt("full", learned, steps=0)
    pictures = [
        stylize(random_base, style, contents, precision="fp32") for style in (learned, whole)
    ]
    torch.testing.assert_close(*pictures, rtol=1e-4, atol=1e-5)
    for refusing in ("norm", "decoder"):
        with pytest.raises(SettingsError, match="mode low_rank or full"):
            adapt(refusing, learned)


def test_a_higher_rank_holds_more(random_base, style_image):
    sizes = [
        sum(
            tensor.numel()
            for tensor in adapt_to_style(
                random_base,
                None,
                [style_image],
                settings=replace(QUICK, steps=0, mode="low_rank", rank=rank),
            ).fast_weights.values()
        )
        for rank in (1, 2, 3)
    ]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]


def test_resuming_on_another_base_is_refused(random_base, tiny_encoder, style_image):
    style = adapt_to_style(random_base, None, [style_image], settings=replace(QUICK, steps=0))
    stranger = replace(style, base_sha256="0" * 64)
    with pytest.raises(BaseMismatchError, match="adapt it again"):
        adapt_to_style(random_base, tiny_encoder, [style_image], settings=QUICK, resume=stranger)


def test_several_style_images_are_one_style(random_base, tiny_encoder, contents):
    images = [picture(64, 64, seed=5), picture(80, 120, seed=6)]
    gram = replace(QUICK, loss=LossSettings(style_distance="gram"))  # draws no places
    style = adapt_to_style(random_base, tiny_encoder, images, contents, gram)
    swapped = adapt_to_style(random_base, tiny_encoder, images[::-1], contents, gram)
    for name, tensor in style.fast_weights.items():
        torch.testing.assert_close(tensor, swapped.fast_weights[name], rtol=1e-3, atol=1e-4)
    alone = adapt_to_style(random_base, tiny_encoder, images[:1], contents, gram)
    assert any(not torch.allclose(t, alone.fast_weights[n]) for n, t in style.fast_weights.items())


def test_coarser_sizes_change_the_style(random_base, tiny_encoder, style_image, contents):
    one, two = (
        adapt_to_style(
            random_base,
            tiny_encoder,
            [style_image],
            contents,
            replace(QUICK, loss=LossSettings(style_scales=scales)),
        )
        for scales in (1, 2)
    )
    assert any(not torch.allclose(t, two.fast_weights[n]) for n, t in one.fast_weights.items())


def test_brush_size_changes_the_style(random_base, tiny_encoder, contents):
    image = picture(200, 200, seed=4)
    fine = adapt_to_style(random_base, tiny_encoder, [image], contents, QUICK)
    broad = adapt_to_style(
        random_base, tiny_encoder, [image], contents, replace(QUICK, style_size_px=180)
    )
    assert any(not torch.allclose(t, broad.fast_weights[n]) for n, t in fine.fast_weights.items())


def test_an_exception_from_the_callback_passes_and_leaves_no_trace(
    random_base, tiny_encoder, style_image, contents
):
    class StoppedError(Exception):
        pass

    def stop_at_three(report: StepReport) -> None:
        if report.step == 3:
            raise StoppedError

    before, given = snapshot(random_base), [style_image.clone(), contents.clone()]
    with pytest.raises(StoppedError):
        adapt_to_style(
            random_base, tiny_encoder, [style_image], contents, QUICK, on_step=stop_at_three
        )
    assert_untouched(random_base, before)
    assert torch.equal(style_image, given[0])
    assert torch.equal(contents, given[1])
    adapt_to_style(random_base, tiny_encoder, [style_image], contents, QUICK)


def test_previews_are_pictures_of_the_contents(random_base, tiny_encoder, style_image, contents):
    previews = []
    adapt_to_style(
        random_base, tiny_encoder, [style_image], contents, QUICK,
        on_step=lambda report: previews.append(report.preview()),
    )  # fmt: skip
    assert all(p.shape == (2, 3, 64, 64) for p in previews)
    assert not any(p.requires_grad for p in previews)
    assert not torch.equal(previews[0], previews[-1])


def test_a_preview_is_drawn_as_stills_are(random_base, tiny_encoder, style_image, contents):
    previews = []
    style = adapt_to_style(
        random_base, tiny_encoder, [style_image], contents, replace(QUICK, steps=1),
        on_step=lambda report: previews.append(report.preview()),
    )  # fmt: skip
    wanted = stylize(
        random_base, style, contents[:2], precision="fp32", grain=USUAL_GRAIN,
        abstraction=QUICK.abstraction,
    )  # fmt: skip
    torch.testing.assert_close(previews[0], wanted, **TOLERANCES[torch.float32])


@pytest.mark.usefixtures("all_touches")
@pytest.mark.parametrize("given", [True, False])
def test_a_style_learns_on_contents_that_are_painted_over(
    random_base, tiny_encoder, style_image, contents, monkeypatch, given
):
    def learned(contents, **changes):
        settings = replace(QUICK, steps=2, **changes)
        return adapt_to_style(random_base, tiny_encoder, [style_image], contents, settings)

    paint, seen, painted, amounts = adaptation.in_touches, [], [], []
    find, draw, judged, read = adaptation._features_of_each, adaptation.stylize_with, [], []
    weigh, compared = adaptation.perceptual_loss, []

    def look(pictures, relief, amount):
        touched = paint(pictures, relief, amount)
        seen.append(pictures)
        painted.append(touched[0])
        amounts.append(amount)
        return touched

    def note(encoder, layers, kept, on_content):
        judged.append(kept)
        return find(encoder, layers, kept, on_content)

    def follow(network, weights, pictures):
        read.extend(pictures)
        return draw(network, weights, pictures)

    def compare(stylized, pictures, *rest):
        compared.append(pictures)
        return weigh(stylized, pictures, *rest)

    plain = contents if given else None
    usual = learned(plain)
    monkeypatch.setattr(adaptation, "in_touches", look)
    monkeypatch.setattr(adaptation, "_features_of_each", note)
    monkeypatch.setattr(adaptation, "stylize_with", follow)
    monkeypatch.setattr(adaptation, "perceptual_loss", compare)
    more = learned(plain, abstraction=0.8)
    # One by one, and at last what previews show.
    count = len(seen) - 1
    assert amounts == [0.8] * (count + 1)
    before, after = torch.cat(seen[:count]), torch.cat(painted[:count])
    assert torch.equal(seen[count], before[:2])
    if given:
        assert torch.equal(before, contents)
    else:
        assert count == QUICK.content_count
    places = [int((after == picture).flatten(1).all(1).nonzero()) for picture in read]
    # Penalties compare with the photographs that were painted over.
    assert torch.equal(torch.cat(compared), before[places])
    assert not torch.equal(before[places], after[places])
    # This base reads no strokes.
    torch.testing.assert_close(judged[0], 0.5 * (before + after))
    assert any((usual.fast_weights[k] != v).any() for k, v in more.fast_weights.items())


def test_previews_can_be_of_other_pictures(random_base, tiny_encoder, style_image, contents):
    previews = []
    adapt_to_style(
        random_base,
        tiny_encoder,
        [style_image],
        contents,
        QUICK,
        on_step=lambda report: previews.append(report.preview()),
        preview_images=picture(40, 72),
    )
    assert {p.shape for p in previews} == {(1, 3, 40, 72)}


def test_divergence_is_retried_once_lower_then_named(
    random_base, tiny_encoder, style_image, contents
):
    steps = []
    wild = replace(QUICK, learning_rate=1e30, mode="full", steps=30)
    with pytest.raises(AdaptationDiverged, match="learning rate"):
        adapt_to_style(
            random_base, tiny_encoder, [style_image], contents, wild,
            on_step=lambda report: steps.append(report.step),
        )  # fmt: skip
    assert steps.count(1) == 2, "it starts over once"
    assert len(steps) < 8, "it notices within a step or two"


def test_a_gradient_that_is_not_finite_is_never_kept(
    random_base, tiny_encoder, style_image, contents, monkeypatch
):
    original = adaptation.perceptual_loss

    def with_a_steep_edge(stylized, *rest):
        terms = original(stylized, *rest)
        # The value is finite and its gradient at 0 is not.
        return replace(terms, total=terms.total + (stylized - stylized.detach()).sum().abs().sqrt())

    monkeypatch.setattr(adaptation, "perceptual_loss", with_a_steep_edge)
    words = (
        "The gradient holds NaN or infinity, also at a lower rate. Lower the learning rate or the "
        "style weight."
    )
    with pytest.raises(AdaptationDiverged, match=f"^{re.escape(words)}$"):
        adapt_to_style(random_base, tiny_encoder, [style_image], contents, replace(QUICK, steps=1))


def test_a_rate_that_only_the_retry_can_bear_succeeds(
    random_base, tiny_encoder, style_image, contents, monkeypatch
):
    rates = []

    def explode_at_full_rate(self, losses, step):
        if rates.count(1.0) and len(rates) == 1:
            raise AdaptationDiverged("too fast")
        self.best = dict(losses)
        return True

    original = adaptation._InnerLoop.run

    def run(self, start, rate, on_step):
        rates.append(rate / 8e-2)
        return original(self, start, rate, on_step)

    monkeypatch.setattr(adaptation._InnerLoop, "run", run)
    monkeypatch.setattr(adaptation._LossTracker, "add", explode_at_full_rate)
    adapt_to_style(random_base, tiny_encoder, [style_image], contents, QUICK)
    assert rates == pytest.approx([1.0, 0.1])


@pytest.mark.parametrize("role", ["Style", "Content"])
@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (torch.rand(1, 3, 1, 1), ShapeError, "{0} image is 1x1 px; both"),
        (torch.rand(1, 3, 300, 12), ShapeError, "{0} image is 12x300 px; both"),
        (torch.rand(3, 80, 80), ShapeError, "Got {1} images of shape (3, 80, 80); (B, 3, H, W)"),
        (torch.rand(1, 4, 80, 80), ShapeError, "Got {1} images of shape (1, 4, 80, 80); (B, 3"),
        (torch.empty(0, 3, 80, 80), ShapeError, "There is no {1} image; give at least one."),
        (torch.full((1, 3, 80, 80), float("nan")), SettingsError, "{0} image holds NaN"),
    ],
)
def test_bad_images_are_refused_by_what_they_are_for(
    random_base, style_image, role, image, error, words
):
    styles, contents = ([image], None) if role == "Style" else ([style_image], image)
    with pytest.raises(error, match=f"^{re.escape(words.format(role, role.lower()))}"):
        adapt_to_style(random_base, None, styles, contents, replace(QUICK, steps=0))


def test_a_little_overshoot_of_a_picture_is_clamped():
    beyond = picture(64, 80) * 1.4 - 0.2
    assert torch.equal(adaptation._checked_batch("Style", beyond, 64), beyond.clamp(0, 1))


def test_no_style_no_encoder_no_predictor_are_refused(random_base, tiny_encoder, style_image):
    with pytest.raises(ShapeError, match=r"^There is no style image; give at least one\.$"):
        adapt_to_style(random_base, tiny_encoder, [], settings=QUICK)
    words = "Adapting needs an encoder; pass one, or set steps to 0."
    with pytest.raises(SettingsError, match=f"^{re.escape(words)}$"):
        adapt_to_style(random_base, None, [style_image], settings=QUICK)
    without = replace(random_base, predictor=None)
    words = "This base has no predictor; choose the initialisation 'fixed'."
    with pytest.raises(SettingsError, match=f"^{re.escape(words)}$"):
        adapt_to_style(without, tiny_encoder, [style_image], settings=QUICK)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": -1},
        {"batch": 0},
        {"rank": 0},
        {"style_size_px": 0},
        {"content_count": 0},
        {"content_size_px": 8},
        {"learning_rate": -1.0},
        {"learning_rate": float("nan")},
        {"abstraction": 1.1},
        {"abstraction": -0.1},
        {"mode": "other"},
    ],
)
def test_illegal_settings_are_refused_by_name(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        AdaptationSettings(**wrong)


def test_stopping_keeps_the_best_so_far(random_base, tiny_encoder, style_image, contents):
    def stop(report: StepReport) -> None:
        if report.step == 3:
            raise StopLearning

    found = adapt_to_style(
        random_base, tiny_encoder, [style_image], contents, replace(QUICK, steps=50), on_step=stop
    )
    assert found.settings["stopped_after"] == 3
    assert found.settings["steps"] == 50
    assert found.losses["total"] > 0
    start = adapt_to_style(random_base, None, [style_image], settings=replace(QUICK, steps=0))
    assert any(not torch.equal(t, start.fast_weights[k]) for k, t in found.fast_weights.items())
    assert "stopped_after" not in start.settings


def test_a_style_knows_the_colours_of_what_counts_of_its_pictures(random_base):
    red, green = torch.zeros(1, 3, 80, 80), torch.zeros(1, 3, 80, 80)
    red[:, 0], green[:, 1] = 1, 1
    both, left = torch.cat([red, green], -1), torch.zeros(1, 1, 80, 160)
    left[..., :80] = 1
    settings = replace(QUICK, steps=0)
    whole = adapt_to_style(random_base, None, [both], settings=settings)
    assert whole.palette.mean == pytest.approx((0.5, 0.5, 0.0), abs=0.01)
    half = adapt_to_style(random_base, None, [both], settings=settings, style_masks=[left])
    assert half.palette.mean == pytest.approx((1.0, 0.0, 0.0), abs=0.02)
    two = adapt_to_style(random_base, None, [red, both], settings=settings)
    assert two.palette.mean == pytest.approx((0.75, 0.25, 0.0), abs=0.01)


def test_photographs_that_ship_lead_half_of_the_way_from_a_prediction(
    random_base, tiny_encoder, style_image, monkeypatch
):
    """What others are drawn in; pictures of one's own, and a start that is no style, lead whole."""

    def moved(**more) -> dict[str, torch.Tensor]:
        settings = replace(QUICK, steps=2, initialisation=more.pop("initialisation", "predicted"))
        drawn = [
            adapt_to_style(random_base, tiny_encoder, [style_image], settings=each, **more)
            for each in (settings, replace(settings, steps=0))
        ]
        after, before = (each.fast_weights for each in drawn)
        return {name: after[name] - before[name] for name in after}

    shipped, fixed = moved(), moved(initialisation="fixed")
    generator = torch.Generator().manual_seed(QUICK.seed)
    same = shipped_contents(QUICK.content_count, QUICK.content_size_px, generator)
    own, own_fixed = moved(contents=same), moved(contents=same, initialisation="fixed")
    for name in own:
        torch.testing.assert_close(shipped[name], 0.5 * own[name], rtol=0, atol=1e-6)
        torch.testing.assert_close(fixed[name], own_fixed[name], rtol=0, atol=1e-6)
    assert max(v.abs().max() for v in own.values()) > 1e-3
