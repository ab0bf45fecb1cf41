"""Files of tensors: whole or absent, and refused with a reason when spoilt."""

import hashlib
import pickle
import re
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from metastyle_core import checkpoint
from metastyle_core.base import BASE_FORMAT, Predictor, load_base, save_base
from metastyle_core.checkpoint import (
    content_hash,
    fill_module,
    parse_json,
    read_metadata,
    read_tensors,
    refuse_other_keys,
    write_tensors,
)
from metastyle_core.encoder import EncoderSpec, PerceptualEncoder, load_encoder
from metastyle_core.errors import CheckpointError, EncoderWeightsError, SettingsError
from metastyle_core.initialisation import PredictorSize, StylePredictor
from metastyle_core.network import StylizationNetwork

SIZE = PredictorSize(hidden=256)
TENSORS = {"a": torch.arange(6.0).view(2, 3)}


def write(path, tensors=None, **metadata):
    write_tensors(path, tensors or TENSORS, file_format="test", metadata=metadata)
    return path


def test_round_trip(tmp_path):
    path = write(tmp_path / "very" / "deep" / "a.safetensors", note="hello")
    file = read_tensors(path, file_format="test")
    assert torch.equal(file.tensors["a"], TENSORS["a"])
    assert file.metadata["note"] == "hello"
    assert read_metadata(path, file_format="test")["format_version"] == "1"


def test_spoilt_files_are_refused_with_a_reason(tmp_path):
    good = write(tmp_path / "good.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(good.read_bytes()[:-7])
    text = tmp_path / "text.safetensors"
    text.write_text("hello world, this is no tensor file")
    empty = tmp_path / "empty.safetensors"
    empty.touch()
    pickled = tmp_path / "pickled.safetensors"
    pickled.write_bytes(pickle.dumps({"a": 1}))
    zipped = tmp_path / "zipped.safetensors"
    torch.save(TENSORS, zipped)
    spoilt = tmp_path / "nan.safetensors"
    nan = {"a": torch.tensor([1.0, float("nan")])}
    save_file(nan, spoilt, metadata={"format": "test", "format_version": "1"})
    other = tmp_path / "other.safetensors"
    save_file(TENSORS, other, metadata={"format": "someone else's", "format_version": "1"})
    plain = tmp_path / "plain.safetensors"
    save_file(TENSORS, plain)
    newer = tmp_path / "newer.safetensors"
    save_file(TENSORS, newer, metadata={"format": "test", "format_version": "99"})
    damaged = (
        r" is damaged, cut short or not a safetensors file \(.*\); download or save it again\."
    )
    pickle_or_zip = (
        r" is a pickle or zip file, which may run code when opened; only \.safetensors files are "
        r"read\. Convert it first\."
    )
    reasons = {
        cut: damaged,
        text: damaged,
        empty: r" is empty; download or save it again\.",
        pickled: pickle_or_zip,
        zipped: pickle_or_zip,
        spoilt: r": 'a' holds NaN or infinity; the file is spoilt\. Make it again\.",
        other: r" is a 'someone else's' file; 'test' is needed\. Choose another file\.",
        plain: r" is a 'plain safetensors' file; 'test' is needed\. Choose another file\.",
        newer: r" has format version 99; this release reads version 1\. Update MetaStyle or save "
        r"the file again\.",
        tmp_path / "absent.safetensors": r" does not exist; check the file's name\.",
        tmp_path: r" is a folder; a \.safetensors file is needed\.",
    }
    for path, reason in reasons.items():
        # The header alone says nothing of the numbers.
        for read in (read_tensors,) if path == spoilt else (read_tensors, read_metadata):
            with pytest.raises(CheckpointError, match=f"^{re.escape(str(path))}{reason}$"):
                read(path, file_format="test")


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn])
def test_numbers_that_nothing_of_ours_holds_are_refused(tmp_path, dtype):
    path = tmp_path / "odd.safetensors"
    save_file({"a": torch.zeros(2), "b": torch.zeros(2).to(dtype)}, path)
    words = (
        f"{path}: 'b' holds numbers of type {dtype}, which are not read; save it as float32, "
        "float16 or bfloat16."
    )
    with pytest.raises(CheckpointError, match=f"^{re.escape(words)}$"):
        read_tensors(path)


def test_what_a_file_lacks_and_what_it_has_too_many_of_is_named():
    expected, own = dict.fromkeys("abcd", torch.Size([1])), torch.zeros(1)
    for names, words in (
        ("ez", "f lacks ['a', 'b', 'c'] and has unknown ['e', 'z']; it was made for another"),
        ("abc", "f lacks ['d']; it was made for another"),
        ("abcdwxyz", "f has unknown ['w', 'x', 'y']; it was made for another"),
    ):
        with pytest.raises(CheckpointError, match=re.escape(words)):
            refuse_other_keys("f", dict.fromkeys(names, own), expected)
    with pytest.raises(CheckpointError, match=re.escape("f: 'c' has shape (2, 1); (1,) is needed")):
        refuse_other_keys("f", dict.fromkeys("abd", own) | {"c": torch.zeros(2, 1)}, expected)
    refuse_other_keys("f", dict.fromkeys("abcd", own), expected)
    with pytest.raises(CheckpointError, match=re.escape("f lacks ['bias', 'weight']; it was")):
        fill_module("f", torch.nn.Linear(1, 1), {})


