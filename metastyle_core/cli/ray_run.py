"""`--ray`: the pictures of a run on a Ray cluster, or on all cores and cards of this machine.

Ray Data hands small blocks of names to workers. Each worker holds base and style once, and
reads, draws and writes by itself; pictures do not travel. What a lost worker had in hand is
drawn again by another. This file knows Ray; how a picture is drawn is the business of
`drawing`.

Source: https://docs.ray.io/en/latest/data/transforming-data.html#stateful-transforms
"""

import argparse
import json
import logging
import os
import socket
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ..base import Base
from ..errors import MetaStyleError, SettingsError
from ..precision import resolve_device
from ..style import AdaptedStyle
from .drawers import StyleDrawer
from .drawing import PictureDrawing, PictureReport
from .failures import Failures
from .options import positive_int
from .outputs import Job
from .reading import with_good_headers

_CPU = torch.device("cpu")
_LOCAL = "local"
_DEFAULT_CORES = 2
_OBJECT_STORE_BYTES = 200 * 2**20
_CONNECT_S = 3.0
# Blocks are small, so that workers end together and little is drawn again when one is lost.
_LARGEST_BLOCK, _BLOCKS_PER_WORKER = 64, 16


def add_ray_options(parser: argparse.ArgumentParser) -> None:
    """Add `--ray` and what goes with it."""
    group = parser.add_argument_group(
        "Ray", "share the pictures of folders among workers; needs: pip install 'metastyle[ray]'"
    )
    group.add_argument(
        "--ray",
        nargs="?",
        const=_LOCAL,
        metavar="ADDRESS",
        help="a cluster: HOST:PORT, ray://HOST:PORT or auto; without an address all of this "
        "machine. Nodes need MetaStyle and the same folders under the same names",
    )
    group.add_argument(
        "--ray-workers",
        type=positive_int,
        metavar="N",
        help="workers (default: one per GPU, else one per --ray-cores); several of one GPU hide "
        "reading and writing",
    )
    group.add_argument(
        "--ray-cores",
        type=positive_int,
        default=_DEFAULT_CORES,
        metavar="N",
        help="cores and threads of a worker that has no GPU (default: %(default)s)",
    )


def refuse_ray_for_films(arguments: argparse.Namespace) -> None:
    """Raise SettingsError where films are to be shared among workers."""
    if arguments.ray is not None:
        raise SettingsError(
            "--ray shares pictures of folders among workers, and films are drawn in order; leave "
            "it out, or write frames first and give the folder."
        )


def draw_on_ray(
    arguments: argparse.Namespace,
    base: Base,
    style: AdaptedStyle,
    jobs: Sequence[Job],
    failures: Failures,
) -> Iterator[PictureReport]:
    """Draw and write pictures on workers.

    Args:
        arguments: of `stylize`.
        base: of the style; it is moved to the CPU.
        style: of all pictures.
        jobs: which into which files.
        failures: where pictures that cannot be read are noted.

    Yields:
        What became of each that was written, as it is done.

    Raises:
        MetaStyleError: Ray is not installed, the cluster cannot be reached or fails, or a
            worker cannot go on.
    """
    # What Ray prints of its nodes is no result of ours.
    with redirect_stdout(sys.stderr), _cluster(arguments.ray) as ray:
        pool = _pool_for(ray, arguments)
        shared = ray.put((_with_whole_paths(arguments), base.to(_CPU), style.to(_CPU)))
        try:
            for row in _rows(ray, pool, shared, jobs):
                job, report = jobs[row["number"]], PictureReport(**json.loads(row["report"]))
                if report.error is None:
                    yield replace(report, input=str(job.source), output=str(job.target))
                else:
                    failures.note(job.source, report.error)
        except ray.exceptions.RayError as error:
            raise MetaStyleError(
                f"The Ray cluster failed ({_last_line(error)}); what is done is whole, go on with "
                "--skip-existing."
            ) from error


@dataclass(frozen=True)
class _Pool:
    """How many workers there are, and what each takes of its node."""

    workers: int
    cores: int
    gpus: float


