"""Tilings that are pinned for a step, instead of being searched for."""

from __future__ import annotations

import numpy as np

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import Tiling
from dataflows.contract.problem import StepProblem
from workloads.arrays import IntArray


def pin_sizes(problem: StepProblem, tasks: tuple[int, ...], reductions: tuple[int, ...]) -> IntArray | None:
    """Give the run lengths that are pinned for a step, task indices first; None where they are to be searched for.

    Args:
        tasks: Limits of the task indices.
        reductions: Limits of the reduction indices.

    Raises:
        UnmappableLayerError: they are not run lengths of this step's indices.
    """
    pinned, whole = problem.share.tiling, Tiling(tasks, reductions)
    if pinned is None:
        return None
    is_alike = len(pinned.tasks) == len(tasks) and len(pinned.reductions) == len(reductions)
    if not is_alike or any(not 1 <= size <= limit for size, limit in zip(pinned.sizes, whole.sizes, strict=True)):
        raise UnmappableLayerError(
            f"layer '{problem.operands.layer}', step {problem.own.step}: the tiling must have run lengths from 1 to "
            f"those of one tile, which are {whole}, got {pinned}"
        )
    return np.array(pinned.sizes, dtype=np.int64)


def require_fit(problem: StepProblem, needed_bytes: int) -> None:
    """Refuse a pinned tiling that does not fit the buffer.

    Raises:
        UnmappableLayerError: names the bytes that it needs and the bytes there.
    """
    capacity = problem.share.capacity_bytes
    if capacity is not None and needed_bytes > capacity:
        raise UnmappableLayerError(
            f"layer '{problem.operands.layer}', step {problem.own.step}: the tiling {problem.share.tiling} needs "
            f"{needed_bytes} bytes of the global buffer, {problem.share.describe_capacity()}"
        )
