"""Ctrl-C that ends long work in good order."""

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from ..adaptation import StopLearning


class StopRequest:
    """What becomes of a signal that asks long work to end.

    Attributes:
        made: whether one came.
    """

    def __init__(self, answer: str = "") -> None:
        """Wait for a request.

        Args:
            answer: what is said on standard error when it comes.
        """
        self.made = False
        self._answer = answer

    @contextmanager
    def instead_of_interrupts(self) -> Generator[None]:
        """Inside the block signals are noted down; only a second Ctrl-C raises."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # Schedulers may send SIGTERM more than once; only a person's hurry is obeyed.
        if self.made and number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        if self._answer and not self.made:
            sys.stderr.write(f"\n{self._answer}\n")
        self.made = True


class LearningStop:
    """Ends gradient steps at a first Ctrl-C and keeps what they have reached."""

    def __init__(self, what: str) -> None:
        """Say what is kept, such as `the style`."""
        self._request = StopRequest(
            f"Stopping after this step and keeping {what}; Ctrl-C again gives it up."
        )

    @contextmanager
    def watched(self) -> Generator[None]:
        """Inside the block a first Ctrl-C makes `check` raise, and a second one ends the run."""
        with self._request.instead_of_interrupts():
            yield

    def check(self) -> None:
        """Called after each step.

        Raises:
            StopLearning: Ctrl-C was pressed.
        """
        if self._request.made:
            raise StopLearning
