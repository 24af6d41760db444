"""Random layers and machines small enough for the cycle-stepped model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from oracle.stepped_records import Machine
from random_layers import draw_operands

from workloads.operands import Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape

T = TypeVar("T")


def draw_one(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Draw one of some choices."""
    return choices[int(rng.integers(len(choices)))]


def draw_shape(rng: np.random.Generator) -> LayerShape:
    """Draw a layer small enough for every tiling of it to be tried; three of ten are fully connected."""
    if rng.random() < 0.3:
        return LinearShape(int(rng.integers(1, 4)), int(rng.integers(1, 10)), int(rng.integers(1, 10)))
    while True:
        R, S, H, W = (int(size) for size in rng.integers(1, (5, 5, 6, 7)))
        pad, groups = int(rng.integers(0, 3)), draw_one(rng, (1, 1, 2))
        stride = across = int(rng.integers(1, 4))
        dilation = apart = 1
        top = left = bottom = right = pad
        if rng.random() < 0.5:
            left, bottom, right = (int(side) for side in rng.integers(0, 3, 3))
            across, dilation, apart = (int(size) for size in rng.integers(1, (4, 3, 3)))
        if H + top + bottom > dilation * (R - 1) and W + left + right > apart * (S - 1):
            C, M = (groups * int(size) for size in rng.integers(1, 4, 2))
            return ConvShape(
                int(rng.integers(1, 3)), C, H, W, M, R, S, (stride, across), (top, left, bottom, right),
                (dilation, apart), groups,
            )  # fmt: skip


def draw_machine(rng: np.random.Generator) -> Machine:
    """Draw a machine with few or many groups, and a buffer, stores and speeds from tiny to unlimited."""
    return Machine(
        groups=draw_one(rng, (1, 2, 5, 16)),
        pes_per_group=int(rng.integers(1, 5)),
        multipliers_per_pe=int(rng.integers(1, 3)),
        accumulators=draw_one(rng, (16, 20, 40, 256)),
        min_tasks_per_group=draw_one(rng, (1, 2, 8)),
        row_overhead_cycles=int(rng.integers(0, 3)),
        empty_issue_cycles=int(rng.integers(0, 3)),
        skip_zeros=bool(rng.random() < 0.7),
        skip_weights=bool(rng.random() < 0.3),
        capacity_bytes=draw_one(rng, (None, 100000, 2000, 600, 300, 150, 60)),
        ports=draw_one(rng, (None, 1, 2, 8)),
        bytes_per_port_cycle=draw_one(rng, (None, 1, 4, 16)),
        operand_store_bytes=draw_one(rng, (None, 8, 20, 64, 2048)),
        prefetch_next_task=bool(rng.random() < 0.5),
        dram_bytes_per_cycle=draw_one(rng, (None, 1, 8, 32)),
        dram_latency_cycles=draw_one(rng, (0, 5, 60)),
        elements_per_cycle=draw_one(rng, (None, 1, 4)),
        data_bits=draw_one(rng, (8, 16, 32)),
        acc_bits=draw_one(rng, (32, 24, 48)),
        sparse_format=draw_one(rng, ("auto", "raw", "offset", "bitmask")),
    )


def draw_case(*place: int) -> tuple[Operands, Machine]:
    """Draw the layer, with small-integer operands, and the machine of a place; a ReLU follows every other layer."""
    rng = np.random.default_rng(place)
    operands = draw_operands(rng, draw_shape(rng))
    return replace(operands, relu_follows=bool(rng.random() < 0.5)), draw_machine(rng)
