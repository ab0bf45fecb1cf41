"""Values of this run of the host by what they were made of, so that none is made twice.

The host remembers the last values of a node only. Who changes a seed, looks, and comes back has
the style at once.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from torch import Tensor

from ...metastyle_core.checkpoint import content_hash

MOST_BYTES = 128 * 2**20
_Value = TypeVar("_Value")


@dataclass
class Remembered(Generic[_Value]):
    """Values by key; those that were not asked for the longest go where there is no room.

    Attributes:
        most_bytes: of all values together; a larger one is not kept.
    """

    most_bytes: int = MOST_BYTES
    _kept: OrderedDict[str, tuple[_Value, int]] = field(
        default_factory=OrderedDict[str, tuple[_Value, int]], init=False
    )

    def get(self, key: str) -> _Value | None:
        """The value of a key, or None."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def keep(self, key: str, value: _Value, size: int) -> None:
        """Keep a value of so many bytes, and as many others as there is room for."""
        if size > self.most_bytes:
            return
        self._kept[key] = (value, size)
        self._kept.move_to_end(key)
        while self.bytes_kept > self.most_bytes:
            self._kept.popitem(last=False)

    @property
    def bytes_kept(self) -> int:
        """What the values hold together."""
        return sum(size for _, size in self._kept.values())


def key_of(plain: Mapping[str, object], tensors: Mapping[str, Sequence[Tensor]]) -> str:
    """A hash of settings and pictures; equal where all of them are.

    Args:
        plain: values whose `repr` says all of them.
        tensors: of any shape, on any device, by what they are for.
    """
    named = {f"{role} {i}": each for role, row in tensors.items() for i, each in enumerate(row)}
    return hashlib.sha256(f"{sorted(plain.items())}{content_hash(named)}".encode()).hexdigest()
