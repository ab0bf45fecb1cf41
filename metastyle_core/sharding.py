"""Which part of many pictures one of several processes does.

Every process lists all pictures and takes its own share of the list, so that they need not
know of one another. This file only chooses; what is done to a picture does not depend on it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from .errors import SettingsError

_T = TypeVar("_T")
_JOB_VARIABLES = ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT")


@dataclass(frozen=True)
class Share:
    """One share of equal shares.

    Attributes:
        index: from 1 to `count`.
        count: how many there are.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise SettingsError(
                f"Shard {self.index}/{self.count} does not exist; the first number goes from 1 "
                "to the second, such as 1/4 to 4/4."
            )

    @staticmethod
    def parse(text: str) -> "Share":
        """A share from words such as `2/8`.

        Raises:
            SettingsError: it is none.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None:
            raise SettingsError(f"Shard is '{text}'; write i/n, such as 2/8, or slurm.")
        return Share(int(found[1]), int(found[2]))

    @staticmethod
    def of_slurm_array(variables: Mapping[str, str]) -> "Share":
        """The share of one task of a Slurm job array whose numbers are evenly spaced.

        Args:
            variables: of the environment.

        Raises:
            SettingsError: the process is no task of such an array.

        Source:
            https://slurm.schedmd.com/job_array.html
        """
        missing = [name for name in _JOB_VARIABLES if not variables.get(name)]
        if missing:
            raise SettingsError(
                f"{missing[0]} is not set, so this is no task of a Slurm job array; submit with "
                "sbatch --array=1-N, or write --shard i/n."
            )
        number, count = (_whole_number(name, variables) for name in _JOB_VARIABLES)
        least = _whole_number("SLURM_ARRAY_TASK_MIN", variables, 1)
        step = _whole_number("SLURM_ARRAY_TASK_STEP", variables, 1)
        place, off = divmod(number - least, max(1, step))
        if off or not 0 <= place < count:
            raise SettingsError(
                f"Task {number} of a Slurm job array of {count} from {least} in steps of {step} "
                "has no place in it; submit evenly spaced numbers, such as --array=1-8, or write "
                "--shard i/n."
            )
        return Share(place + 1, count)

    def of(self, items: Sequence[_T]) -> list[_T]:
        """Every `count`-th item from its own on: all shares together are all items, once each."""
        return list(items[self.index - 1 :: self.count])


def _whole_number(name: str, variables: Mapping[str, str], default: int | None = None) -> int:
    text = variables.get(name) or ("" if default is None else str(default))
    if not re.fullmatch(r"\d+", text):
        raise SettingsError(f"{name} is '{text}'; a whole number is needed. Write --shard i/n.")
    return int(text)


@dataclass(frozen=True)
class FrameRange:
    """Frames by their numbers, both ends included."""

    first: int
    last: int

    @staticmethod
    def parse(text: str) -> "FrameRange":
        """A range from words such as `1001-1100`, or of one frame, `1001`.

        Raises:
            SettingsError: it is none, or ends before it begins.
        """
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        if found is None:
            raise SettingsError(f"Frames are '{text}'; write A-B, such as 1001-1100.")
        chosen = FrameRange(int(found[1]), int(found[2] or found[1]))
        if chosen.last < chosen.first:
            raise SettingsError(f"Frames {text} end before they begin; write the lower first.")
        return chosen

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last
