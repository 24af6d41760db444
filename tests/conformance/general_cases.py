"""Random convolutions of general geometry, on arrays that cut their rows and kernels and pack their groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from conformance.stepped_cases import draw_machine, draw_one
from oracle.stepped_records import Machine
from random_layers import draw_operands, draw_tensor

from dataflows.contract.array import PEArray
from workloads.operands import GradientFinish, Operands
from workloads.shapes import ConvShape

WORDS = (2, 3, 4, 7, 256)


def draw_geometry(rng: np.random.Generator, largest_height: int, largest_width: int, groups: int) -> ConvShape:
    """Draw unequal strides, paddings of each side and dilations, and few channels in each group."""
    while True:
        N, H, W, R, S = (int(size) for size in rng.integers(1, (3, largest_height + 1, largest_width + 1, 5, 4)))
        stride, dilation = ((int(a), int(b)) for a, b in rng.integers(1, 4, (2, 2)))
        top, left, bottom, right = (int(size) for size in rng.integers(0, 3, 4))
        C, M = (groups * int(size) for size in rng.integers(1, 4, 2))
        if H + top + bottom > dilation[0] * (R - 1) and W + left + right > dilation[1] * (S - 1):
            return ConvShape(N, C, H, W, M, R, S, stride, (top, left, bottom, right), dilation, groups)


def draw_array(rng: np.random.Generator) -> PEArray:
    """Draw a PE array whose accumulators seldom hold a row; seldom not even a kernel row."""
    return PEArray(
        groups=draw_one(rng, (1, 2, 5, 56)),
        pes_per_group=int(rng.integers(1, 8)),
        multipliers_per_pe=int(rng.integers(1, 4)),
        accumulators=draw_one(rng, WORDS),
        min_tasks_per_group=draw_one(rng, (1, 2, 8)),
        row_overhead_cycles=int(rng.integers(0, 3)),
        empty_issue_cycles=int(rng.integers(0, 3)),
        skip_weights=bool(rng.random() < 0.4),
        pack_groups=bool(rng.random() < 0.7),
    )


def draw_general_case(*place: int) -> tuple[Operands, PEArray]:
    """Draw a convolution and an array without memory."""
    rng = np.random.default_rng(place)
    shape = draw_geometry(rng, 9, 16, draw_one(rng, (1, 1, 2, 3, 5, 7)))
    return draw_operands(rng, shape), draw_array(rng)


def draw_general_step(*place: int) -> tuple[Operands, Machine]:
    """Draw a convolution so small that all its tilings can be tried, and a machine with memory.

    One in three adds a stored gradient, and of those with a mask one in four leaves it to the PPU.
    """
    rng = np.random.default_rng(place)
    operands = draw_operands(rng, draw_geometry(rng, 4, 9, draw_one(rng, (1, 1, 2, 3))))
    operands = replace(operands, relu_follows=bool(rng.random() < 0.5))
    if rng.random() < 1 / 3:
        operands = replace(operands, summed=(draw_tensor(rng, operands.shape.input_shape, 0.5),))
    if operands.mask is not None and rng.random() < 0.25:
        operands = replace(operands, mask=None, finish=GradientFinish(mask=operands.mask))
    array = draw_array(rng)
    machine = replace(
        draw_machine(rng), pes_per_group=array.pes_per_group, accumulators=array.accumulators,
        pack_groups=array.pack_groups,
    )  # fmt: skip
    return operands, machine
