"""Cycles of the row operations SRC, MSRC and OSRC, summed where the order of a task allows it.

A row operation costs ``row_overhead_cycles`` plus the issue cycles of its driver elements. An element's issue
cycles depend on how many live taps it meets, so whole rows reduce to products of 0/1 driver elements with small
integer costs. All sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.contract.problem import StepProblem
from dataflows.rows.taps import TapTable, pair_rows
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import ConvShape, slice_positions

# Largest integer up to which float32 holds every integer.
FLOAT32_EXACT = 2**24


def issue_cycles(live_taps: IntArray, array: PEArray) -> IntArray:
    """Give the cycles a present driver element occupies the issue stage, for each count of live taps."""
    needed = -(-live_taps // array.multipliers_per_pe)
    return np.maximum(array.empty_issue_cycles, needed) if array.skip_zeros else needed


@dataclass(frozen=True, eq=False)
class TapCosts:
    """Of each driver position: live taps, the issue cycles they take, and the issue cycles without a multiplication."""

    taps: IntArray
    cycles: IntArray

    def empty(self, array: PEArray) -> IntArray:
        """Issue cycles in which no multiplication starts."""
        return self.cycles - -(-self.taps // array.multipliers_per_pe)


def cost_taps(live_taps: IntArray, array: PEArray) -> TapCosts:
    """Attach issue cycles to counts of live taps."""
    return TapCosts(live_taps, issue_cycles(live_taps, array))


def count_partners(present: BoolArray, shape: ConvShape, window: range | None = None) -> IntArray:
    """Count for grad_output columns q the taps whose input column is present: ``(..., W)`` to ``(..., Q)``.

    Args:
        window: The columns q that are counted, if not all of them.
    """
    columns = range(shape.out_width) if window is None else window
    padded = np.pad(present, [(0, 0)] * (present.ndim - 1) + [(shape.pad_left, shape.pad_right)])
    counts = np.zeros((*present.shape[:-1], len(columns)), dtype=np.int64)
    if columns:
        for s in range(shape.kernel_width):
            first = columns.start * shape.stride_width + s * shape.dilation_width
            counts += padded[..., slice_positions(first, len(columns), shape.stride_width)]
    return counts


def gather_kernel_rows(rows: IntArray, shape: ConvShape, kernel_rows: range | None = None) -> IntArray:
    """Sum over all or some kernel rows r what belongs to output row p(h, r): ``(..., P, X)`` to ``(..., H, X)``."""
    gathered = np.zeros((*rows.shape[:-2], shape.in_height, rows.shape[-1]), dtype=rows.dtype)
    pairs = pair_rows(shape)
    for r in range(shape.kernel_height) if kernel_rows is None else kernel_rows:
        h = np.flatnonzero(pairs[:, r] >= 0)
        gathered[..., h, :] += rows[..., pairs[h, r], :]
    return gathered


def scatter_kernel_rows(rows: IntArray, shape: ConvShape) -> IntArray:
    """Sum over the kernel rows r what belongs to input row h(p, r): ``(..., H, X)`` to ``(..., P, X)``."""
    scattered = np.zeros((*rows.shape[:-2], shape.out_height, rows.shape[-1]), dtype=rows.dtype)
    pairs = pair_rows(shape)
    for r in range(shape.kernel_height):
        h = np.flatnonzero(pairs[:, r] >= 0)
        scattered[..., pairs[h, r], :] += rows[..., h, :]
    return scattered


def skips_weights(problem: StepProblem) -> bool:
    """Tell whether the machine skips weights and has any to skip, so that outputs differ in their row operations."""
    return problem.array.skip_zeros and problem.array.skip_weights and not np.all(problem.operands.weight)


def multiply_exactly(left: NDArray[Any], right: NDArray[Any]) -> IntArray:
    """Multiply matrices of small non-negative whole numbers by a floating-point product that cannot round."""
    bound = left.shape[-1] * int(left.max(initial=0)) * int(right.max(initial=0))
    kind = np.float32 if bound < FLOAT32_EXACT else np.float64
    # BLAS may raise the invalid flag on lanes that it pads; the integers themselves cannot.
    with np.errstate(invalid="ignore"):
        product: IntArray = np.rint(left.astype(kind) @ right.astype(kind)).astype(np.int64)
    return product


def group_classes(taps: TapTable, kernel_width: int) -> tuple[BoolArray, IntArray]:
    """Find driver positions that meet the same taps: ``(classes, S)`` and the class of each position."""
    incidence = taps.incidence(kernel_width)
    classes, members = np.unique(incidence, axis=0, return_inverse=True)
    return classes, members.reshape(-1).astype(np.int64)


def count_classes(present: BoolArray, members: IntArray, classes: int) -> IntArray:
    """Count the present elements of each class in every row: ``(..., W)`` to ``(..., classes)``."""
    return np.stack([present[..., members == index].sum(axis=-1) for index in range(classes)], axis=-1)
