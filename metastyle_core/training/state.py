"""The full state of a training run on disk, so that `--resume` continues to the bit.

What a recipe remembers besides its modules is not kept (see `DistillationSettings.replay`).
One folder per checkpoint, several files of moderate size in it: weights, the
moments of the optimizer, the moving average, the generator. The folder appears by a rename,
so that a checkpoint is whole or absent. Nothing here is unpickled.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Generator, Tensor, nn

from ..checkpoint import (
    JSON_ERRORS,
    fill_module,
    read_tensors,
    refuse_other_keys,
    write_tensors,
)
from ..errors import CheckpointError, TrainingError
from .average import MovingAverage
from .optimizer import WeightOptimizer

_FORMAT = "metastyle.training"
_PREFIX = "update-"
_MOMENT = "moment-"
# Should the newest turn out damaged, the one before is still there.
_KEPT = 2


@dataclass
class TrainingState:
    """Everything that changes while training.

    Attributes:
        modules: what trains.
        optimizer: of the parameters of `modules`.
        generator: the only source of chance.
        average: moving average of the parameters.
        update: number of updates done.
        skipped: styles and updates left out by the loss guard so far.
        elapsed_s: seconds of training so far, over all sessions.
        samples: images or tasks seen so far.
    """

    modules: nn.Module
    optimizer: WeightOptimizer
    generator: Generator
    average: MovingAverage
    update: int = 0
    skipped: int = 0
    elapsed_s: float = 0.0
    samples: int = 0


def save_state(
    state: TrainingState,
    folder: Path,
    write_more: Callable[[Path], None] = lambda _: None,
) -> Path:
    """Write a checkpoint folder below `folder` and delete all but the newest two.

    Args:
        state: what changes.
        folder: of the run.
        write_more: adds further files to the folder of the checkpoint.

    Raises:
        CheckpointError: the place cannot be written.
    """
    target = folder / f"{_PREFIX}{state.update:08d}"
    partial = folder / f".{target.name}.part"
    counters = {
        name: getattr(state, name) for name in ("update", "skipped", "elapsed_s", "samples")
    }
    metadata = {"counters": json.dumps(counters), "optimizer": state.optimizer.name}
    shutil.rmtree(partial, ignore_errors=True)
    groups: dict[str, Mapping[str, Tensor]] = {
        "weights": dict(state.modules.state_dict()),
        **{_MOMENT + kind: found for kind, found in state.optimizer.moments(state.modules).items()},
        "generator": {"state": state.generator.get_state()},
    }
    if state.average:
        groups["average"] = state.average
    for name, tensors in groups.items():
        write_tensors(
            partial / f"{name}.safetensors",
            tensors,
            file_format=_FORMAT,
            metadata=metadata,
        )
    write_more(partial)
    shutil.rmtree(target, ignore_errors=True)
    try:
        partial.rename(target)
    except OSError as error:
        raise CheckpointError(
            f"Cannot write {target} ({error.strerror}); choose a folder that can be written."
        ) from error
    for old in _checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def load_state(state: TrainingState, folder: Path) -> Path | None:
    """Continue from the newest checkpoint below `folder`.

    Returns:
        Its folder; None where there is none, and `state` is then as before.

    Raises:
        CheckpointError: the checkpoint is damaged, or of another network or optimizer.
    """
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        return None
    newest = checkpoints[-1]
    weights = read_tensors(newest / "weights.safetensors", file_format=_FORMAT)
    trained_with = weights.metadata.get("optimizer", "an optimizer it does not name")
    if trained_with != state.optimizer.name:
        raise CheckpointError(
            f"{newest} was trained with {trained_with}, and {state.optimizer.name} is asked for; "
            "resume it with the same --optimizer, or begin a new run with --start-from."
        )
    fill_module(newest, state.modules, weights.tensors)
    moments = {
        path.stem.removeprefix(_MOMENT): read_tensors(path, file_format=_FORMAT).tensors
        for path in sorted(newest.glob(f"{_MOMENT}*.safetensors"))
    }
    state.optimizer.load_moments(state.modules, moments)
    generator = read_tensors(newest / "generator.safetensors", file_format=_FORMAT)
    state.generator.set_state(generator.tensors["state"])
    if state.average:
        _load_average(state, newest)
    try:
        counters = json.loads(weights.metadata["counters"])
        state.update, state.skipped = int(counters["update"]), int(counters["skipped"])
        state.elapsed_s, state.samples = float(counters["elapsed_s"]), int(counters["samples"])
    except (KeyError, TypeError, *JSON_ERRORS) as error:
        raise CheckpointError(f"{newest}: the counters in its header are damaged.") from error
    return newest


def refuse_unasked_overwrite(folder: Path) -> None:
    """Raise TrainingError when a run is already in `folder`."""
    if _checkpoints(folder):
        raise TrainingError(
            f"{folder} already holds a training run; add --resume to continue it "
            "or name another output folder."
        )


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_dir())


def _load_average(state: TrainingState, folder: Path) -> None:
    """Continue the average, or begin one at the loaded weights where none was kept."""
    path = folder / "average.safetensors"
    saved = dict(state.modules.named_parameters())
    if path.is_file():
        saved = read_tensors(path, file_format=_FORMAT).tensors
        refuse_other_keys(folder, saved, {k: v.shape for k, v in state.average.items()})
    state.average.load(saved)
