"""What is counted of the operands of a cluster of images, without simulating it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from dataflows.contract.memory import RowFormat
from dataflows.contract.tasks import StepCounts
from dataflows.storage.row_sizes import size_rows
from workloads.arrays import Float64Array
from workloads.operands import Operands
from workloads.shapes import Step


class ClusterCount(IntEnum):
    """What adds up over clusters: the counts of a step, nonzeros, and the stored bytes of its sparse operand.

    UNCUT_PE_CYCLES: the PEs' cycles if no row were cut; 0 where none is.
    """

    ROW_OPS = 0
    MULTIPLICATIONS = 1
    EFFECTUAL_MACS = 2
    DENSE_MACS = 3
    HEADER_CYCLES = 4
    EMPTY_ISSUE_CYCLES = 5
    INPUT_NONZEROS = 6
    GRADIENT_NONZEROS = 7
    MASK_NONZEROS = 8
    STORED_BYTES = 9
    UNCUT_PE_CYCLES = 10


def count_cluster(
    operands: Operands,
    counts: StepCounts,
    step: Step,
    form: RowFormat = RowFormat.RAW,
    data_bits: int = 0,
    uncut_pe_cycles: int = 0,
    counted: Sequence[str] = (),
) -> Float64Array:
    """Count what a cluster adds to its step: float64 ``(counts,)``, whole numbers, those of counted actions last.

    Args:
        form: Of the step's sparse operand; 0 bits where memory takes no time.
        data_bits: Of the step's sparse operand; 0 bits where memory takes no time.
    """
    found = np.zeros(len(ClusterCount) + len(counted))
    found[ClusterCount.ROW_OPS] = counts.row_ops
    found[ClusterCount.MULTIPLICATIONS] = counts.multiplications
    found[ClusterCount.EFFECTUAL_MACS] = counts.effectual_macs
    found[ClusterCount.DENSE_MACS] = counts.dense_macs
    found[ClusterCount.HEADER_CYCLES] = counts.header_cycles
    found[ClusterCount.EMPTY_ISSUE_CYCLES] = counts.empty_issue_cycles
    found[len(ClusterCount) :] = [counts.actions[name] for name in counted]
    found[ClusterCount.INPUT_NONZEROS] = np.count_nonzero(operands.input)
    found[ClusterCount.GRADIENT_NONZEROS] = np.count_nonzero(operands.grad_output)
    mask = operands.input.size if operands.mask is None else np.count_nonzero(operands.mask)
    found[ClusterCount.MASK_NONZEROS] = mask
    found[ClusterCount.UNCUT_PE_CYCLES] = uncut_pe_cycles
    if data_bits:
        stored = operands.input if step is Step.FORWARD else operands.grad_output
        nonzeros = np.count_nonzero(stored, axis=-1).astype(np.int64)
        found[ClusterCount.STORED_BYTES] = size_rows(nonzeros, stored.shape[-1], form, data_bits).sum()
    return found
