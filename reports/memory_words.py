"""What an iteration of microbatches is, and the memory that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def describe_microbatches(record: Mapping[str, Any], machine: str) -> list[str]:
    """Say how the batch is cut, and what memory that saves; nothing where it is not."""
    workload = record["workload"]
    number = workload.get("accumulate")
    if number is None:
        return []
    lines = [
        f"Microbatches: {number} of {workload['batch'] // number} images (accumulate); one is executed and counts "
        f"{number} times."
    ]
    memory = record["memory"].get(machine)
    if memory is not None:
        lines.append(
            f"Memory: activations and their gradients take at most {write_bytes(memory['activation_bytes'])} of DRAM; "
            f"of the batch at once they would take {write_bytes(memory['whole_activation_bytes'])}. Parameters, their "
            f"gradients and what the optimiser keeps take {write_bytes(memory['parameter_bytes'])}."
        )
    return lines


def write_bytes(count: int) -> str:
    """Write bytes in the unit that suits them."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.4g} {unit}"
    return f"{count} bytes"