def test_a_header_entry_that_is_no_object_is_named():
    for text, words in (
        ("{", "is missing or damaged; download or save it again."),
        ("[1]", "is not a JSON object; download or save it again."),
    ):
        whole = re.escape(f"f: header entry 'a' {words}")
        with pytest.raises(CheckpointError, match=f"^{whole}$"):
            parse_json("f", {"a": text}, "a")
    assert parse_json("f", {"a": '{"b": 1}'}, "a") == {"b": 1}


def test_a_file_without_permission_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path / "a.safetensors")
    words = f"Cannot read {path} (Permission denied); check its name, permissions and disk."
    for place in ("metastyle_core.checkpoint.safe_open", "pathlib.Path.open"):
        monkeypatch.setattr(place, refuse)
        for read in (read_tensors, read_metadata):
            with pytest.raises(CheckpointError, match=f"^{re.escape(words)}$"):
                read(path)


def test_what_cannot_be_read_again_is_not_written(tmp_path):
    for value in (float("nan"), torch.tensor(1e5).half().item()):
        words = (
            f"Cannot write {tmp_path / 'a.safetensors'}: 'a' holds NaN or infinity. Make it again, "
            "or save it in full precision."
        )
        with pytest.raises(CheckpointError, match=f"^{re.escape(words)}$"):
            write(tmp_path / "a.safetensors", {"a": torch.tensor([1.0, value])})
    assert not list(tmp_path.iterdir())


def test_any_flipped_bit_of_the_numbers_is_found(tmp_path):
    path = write(tmp_path / "a.safetensors", {"a": torch.rand(5), "b": torch.ones(3).half()})
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    words = (
        f"{path} is damaged: its numbers do not fit the checksum in its header. Download it again, "
        "or make it again."
    )
    for bit in range(8 * start, 8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match=f"^{re.escape(words)}$"):
            read_tensors(path)


def test_a_file_without_a_checksum_is_read(tmp_path):
    path = tmp_path / "old.safetensors"
    save_file(TENSORS, path, metadata={"format": "test", "format_version": "1"})
    assert torch.equal(read_tensors(path, file_format="test").tensors["a"], TENSORS["a"])


def test_every_type_and_shape_passes_through_a_file(tmp_path):
    tensors = {
        "bfloat16": torch.rand(2, 3).bfloat16(),
        "one number": torch.tensor(1.5),
        "none": torch.zeros(0, 4),
        "whole": torch.arange(3),
        "strided": torch.rand(4, 4).T,
    }
    found = read_tensors(write(tmp_path / "a.safetensors", tensors)).tensors
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)
        assert found[name].dtype == tensor.dtype


def test_the_same_contents_give_the_same_bytes(tmp_path):
    metadata = {f"key {i}": f'\u00e9 "{i}"' for i in range(12)}
    files = {write(tmp_path / f"{i}.safetensors", **metadata).read_bytes() for i in range(5)}
    assert len(files) == 1
    found = read_metadata(tmp_path / "0.safetensors")
    assert metadata.items() <= found.items()


