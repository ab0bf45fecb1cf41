"""Damaged and hostile files and requests: a result or one of our own errors, never another.

The examples are the same in every run. `tests/fuzz/run.py` goes on from here.
"""

import json

import pytest
import safetensors
import safetensors.torch
import torch
from fuzz import targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FEW = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PLACES = st.floats(0, 1, exclude_max=True)
EDITS = st.lists(st.tuples(PLACES, st.integers(0, 4), st.binary(max_size=4)), max_size=6)
DTYPES = [
    torch.float64, torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.int8, torch.bool,
    torch.complex64,
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)
VALUES = st.one_of(
    JSON.map(json.dumps),
    st.text(max_size=12),
    st.sampled_from(["[" * 100_000, "1" * 5000, '{"a": ' + "9" * 5000 + "}", "{}", "null"]),
)


def edited(data: bytes, edits) -> bytes:
    """Bytes replaced, inserted and left out at places between start (0) and end (1)."""
    for place, removed, inserted in edits:
        start = int(place * len(data))
        data = data[:start] + inserted + data[start + removed :]
    return data


def damaged(seeds):
    """A seed with a few edits, or cut short."""
    edits = st.builds(edited, st.sampled_from(seeds), EDITS)
    cuts = st.builds(lambda d, place: d[: int(place * len(d))], st.sampled_from(seeds), PLACES)
    return edits | cuts


@st.composite
def rewritten(draw, seeds):
    """A well-formed tensor file that says or holds something else than it should."""
    data = draw(st.sampled_from(seeds))
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    tensors = safetensors.torch.load(data)
    header.pop("tensors_sha256")
    key = draw(st.sampled_from(sorted(header)))
    if draw(st.booleans()):
        header[key] = draw(changed_entry(header[key]))
    else:
        name = draw(st.sampled_from(sorted(tensors)))
        tensors[name] = draw(changed_tensor(tensors[name]))
    return safetensors.torch.save(tensors, header)


@st.composite
def changed_entry(draw, text):
    """Another text, or the same object with another value somewhere."""
    if not text.startswith("{") or text == "{}" or draw(st.booleans()):
        return draw(VALUES)
    values = json.loads(text)
    values[draw(st.sampled_from(sorted(values)))] = draw(JSON)
    return json.dumps(values)


@st.composite
def changed_tensor(draw, tensor):
    """Another type, shape or number."""
    kind = draw(st.sampled_from(["dtype", "shape", "value"]))
    if kind == "dtype":
        return tensor.to(draw(st.sampled_from(DTYPES)))
    if kind == "shape":
        return torch.zeros(draw(st.lists(st.integers(0, 9), max_size=5)))
    changed = tensor.clone()
    changed.view(-1)[:1] = draw(st.sampled_from([float("nan"), float("inf"), 6e4, -6e4]))
    return changed


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    return targets.Readers(tmp_path_factory.mktemp("fuzzed"))


STYLES, BASES = targets.style_seeds(), targets.base_seeds()
ENCODERS, IMAGES = targets.encoder_seeds(), targets.image_seeds()


@FEW
@given(damaged(STYLES) | rewritten(STYLES))
def test_style_files(readers, data):
    readers.style(data)


@FEW
@given(damaged(BASES) | rewritten(BASES))
def test_base_files(readers, data):
    readers.base(data)


@FEW
@given(damaged(ENCODERS) | rewritten(ENCODERS))
def test_encoder_files(readers, data):
    readers.encoder(data)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(FEW, max_examples=300)
@given(damaged(IMAGES))
def test_picture_files(readers, data):
    readers.image(data)


@pytest.fixture
def routes(pack, fake_host):
    return targets.Routes(fake_host)


NAMES = st.text(max_size=80) | st.sampled_from(["wave", "../outside/secret", "漢" * 100, "a/b/c"])
BODIES = st.one_of(
    st.fixed_dictionaries({"name": NAMES | JSON, "new_name": NAMES | JSON}).map(json.dumps),
    VALUES,
).map(str.encode) | damaged([seed[1:] for seed in targets.request_seeds()])


@FEW
@given(st.integers(0, 1), BODIES)
def test_requests_that_change_styles(routes, route, body):
    routes.change(bytes([route]) + body)


@FEW
@given(NAMES)
def test_requests_for_pictures(routes, name):
    routes.thumbnail(name.encode("utf-8", "surrogatepass"))
