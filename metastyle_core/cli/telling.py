"""What `metastyle stylize` says of pictures: a JSON line of each, and what it did at the end."""

import argparse
import json
import time
from pathlib import Path
from typing import TextIO

from .drawing import PictureReport


class Telling:
    """Counts what becomes of pictures, and says it."""

    def __init__(self, arguments: argparse.Namespace, words: TextIO, *, skipped: int) -> None:
        """Start the clock.

        Args:
            arguments: with `json` and `output`.
            words: where to say it.
            skipped: pictures left out because their outputs exist.
        """
        self._json, self._output, self._words = arguments.json, arguments.output, words
        self._began_s = time.monotonic()
        self._only = ""
        self._done = self._failed = 0
        self._skipped, self._drawing_s = skipped, 0.0

    def done(self, report: PictureReport) -> None:
        """Count a picture that was written."""
        self._only = str(report.output)
        self._done += 1
        self._drawing_s += report.seconds
        self._tell(report.to_json())

    def failed(self, path: Path, reason: str) -> None:
        """Count a picture that could not be used."""
        self._failed += 1
        self._tell(PictureReport(str(path), error=reason).to_json())

    def end(self) -> None:
        """Say what was done in all."""
        ms_per_image = 1000 * self._drawing_s / max(1, self._done)
        if self._json:
            self._tell(
                {
                    "images": self._done,
                    "skipped": self._skipped,
                    "failed": self._failed,
                    "ms_per_image": round(ms_per_image, 2),
                    "elapsed_s": round(time.monotonic() - self._began_s, 3),
                }
            )
        elif self._done or not self._failed:
            where = self._only if self._done == 1 else self._output
            left_out = f", {self._skipped} left out that exist already" if self._skipped else ""
            self._words.write(
                f"{where}: {self._done} image(s), {ms_per_image:.0f} ms each{left_out}\n"
            )

    def _tell(self, line: dict[str, object]) -> None:
        if self._json:
            self._words.write(json.dumps(line) + "\n")
            self._words.flush()
