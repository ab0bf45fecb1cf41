"""The optimizer of training: what moves how, and what is remembered."""

import pytest
import torch
from torch import nn

from metastyle_core.training import optimizer
from metastyle_core.training.optimizer import WeightOptimizer, equalised


def make_modules(memory_format=torch.contiguous_format) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)).to(memory_format=memory_format)


def set_gradients(modules: nn.Module, seed: int = 1) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in modules.parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        parameter.grad = drawn.to(memory_format=torch.contiguous_format)


def optimizer_of(modules: nn.Module, name: str) -> WeightOptimizer:
    return WeightOptimizer(list(modules.parameters()), name)


def changes(modules: nn.Module, optimizer: WeightOptimizer, rate: float) -> dict:
    before = {name: p.detach().clone() for name, p in modules.named_parameters()}
    optimizer.step(rate)
    return {name: p.detach() - before[name] for name, p in modules.named_parameters()}


def test_muon_moves_all_directions_of_a_kernel_alike_and_adam_the_biases():
    modules = make_modules()
    set_gradients(modules)
    modules[0].weight.grad[0] *= 1e-2
    moved = changes(modules, optimizer_of(modules, "muon"), 0.01)
    lengths = torch.linalg.svdvals(moved["0.weight"].flatten(1))
    # Five iterations leave the lengths between 0.6 and 1.3 of their scale.
    scale = 0.01 * 0.2 * 27**0.5
    assert lengths.min() > 0.5 * scale
    assert lengths.max() < 1.4 * scale
    torch.testing.assert_close(moved["0.bias"].abs(), torch.full((4,), 0.01))


def test_adam_moves_every_value_alike():
    modules = make_modules()
    set_gradients(modules)
    moved = changes(modules, optimizer_of(modules, "adam"), 0.01)
    for name, change in moved.items():
        torch.testing.assert_close(change.abs(), torch.full_like(change, 0.01), msg=name)


def test_the_order_of_a_kernel_in_memory_makes_no_difference():
    moved = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        modules = make_modules(memory_format)
        set_gradients(modules)
        moved.append(changes(modules, optimizer_of(modules, "muon"), 0.01))
    for name, change in moved[0].items():
        assert change.abs().max() > 0
        # On some devices Muon computes in bfloat16.
        assert (moved[1][name] - change).norm() < 0.05 * change.norm(), name


@pytest.mark.parametrize("name", ["adam", "muon"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_what_is_remembered_goes_on_to_the_bit(name, memory_format):
    modules = make_modules(memory_format)
    first = optimizer_of(modules, name)
    for seed in (1, 2):
        set_gradients(modules, seed)
        first.step(0.01)
    other = make_modules(memory_format)
    other.load_state_dict(modules.state_dict())
    second = optimizer_of(other, name)
    second.load_moments(other, first.moments(modules))
    for each, moving in ((modules, first), (other, second)):
        set_gradients(each, 3)
        moving.step(0.01)
    for parameter, wanted in zip(other.parameters(), modules.parameters(), strict=True):
        assert torch.equal(parameter, wanted)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="its peer came with PyTorch 2.9")
def test_muon_moves_as_that_of_pytorch_does():
    modules = make_modules()
    ours = optimizer_of(modules, "muon")
    peers = [p.detach().flatten(1).clone() for p in modules.parameters() if p.ndim > 1]
    theirs = torch.optim.Muon(peers, lr=0.01, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    began = [matrix.clone() for matrix in peers]
    for seed in (1, 2, 3):
        set_gradients(modules, seed)
        own = [p for p in modules.parameters() if p.ndim > 1]
        for matrix, parameter in zip(peers, own, strict=True):
            matrix.grad = parameter.grad.flatten(1).clone()
        ours.step(0.01)
        theirs.step()
    for start, matrix, parameter in zip(began, peers, own, strict=True):
        moved = matrix - start
        # Theirs computes in bfloat16.
        assert (parameter.detach().flatten(1) - matrix).norm() < 0.05 * moved.norm()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
@pytest.mark.parametrize("shape", [(3, 4, 9), (3, 9, 4), (1, 5, 5)])
def test_equalised_matrices_keep_their_directions(monkeypatch, shape, dtype, tolerance):
    monkeypatch.setattr(optimizer, "compute_dtype", lambda *_, **__: dtype)
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    found = equalised(matrices)
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    inside = left.mT @ found @ right.mT
    lengths = inside.diagonal(dim1=1, dim2=2)
    assert lengths.min() > 0.6
    assert lengths.max() < 1.3
    assert found.dtype == torch.float32
    assert (inside - torch.diag_embed(lengths)).abs().max() < tolerance


def test_what_muon_remembers_is_named_as_in_pytorch():
    modules = make_modules()
    set_gradients(modules)
    moving = optimizer_of(modules, "muon")
    moving.step(0.01)
    assert set(moving.moments(modules)["momentum_buffer"]) == {"0.weight", "1.weight"}


def test_a_matrix_without_a_gradient_stays_and_one_of_zeros_gives_no_nan():
    modules = make_modules()
    set_gradients(modules)
    modules[0].weight.grad = None
    modules[1].weight.grad.zero_()
    moved = changes(modules, optimizer_of(modules, "muon"), 0.01)
    assert not moved["0.weight"].any()
    assert not moved["1.weight"].any()


def test_parameters_that_lie_in_no_order_are_refused_and_not_forgotten():
    modules = make_modules()
    modules[0].weight = nn.Parameter(torch.randn(3, 3, 3, 4).permute(3, 0, 1, 2).transpose(2, 3))
    with pytest.raises(RuntimeError, match="view"):
        optimizer_of(modules, "muon")
