"""Technology tables as tests write them, and a figure they scale by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sim.technology import PRESET_DIRECTORY
from workloads.yaml_file import dump_yaml, load_yaml

KIBIBYTE = 1024


def energy_14hp_at_0_8_volts() -> float:
    return 0.2363 * 0.8**2 - 0.09675 * 0.8 + 0.02239


def energy_20hp_at_0_8_volts() -> float:
    return 0.373 * 0.8**2 - 0.1582 * 0.8 + 0.04104


SRAM_FACTOR = energy_14hp_at_0_8_volts() / energy_20hp_at_0_8_volts()


def preset_data(name: str) -> dict[str, Any]:
    return load_yaml(PRESET_DIRECTORY / f"{name}.yaml").data


def write_table(folder: Path, data: dict[str, Any]) -> Path:
    path = folder / "own.yaml"
    path.write_text(dump_yaml(data), encoding="utf-8")
    return path
