"""The meta-gradient against finite differences and an independent twin, in float64."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from metastyle_core.base import Predictor
from metastyle_core.initialisation import PredictorSize, StylePredictor
from metastyle_core.losses import CONTENT_DISTANCES, LossSettings
from metastyle_core.low_rank import initial_updates
from metastyle_core.network import StylizationNetwork, norm_parameter_names
from metastyle_core.style_distance import STYLE_DISTANCES
from metastyle_core.training.meta_learning import Learner, meta_step, rate_key
from metastyle_core.training.tasks import MetaSettings, Tasks

F64 = torch.float64
SETTINGS = MetaSettings(
    algorithm="maml",
    inner_steps=2,
    inner_lr=0.05,
    styles=2,
    support=1,
    query=2,
    crop_px=64,
    initialisation="fixed",
    loss=LossSettings(style_weight=2.0, nearest_weight=0.0, blotch_weight=0.7),
    precision="fp32",
)


def make_learner(encoder, *, predicted: bool = False, learned_rates: bool = False) -> Learner:
    torch.manual_seed(11)
    network = StylizationNetwork(channels=3, blocks=2).double()
    for name, parameter in network.named_parameters():
        if name in norm_parameter_names(network):
            nn.init.normal_(parameter, mean=0.5, std=0.3)
    predictor = None
    if predicted:
        predictor = StylePredictor(network, encoder, PredictorSize(16)).double()
        nn.init.normal_(predictor.layers[-1].weight, std=0.1)
    rates = nn.ParameterDict()
    if learned_rates:
        for name in norm_parameter_names(network):
            rates[rate_key(name)] = nn.Parameter(torch.tensor(-3.0, dtype=F64))
    reader = Predictor(predictor, encoder) if predictor else None
    return Learner(network, reader, rates, encoder)


def make_tasks() -> Tasks:
    generator = torch.Generator().manual_seed(12)
    rand = lambda n: torch.rand(n, 3, 16, 16, generator=generator, dtype=F64)  # noqa: E731
    weights = torch.full((2,), SETTINGS.loss.style_weight, dtype=F64)
    styles, supports, queries = rand(2), rand(2), rand(4)
    return Tasks(styles, supports, queries, weights, touches_on(queries, generator))


def touches_on(contents, generator):
    """Other pictures, and strokes, (B, 4, H, W)."""
    painted = 0.7 * contents + 0.3 * torch.rand(contents.shape, generator=generator, dtype=F64)
    strokes = 0.05 * torch.randn(contents[:, :1].shape, generator=generator, dtype=F64)
    return torch.cat([painted, strokes], 1)


@pytest.fixture(scope="module")
def encoder64(tiny_encoder):
    import copy

    return copy.deepcopy(tiny_encoder).double()


def outer_loss(learner: Learner, settings: MetaSettings) -> float:
    """The outer loss as `meta_step` reports it, which divides nothing."""
    name = "log_total" if settings.objective == "log_total" else "total"
    return meta_step(learner, make_tasks(), settings).metrics[name].item()


def gradients(learner: Learner, settings: MetaSettings) -> dict[str, torch.Tensor]:
    learner.network.zero_grad()
    meta_step(learner, make_tasks(), settings)
    return {n: p.grad.clone() for n, p in learner.network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("inner_mode", ["norm", "low_rank", "full"])
@pytest.mark.parametrize("objective", ["total", "log_total"])
def test_second_order_gradient_matches_finite_differences(encoder64, inner_mode, objective):
    loss = LossSettings(style_weight=2.0, nearest_weight=0.5)
    settings = replace(SETTINGS, inner_mode=inner_mode, objective=objective, loss=loss)
    learner = make_learner(encoder64)
    found = gradients(learner, settings)
    torch.manual_seed(13)
    for name in ("residual.0.first.convolution.weight", "decoder.1.norm.weight"):
        parameter = dict(learner.network.named_parameters())[name]
        direction = F.normalize(torch.randn_like(parameter).flatten(), dim=0).view_as(parameter)
        # Rectifiers and sorting make the inner gradient jump; a tiny step seldom meets a jump.
        step = 1e-8
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.add_(direction, alpha=sign * step)
            values.append(outer_loss(learner, settings))
            with torch.no_grad():
                parameter.add_(direction, alpha=-sign * step)
        numeric = (values[0] - values[1]) / (2 * step)
        analytic = float((found[name] * direction).sum())
        assert analytic == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def twin_forward(
    weights: dict[str, torch.Tensor], images: torch.Tensor, *, wrapping: bool = False
) -> torch.Tensor:
    """The network again, written out with explicit weights and plain operations."""

    def conv(x, name, stride=1):
        pad = weights[f"{name}.weight"].shape[-1] // 2
        x = F.pad(x, (pad,) * 4, mode="circular" if wrapping else "reflect")
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=stride)

    def norm(x, name):
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3), keepdim=True)
        scale, shift = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return (x - mean) / (variance + 1e-5).sqrt() * scale.view(1, -1, 1, 1) + shift.view(
            1, -1, 1, 1
        )

    height, width = images.shape[-2:]
    border = (0,) * 4 if wrapping else (8, 8 + -width % 4, 8, 8 + -height % 4)
    x = F.pad(images, border, mode="reflect")
    for i, stride in enumerate((1, 2, 2)):
        x = norm(conv(x, f"encoder.{i}.convolution", stride), f"encoder.{i}.norm").relu()
    for i in range(2):
        name = f"residual.{i}"
        y = norm(conv(x, f"{name}.first.convolution"), f"{name}.first.norm").relu()
        x = x + norm(conv(y, f"{name}.second.convolution"), f"{name}.second.norm")
    for i in range(2):
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = norm(conv(x, f"decoder.{i}.convolution"), f"decoder.{i}.norm").relu()
    left, top = border[0], border[2]
    return torch.sigmoid(conv(x, "output")[..., top : top + height, left : left + width])


def twin_gram_distance(own, wanted):
    def gram(f):
        return torch.einsum("bchw,bdhw->bcd", f, f) / f[0].numel()

    return (gram(own) - gram(wanted)).square().sum((1, 2)) / gram(wanted).square().sum((1, 2))


def twin_sliced_distance(own, wanted, generator):
    """Over all places, which is what is drawn where there are few."""
    directions = torch.randn(own.shape[1], 64, generator=generator)
    directions = F.normalize(directions, dim=0).double()
    values = [
        torch.einsum("bchw,ck->bkhw", f, directions).flatten(2).sort(dim=2).values
        for f in (own, wanted)
    ]
    spread = (values[1] - values[1].mean(2, keepdim=True)).square().mean((1, 2))
    return (values[0] - values[1]).square().mean((1, 2)) / spread


def twin_standardised(own, wanted):
    def standardised(f):
        mean = f.mean((2, 3), keepdim=True)
        variance = (f - mean).square().mean((2, 3), keepdim=True)
        return (f - mean) / (variance + 0.01 * variance.mean(1, keepdim=True) + 1e-8).sqrt()

    return (standardised(own) - standardised(wanted)).square().mean((1, 2, 3))


def twin_plain(own, wanted):
    return (own - wanted).square().sum((1, 2, 3)) / wanted.square().sum((1, 2, 3))


def twin_blotches(stylized, photograph):
    """Least squares, with the ridge as rows of its own, in cells of an eighth of the side."""
    side = max(1, min(16, stylized.shape[-1] // 8))
    own, colours = (
        v.unflatten(3, (-1, side)).unflatten(2, (-1, side)).mean((3, 5)).flatten(2).mT
        for v in (stylized, photograph)
    )
    colours = colours - colours.mean(1, keepdim=True)
    pairs = itertools.combinations_with_replacement(range(3), 2)
    squares = [colours[..., a] * colours[..., b] for a, b in pairs]
    terms = torch.cat([colours, torch.stack(squares, 2)], 2)
    terms, own = (v - v.mean(1, keepdim=True) for v in (terms, own))
    ridge = (1e-4 * terms.shape[1]) ** 0.5 * torch.eye(9, dtype=F64).expand(len(own), 9, 9)
    fit = torch.linalg.pinv(torch.cat([terms, ridge], 1))[..., : terms.shape[1]] @ own
    rest, all_of_it = ((v**2).mean((1, 2)) for v in (own - terms @ fit, own))
    return rest / (all_of_it + (2 / 255) ** 2)


def twin_fine(pictures):
    """What a Gaussian of 0.7 px takes away from the luminance, (B, H, W)."""
    gray = 0.299 * pictures[:, 0] + 0.587 * pictures[:, 1] + 0.114 * pictures[:, 2]
    bell = torch.exp(-(torch.arange(-3, 4, dtype=F64) ** 2) / 0.98)
    kernel = torch.outer(bell, bell) / bell.sum() ** 2
    wide = F.pad(gray[:, None], (3,) * 4, mode="reflect")
    return gray - F.conv2d(wide, kernel[None, None])[:, 0]


def twin_softness_and_hatching(stylized, style):
    own, wanted = twin_fine(stylized), twin_fine(style)
    deviations = [(fine.square().mean((1, 2)) + 1e-12).sqrt() for fine in (own, wanted)]
    softness = F.relu(deviations[1] - deviations[0]) / (deviations[1] + 1e-4)
    hatching = torch.zeros(len(own), dtype=F64)
    for shift in itertools.product(range(-6, 7), repeat=2):
        alike = [
            (fine * fine.roll(shift, (1, 2))).sum((1, 2)) / (fine.square().sum((1, 2)) + 1e-8)
            for fine in (own, wanted)
        ]
        hatching = hatching + (alike[0] - alike[1]) ** 2
    return softness**2, hatching


def twin_loss(
    encoder, weights, contents, style, settings, generator=None, touches=None, *,
    wrapping=False, seen=...,
) -> torch.Tensor:  # fmt: skip
    """Of which the judge sees a part alone. Half of what counts as content are the touches."""
    read = contents if touches is None else touches[:, :3] + touches[:, 3:]
    stylized = twin_forward(weights, read, wrapping=wrapping)
    own, wanted, of_style = map(encoder, (stylized[seen], (0.5 * (contents + read))[seen], style))
    plain = settings.loss.content_distance == "plain"
    kept = encoder.spec.content_layers if plain else encoder.spec.style_layers[1:]
    content = [(twin_plain if plain else twin_standardised)(own[k], wanted[k]) for k in kept]
    styles = [
        twin_gram_distance(own[k], of_style[k])
        if settings.loss.style_distance == "gram"
        else twin_sliced_distance(own[k], of_style[k], generator)
        for k in encoder.spec.style_layers
    ]
    styles[0] = settings.loss.palette_weight * styles[0]
    total = sum(content) / len(content) + settings.loss.style_weight * sum(styles) / len(styles)
    total = total + settings.loss.blotch_weight * twin_blotches(stylized, contents)
    softness, hatching = twin_softness_and_hatching(stylized, style)
    total = total + settings.loss.detail_weight * softness
    return (total + settings.loss.hatching_weight * hatching).mean()


def assert_like_the_twin(encoder, tasks, settings, *, inner_seen=..., seen=...):
    """Both the loss and its gradient, of tasks of one support and two query contents each."""
    learner = make_learner(encoder)
    outcome = meta_step(learner, tasks, settings)
    second_order = settings.algorithm == "maml"
    names = norm_parameter_names(learner.network)
    theta = {n: p.detach().clone().requires_grad_() for n, p in learner.network.named_parameters()}
    loss = torch.zeros((), dtype=F64)
    for i in range(2):
        style = tasks.styles[i : i + 1]
        weights, draws = dict(theta), torch.Generator().manual_seed(tasks.seed)
        for _ in range(settings.inner_steps):
            support = tasks.support_contents[i : i + 1]
            inner = twin_loss(encoder, weights, support, style, settings, draws, seen=inner_seen)
            steps = torch.autograd.grad(
                inner, [weights[n] for n in names], create_graph=second_order, retain_graph=True
            )
            moved = {
                n: weights[n] - settings.inner_lr * g for n, g in zip(names, steps, strict=True)
            }
            weights = {**weights, **moved}
        rows = slice(2 * i, 2 * i + 2)
        query, touches = tasks.query_contents[rows], tasks.query_touches[rows]
        loss = loss + twin_loss(encoder, weights, query, style, settings, draws, touches, seen=seen)
    assert outcome.metrics["total"].item() == pytest.approx(loss.item(), rel=1e-9)
    wanted = dict(zip(theta, torch.autograd.grad(loss, list(theta.values())), strict=True))
    scale = max(float(g.abs().max()) for g in wanted.values())
    for name, parameter in learner.network.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-6, atol=1e-9 * scale)


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("distance", STYLE_DISTANCES)
@pytest.mark.parametrize("content", CONTENT_DISTANCES)
def test_meta_gradient_matches_an_explicit_twin(encoder64, second_order, distance, content):
    settings = replace(
        SETTINGS,
        objective="total",
        algorithm="maml" if second_order else "fomaml",
        loss=replace(SETTINGS.loss, style_distance=distance, content_distance=content),
    )
    assert_like_the_twin(encoder64, make_tasks(), settings)


@pytest.mark.parametrize("first", [(0, 0), (5, 11), (16, 16)])
def test_the_judge_sees_as_large_a_part_from_wherever_it_begins(encoder64, first):
    """That of the support contents begins at their corner."""
    settings = replace(
        SETTINGS, inner_steps=1, objective="total", crop_px=64, judge_shift=16,
        loss=replace(SETTINGS.loss, style_distance="gram"),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(15)
    contents = torch.rand(6, 3, 64, 64, generator=generator, dtype=F64)
    tasks = replace(
        make_tasks(), support_contents=contents[:2], query_contents=contents[2:],
        query_touches=touches_on(contents[2:], generator), judged_from=first,
    )  # fmt: skip
    inner_seen, seen = (
        (..., slice(top, top + 48), slice(left, left + 48)) for top, left in ((0, 0), first)
    )
    assert_like_the_twin(encoder64, tasks, settings, inner_seen=inner_seen, seen=seen)


def test_the_shift_error_and_its_gradient_match_an_explicit_twin(encoder64):
    """It compares what was stylized and moved with the reverse, away from the borders.

    The window is four pixels smaller than the contents, whatever the shift.
    """
    weight, (down, right) = 50.0, (2, 1)
    settings = replace(
        SETTINGS,
        inner_steps=0,
        objective="total",
        shift_weight=weight,
        loss=replace(SETTINGS.loss, style_distance="gram"),
    )
    generator = torch.Generator().manual_seed(14)
    contents = torch.rand(4, 3, 32, 32, generator=generator, dtype=F64)
    touches = touches_on(contents, generator)
    tasks = replace(
        make_tasks(), query_contents=contents, query_touches=touches, shift_px=(down, right)
    )
    learner = make_learner(encoder64)
    outcome = meta_step(learner, tasks, settings)
    theta = {n: p.detach().clone().requires_grad_() for n, p in learner.network.named_parameters()}
    window = (..., slice(down, down + 28), slice(right, right + 28))
    read = touches[:, :3] + touches[:, 3:]
    moved = twin_forward(theta, read[window]).detach()
    difference = twin_forward(theta, read)[window] - moved
    error = difference[..., 8:-8, 8:-8].square().mean((1, 2, 3)).unflatten(0, (2, 2)).mean(1)
    assert outcome.metrics["shift"].item() == pytest.approx(error.sum().item(), rel=1e-9)
    loss = weight * error.sum()
    for i in range(2):
        rows, style = slice(2 * i, 2 * i + 2), tasks.styles[i : i + 1]
        loss = loss + twin_loss(
            encoder64, theta, contents[rows], style, settings, touches=touches[rows]
        )
    assert outcome.metrics["total"].item() == pytest.approx(loss.item(), rel=1e-9)
    wanted = dict(zip(theta, torch.autograd.grad(loss, list(theta.values())), strict=True))
    scale = max(float(g.abs().max()) for g in wanted.values())
    for name, parameter in learner.network.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-6, atol=1e-9 * scale)


def test_contents_that_wrap_match_an_explicit_twin_without_borders(encoder64):
    """The network goes on at the other edge; the judge, which sees one picture, does not.

    What moves leaves at one edge and comes in at the other, so that all of it is compared.
    """
    weight, (down, right) = 50.0, (3, 2)
    gram = replace(SETTINGS.loss, style_distance="gram")
    settings = replace(SETTINGS, inner_steps=0, objective="total", shift_weight=weight, loss=gram)
    tasks = replace(make_tasks(), seamless="both", shift_px=(down, right))
    learner = make_learner(encoder64)
    outcome = meta_step(learner, tasks, settings)
    theta = {n: p.detach().clone().requires_grad_() for n, p in learner.network.named_parameters()}
    touches = tasks.query_touches
    read = touches[:, :3] + touches[:, 3:]
    moved = twin_forward(theta, read.roll((-down, -right), (2, 3)), wrapping=True).detach()
    after = twin_forward(theta, read, wrapping=True).roll((-down, -right), (2, 3))
    error = (after - moved).square().mean((1, 2, 3)).unflatten(0, (2, 2)).mean(1)
    assert outcome.metrics["shift"].item() == pytest.approx(error.sum().item(), rel=1e-9)
    loss = weight * error.sum()
    for i in range(2):
        rows, style = slice(2 * i, 2 * i + 2), tasks.styles[i : i + 1]
        loss = loss + twin_loss(
            encoder64, theta, tasks.query_contents[rows], style, settings,
            touches=touches[rows], wrapping=True,
        )  # fmt: skip
    assert outcome.metrics["total"].item() == pytest.approx(loss.item(), rel=1e-9)
    wanted = dict(zip(theta, torch.autograd.grad(loss, list(theta.values())), strict=True))
    scale = max(float(g.abs().max()) for g in wanted.values())
    for name, parameter in learner.network.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-6, atol=1e-9 * scale)


def test_first_order_differs_from_second_order(encoder64):
    learner = make_learner(encoder64)
    second = gradients(learner, SETTINGS)
    first = gradients(learner, replace(SETTINGS, algorithm="fomaml"))
    name = "residual.1.second.convolution.weight"
    difference = (first[name] - second[name]).norm() / second[name].norm()
    assert difference > 1e-3


def test_no_inner_step_makes_the_orders_agree(encoder64):
    learner = make_learner(encoder64)
    one = gradients(learner, replace(SETTINGS, inner_steps=0))
    other = gradients(learner, replace(SETTINGS, inner_steps=0, algorithm="fomaml"))
    for name, gradient in one.items():
        assert torch.equal(gradient, other[name])


def one_task() -> Tasks:
    return make_tasks().select(torch.tensor([0]))


def test_adam_in_the_inner_loop_moves_each_norm_by_its_rate_at_first(encoder64):
    """Its first step has the length of the rate; the outer gradient is found where it leads."""
    gram = LossSettings(style_weight=2.0, style_distance="gram")  # draws nothing
    plain = replace(SETTINGS, algorithm="fomaml", inner_steps=0, loss=gram)
    inner = replace(plain, inner_steps=1, inner_lr=0.05, inner_optimizer="adam")
    learner, tasks = make_learner(encoder64), one_task()
    meta_step(learner, tasks, inner)
    names = norm_parameter_names(learner.network)
    support = replace(tasks, query_contents=tasks.support_contents, query_touches=None)
    moved = make_learner(encoder64)
    meta_step(moved, support, plain)
    own = dict(moved.network.named_parameters())
    with torch.no_grad():
        for name in names:
            own[name] -= 0.05 * own[name].grad / (own[name].grad.abs() + 1e-8)
    moved.network.zero_grad()
    meta_step(moved, tasks, plain)
    for name, parameter in learner.network.named_parameters():
        torch.testing.assert_close(parameter.grad, own[name].grad, rtol=1e-6, atol=1e-10)


def test_adam_keeps_its_moments_over_the_inner_steps(encoder64):
    """Two steps that began anew would each have the length of the rate."""
    gram = LossSettings(style_weight=2.0, style_distance="gram")
    settings = replace(
        SETTINGS, algorithm="reptile", inner_steps=2, inner_lr=0.5, inner_optimizer="adam",
        loss=gram,
    )  # fmt: skip
    learner = make_learner(encoder64)
    meta_step(learner, one_task(), settings)
    moves = [learner.network.get_parameter(n).grad for n in norm_parameter_names(learner.network)]
    lengths = torch.cat(moves).abs()
    whole_steps = (lengths - lengths.round()).abs() < 1e-3
    assert whole_steps.double().mean() < 0.5


def test_a_share_of_the_outer_loss_is_taken_at_the_start(encoder64):
    gram = LossSettings(style_weight=2.0, style_distance="gram")
    settings = replace(SETTINGS, algorithm="fomaml", loss=gram)
    learner = make_learner(encoder64)
    at_start = gradients(learner, replace(settings, inner_steps=0))
    at_end = gradients(learner, settings)
    mixed = gradients(learner, replace(settings, start_share=0.25))
    for name, gradient in mixed.items():
        wanted = 0.25 * at_start[name] + 0.75 * at_end[name]
        torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-12)


def test_reptile_moves_towards_the_adapted_weights(encoder64):
    """Its gradient is start minus end, summed over tasks, and zero where nothing adapts."""
    settings = replace(SETTINGS, algorithm="reptile", objective="total")
    learner, tasks = make_learner(encoder64), make_tasks()
    found = gradients(learner, settings)
    names = norm_parameter_names(learner.network)
    assert set(found) == set(names)
    theta = {n: p.detach() for n, p in learner.network.named_parameters()}
    wanted = {n: torch.zeros_like(theta[n]) for n in names}
    for i in range(2):
        draws = torch.Generator().manual_seed(tasks.seed)
        weights = {n: p.clone().requires_grad_() for n, p in theta.items()}
        for _ in range(settings.inner_steps):
            inner = twin_loss(
                encoder64,
                weights,
                tasks.support_contents[i : i + 1],
                tasks.styles[i : i + 1],
                settings,
                draws,
            )
            steps = torch.autograd.grad(inner, [weights[n] for n in names])
            for name, gradient in zip(names, steps, strict=True):
                moved = weights[name] - settings.inner_lr * gradient
                weights[name] = moved.detach().requires_grad_()
        for name in names:
            wanted[name] += theta[name] - weights[name].detach()
    for name in names:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-7, atol=1e-12)


def test_reptile_moves_kernels_along_what_their_updates_learned(encoder64):
    """One step from up = 0 moves a kernel by its gradient, projected onto `down`."""
    settings = replace(SETTINGS, algorithm="reptile", objective="total", inner_steps=1)
    learner = make_learner(encoder64)
    whole = gradients(learner, replace(settings, inner_mode="full"))
    found = gradients(learner, replace(settings, inner_mode="low_rank"))
    updates = initial_updates(dict(learner.network.named_parameters()), settings.rank)
    for name, parameter in learner.network.named_parameters():
        if parameter.ndim == 4:
            down = updates[f"{name}.down"]
            wanted = (whole[name].flatten(1) @ down.T @ down).view_as(parameter)
            torch.testing.assert_close(found[name], wanted, rtol=1e-7, atol=1e-12)


def test_learned_rates_of_updates_receive_gradients(encoder64):
    learner = make_learner(encoder64)
    names = initial_updates(dict(learner.network.named_parameters()), SETTINGS.rank)
    for name in names:
        learner.inner_log_rates[rate_key(name)] = nn.Parameter(torch.tensor(-3.0, dtype=F64))
    for algorithm in ("maml", "fomaml"):
        learner.inner_log_rates.zero_grad()
        meta_step(
            learner, make_tasks(), replace(SETTINGS, algorithm=algorithm, inner_mode="low_rank")
        )
        for name, rate in learner.inner_log_rates.items():
            assert float(rate.grad.abs()) > 0, name


def test_predictor_and_learned_rates_receive_gradients(encoder64):
    for algorithm in ("maml", "fomaml"):
        learner = make_learner(encoder64, predicted=True, learned_rates=True)
        settings = replace(SETTINGS, algorithm=algorithm, initialisation="predicted")
        meta_step(learner, make_tasks(), settings)
        assert learner.predictor is not None
        for parameter in learner.predictor.network.parameters():
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 0
        for rate in learner.inner_log_rates.values():
            assert rate.grad is not None
            assert rate.grad.abs() > 0


def test_gradient_of_a_learned_rate_matches_finite_differences(encoder64):
    learner = make_learner(encoder64, learned_rates=True)
    meta_step(learner, make_tasks(), SETTINGS)
    rate = learner.inner_log_rates[rate_key("decoder.0.norm.weight")]
    found = float(rate.grad)
    values = []
    for sign in (1, -1):
        with torch.no_grad():
            rate.add_(sign * 1e-6)
        values.append(outer_loss(learner, SETTINGS))
        with torch.no_grad():
            rate.sub_(sign * 1e-6)
    assert found == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "reptile"])
def test_a_poisoned_style_is_skipped_and_counted(encoder64, algorithm):
    """The gradient is that of the other style alone, added once."""
    settings = replace(SETTINGS, algorithm=algorithm)
    learner, tasks = make_learner(encoder64), make_tasks()
    tasks.styles[1] = float("nan")
    outcome = meta_step(learner, tasks, settings)
    assert (outcome.count, outcome.skipped) == (1, 1)
    alone = make_learner(encoder64)
    meta_step(alone, tasks.select(torch.tensor([0])), settings)
    wanted = {n: p.grad for n, p in alone.network.named_parameters() if p.grad is not None}
    found = {n: p.grad for n, p in learner.network.named_parameters() if p.grad is not None}
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert torch.equal(found[name], gradient), name


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "reptile"])
def test_a_style_whose_loss_explodes_is_skipped_and_counted(encoder64, algorithm):
    settings = replace(SETTINGS, algorithm=algorithm, inner_lr=1e-6)
    learner, tasks = make_learner(encoder64), make_tasks()
    tasks.style_weights[1] = 1e9
    outcome = meta_step(learner, tasks, settings)
    assert (outcome.count, outcome.skipped) == (1, 1)
