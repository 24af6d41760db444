"""Which elements of the tensor that a step writes are nonzero: what its rows take in a sparse format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.problem import StepProblem
from workloads.operands import Operands
from workloads.pruners.row_groups import keep_largest
from workloads.pruning import prune
from workloads.reference import require_float32, run_forward, run_gta, run_gtw
from workloads.reference.arrays import Array
from workloads.shapes import Step
from workloads.value_formats import round_values


def find_written(operands: Operands, step: Step) -> NDArray[np.bool_]:
    """Find the nonzeros of the tensor that the PPU writes: after bias and ReLU, or sum, mask and pruning, rounded.

    They are those of the host's result, so that a run has the same sizes whether or not it computes values.

    Raises:
        InputError: the result exceeds float32.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if step is Step.FORWARD:
            result = run_forward(operands)
        else:
            result = finish_gradient(run_gta(operands) if step is Step.GTA else run_gtw(operands), operands, step)
    require_float32(operands, step, result)
    if operands.writes_data(step):
        result = round_values(result, operands.form)
    return np.asarray(result > 0) if step is Step.FORWARD and operands.relu_follows else np.asarray(result != 0)


def locate_written(problem: StepProblem) -> NDArray[np.bool_]:
    """Find the nonzeros of the tensor that a step writes, of the shape that is written.

    Raises:
        InputError: the result exceeds float32.
    """
    return problem.arrange(find_written(problem.own.operands, problem.own.step))


def is_written_sparse(problem: StepProblem) -> bool:
    """Tell whether the result of Forward or GTA is stored in a sparse format: a gradient, or the output of a ReLU."""
    return problem.array.skip_zeros and (problem.writes_gradient or problem.own.operands.relu_follows)


def masks_in_ppu(problem: StepProblem) -> bool:
    """Tell whether it is the PPU that reads and applies the mask of GTA, because the PEs know none."""
    return not problem.array.skip_zeros or problem.mask is None


def finish_gradient(gradient: Array, operands: Operands, step: Step = Step.GTA) -> Array:
    """Sum, mask and prune a whole gradient to an activation, as the PPU does row by row."""
    finish = operands.find_finish(step)
    for share in operands.find_summed(step):
        gradient = gradient + share
    if finish.mask is not None:
        gradient = gradient * finish.mask
    if finish.groups is not None:
        return keep_largest(gradient, finish.groups)
    return gradient if finish.key is None else prune(gradient, finish.tau, finish.key)
