"""The network's arithmetic: counts, fused layers, mixed styles, sizes."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from samples import TOLERANCES
from torch.func import functional_call

from metastyle_core import network as network_module
from metastyle_core.network import (
    InstanceNorm,
    OutputConv,
    StylizationNetwork,
    UpsampleConv,
    adapted_parameter_names,
    norm_parameter_names,
    stylize_with,
)

F64 = torch.float64


@pytest.fixture(scope="module")
def network() -> StylizationNetwork:
    torch.manual_seed(0)
    return StylizationNetwork(channels=4, blocks=2).double()


def test_parameter_counts_are_the_papers():
    network = StylizationNetwork()
    counts = {name: p.numel() for name, p in network.named_parameters()}
    assert sum(counts.values()) == 1_679_235
    assert sum(counts[name] for name in norm_parameter_names(network)) == 3_200


def test_adapted_parameters_by_mode():
    network = StylizationNetwork()
    counts = {name: p.numel() for name, p in network.named_parameters()}
    sizes = {
        mode: sum(counts[name] for name in adapted_parameter_names(network, mode))
        for mode in ("norm", "low_rank", "decoder", "full")
    }
    decoder = 64 * 128 * 9 + 64 + 32 * 64 * 9 + 32 + 3 * 32 * 81 + 3
    assert sizes == {
        "norm": 3_200,
        "low_rank": 3_200,
        "decoder": 3_200 + decoder,
        "full": 1_679_235,
    }


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 4), (5, 9)])
def test_fused_enlargement_equals_nearest_then_convolution(height, width):
    torch.manual_seed(height)
    layer = UpsampleConv(6, 5).double()
    features = torch.randn(2, 6, height, width, dtype=F64)
    enlarged = F.interpolate(features, scale_factor=2, mode="nearest")
    padded = F.pad(enlarged, (1, 1, 1, 1), mode="reflect")
    plain = F.conv2d(padded, layer.weight, layer.bias)
    torch.testing.assert_close(layer(features), plain, rtol=0, atol=1e-12)


def test_fused_enlargement_has_the_same_gradients():
    torch.manual_seed(1)
    layer = UpsampleConv(3, 2).double()
    features = torch.randn(1, 3, 4, 4, dtype=F64, requires_grad=True)
    enlarged = F.interpolate(features, scale_factor=2, mode="nearest")
    plain = F.conv2d(F.pad(enlarged, (1, 1, 1, 1), mode="reflect"), layer.weight, layer.bias)
    wanted = torch.autograd.grad(plain.square().sum(), [features, layer.weight])
    found = torch.autograd.grad(layer(features).square().sum(), [features, layer.weight])
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("height", "width"), [(10, 12), (16, 8)])
def test_output_convolution_on_blocks_equals_the_plain_one(height, width):
    torch.manual_seed(height)
    layer = OutputConv(5, 3, 9).double()
    features = torch.randn(2, 5, height, width, dtype=F64, requires_grad=True)
    padded = F.pad(features, (4, 4, 4, 4), mode="reflect")
    plain = F.conv2d(padded, layer.weight, layer.bias)
    torch.testing.assert_close(layer(features), plain, rtol=0, atol=1e-12)
    wanted = torch.autograd.grad(plain.square().sum(), [features, layer.weight, layer.bias])
    found = torch.autograd.grad(
        layer(features).square().sum(), [features, layer.weight, layer.bias]
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_instance_norm_equals_torchs():
    torch.manual_seed(2)
    norm = InstanceNorm(4).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    features = torch.randn(3, 4, 5, 6, dtype=F64)
    wanted = F.instance_norm(features, weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(norm(features), wanted)


def test_a_batch_of_mixed_styles_equals_one_by_one(network):
    torch.manual_seed(3)
    images = torch.rand(3, 3, 20, 24, dtype=F64)
    own = dict(network.named_parameters())
    rows = {
        name: own[name].detach() + 0.3 * torch.randn(3, own[name].numel(), dtype=F64)
        for name in norm_parameter_names(network)
    }
    together = stylize_with(network, rows, images)
    for i in range(3):
        alone = stylize_with(network, {k: v[i] for k, v in rows.items()}, images[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-12)


def test_fast_weights_leave_the_network_as_it_was(network):
    before = {k: v.clone() for k, v in network.state_dict().items()}
    name = norm_parameter_names(network)[0]
    images = torch.rand(1, 3, 16, 16, dtype=F64)
    changed = stylize_with(network, {name: torch.zeros(4, dtype=F64)}, images)
    assert not torch.equal(changed, network(images))
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 31), (18, 16), (19, 23)])
def test_any_size_from_16_px_up_is_kept(network, height, width):
    output = network(torch.rand(1, 3, height, width, dtype=F64))
    assert output.shape == (1, 3, height, width)
    assert output.dtype == F64
    assert 0 <= output.min() <= output.max() <= 1


def test_second_derivatives_flow_through_the_network():
    torch.manual_seed(4)
    network = StylizationNetwork(channels=3, blocks=1).double()
    names = norm_parameter_names(network)[-2:]
    own = dict(network.named_parameters())
    image = torch.rand(1, 3, 16, 16, dtype=F64)

    def loss(*values: torch.Tensor) -> torch.Tensor:
        return stylize_with(network, dict(zip(names, values, strict=True)), image).square().mean()

    inputs = tuple(own[name].detach().clone().requires_grad_() for name in names)
    assert torch.autograd.gradgradcheck(loss, inputs, atol=1e-6)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("styles", [1, 3])
@pytest.mark.parametrize("cached", [1, 100, 2**18])
def test_the_layout_in_memory_changes_no_norm(generator, monkeypatch, styles, fixed, cached):
    monkeypatch.setattr(network_module, "_CACHED_NUMBERS", cached)
    norm = InstanceNorm(5).double()
    features = torch.rand(3, 5, 7, 9, dtype=torch.float64, generator=generator)
    shape = (5,) if styles == 1 else (3, 5)
    values = {
        name: torch.rand(shape, dtype=torch.float64, generator=generator)
        for name in ("weight", "bias")
    }
    if fixed:
        values |= {
            name: torch.rand(5, dtype=torch.float64, generator=generator)
            for name in ("mean", "variance")
        }
    beside = features.contiguous(memory_format=torch.channels_last)
    found = functional_call(norm, values, (beside,))
    assert found.is_contiguous(memory_format=torch.channels_last)
    wanted = functional_call(norm, values, (features,))
    torch.testing.assert_close(found, wanted, **TOLERANCES[torch.float64])
