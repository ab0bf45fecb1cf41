"""Feed one target with all that coverage-guided mutation finds, until it fails or time is up.

    .venv/bin/python -m pip install atheris
    PYTHONPATH=.:tests .venv/bin/python tests/fuzz/run.py style -max_total_time=600

Targets: style, base, encoder, image, change and thumbnail. Options behind are libFuzzer's. An
input that fails is written where it was started.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import atheris
import torch

with atheris.instrument_imports(include=["metastyle_core"]):
    from fuzz import targets

from unit.fake_host import FakeHost, loaded_pack

_SEEDS = {
    "style": targets.style_seeds,
    "base": targets.base_seeds,
    "encoder": targets.encoder_seeds,
    "image": targets.image_seeds,
    "change": targets.request_seeds,
    "thumbnail": lambda: [b"wave", b"../outside/secret"],
}


def main() -> None:
    """Set up the target that the first argument names, and hand over to libFuzzer."""
    name, options = sys.argv[1], sys.argv[2:]
    torch.set_num_threads(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        seeds = folder / "seeds"
        seeds.mkdir()
        for number, seed in enumerate(_SEEDS[name]()):
            (seeds / str(number)).write_bytes(seed)
        target = _target(name, folder, stack)
        atheris.Setup([sys.argv[0], "-rss_limit_mb=4096", *options, str(seeds)], target)
        atheris.Fuzz()


def _target(name: str, folder: Path, stack: ExitStack) -> Callable[[bytes], None]:
    if name not in ("change", "thumbnail"):
        return getattr(targets.Readers(folder), name)
    host = FakeHost(folder / "models")
    pack = stack.enter_context(loaded_pack(host))
    asyncio.run(pack.comfy_entrypoint())
    return getattr(targets.Routes(host), name)


if __name__ == "__main__":
    main()
