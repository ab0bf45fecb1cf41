"""The styles that ship with the package, by name."""

from collections.abc import Sequence
from pathlib import Path

from .errors import SettingsError
from .style import AdaptedStyle, load_style

PRESET_FOLDER = Path(__file__).parent / "styles"


def preset_paths(folder: Path = PRESET_FOLDER) -> dict[str, Path]:
    """Preset name to file, in alphabetical order."""
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def load_preset(name: str) -> AdaptedStyle:
    """Read a shipped style.

    Raises:
        SettingsError: there is none of that name; the message lists all.
        CheckpointError: its file is damaged.
    """
    paths = preset_paths()
    if name not in paths:
        raise SettingsError(f"There is no preset '{name}'. {_choices(list(paths))}")
    return load_style(paths[name])


def _choices(names: Sequence[str]) -> str:
    return f"Choose one of: {', '.join(names)}." if names else "No presets are installed."
