"""The networks that ship with the package."""

from __future__ import annotations

from pathlib import Path

from workloads.errors import InputError
from workloads.validation import did_you_mean
from workloads.yaml_file import load_yaml

PRESET_DIRECTORY = Path(__file__).parent / "presets"


def list_presets() -> dict[str, str]:
    """Return each preset's name and its description in one line, sorted by name."""
    return {name: str(load_yaml(find_preset(name)).data["description"]) for name in preset_names()}


def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, sorted."""
    return tuple(sorted(path.stem for path in PRESET_DIRECTORY.glob("*.yaml")))


def find_preset(name: str) -> Path:
    """Return the file of a preset.

    Raises:
        InputError: there is no preset of this name.
    """
    names = preset_names()
    if name not in names:
        raise InputError(
            f"{name!r} is neither a file nor a preset{did_you_mean(name, names)} (the presets are {', '.join(names)})"
        )
    return PRESET_DIRECTORY / f"{name}.yaml"
