"""Progress on a terminal, silence in a pipe."""

import sys
from typing import NoReturn, TypeAlias

from tqdm import tqdm

ProgressBar: TypeAlias = "tqdm[NoReturn]"


def progress_bar(total: int, description: str) -> ProgressBar:
    """A bar on standard error, hidden when that is not a terminal."""
    return tqdm(total=total, desc=description, disable=not sys.stderr.isatty(), leave=False)
