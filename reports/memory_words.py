"""What an iteration of microbatches, or with activations that are computed again, is, and the memory that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workloads.recomputation import RECOMPUTE


def describe_memory(record: Mapping[str, Any], machine: str) -> list[str]:
    """Say how the batch is cut and what is computed again, and what memory that saves; nothing where neither is."""
    lines = [*describe_microbatches(record["workload"]), *describe_recomputation(record, machine)]
    memory = record["memory"].get(machine)
    if lines and memory is not None:
        lines.append(
            f"Memory: activations and their gradients take at most {write_bytes(memory['activation_bytes'])} of DRAM; "
            f"of the batch at once, all stored, they would take {write_bytes(memory['whole_activation_bytes'])}. "
            "Parameters, their gradients and what the optimiser keeps take "
            f"{write_bytes(memory['parameter_bytes'])}."
        )
    return lines


def describe_microbatches(workload: Mapping[str, Any]) -> list[str]:
    """Say how the batch is cut; nothing where it is not."""
    number = workload.get("accumulate")
    if number is None:
        return []
    return [
        f"Microbatches: {number} of {workload['batch'] // number} images (accumulate); one is executed and counts "
        f"{number} times."
    ]


def describe_recomputation(record: Mapping[str, Any], machine: str) -> list[str]:
    """Say how many cycles go into what is computed again; nothing where all is stored."""
    given = record["workload"].get("recompute")
    if given is None:
        return []
    network = record["totals"]["machines"][machine]["network"]
    cycles = network["cycles_by_step"].get(RECOMPUTE, 0)
    words = given if isinstance(given, str) else ", ".join(given)
    if not cycles:
        return [f"Recomputation ({words}): nothing is computed again."]
    share = cycles / network["cycles"]
    return [
        f"Recomputation ({words}): forward steps and passes that are repeated for the backward half take {cycles:,} "
        f"cycles, {share:.1%} of the iteration."
    ]


def write_bytes(count: int) -> str:
    """Write bytes in the unit that suits them."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:,.4g} {unit}"
    return f"{count} bytes"
