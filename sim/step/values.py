"""The values of a step: what the PPU makes of a dataflow's sums, compared with the reference."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np

from dataflows.contract.tasks import StepValues, TaskTable
from dataflows.storage.written import finish_gradient
from sim.step.pruning_unit import write_gradient
from sim.step.rounding_unit import store_rows
from sim.step.verify import Verdict, Verification, verify_step
from workloads.arrays import Float32Array
from workloads.operands import Operands
from workloads.reference import require_float32, spread_bias
from workloads.shapes import Step
from workloads.value_formats import ValueFormat, round_values

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
    """Do what the PPU does to a finished result before it is written: sum, mask and prune a gradient to an activation.

    What is stored as other data is rounded at the end. A dense machine has no pruning unit; its gradient is pruned all
    the same, at no cost, as its next operands are.
    """
    written = write_gradient(sums, operands, step) if is_finished(operands, step) else sums
    return store_rows(written, operands.form) if operands.writes_data(step) else written


def is_finished(operands: Operands, step: Step) -> bool:
    """Tell whether the PPU does more to a step's result than to add the bias or to apply the mask."""
    if not operands.writes_gradient(step):
        return False
    finish = operands.weight_finish if step is Step.GTW else operands.finish
    return bool(operands.find_summed(step)) or finish.mask is not None or finish.prunes


class Comparison:
    """Compares the sums of a step with the reference; sums that another machine had already are not compared again.

    Attributes:
        single: What the step writes in float32 on operands that were not rounded, once it was asked for.
    """

    def __init__(self, operands: Operands, step: Step) -> None:
        self.operands = operands
        self.step = step
        self.single: Float32Array | None = None
        self._compared: list[tuple[Float32Array | bytes, float, Verification]] = []

    def compare(self, sums: Float32Array, product_error: float = 0.0) -> Verification:
        """Compare a machine's sums; a digest stands for large ones that were compared before."""
        if sums.nbytes <= KEPT_BYTES:
            known = [
                found
                for other, error, found in self._compared
                if error == product_error and np.array_equal(other, sums)
            ]
            kept: Float32Array | bytes = sums
        else:
            kept = hashlib.blake2b(np.ascontiguousarray(sums).view(np.uint8).data, digest_size=32).digest()
            known = [found for other, error, found in self._compared if (other, error) == (kept, product_error)]
        if known:
            return known[0]
        verification = verify_step(self.operands, self.step, sums, product_error)
        self._compared.append((kept, product_error, verification))
        return verification


def verify_values(
    comparison: Comparison, table: TaskTable, values: StepValues, sums: Float32Array, written: Float32Array,
    product_error: float = 0.0,
) -> Verification:  # fmt: skip
    """Compare values with the reference and counts of work with what was timed; wrong values are named first.

    A pruned gradient is compared before and behind pruning: its sums by `verify_step`, and what the PPU made of these
    sums with what the host's pruning makes of the same, exactly. So an element is snapped otherwise than in the
    reference only where its sum lies within the sum's tolerance of the border; sums of integers leave no such border.
    """
    operands, step = comparison.operands, comparison.step
    compared = comparison.compare(sums, product_error)
    miscounted = check_written(operands, step, sums, written) or check_counts(operands, step, table, values)
    if miscounted is None:
        return compared
    if compared.verdict is Verdict.FAILED:
        return dataclasses.replace(compared, message=f"{compared.message}; {miscounted.message}")
    return miscounted


def check_written(operands: Operands, step: Step, sums: Float32Array, written: Float32Array) -> Verification | None:
    """Compare what is written with the host's sum, mask, pruning and rounding of the same sums; None where they agree.

    Raises:
        InputError: what the host makes of them exceeds float32.
    """
    is_rounded = operands.form is not ValueFormat.FLOAT32 and operands.writes_data(step)
    if not is_rounded and not is_finished(operands, step):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        expected = finish_gradient(sums, operands, step) if is_finished(operands, step) else sums
    if is_finished(operands, step):
        require_float32(operands, step, expected)
    if is_rounded:
        expected = round_values(expected, operands.form)
    # A value that no task made is none in both, and found where sums are compared.
    bad = (written != expected) & ~(np.isnan(written) & np.isnan(expected))
    if not bad.any():
        return None
    index = tuple(int(place) for place in np.unravel_index(int(np.argmax(bad)), bad.shape))
    what, how = "gradient", "sum, mask and pruning"
    if is_rounded:
        what, how = "result", "sum, mask, pruning and rounding"
    message = (
        f"layer {operands.layer!r}, step {step}: written {what}{list(index)} is {written[index]:.9g}, the host's "
        f"{how} give {expected[index]:.9g} ({int(bad.sum())} of {bad.size} elements differ)"
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
