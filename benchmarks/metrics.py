"""What only the benchmarks measure: memory."""

from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_mebibytes() -> float | None:
    """Memory that this process holds, in MiB; None on other systems than Linux."""
    return _mebibytes("VmRSS")


def _mebibytes(field: str) -> float | None:
    if not _STATUS.exists():
        return None
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(fields[field].split()[0]) / 1024


class PeakMemory:
    """Most memory that this process held since the object was made, where Linux tells."""

    _RESET = Path("/proc/self/clear_refs")

    def __init__(self) -> None:
        if self._RESET.exists():
            self._RESET.write_text("5")  # 5 resets the high-water mark, see proc(5)

    def mebibytes(self) -> float | None:
        """Peak resident memory in MiB; None on other systems."""
        return _mebibytes("VmHWM")
