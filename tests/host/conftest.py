"""Tests of this folder run on a real host."""

import pytest
from host.fixtures import MEASURED, base_folder, comfyui, host_python, measured, server

__all__ = ["base_folder", "comfyui", "host_python", "measured", "server"]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what was measured on the host."""
    numbers = config.stash.get(MEASURED, {})
    if numbers:
        terminalreporter.section("measured on the host")
    for name, value in numbers.items():
        terminalreporter.write_line(f"{name}: {value}")
