"""Progress on a terminal, silence in a pipe."""

import sys
from typing import NoReturn, TypeAlias

from tqdm import tqdm

ProgressBar: TypeAlias = "tqdm[NoReturn]"


def progress_bar(total: int | None, description: str, unit: str = "it") -> ProgressBar:
    """A bar on standard error, hidden when that is not a terminal.

    Args:
        total: steps to come, or None where nobody knows.
        description: what is done.
        unit: what one step is called.
    """
    hidden = not sys.stderr.isatty()
    return tqdm(total=total, desc=description, unit=unit, disable=hidden, leave=False)
