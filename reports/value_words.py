"""How the reports tell in which format values were stored, and how far its results are from float32's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

FLOAT32 = "float32"
COUNTS = ("vanished_elements", "saturated_elements")


def describe_values(architecture: Mapping[str, Any], rows: Iterable[Any]) -> list[str]:
    """Say in a sentence what rounding did on a machine; nothing of one that stores float32.

    Args:
        architecture: As ``run.json`` holds it.
        rows: Of ``steps.csv``, those of this machine.
    """
    storage = architecture.get("storage") or {}
    form, scale = storage.get("values", FLOAT32), storage.get("loss_scale", 1)
    if form == FLOAT32:
        return []
    rounded = [row for row in rows if is_number(row.vanished_elements)]
    words = f"Values are stored as {form}{f', gradients times {scale:,}' if scale != 1 else ''}"
    if not rounded:
        return [f"{words}; what rounding changes was not looked at."]
    vanished, saturated = (sum(int(getattr(row, name)) for row in rounded) for name in COUNTS)
    words += f": of the operands of all steps, {vanished:,} nonzeros become zero and {saturated:,} elements saturate"
    compared = [row for row in rounded if is_number(row.float32_max_error)]
    if not compared:
        return [f"{words}; no values were computed."]
    worst = max(compared, key=lambda row: row.float32_relative_error if is_number(row.float32_relative_error) else 0)
    largest = max(compared, key=lambda row: float(row.float32_max_error))
    relative = f"{worst.float32_relative_error:.2g}" if is_number(worst.float32_relative_error) else "0"
    return [
        f"{words}; results differ from those of float32 by up to {largest.float32_max_error:.2g} ({largest.layer} "
        f"{largest.step}), by a root mean square of up to {relative} of their own ({worst.layer} {worst.step})."
    ]


def is_number(value: float | None) -> bool:
    """Tell a number from an empty cell."""
    return value is not None and not math.isnan(value)
