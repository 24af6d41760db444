"""Which elements of the tensor that a step writes are nonzero: what its rows take in a sparse format."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.operands import Operands
from workloads.reference import run_forward, run_gta
from workloads.shapes import Step


def find_written(operands: Operands, step: Step) -> NDArray[np.bool_]:
    """Find the nonzeros of the tensor that the PPU writes, after bias, ReLU and mask; the step's output shape.

    They are those of the host's result, so that a run has the same sizes whether or not it computes values.
    """
    if step is Step.FORWARD:
        output = run_forward(operands)
        return np.asarray(output > 0) if operands.relu_follows else np.asarray(output != 0)
    return np.asarray(run_gta(operands) != 0)
