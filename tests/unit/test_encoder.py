"""Encoders: layer names, borders of computation, weights in two naming schemes."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from safetensors.torch import save_file
from samples import TINY_SPEC, picture

from metastyle_core.checkpoint import read_metadata, write_tensors
from metastyle_core.encoder import (
    COMPACT_WEIGHTS,
    ENCODER_SPECS,
    EncoderSpec,
    PerceptualEncoder,
    _torchvision_names,
    features_at_scales,
    load_encoder,
    save_encoder,
)
from metastyle_core.errors import CheckpointError, EncoderWeightsError, SettingsError, ShapeError


@pytest.fixture(scope="module")
def vgg16():
    torch.manual_seed(0)
    return PerceptualEncoder(ENCODER_SPECS["vgg16"]).requires_grad_(False)


def test_taps_have_the_names_channels_and_sizes_of_vgg(vgg16):
    features = vgg16(torch.rand(1, 3, 37, 50))
    shapes = {name: tuple(f.shape) for name, f in features.items()}
    assert shapes == {
        "relu1_2": (1, 64, 37, 50),
        "relu2_2": (1, 128, 18, 25),
        "relu3_3": (1, 256, 9, 12),
        "relu4_3": (1, 512, 4, 6),
    }
    assert all(f.min() >= 0 for f in features.values())


def twin(state, spec, images):
    """Features by plain functions: zeros around, a rectifier, the largest of two by two."""
    hidden = images.flip(1) if spec.channel_order == "bgr" else images
    hidden = hidden * spec.scale - torch.tensor(spec.mean).view(1, 3, 1, 1)
    hidden = hidden / torch.tensor(spec.std).view(1, 3, 1, 1)
    features = {}
    for block, widths in enumerate(spec.blocks, start=1):
        if block > 1:
            height, width = hidden.shape[-2] // 2 * 2, hidden.shape[-1] // 2 * 2
            squares = hidden[..., :height, :width].unfold(2, 2, 2).unfold(3, 2, 2)
            hidden = squares.flatten(-2).max(-1).values
        for index in range(1, len(widths) + 1):
            weight, bias = (
                state[f"convolutions.conv{block}_{index}.{kind}"] for kind in ("weight", "bias")
            )
            padded = F.pad(hidden, (1, 1, 1, 1))
            hidden = F.conv2d(padded, weight, bias).clamp_min(0)
            mixing = state.get(f"projections.relu{block}_{index}.weight")
            tap = hidden if mixing is None else F.conv2d(hidden, mixing)
            features[f"relu{block}_{index}"] = tap
    return features


@pytest.mark.parametrize("name", ["compact", "vgg19", "vgg19_caffe"])
def test_features_are_those_of_plain_convolutions(name):
    if name == "compact":
        encoder = load_encoder("compact")
    else:
        torch.manual_seed(1)
        encoder = PerceptualEncoder(ENCODER_SPECS[name]).requires_grad_(False)
    images = picture(37, 42, seed=1)
    wanted = twin(encoder.state_dict(), encoder.spec, images)
    for layer, features in encoder(images).items():
        torch.testing.assert_close(features, wanted[layer], rtol=1e-4, atol=1e-4)


def test_weights_lie_channels_last():
    weight = PerceptualEncoder(TINY_SPEC).convolutions["conv2_1"].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not weight.is_contiguous()


def test_nothing_deeper_than_the_last_wanted_layer_is_computed(vgg16):
    deep = vgg16.convolutions["conv3_1"]
    calls = []
    handle = deep.register_forward_hook(lambda *_: calls.append(1))
    vgg16(torch.rand(1, 3, 32, 32), ["relu2_2"])
    handle.remove()
    assert not calls


def test_unknown_layers_and_shapes_are_refused(vgg16):
    with pytest.raises(SettingsError, match="relu9_9"):
        vgg16(torch.rand(1, 3, 32, 32), ["relu9_9"])
    with pytest.raises(ShapeError, match="B, 3, H, W"):
        vgg16(torch.rand(1, 4, 32, 32))


def test_caffe_order_and_scale():
    spec = EncoderSpec(
        "x", ((1,),), channel_order="bgr", scale=255.0, mean=(103.939, 116.779, 123.68),
        std=(1.0, 1.0, 1.0), content_layers=("relu1_1",), style_layers=("relu1_1",),
    )  # fmt: skip
    encoder = PerceptualEncoder(spec)
    convolution = encoder.convolutions["conv1_1"]
    torch.nn.init.zeros_(convolution.weight)
    convolution.weight.data[0, 0, 1, 1] = 1.0  # passes the first channel on: blue
    torch.nn.init.zeros_(convolution.bias)
    image = torch.tensor([0.1, 0.2, 0.9]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    value = encoder(image)["relu1_1"][0, 0, 1, 1].item()
    assert value == pytest.approx(0.9 * 255 - 103.939, rel=1e-5)


def test_weights_under_our_names_and_under_torchvisions(tmp_path, vgg16):
    own = {k.removeprefix("convolutions."): v.contiguous() for k, v in vgg16.state_dict().items()}
    save_file(own, tmp_path / "own.safetensors")
    positions = iter([0, 2, 5, 7, 10, 12, 14, 17, 19, 21])
    theirs = {}
    for name in vgg16.convolutions:
        position = next(positions)
        for kind in ("weight", "bias"):
            theirs[f"features.{position}.{kind}"] = own[f"{name}.{kind}"]
    theirs["classifier.0.bias"] = torch.zeros(3)  # deeper layers are ignored
    save_file(theirs, tmp_path / "theirs.safetensors")
    image = torch.rand(1, 3, 32, 32)
    for name in ("own", "theirs"):
        loaded = load_encoder("vgg16", weights=tmp_path / f"{name}.safetensors")
        for tap, features in vgg16(image).items():
            assert torch.equal(loaded(image)[tap], features)
        assert not any(p.requires_grad for p in loaded.parameters())


@pytest.fixture
def downloads(monkeypatch):
    """A torchvision whose weights are a function of what it is asked for."""

    def install(name, fetch):
        weights = SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(get_state_dict=fetch))
        models = SimpleNamespace(VGG16_Weights=None, VGG19_Weights=None)
        setattr(models, f"{name.upper()}_Weights", weights)
        monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))
        monkeypatch.setitem(sys.modules, "torchvision.models", models)

    return install


def test_torchvision_downloads_into_the_folder_and_checks_what_came(tmp_path, downloads, vgg16):
    asked = []
    names = _torchvision_names(vgg16.spec)
    state = {
        f"{names[layer]}.{kind}": tensor
        for key, tensor in vgg16.state_dict().items()
        for layer, kind in [key.removeprefix("convolutions.").split(".")]
    }

    def fetch(**options):
        asked.append(options)
        return state

    downloads("vgg16", fetch)
    loaded = load_encoder("vgg16", download_folder=tmp_path)
    assert asked == [{"model_dir": str(tmp_path), "progress": True, "check_hash": True}]
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, vgg16.state_dict()[name])


@pytest.mark.parametrize(
    ("name", "error"),
    [("vgg16", OSError("no network")), ("vgg19", RuntimeError("invalid hash value"))],
)
def test_a_download_that_fails_names_the_encoder_that_needs_none(tmp_path, downloads, name, error):
    def fetch(**_: object) -> None:
        raise error

    downloads(name, fetch)
    words = (
        rf"weights of {name} into {tmp_path} \({error}\)\. Try again with a network, or choose "
        r"the encoder 'compact', which needs none\.$"
    )
    with pytest.raises(EncoderWeightsError, match=words):
        load_encoder(name, download_folder=tmp_path)


def test_a_download_of_another_network_is_named_by_its_folder(tmp_path, downloads):
    downloads("vgg16", lambda **_: {})
    with pytest.raises(CheckpointError, match=rf"^{tmp_path} lacks 'conv1_1\.weight'; it does not"):
        load_encoder("vgg16", download_folder=tmp_path)


def test_an_encoder_of_another_name_is_refused():
    words = r"^There is no encoder 'vgg11'; choose one of vgg16, vgg19, vgg19_caffe, compact\.$"
    with pytest.raises(SettingsError, match=words):
        load_encoder("vgg11")


def test_weights_of_another_network_are_refused(tmp_path, vgg16):
    own = {k.removeprefix("convolutions."): v.contiguous() for k, v in vgg16.state_dict().items()}
    lacking = {k: v for k, v in own.items() if "conv4" not in k}
    save_file(lacking, tmp_path / "a.safetensors")
    words = (
        r"a\.safetensors lacks 'conv4_1\.weight'; it does not hold the weights of vgg16\. "
        r"Choose another file\.$"
    )
    with pytest.raises(CheckpointError, match=words):
        load_encoder("vgg16", weights=tmp_path / "a.safetensors")
    save_file({**own, "conv1_1.weight": torch.zeros(1, 3, 3, 3)}, tmp_path / "b.safetensors")
    words = (
        r"b\.safetensors: 'conv1_1\.weight' has shape \(1, 3, 3, 3\); vgg16 needs "
        r"\(64, 3, 3, 3\)\. Choose another file\.$"
    )
    with pytest.raises(CheckpointError, match=words):
        load_encoder("vgg16", weights=tmp_path / "b.safetensors")


def test_a_spec_survives_its_header():
    for spec in (*ENCODER_SPECS.values(), TINY_SPEC):
        assert EncoderSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("layer", ["relu1_0", "relu1_2", "relu3_1", "conv1_1"])
def test_a_spec_reads_no_layer_that_it_lacks(layer):
    with pytest.raises(SettingsError, match=rf"Encoder x has no layers \['{layer}'\] to read"):
        EncoderSpec("x", ((4,), (4,)), content_layers=("relu1_1",), style_layers=(layer,))


def test_channels_of_a_layer_are_those_of_its_projection_where_it_has_one():
    encoder = PerceptualEncoder(ENCODER_SPECS["compact"])
    found = [encoder.channels_of(layer) for layer in ("relu1_1", "relu1_2", "relu4_2", "relu4_3")]
    assert found == [16, 32, 320, 256]
    with pytest.raises(SettingsError, match="Encoder compact has no layer relu5_1"):
        encoder.channels_of("relu5_1")


@pytest.mark.parametrize("half", [True, False])
def test_an_encoder_of_ones_own_passes_through_a_file(tmp_path, tiny_encoder, half):
    path = tmp_path / "own.safetensors"
    save_encoder(path, tiny_encoder, {"updates": 7}, half=half)
    found = load_encoder("compact", weights=path)
    assert found.spec == TINY_SPEC
    assert read_metadata(path)["training"] == '{"updates": 7}'
    for name, tensor in tiny_encoder.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor.half().float() if half else tensor)
    assert not any(parameter.requires_grad for parameter in found.parameters())


def test_a_file_of_another_kind_is_no_compact_encoder(tmp_path, tiny_encoder):
    path = tmp_path / "a.safetensors"
    write_tensors(path, tiny_encoder.state_dict(), file_format="metastyle.style", metadata={})
    with pytest.raises(CheckpointError, match=r"a\.safetensors is a 'metastyle.style' file"):
        load_encoder("compact", weights=path)
    write_tensors(path, {}, file_format="metastyle.encoder", metadata={})
    with pytest.raises(CheckpointError, match=r"a\.safetensors: header entry 'spec' is missing"):
        load_encoder("compact", weights=path)
    spec = {"spec": json.dumps(TINY_SPEC.to_json())}
    write_tensors(path, {}, file_format="metastyle.encoder", metadata=spec)
    with pytest.raises(CheckpointError, match=f"^{path}"):
        load_encoder("compact", weights=path)
    words = r"a\.safetensors: the encoder's description is damaged; download or save it again\.$"
    write_tensors(path, {}, file_format="metastyle.encoder", metadata={"spec": "{}"})
    with pytest.raises(CheckpointError, match=words):
        load_encoder("compact", weights=path)


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("vgg16", "torchvision's vgg16 weights saved as safetensors, or a download folder"),
        (
            "vgg19_caffe",
            r"the original Caffe release converted to safetensors \(keys conv1_1.weight, \.\.\.\)",
        ),
    ],
)
def test_weights_that_are_asked_for_are_named(tmp_path, name, origin):
    remedy = (
        rf"Pass a file with --encoder-weights: {origin}\. "
        r"The encoder 'compact' needs none: it ships with MetaStyle\.$"
    )
    for weights, words in ((None, f"{name} needs its weights"), (tmp_path / "a", "do not exist")):
        with pytest.raises(EncoderWeightsError, match=rf"{words}\. {remedy}"):
            load_encoder(name, weights=weights)


def multiplications(spec: EncoderSpec) -> float:
    """Per input pixel, up to the deepest tap."""
    total, channels = 0.0, 3
    for block, widths in enumerate(spec.blocks):
        for index, width in enumerate(widths, start=1):
            total += channels * width * 9 / 4**block
            channels = width
            projected = spec.projected_channels.get(f"relu{block + 1}_{index}", 0)
            total += width * projected / 4**block
    return total


def test_compact_needs_at_most_a_quarter_of_vgg19s_multiplications():
    compact, vgg19 = ENCODER_SPECS["compact"], ENCODER_SPECS["vgg19"]
    assert multiplications(compact) * 4 <= multiplications(vgg19)


def test_the_shipped_compact_encoder_is_small_and_loads_by_itself():
    encoder = load_encoder("compact")
    assert COMPACT_WEIGHTS.stat().st_size < 6_000_000
    assert encoder.spec.projected_channels == ENCODER_SPECS["compact"].projected_channels
    features = encoder(torch.rand(1, 3, 64, 64))
    assert set(features) == {"relu1_2", "relu2_2", "relu3_3", "relu4_3"}


def test_coarser_sizes_have_the_style_layers_of_the_smaller_picture(tiny_encoder):
    image, spec = picture(64, 48), tiny_encoder.spec
    features = features_at_scales(tiny_encoder, image, 2)
    assert set(features) == {*tiny_encoder.taps, *(f"{layer}/2" for layer in spec.style_layers)}
    half = tiny_encoder(torch.nn.functional.avg_pool2d(image, 2))
    for layer in spec.style_layers:
        assert torch.equal(features[f"{layer}/2"], half[layer])
        assert torch.equal(features[layer], tiny_encoder(image)[layer])
    assert set(features_at_scales(tiny_encoder, image, 1, ["relu1_1"])) == {"relu1_1"}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"blocks": ()}, "has blocks"),
        ({"blocks": ((6,), ())}, "has blocks"),
        ({"blocks": ((0,), (8,))}, "has blocks"),
        ({"blocks": ((4097,), (8,))}, r"; 1 to 4096 channels and layers are possible\.$"),
        ({"projected_channels": {"relu1_1": 0}}, "has blocks"),
        ({"content_layers": ("relu2_2",)}, r"no layers \['relu2_2'\]"),
        ({"style_layers": ("relu1_1", "relu3_1")}, r"no layers \['relu3_1'\]"),
        ({"projected_channels": {"relu1_2": 4}}, r"no layers \['relu1_2'\]"),
        ({"content_layers": ()}, "no layers"),
        ({"style_layers": ()}, "no layers"),
        ({"mean": (0.5, 0.5)}, "three means"),
        ({"scale": float("inf")}, "three means"),
        ({"mean": (0.5, float("nan"), 0.5)}, "three means"),
        ({"std": (0.5, 0.0, 0.5)}, r"three deviations above 0 are needed\.$"),
    ],
)
def test_an_encoder_that_cannot_be_is_refused(tiny_encoder, changed, words):
    with pytest.raises(SettingsError, match=words):
        replace(tiny_encoder.spec, **changed)


def test_encoders_of_one_channel_and_of_the_most_are_possible(tiny_encoder):
    replace(tiny_encoder.spec, blocks=((1,), (4096,)), projected_channels={"relu2_1": 1})


def test_a_missing_file_of_the_compact_encoder_is_named(tmp_path):
    remedy = r"install MetaStyle again, or name the file with --encoder-weights\.$"
    with pytest.raises(EncoderWeightsError, match=rf"none\.safetensors do not exist; {remedy}"):
        load_encoder("compact", weights=tmp_path / "none.safetensors")


def test_every_coarser_size_is_half_the_one_before_and_has_style_layers_alone():
    spec = EncoderSpec("x", ((2, 2),), content_layers=("relu1_1",), style_layers=("relu1_2",))
    features = features_at_scales(PerceptualEncoder(spec), picture(32, 48), 4)
    sizes = {name: tuple(each.shape[-2:]) for name, each in features.items()}
    coarse = {"relu1_2/2": (16, 24), "relu1_2/4": (8, 12), "relu1_2/8": (4, 6)}
    assert sizes == {"relu1_1": (32, 48), "relu1_2": (32, 48)} | coarse
