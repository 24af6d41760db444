"""How far a step that stores rounded values is from the same step in float32 on operands that were never rounded."""

from __future__ import annotations

import dataclasses

import numpy as np

from dataflows.storage.written import finish_gradient
from sim.step.values import Comparison, write_values
from workloads.arrays import Float32Array
from workloads.operands import Operands
from workloads.reference import run_forward, run_gta, run_gtw
from workloads.rounding import count_rounding
from workloads.shapes import Step


@dataclasses.dataclass(frozen=True, slots=True)
class Accuracy:
    """What storing values in another format than float32 does to a step; all None where they are not.

    Attributes:
        vanished: Nonzero elements of its operands that are stored as zero.
        saturated: Elements of its operands that are stored as the format's largest value.
        max_error: Largest difference of an element of its result, as it is stored, to float32's.
        relative_error: Root of the summed squares of the differences, over that of float32's result.
    """

    vanished: int | None = None
    saturated: int | None = None
    max_error: float | None = None
    relative_error: float | None = None


def measure_accuracy(comparison: Comparison, sums: Float32Array | None) -> Accuracy:
    """Compare a step with float32's; pruning, whose draws tell little changes apart, is left out of both.

    Args:
        comparison: Of the machines that work on the same operands; it keeps float32's result.
        sums: The PEs' results behind bias and mask; None where no values were computed.
    """
    operands, step = comparison.operands, comparison.step
    rounding, counts = operands.rounding, count_rounding(operands, step)
    if rounding is None or counts is None:
        return Accuracy()
    if sums is None:
        return Accuracy(counts.vanished, counts.saturated)
    if comparison.single is None:
        comparison.single = compute_single(rounding.given, step)
    expected = comparison.single
    # What overflows is refused where it is compared.
    with np.errstate(over="ignore", invalid="ignore"):
        found = write_values(leave_unpruned(operands), step, sums).astype(np.float64)
        if step is not Step.FORWARD:
            found /= rounding.loss_scale
        error, size = np.ravel(found - expected), float(np.linalg.norm(expected.ravel().astype(np.float64)))
        largest = float(np.max(np.abs(error), initial=0.0))
    relative = float(np.linalg.norm(error)) / size if size else None
    return Accuracy(counts.vanished, counts.saturated, largest, relative)


def compute_single(operands: Operands, step: Step) -> Float32Array:
    """Compute what a step writes in float32, without pruning."""
    run = {Step.FORWARD: run_forward, Step.GTA: run_gta, Step.GTW: run_gtw}[step]
    given = leave_unpruned(operands)
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.asarray(run(given), dtype=np.float32)
        return np.asarray(finish_gradient(result, given, step)) if given.writes_gradient(step) else result


def leave_unpruned(operands: Operands) -> Operands:
    """Give the operands of a step whose PPU prunes nothing."""
    return dataclasses.replace(
        operands,
        finish=operands.finish.without_pruning(),
        weight_finish=operands.weight_finish.without_pruning(),
    )
