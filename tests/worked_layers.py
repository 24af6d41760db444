"""Two layers small enough to be worked by hand: a convolution of 1 x 1 kernels on rows of three, and dot products."""

from __future__ import annotations

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.contract.problem import StepProblem
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, Step

OVERHEAD, PES = 1, 2
ARRAY = PEArray(groups=1, pes_per_group=PES, min_tasks_per_group=2, row_overhead_cycles=OVERHEAD)
# Rows are bit masks with nonzeros of two bytes; nothing limits buffer and operand stores.
MEMORY = MemoryShare(None, None, 16, 32, RowFormat.BITMASK)
WORD_BYTES, SUM_BYTES = 2, 4
STEPS = (Step.FORWARD, Step.GTA, Step.GTW)

# One image of two channels, two rows, three columns; two filters.
CONV_INPUT = np.array([[[[1, 0, 2], [0, 0, 0]], [[0, 3, 0], [4, 5, 6]]]], dtype=np.float32)
CONV_WEIGHT = np.array([[1, 2], [3, 4]], dtype=np.float32)[:, :, None, None]
CONV_GRADIENT = np.array([[[[1, 0, 0], [0, 2, 0]], [[0, 0, 0], [0, 0, 3]]]], dtype=np.float32)
# Two images of three inputs, two outputs.
LINEAR_INPUT = np.array([[1, 0, 2], [0, 0, 3]], dtype=np.float32)
LINEAR_WEIGHT = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32)
LINEAR_GRADIENT = np.array([[0, 1], [0, 2]], dtype=np.float32)


def pose_conv(step: Step) -> StepProblem:
    """Pose a step of the convolution, whose input comes out of a ReLU."""
    shape = ConvShape(1, 2, 2, 3, 2, 1, 1)
    mask = CONV_INPUT != 0
    operands = Operands("conv", shape, CONV_INPUT, CONV_WEIGHT, None, CONV_GRADIENT, mask, STEPS, relu_follows=True)
    return StepProblem(operands, step, ARRAY, MEMORY)


def pose_linear(step: Step) -> StepProblem:
    """Pose a step of the fully connected layer, whose input comes out of a ReLU."""
    mask = LINEAR_INPUT != 0
    shape = LinearShape(2, 3, 2)
    operands = Operands("fc", shape, LINEAR_INPUT, LINEAR_WEIGHT, None, LINEAR_GRADIENT, mask, STEPS)
    return StepProblem(operands, step, ARRAY, MEMORY)


def size_mask_row(width: int, nonzeros: int) -> int:
    """Give the stored bytes of a bit mask row: pointer, mask, nonzeros."""
    return 2 + -(-(width + 16 * nonzeros) // 8)