def test_but_for_the_order_of_its_strings_a_file_is_as_the_library_writes_it():
    for text in ("\u00e9", "e", "ee", "eee"):
        found = checkpoint._serialised(TENSORS, {"note": text})
        assert found == save(TENSORS, metadata={"note": text})


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.safetensors")
    before = path.read_bytes()

    original = Path.write_bytes

    def fail_half_way(self: Path, data: bytes) -> None:
        original(self, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail_half_way)
    with pytest.raises(CheckpointError, match="No space left"):
        write(path, {"a": torch.zeros(3)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_files_and_bases_are_told_by_hashes_that_stay_what_they_are(tmp_path):
    """Styles name their base by one, and files that exist hold the other."""
    tensors = {"b": torch.tensor(3.0), "a": torch.tensor([[1.0, 2.0]]).half()}
    text = b"a(1, 2)" + struct.pack("<2f", 1, 2) + b"b()" + struct.pack("<f", 3)
    assert content_hash(tensors) == hashlib.sha256(text).hexdigest()
    text = b"atorch.float16(1, 2)" + struct.pack("<2e", 1, 2)
    text += b"btorch.float32()" + struct.pack("<f", 3)
    found = read_metadata(write(tmp_path / "a.safetensors", tensors))
    assert found["tensors_sha256"] == hashlib.sha256(text).hexdigest()


def test_hash_sees_names_shapes_and_values_but_not_format():
    base = content_hash({"a": torch.ones(2, 2)})
    assert base == content_hash({"a": torch.ones(2, 2, dtype=torch.float16)})
    assert base != content_hash({"b": torch.ones(2, 2)})
    assert base != content_hash({"a": torch.ones(4)})
    assert base != content_hash({"a": torch.zeros(2, 2)})


def test_base_round_trip_keeps_its_hash(base_file):
    assert load_base(base_file).sha256 == load_base(base_file).sha256
    assert not any(p.requires_grad for p in load_base(base_file).network.parameters())


def rewrite_header(path, **changes):
    file = read_tensors(path)
    header = {k: v for k, v in file.metadata.items() if not k.startswith("format")} | changes
    kept = {name: value for name, value in header.items() if value is not None}
    write_tensors(path, file.tensors, file_format=BASE_FORMAT, metadata=kept)


def test_a_base_brings_the_encoder_its_predictor_reads(tmp_path):
    spec = EncoderSpec("own", ((4,), (4,)), content_layers=("relu2_1",), style_layers=("relu2_1",))
    network, encoder = StylizationNetwork(channels=4, blocks=1), PerceptualEncoder(spec)
    predictor = StylePredictor(network, encoder, PredictorSize(16))
    path = tmp_path / "base.safetensors"
    save_base(path, network, Predictor(predictor, encoder), {})
    read = load_base(path).predictor
    assert read is not None
    assert read.encoder.spec == spec
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(read.encoder.state_dict()[name], value, rtol=1e-3, atol=1e-4)

    rewrite_header(path, predictor_encoder='{"name": "own"}')
    with pytest.raises(CheckpointError, match="description is damaged"):
        load_base(path)


@pytest.fixture
def predicting_base(tmp_path):
    """The file of a base with a predictor."""
    network, encoder = StylizationNetwork(channels=4, blocks=1), load_encoder("compact")
    path = tmp_path / "predicting.safetensors"
    predictor = StylePredictor(network, encoder, SIZE)
    save_base(path, network, Predictor(predictor, encoder), {})
    return path


@pytest.mark.parametrize(
    "size",
    [None, '{"hidden": "wide"}', '{"hidden": 0}', '{"hidden": 256, "covariances": null}'],
)
def test_a_missing_or_damaged_predictor_size_is_a_clear_error(predicting_base, size):
    rewrite_header(predicting_base, predictor=size)
    with pytest.raises(CheckpointError, match="'predictor'"):
        load_base(predicting_base)


def test_a_predictor_that_read_no_covariances_is_read_and_others_are_refused(predicting_base):
    predicted = load_base(predicting_base).predictor.network.state_dict()
    rewrite_header(predicting_base, predictor='{"hidden": 256, "covariances": 0}')
    for name, value in load_base(predicting_base).predictor.network.state_dict().items():
        assert torch.equal(value, predicted[name])
    rewrite_header(predicting_base, predictor='{"hidden": 256, "covariances": 16}')
    with pytest.raises(CheckpointError, match=r"reads 16 covariances.*choose another base"):
        load_base(predicting_base)


@pytest.mark.parametrize(("channels", "blocks"), [(0, 1), (257, 1), (8, 0), (8, 65)])
def test_a_base_of_an_impossible_size_is_refused(base_file, tmp_path, channels, blocks):
    path = tmp_path / "base.safetensors"
    path.write_bytes(base_file.read_bytes())
    rewrite_header(path, architecture=f'{{"channels": {channels}, "blocks": {blocks}}}')
    with pytest.raises(CheckpointError, match=f"asks for {channels} channels and {blocks} blocks"):
        load_base(path)


def test_a_base_with_missing_or_unknown_tensors_is_refused(tmp_path, base_file):
    file = read_tensors(base_file)
    tensors = file.tensors
    header = {k: v for k, v in file.metadata.items() if not k.startswith("format")}
    lacking = {k: v for k, v in tensors.items() if "output" not in k}
    extra = {**tensors, "network.more": torch.zeros(1)}
    stray = {**tensors, "stray": torch.zeros(1)}
    shaped = {**tensors, "network.output.bias": torch.zeros(4)}
    cases = {"lacks": lacking, "unknown": extra, "unknown tensors": stray, "shape": shaped}
    for reason, changed in cases.items():
        path = tmp_path / "base.safetensors"
        write_tensors(path, changed, file_format=BASE_FORMAT, metadata=header)
        with pytest.raises(CheckpointError, match=reason):
            load_base(path)


def test_encoders_without_weights_say_what_to_do():
    for name in ("vgg16", "vgg19", "vgg19_caffe"):
        with pytest.raises(EncoderWeightsError, match="compact") as caught:
            load_encoder(name)
        assert "--encoder-weights" in str(caught.value)
    with pytest.raises(EncoderWeightsError, match="do not exist"):
        load_encoder("vgg19", weights="/absent/vgg19.safetensors")
    with pytest.raises(SettingsError, match="resnet"):
        load_encoder("resnet")
