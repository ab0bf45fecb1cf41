"""One bad picture among many: go on without it, and tell at the end."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import ImageFileError, PartlyDoneError, ShapeError

_MOST_SHOWN = 20


class Failures:
    """Pictures that could not be used, each with its reason."""

    def __init__(self, total: int, on_failure: Callable[[Path, str], None] | None = None) -> None:
        """Start with none.

        Args:
            total: pictures that the command was given. A single one that fails ends it.
            on_failure: told of each as it fails, with the reason.
        """
        self._total = total
        self._on_failure = on_failure
        self._reasons: dict[Path, str] = {}

    def __contains__(self, path: Path) -> bool:
        return path in self._reasons

    @contextmanager
    def noting(self, path: Path) -> Generator[None]:
        """Note down that a picture cannot be read or is too small, and leave the block.

        Raises:
            ImageFileError, ShapeError: it is the only picture.
        """
        try:
            yield
        except (ImageFileError, ShapeError) as error:
            self.note(path, str(error))
            if self._total == 1:
                raise

    def note(self, path: Path, reason: str) -> None:
        """Note down why a picture could not be used."""
        self._reasons[path] = reason
        if self._on_failure is not None:
            self._on_failure(path, reason)

    def report(self) -> None:
        """Raise PartlyDoneError, with the reasons a line each, unless all went well."""
        report_failures(list(self._reasons.values()))


def report_failures(reasons: Sequence[str]) -> None:
    """Raise PartlyDoneError that lists why pictures could not be used, unless none failed."""
    if not reasons:
        return
    noun = "picture" if len(reasons) == 1 else "pictures"
    lines = [f"{len(reasons)} {noun} could not be used, the rest is done:", *reasons[:_MOST_SHOWN]]
    if len(reasons) > _MOST_SHOWN:
        lines.append(f"and {len(reasons) - _MOST_SHOWN} more")
    raise PartlyDoneError("\n  ".join(lines))
