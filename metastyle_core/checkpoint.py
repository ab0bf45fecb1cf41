"""Tensors in files: safetensors in and out, checked before they are believed.

Every file of ours carries `format` and `format_version` in its header. Files are
written whole or not at all, and read with safetensors only: nothing is unpickled.
What the tensors mean is the business of `style`, `base` and `encoder`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .errors import CheckpointError
from .files import atomic_file

FORMAT_VERSION = "1"
CHECKSUM = "tensors_sha256"
# Text that is no JSON, holds a number of thousands of digits, or is nested too deep.
JSON_ERRORS = (ValueError, RecursionError)
_READABLE = frozenset({
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
})  # fmt: skip
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


@dataclass(frozen=True)
class TensorFile:
    """What a file of ours holds.

    Attributes:
        tensors: name to tensor, on the CPU.
        metadata: the header's strings, `format` and `format_version` included.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def write_tensors(
    path: Path | str,
    tensors: Mapping[str, Tensor],
    *,
    file_format: str,
    metadata: Mapping[str, str],
) -> None:
    """Write a safetensors file that appears whole or not at all.

    The same tensors and strings give the same bytes. The header gets a checksum of the tensors.

    Args:
        path: target; folders are created.
        tensors: name to tensor, any device.
        file_format: the `format` entry, such as `metastyle.style`.
        metadata: further header strings.

    Raises:
        CheckpointError: the place cannot be written, or a tensor holds NaN or infinity, as
            values beyond 65,504 become in float16.
    """
    path = Path(path)
    spoilt = _first_non_finite(tensors)
    if spoilt is not None:
        raise CheckpointError(
            f"Cannot write {path}: '{spoilt}' holds NaN or infinity. Make it again, or save it in "
            "full precision."
        )
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"format": file_format, "format_version": FORMAT_VERSION, **metadata}
    header[CHECKSUM] = _checksum(contiguous)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_bytes(_serialised(contiguous, header))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"Cannot write {path} ({error}); choose a folder that can be written and has room."
        ) from error


def _serialised(tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a safetensors file, with the header's strings in alphabetical order.

    The library writes them in the order of a hash table, which changes from run to run.
    """
    data = save(tensors, metadata=dict(metadata))
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end]) | {"__metadata__": dict(sorted(metadata.items()))}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and bytes, independent of their order in a file."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _refuse_odd_numbers(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in _READABLE:
            raise CheckpointError(
                f"{path}: '{name}' holds numbers of type {tensor.dtype}, which are not read; "
                "save it as float32, float16 or bfloat16."
            )


def _refuse_damaged(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Compare with the checksum, where there is one: older files and those of others have none."""
    if metadata.get(CHECKSUM) not in {None, _checksum(tensors)}:
        raise CheckpointError(
            f"{path} is damaged: its numbers do not fit the checksum in its header. Download it "
            "again, or make it again."
        )


def read_tensors(path: Path | str, *, file_format: str | None = None) -> TensorFile:
    """Read a safetensors file and refuse what is not one.

    Args:
        path: the file.
        file_format: the `format` that is needed; None takes any safetensors file.

    Raises:
        CheckpointError: missing, empty, cut short, a pickle, not safetensors, of another
            format or version, with another checksum than its header says, or with NaN,
            infinity, complex or 8-bit floating-point numbers in it.
    """
    path = Path(path)
    _refuse_what_is_no_file(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
            _check_format(path, metadata, file_format)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(_reason(path, error)) from error
    _refuse_odd_numbers(path, tensors)
    _refuse_damaged(path, tensors, metadata)
    refuse_non_finite(path, tensors)
    return TensorFile(tensors, metadata)


def read_metadata(path: Path | str, *, file_format: str | None = None) -> dict[str, str]:
    """Read only the header of a safetensors file, with the checks of `read_tensors`."""
    path = Path(path)
    _refuse_what_is_no_file(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(_reason(path, error)) from error
    _check_format(path, metadata, file_format)
    return metadata


def _reason(path: Path, error: Exception) -> str:
    """What is wrong with a file that cannot be read: the place or the bytes."""
    if isinstance(error, OSError) and error.errno is not None:
        return f"Cannot read {path} ({error.strerror}); check its name, permissions and disk."
    return (
        f"{path} is damaged, cut short or not a safetensors file ({error}); "
        "download or save it again."
    )


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise CheckpointError(f"{path} is a folder; a .safetensors file is needed.")
        if not path.is_file():
            raise CheckpointError(f"{path} does not exist; check the file's name.")
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise CheckpointError(_reason(path, error)) from error
    if not start:
        raise CheckpointError(f"{path} is empty; download or save it again.")
    if start.startswith(_PICKLE_STARTS):
        raise CheckpointError(
            f"{path} is a pickle or zip file, which may run code when opened; "
            "only .safetensors files are read. Convert it first."
        )


def _check_format(path: Path, metadata: Mapping[str, str], file_format: str | None) -> None:
    if file_format is None:
        return
    found = metadata.get("format")
    if found != file_format:
        raise CheckpointError(
            f"{path} is a '{found or 'plain safetensors'}' file; '{file_format}' is needed. "
            "Choose another file."
        )
    version = metadata.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}; this release reads version "
            f"{FORMAT_VERSION}. Update MetaStyle or save the file again."
        )


def refuse_non_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError when a floating-point tensor holds NaN or infinity."""
    name = _first_non_finite(tensors)
    if name is not None:
        raise CheckpointError(
            f"{path}: '{name}' holds NaN or infinity; the file is spoilt. Make it again."
        )


def _first_non_finite(tensors: Mapping[str, Tensor]) -> str | None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return None


def refuse_other_keys(
    path: Path | str, tensors: Mapping[str, Tensor], expected: Mapping[str, torch.Size]
) -> None:
    """Raise CheckpointError unless names and shapes are exactly the expected ones."""
    missing = sorted(expected.keys() - tensors.keys())
    extra = sorted(tensors.keys() - expected.keys())
    if missing or extra:
        parts = [f"lacks {missing[:3]}"] if missing else []
        parts += [f"has unknown {extra[:3]}"] if extra else []
        raise CheckpointError(
            f"{path} {' and '.join(parts)}; it was made for another network. Choose another file."
        )
    for name, shape in expected.items():
        if tensors[name].shape != shape:
            raise CheckpointError(
                f"{path}: '{name}' has shape {tuple(tensors[name].shape)}; "
                f"{tuple(shape)} is needed: it was made for another network. Choose another file."
            )


def fill_module(path: Path | str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load the tensors of a file, of any float type, into a module that has exactly these.

    Raises:
        CheckpointError: names or shapes differ.
    """
    refuse_other_keys(path, tensors, {k: v.shape for k, v in module.state_dict().items()})
    module.load_state_dict(dict(tensors))


def content_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and float32 values, independent of file and device."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def parse_json(path: Path | str, metadata: Mapping[str, str], key: str) -> dict[str, object]:
    """Read one JSON object out of a header.

    Raises:
        CheckpointError: the entry is missing or not a JSON object.
    """
    try:
        value = json.loads(metadata[key])
    except (KeyError, *JSON_ERRORS) as error:
        raise CheckpointError(
            f"{path}: header entry '{key}' is missing or damaged; download or save it again."
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path}: header entry '{key}' is not a JSON object; download or save it again."
        )
    return value
