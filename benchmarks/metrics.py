"""What only the benchmark measures: memory, and the style code of another method."""

from pathlib import Path


class PeakMemory:
    """Most memory that this process held since the object was made, where Linux tells."""

    _RESET = Path("/proc/self/clear_refs")
    _STATUS = Path("/proc/self/status")

    def __init__(self) -> None:
        if self._RESET.exists():
            self._RESET.write_text("5")  # 5 resets the high-water mark, see proc(5)

    def mebibytes(self) -> float | None:
        """Peak resident memory in MiB; None on other systems."""
        if not self._STATUS.exists():
            return None
        fields = dict(line.split(":", 1) for line in self._STATUS.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
