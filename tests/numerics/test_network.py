"""The network's arithmetic: counts, fused layers, mixed styles, sizes."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from samples import TOLERANCES
from torch.func import functional_call

from metastyle_core import network as network_module
from metastyle_core.errors import ShapeError
from metastyle_core.network import (
    ConvNorm,
    InstanceNorm,
    OutputConv,
    ReflectConv,
    ResidualBlock,
    StylizationNetwork,
    UpsampleConv,
    adapted_parameter_names,
    adapted_weights,
    margins,
    norm_parameter_names,
    noted_statistics,
    smoothing_kernel,
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


def test_gradients_flow_through_a_norm_in_either_layout(generator):
    found = []
    features = torch.rand(2, 3, 4, 5, dtype=torch.float64, generator=generator)
    weights = torch.rand(2, 3, 4, 5, dtype=torch.float64, generator=generator)
    for layout in (torch.contiguous_format, torch.channels_last):
        norm = InstanceNorm(3).double()
        moving = features.clone().contiguous(memory_format=layout).requires_grad_()
        (norm(moving) * weights).sum().backward()
        found.append((moving.grad, norm.weight.grad, norm.bias.grad))
    assert found[0][0].abs().max() > 0.01
    for beside, wanted in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(beside, wanted, **TOLERANCES[torch.float64])


def test_each_place_is_normalised_as_its_own_mixture_of_styles():
    """One style halves and takes away 1/2, the other doubles and takes away 3."""
    norm = InstanceNorm(1)
    values = {
        "weight": torch.tensor([[1.0], [10.0]]),
        "bias": torch.tensor([[0.0], [1.0]]),
        "mean": torch.tensor([[1.0], [2.0]]),
        "variance": torch.tensor([[4.0 - 1e-5], [25.0 - 1e-5]]),
        "shares": torch.tensor(
            [[[1.0, 1.0, 0.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0, 0.0, 1.0, 1.0]]]
        ).unsqueeze(0),
    }
    features = torch.tensor([[[[3.0, 4.0, 5.0]]]])
    drawn = functional_call(norm, values, (features,))
    torch.testing.assert_close(drawn, torch.tensor([[[[1.0, 3.25, 7.0]]]]))
    assert functional_call(norm, values, (features.bfloat16(),)).dtype == torch.bfloat16


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_far_from_zero_a_norm_keeps_its_digits(layout):
    signs = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    features = torch.stack([signs, 8192 - signs])[None].contiguous(memory_format=layout)
    drawn = InstanceNorm(2)(features)
    torch.testing.assert_close(drawn, torch.stack([signs, -signs])[None], rtol=0, atol=1e-4)


def test_two_pictures_with_pixels_side_by_side_stay_two():
    features = torch.tensor([0.0, 2.0, 5.0, 9.0]).view(2, 1, 1, 2).expand(-1, 2, -1, -1)
    drawn = InstanceNorm(2)(features.contiguous(memory_format=torch.channels_last))
    wanted = torch.tensor([-1.0, 1.0]).expand(2, 2, 1, 2)
    torch.testing.assert_close(drawn, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_norm_with_half_of_its_statistics_takes_its_own(layout):
    norm = InstanceNorm(2)
    features = torch.tensor([0.0, 2.0]).expand(1, 2, 1, 2).contiguous(memory_format=layout)
    own = norm(features)
    for half in ({"mean": torch.ones(2)}, {"variance": torch.ones(2)}):
        assert torch.equal(functional_call(norm, half, (features,)), own)


def test_what_a_norm_is_given_to_normalise_by_is_no_part_of_its_state():
    norm = InstanceNorm(2)
    norm.mean = norm.variance = norm.shares = torch.ones(2)
    assert list(norm.state_dict()) == ["weight", "bias"]


def test_in_short_numbers_the_layout_in_memory_changes_nothing(generator):
    features = (10 + torch.rand(1, 3, 40, 40, generator=generator)).bfloat16()
    beside = features.contiguous(memory_format=torch.channels_last)
    assert torch.equal(InstanceNorm(3)(beside), InstanceNorm(3)(features))


def test_a_convolution_mirrors_the_picture_beyond_its_edge():
    """Of every second pixel, the one above and to the right, with 0.5 added."""
    layer = ReflectConv(1, 1, 3, stride=2)
    kernel = torch.zeros(1, 1, 3, 3)
    kernel[0, 0, 0, 2] = 1
    layer.load_state_dict({"weight": kernel, "bias": torch.tensor([0.5])})
    assert layer(torch.arange(8.0).view(1, 1, 2, 4)).tolist() == [[[[5.5, 7.5]]]]


def test_what_is_convolved_in_short_numbers_leaves_in_those_of_the_pictures():
    image = torch.rand(1, 3, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert StylizationNetwork(4, 1)(image).dtype == torch.float32


def test_a_skip_is_added_to_what_is_convolved():
    layer = ConvNorm(ReflectConv(1, 1, 1), 1, skips=True)
    layer.load_state_dict(
        {
            "convolution.weight": torch.ones(1, 1, 1, 1),
            "convolution.bias": torch.zeros(1),
            "skip.weight": torch.full((1, 1, 1, 1), 2.0),
            "norm.weight": torch.ones(1),
            "norm.bias": torch.zeros(1),
        }
    )
    features = torch.tensor([[[[0.0, 1.0]]]])
    rising, falling = torch.tensor([[[[-1.0, 1.0]]]]), torch.tensor([[[[1.0, -1.0]]]])
    torch.testing.assert_close(layer(features), rising, rtol=0, atol=1e-4)
    earlier = torch.tensor([[[[1.0, 0.0]]]])
    torch.testing.assert_close(layer(features, "none", earlier), falling, rtol=0, atol=1e-4)
    plain = ConvNorm(layer.convolution, 1)
    torch.testing.assert_close(plain(features, "none", earlier), rising, rtol=0, atol=1e-4)


def test_a_residual_block_adds_its_change():
    block = ResidualBlock(2)
    torch.nn.init.zeros_(block.second.norm.weight)
    torch.nn.init.constant_(block.second.norm.bias, 0.25)
    features = torch.rand(1, 2, 4, 4)
    torch.testing.assert_close(block(features), features + 0.25)


def test_half_of_a_smoothing_lies_between_nothing_and_a_binomial():
    assert smoothing_kernel(0.5).tolist() == [
        [1 / 32, 1 / 16, 1 / 32],
        [1 / 16, 5 / 8, 1 / 16],
        [1 / 32, 1 / 16, 1 / 32],
    ]


def test_a_network_without_options_has_none_of_them():
    network = StylizationNetwork()
    assert (network.reads_grain, network.skips, network.smoothing) == (False, False, 0.0)


def test_an_untrained_network_has_every_option_of_its_model():
    model = StylizationNetwork(4, 1, reads_grain=True, skips=True, smoothing=0.5)
    other = model.untrained()
    assert (other.reads_grain, other.skips, other.smoothing) == (True, True, 0.5)
    own, theirs = model.state_dict(), other.state_dict()
    assert {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in theirs.items()}
    assert not torch.equal(own["output.weight"], theirs["output.weight"])


def test_grain_is_added_or_handed_on_with_its_gain():
    pictures = torch.full((2, 3, 16, 16), 0.5).half()
    strokes = 0.05 * torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    added = StylizationNetwork(4, 1).with_strokes(pictures, strokes)
    torch.testing.assert_close(added, pictures + strokes.half(), rtol=0, atol=1e-3)
    read = StylizationNetwork(4, 1, reads_grain=True).with_strokes(pictures, strokes)
    assert torch.equal(read[:, :3], pictures)
    torch.testing.assert_close(read[:, 3:], (3.2 * strokes).half(), rtol=0, atol=1e-3)


def test_margins_fill_a_side_up_to_a_multiple_of_4():
    assert [margins(side, False) for side in (16, 17, 18, 19)] == [(8, 8), (8, 11), (8, 10), (8, 9)]
    assert margins(16, True) == (0, 0)
    with pytest.raises(
        ShapeError, match=r"^A side of 18 px cannot wrap; resize it to a multiple of 4 px\.$"
    ):
        margins(18, True)


def test_a_picture_below_16_px_is_refused_by_its_size(network):
    with pytest.raises(ShapeError, match=r"^Image is 15x16 px; both sides must be at least 16 px"):
        network(torch.rand(1, 3, 16, 15, dtype=F64))


def test_statistics_are_those_of_all_pictures_in_full_precision():
    layers = torch.nn.Sequential(InstanceNorm(1), torch.nn.ReLU(), InstanceNorm(1))
    features = torch.tensor([0.0, 2.0, 4.0, 6.0]).view(2, 1, 1, 2).bfloat16()
    with noted_statistics(layers) as noted:
        layers(features)
    assert set(noted) == {"0.mean", "0.variance", "2.mean", "2.variance"}
    assert noted["0.mean"].dtype == noted["0.variance"].dtype == torch.float32
    assert (noted["0.mean"].tolist(), noted["0.variance"].tolist()) == ([3.0], [5.0])
    layers(10 * features)
    assert noted["0.mean"].tolist() == [3.0], "outside of the block nothing is noted"


def test_a_mode_adapts_its_parameters_and_low_rank_updates_besides():
    network = StylizationNetwork(4, 1)
    norms = norm_parameter_names(network)
    assert tuple(adapted_weights(network, "norm", 3)) == norms
    assert list(adapted_weights(network, "full", 3)) == [n for n, _ in network.named_parameters()]
    weights = adapted_weights(network, "low_rank", 3)
    updates = {name: value for name, value in weights.items() if name not in norms}
    assert updates
    assert all(value.requires_grad and 3 in value.shape for value in updates.values())
