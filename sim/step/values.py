"""The values of a step: what the PPU makes of a dataflow's sums, compared with the reference."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from dataflows.contract.tasks import StepValues, TaskTable
from dataflows.storage.written import finish_gradient
from sim.step.pruning_unit import write_gradient
from sim.step.verify import Verdict, Verification, verify_step
from workloads.arrays import Float32Array
from workloads.operands import Operands
from workloads.reference import require_float32, spread_bias
from workloads.shapes import Step

# Values of a step up to this size are kept to compare another machine's with them.
KEPT_BYTES = 2**28


def finish_values(operands: Operands, step: Step, values: StepValues) -> Float32Array:
    """Do what the PPU does to results that leave the PEs: add the bias, apply the mask."""
    if step is Step.FORWARD and operands.bias is not None:
        return values.output + spread_bias(operands.bias, values.output.ndim, operands.shape.channel_axis)
    if step is Step.GTA and operands.mask is not None:
        masked: Float32Array = np.where(operands.mask, values.output, np.float32(0))
        return masked
    return values.output


def write_values(operands: Operands, step: Step, sums: Float32Array) -> Float32Array:
    """Do what the PPU does to a finished gradient to an activation before it is written: sum, mask and prune it.

    A dense machine has no pruning unit; its gradient is pruned all the same, at no cost, as its next operands are.
    """
    return write_gradient(sums, operands, step) if is_finished(operands, step) else sums


def is_finished(operands: Operands, step: Step) -> bool:
    """Tell whether the PPU does more to a step's result than to add the bias or to apply the mask."""
    if not operands.writes_gradient(step):
        return False
    finish = operands.weight_finish if step is Step.GTW else operands.finish
    return bool(operands.find_summed(step)) or finish.mask is not None or finish.tau > 0


class Comparison:
    """Compares the sums of a step with the reference; sums that another machine had already are not compared again."""

    def __init__(self, operands: Operands, step: Step) -> None:
        self.operands = operands
        self.step = step
        self._compared: list[tuple[Float32Array | bytes, Verification]] = []

    def compare(self, sums: Float32Array) -> Verification:
        """Compare a machine's sums; a digest stands for large ones that were compared before."""
        if sums.nbytes <= KEPT_BYTES:
            known = [found for other, found in self._compared if np.array_equal(other, sums)]
            kept: Float32Array | bytes = sums
        else:
            kept = hashlib.blake2b(np.ascontiguousarray(sums).view(np.uint8).data, digest_size=32).digest()
            known = [found for other, found in self._compared if other == kept]
        if known:
            return known[0]
        verification = verify_step(self.operands, self.step, sums)
        self._compared.append((kept, verification))
        return verification


def verify_values(
    comparison: Comparison, table: TaskTable, values: StepValues, sums: Float32Array, written: Float32Array
) -> Verification:
    """Compare values with the reference and counts of work with what was timed; wrong values are named first.

    A pruned gradient is compared before and behind pruning: its sums by `verify_step`, and what the PPU made of these
    sums with what the host's pruning makes of the same, exactly. So an element is snapped otherwise than in the
    reference only where its sum lies within the sum's tolerance of the border; sums of integers leave no such border.
    """
    operands, step = comparison.operands, comparison.step
    compared = comparison.compare(sums)
    miscounted = check_written(operands, step, sums, written) or check_counts(operands, step, table, values)
    if miscounted is None:
        return compared
    if compared.verdict is Verdict.FAILED:
        return dataclasses.replace(compared, message=f"{compared.message}; {miscounted.message}")
    return miscounted


def check_written(operands: Operands, step: Step, sums: Float32Array, written: Float32Array) -> Verification | None:
    """Compare a written gradient with the host's sum, mask and pruning of the same sums; None where they agree.

    Raises:
        InputError: what the host makes of them exceeds float32.
    """
    if not is_finished(operands, step):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        expected = finish_gradient(sums, operands, step)
    require_float32(operands, step, expected)
    bad = written != expected
    if not bad.any():
        return None
    index = tuple(int(place) for place in np.unravel_index(int(np.argmax(bad)), bad.shape))
    message = (
        f"layer {operands.layer!r}, step {step}: written gradient{list(index)} is {written[index]:.9g}, the host's "
        f"sum, mask and pruning give {expected[index]:.9g} ({int(bad.sum())} of {bad.size} elements differ)"
    )
    return Verification(Verdict.FAILED, message=message)


def check_counts(operands: Operands, step: Step, table: TaskTable, values: StepValues) -> Verification | None:
    """Compare the work counted where values were made with the work that was timed; None where they agree."""
    timed = (table.counts.row_ops, table.counts.multiplications)
    done = (values.row_ops, values.multiplications)
    if timed == done:
        return None
    message = (
        f"layer {operands.layer!r}, step {step}: {timed[0]} row operations and {timed[1]} multiplications were timed, "
        f"{done[0]} and {done[1]} were done"
    )
    return Verification(Verdict.FAILED, message=message)