def _rows(ray: Any, pool: _Pool, shared: object, jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - Ray is loaded by name
    """What became of each job: its number and its report, in no order."""
    data = import_module("ray.data")
    names = [
        {"number": number, "source": str(_whole(job.source)), "target": str(_whole(job.target))}
        for number, job in enumerate(jobs)
    ]
    share = -(-len(jobs) // (pool.workers * _BLOCKS_PER_WORKER))
    block = min(_LARGEST_BLOCK, share)
    dataset = data.from_items(names, override_num_blocks=-(-len(jobs) // block))
    strategy = data.ActorPoolStrategy(min_size=1, max_size=pool.workers, initial_size=pool.workers)
    drawn = dataset.map_batches(
        _Worker,
        fn_constructor_args=(shared, pool.cores),
        batch_size=None,
        compute=strategy,
        num_cpus=pool.cores,
        num_gpus=pool.gpus,
    )
    for row in drawn.iter_rows():
        if row["fatal"]:
            raise MetaStyleError(row["fatal"])
        yield row


class _Worker:
    """Holds base and style, and draws block after block."""

    def __init__(self, shared: Any, cores: int) -> None:  # noqa: ANN401 - Ray's reference
        arguments, base, style = import_module("ray").get(shared)
        torch.set_num_threads(cores)
        device = resolve_device(arguments.device)
        drawer = StyleDrawer(arguments, base.to(device), style)
        self._drawing = PictureDrawing(arguments, drawer)
        self._max_size_px = arguments.max_size

    def __call__(self, block: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Draw a block of names; gives a report of each."""
        jobs = [
            Job(Path(source), Path(target))
            for source, target in zip(block["source"], block["target"], strict=True)
        ]
        reports: dict[str, PictureReport] = {}

        def note(path: Path, reason: str) -> None:
            reports[str(path)] = PictureReport(str(path), error=reason)

        # One more than there are: a block of one picture is still one of many.
        failures = Failures(len(jobs) + 1, note)
        fatal = ""
        try:
            good = with_good_headers(jobs, failures, self._max_size_px)
            for report in self._drawing.draw(good, failures):
                reports[report.input] = report
        except MetaStyleError as error:
            fatal = str(error)
        done = [reports.get(str(job.source), PictureReport(str(job.source))) for job in jobs]
        return {
            "number": list(block["number"]),
            "report": [json.dumps(report.to_json()) for report in done],
            "fatal": [fatal] * len(jobs),
        }


@contextmanager
def _cluster(address: str) -> Generator[Any]:
    """Ray, connected to a cluster or with one of its own inside the block."""
    # Ray otherwise reports its use to its makers, and says much on standard error.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        ray, data = import_module("ray"), import_module("ray.data")
    except ImportError as error:
        raise MetaStyleError(
            '--ray needs Ray; install it with: pip install "metastyle[ray]"'
        ) from error
    _require_listener(address)
    own: dict[str, object] = {}
    if address == _LOCAL:
        own = {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _unreachable(address, _last_line(error)) from error
    context = data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Find out quickly whether anybody listens; Ray itself tries for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in {_LOCAL, "auto"}:
        return
    if not (colon and host and port.isdigit()):
        raise SettingsError(
            f"--ray {address} is no address; write HOST:PORT, ray://HOST:PORT or auto, or leave "
            "the address out."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, str(error)) from error


def _unreachable(address: str, why: str) -> MetaStyleError:
    return MetaStyleError(
        f"No Ray cluster answers at {address} ({why}); start one with ray start --head, check the "
        "address, or leave it out for this machine alone."
    )


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else type(error).__name__


def _pool_for(ray: Any, arguments: argparse.Namespace) -> _Pool:  # noqa: ANN401 - see `_rows`
    """Workers on GPUs where there are some to use, else of some cores each."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if gpus and arguments.device in {"auto", "cuda"}:
        workers = arguments.ray_workers or gpus
        return _Pool(workers, 1, 1 / max(1, -(-workers // gpus)))
    most = max((int(node.get("CPU", 0)) for node in nodes), default=0)
    if not most:
        raise SettingsError("The Ray cluster has no CPU to use; add a node, or check --ray.")
    cores = min(arguments.ray_cores, most)
    places = sum(int(node.get("CPU", 0)) // cores for node in nodes)
    return _Pool(arguments.ray_workers or places, cores, 0)


def _whole(path: Path) -> Path:
    """Workers run in other folders."""
    return path.absolute()


def _with_whole_paths(arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments with every file by its whole path."""

    def whole(value: object) -> object:
        if isinstance(value, list):
            return [whole(item) for item in value]
        return _whole(value) if isinstance(value, Path) else value

    values = {name: whole(value) for name, value in vars(arguments).items()}
    styles = [str(_whole(Path(s))) if Path(s).is_file() else s for s in arguments.style]
    return argparse.Namespace(**values | {"style": styles})
