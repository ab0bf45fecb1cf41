"""Number formats: which are taken, and that float16 is none to learn in."""

import pytest
import torch

from metastyle_core import precision
from metastyle_core.errors import SettingsError
from metastyle_core.precision import autocast, compute_dtype

CPU = torch.device("cpu")


def test_float16_is_refused_where_gradients_flow():
    assert compute_dtype("fp16", CPU) == torch.float16
    with pytest.raises(SettingsError, match="fp16 is for stylizing only"):
        compute_dtype("fp16", CPU, gradients=True)
    with pytest.raises(SettingsError, match="Precision is 'fp8'"):
        compute_dtype("fp8", CPU)


@pytest.mark.parametrize(("native", "wanted"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bfloat16_where_the_cpu_multiplies_it(monkeypatch, native, wanted):
    monkeypatch.setattr(precision, "_cpu_multiplies_bf16", lambda: native)
    assert compute_dtype("auto", CPU) == compute_dtype("auto", CPU, gradients=True) == wanted


@pytest.mark.parametrize(
    ("capability", "gradients", "wanted"),
    [
        ((8, 0), False, torch.bfloat16),
        ((9, 0), True, torch.bfloat16),
        ((7, 5), False, torch.float16),
        ((7, 5), True, torch.float32),
    ],
)
def test_auto_on_cuda_goes_by_the_generation(monkeypatch, capability, gradients, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert compute_dtype("auto", torch.device("cuda"), gradients=gradients) == wanted


def test_only_short_formats_turn_autocast_on():
    one = torch.ones(2, 2)
    with autocast("fp32", CPU):
        assert (one @ one).dtype == torch.float32
    with autocast("bf16", CPU, gradients=True):
        assert (one @ one).dtype == torch.bfloat16
