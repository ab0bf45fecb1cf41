"""Which number format to compute in, per device.

Weights stay float32; autocast runs the convolutions in a shorter format where
the hardware multiplies it faster. Nothing global is changed.
"""

from contextlib import AbstractContextManager
from typing import Literal

import torch

from .errors import SettingsError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16", "fp16")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def compute_dtype(
    precision: Precision, device: torch.device, *, gradients: bool = False
) -> torch.dtype:
    """Number format for convolutions on a device.

    `auto` takes bfloat16 where it is native (CUDA from Ampere on, CPUs with
    AVX-512 BF16 or AMX), float16 on older CUDA devices, float32 elsewhere.

    Args:
        precision: the name.
        device: where to compute.
        gradients: whether gradients will flow. The squares in Gram matrices and
            their gradients leave float16's range, so it is then not used.

    Raises:
        SettingsError: unknown name, or float16 asked for with gradients.
    """
    if precision not in PRECISIONS:
        raise SettingsError(f"Precision is '{precision}'; choose one of {', '.join(PRECISIONS)}.")
    if gradients and precision == "fp16":
        raise SettingsError("fp16 is for stylizing only; choose bf16, fp32 or auto.")
    if precision != "auto":
        return _DTYPES[precision]
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        if major >= 8:
            return torch.bfloat16
        return torch.float32 if gradients else torch.float16
    if device.type == "cpu" and _cpu_multiplies_bf16():
        return torch.bfloat16
    return torch.float32


def _cpu_multiplies_bf16() -> bool:
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in checks)


def autocast(
    precision: Precision, device: torch.device, *, gradients: bool = False
) -> AbstractContextManager[object]:
    """A context in which convolutions run in the format `compute_dtype` names."""
    dtype = compute_dtype(precision, device, gradients=gradients)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda`, `cuda:1` or `mps` into a device that is there.

    Raises:
        SettingsError: the name is unknown or the device is absent.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SettingsError(f"Device is '{name}'; choose auto, cpu, cuda or mps.") from error
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }.get(device.type, 0)
    if (device.index or 0) >= present:
        raise SettingsError(f"Device '{name}' is not available here; choose auto or cpu.")
    return device
