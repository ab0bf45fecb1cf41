"""Low-rank updates against kernels changed by hand, in float64."""

import pytest
import torch

from metastyle_core.low_rank import (
    add_up,
    initial_updates,
    is_update,
    merge_updates,
    rank_of,
    shapes_without_rank,
    update_shapes,
)
from metastyle_core.network import StylizationNetwork, adapted_weights, stylize_with

F64 = torch.float64
KERNEL = "residual.0.first.convolution.weight"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    return StylizationNetwork(channels=3, blocks=1).double()


@pytest.fixture
def images():
    return torch.rand(2, 3, 20, 24, generator=torch.Generator().manual_seed(4), dtype=F64)


def random_updates(network, *, rank, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = {n: t.shape for n, t in initial_updates(own(network), rank).items()}
    return {n: 0.2 * torch.randn(s, generator=generator, dtype=F64) for n, s in shapes.items()}


def own(network):
    return {name: p.detach() for name, p in network.named_parameters()}


def test_an_update_is_the_product_of_its_halves_added_to_the_kernel():
    up, down = torch.tensor([[2.0], [0.0], [-1.0]]), torch.arange(4.0)[None]
    kernel = torch.full((3, 1, 2, 2), 10.0)
    merged = merge_updates({"k": kernel}, {"k.up": up, "k.down": down})
    assert torch.equal(merged["k"][0, 0], torch.tensor([[10.0, 12.0], [14.0, 16.0]]))
    assert torch.equal(merged["k"][1], kernel[1])
    assert torch.equal(merged["k"][2, 0], torch.tensor([[10.0, 9.0], [8.0, 7.0]]))
    assert set(merged) == {"k"}


def test_an_update_is_added_to_the_kernel_that_a_style_brings():
    weights = {"k": torch.full((1, 1, 1, 1), 5.0), "k.up": torch.ones(1, 1)}
    weights["k.down"] = torch.full((1, 1), 2.0)
    merged = merge_updates({"k": torch.zeros(1, 1, 1, 1)}, weights)
    assert merged["k"].item() == 7


def test_shapes_follow_the_rank_of_what_is_there():
    kernels = {"k": torch.zeros(1, 2, 3, 3), "norm": torch.zeros(4)}
    for up, rank in ((None, 0), (torch.zeros(1, 3), 3), (torch.zeros(1, 3, 1), 0)):
        weights = {} if up is None else {"k.up": up}
        assert update_shapes(kernels, weights) == {"k.up": (1, rank), "k.down": (rank, 18)}
    made = initial_updates(kernels, 2)
    assert {name: tuple(t.shape) for name, t in made.items()} == {"k.up": (1, 2), "k.down": (2, 18)}


def test_what_does_not_depend_on_the_rank():
    weights = {"k.up": torch.zeros(4, 2), "k.down": torch.zeros(2, 18), "norm": torch.zeros(3, 5)}
    assert shapes_without_rank(weights) == {"k.up": (4,), "k.down": (18,), "norm": (3, 5)}


def test_as_many_factors_as_sets_are_needed():
    sets = [{"k.up": torch.ones(2, 1), "k.down": torch.ones(1, 3), "norm": torch.ones(2)}] * 2
    for wrong in ([1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="argument 2"):
            add_up(sets, wrong)


def test_halves_stay_as_they_are_up_to_the_rank_that_a_kernel_can_have():
    half = {"k.up": torch.tensor([[1.0], [2.0]]), "k.down": torch.tensor([[3.0, 4.0, 5.0]])}
    summed = add_up([half, half], [1.0, 0.5])
    assert torch.equal(summed["k.up"], torch.tensor([[1.0, 0.5], [2.0, 1.0]]))
    assert torch.equal(summed["k.down"], torch.tensor([[3.0, 4.0, 5.0]] * 2))


def test_kernels_are_merged_in_float32_inside_autocast():
    generator = torch.Generator().manual_seed(0)
    up, down = (torch.randn(shape, generator=generator) for shape in ((4, 2), (2, 9)))
    kernel = torch.randn(4, 1, 3, 3, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        merged = merge_updates({"k": kernel}, {"k.up": up, "k.down": down})["k"]
    assert merged.dtype == torch.float32
    torch.testing.assert_close(merged, kernel + (up @ down).view_as(kernel))


def test_stylizing_with_updates_equals_a_network_with_those_kernels(network, images):
    updates = random_updates(network, rank=2, seed=5)
    changed = StylizationNetwork(channels=3, blocks=1).double()
    changed.load_state_dict(network.state_dict())
    with torch.no_grad():
        for name, parameter in changed.named_parameters():
            if f"{name}.up" in updates:
                flat = parameter.flatten(1)
                flat += torch.einsum("or,ri->oi", updates[f"{name}.up"], updates[f"{name}.down"])
        torch.testing.assert_close(stylize_with(network, updates, images), changed(images))
        assert (changed(images) - network(images)).abs().max() > 0.01


def test_new_updates_change_nothing_and_are_the_same_each_time(network, images):
    updates = initial_updates(own(network), rank=3)
    with torch.no_grad():
        assert torch.equal(stylize_with(network, updates, images), network(images))
    again = initial_updates(own(network), rank=3)
    assert all(torch.equal(tensor, again[name]) for name, tensor in updates.items())
    assert update_shapes(own(network), updates) == {n: t.shape for n, t in updates.items()}
    down = updates[f"{KERNEL}.down"]
    assert float(down.square().sum(1).mean()) == pytest.approx(1, rel=0.2)


def test_the_rank_of_a_sum_never_passes_what_the_kernel_can_have(network):
    parameters = own(network)
    sets = [random_updates(network, rank=2, seed=seed) for seed in range(4)]
    summed = add_up(sets, [1.0, -2.0, 0.5, 3.0])
    assert summed["output.weight.up"].shape == (3, 3)
    assert summed[f"{KERNEL}.up"].shape == (12, 8)
    found = merge_updates(parameters, summed)
    for name in ("output.weight", KERNEL):
        kernels = [merge_updates(parameters, each)[name] - parameters[name] for each in sets]
        wanted = kernels[0] - 2 * kernels[1] + 0.5 * kernels[2] + 3 * kernels[3]
        torch.testing.assert_close(found[name] - parameters[name], wanted)


def test_every_convolution_of_the_shipped_size_is_updated():
    network = StylizationNetwork()
    weights = adapted_weights(network, "low_rank", 4)
    kernels = sum(p.ndim == 4 for p in network.parameters())
    assert sum(map(is_update, weights)) == 2 * kernels == 32
    assert sum(t.numel() for t in weights.values()) == 77_400


def test_gradients_reach_updates_and_kernels(network, images):
    weights = {n: t.requires_grad_() for n, t in random_updates(network, rank=1, seed=6).items()}
    stylize_with(network, weights, images).square().sum().backward()
    assert all(float(t.grad.abs().max()) > 0 for t in weights.values())
    gradient = dict(network.named_parameters())[KERNEL].grad
    # d/d(up) of W + up @ down is the kernel's own gradient times down.
    wanted = gradient.flatten(1) @ weights[f"{KERNEL}.down"].detach().T
    torch.testing.assert_close(weights[f"{KERNEL}.up"].grad, wanted)


def test_sums_of_updates_are_exact_whatever_their_ranks(network):
    parameters = own(network)
    one = {**parameters, **random_updates(network, rank=1, seed=7)}
    two = {name: 3 * value for name, value in parameters.items()}
    two |= random_updates(network, rank=3, seed=8)
    summed = add_up([one, parameters, two], [0.5, 2.0, -1.5])
    found = merge_updates(parameters, summed)
    sets = [merge_updates(parameters, each) for each in (one, parameters, two)]
    for name in (KERNEL, "decoder.0.norm.bias"):
        wanted = 0.5 * sets[0][name] + 2 * sets[1][name] - 1.5 * sets[2][name]
        torch.testing.assert_close(found[name], wanted)
    assert rank_of(summed) == 4
    assert rank_of(parameters) == 0
