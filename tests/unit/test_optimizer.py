"""The optimizer of training: what moves how, and what is remembered."""

import pytest
import torch
from torch import nn
from unit.small_training import needs_muon

from metastyle_core.errors import SettingsError
from metastyle_core.training.optimizer import WeightOptimizer


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


@needs_muon
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


@needs_muon
def test_the_order_of_a_kernel_in_memory_makes_no_difference():
    moved = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        modules = make_modules(memory_format)
        set_gradients(modules)
        moved.append(changes(modules, optimizer_of(modules, "muon"), 0.01))
    for name, change in moved[0].items():
        assert change.abs().max() > 0
        # Muon computes in bfloat16.
        assert (moved[1][name] - change).norm() < 0.05 * change.norm(), name


@pytest.mark.parametrize("name", ["adam", pytest.param("muon", marks=needs_muon)])
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
    for each, optimizer in ((modules, first), (other, second)):
        set_gradients(each, 3)
        optimizer.step(0.01)
    for parameter, wanted in zip(other.parameters(), modules.parameters(), strict=True):
        assert torch.equal(parameter, wanted)


def test_an_old_pytorch_has_no_muon(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon", raising=False)
    modules = make_modules()
    with pytest.raises(SettingsError, match=r"2\.9 or newer"):
        optimizer_of(modules, "muon")
    set_gradients(modules)
    optimizer_of(modules, "adam").step(0.01)


@needs_muon
def test_parameters_that_lie_in_no_order_are_refused_and_not_forgotten():
    modules = make_modules()
    modules[0].weight = nn.Parameter(torch.randn(3, 3, 3, 4).permute(3, 0, 1, 2).transpose(2, 3))
    with pytest.raises(RuntimeError, match="view"):
        optimizer_of(modules, "muon")
