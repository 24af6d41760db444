"""Which row operations of a convolution can multiply at all: those whose rows all hold something.

A machine that skips empty rows does no other (section 11 of the machine's definition); on any other machine all rows
count as occupied.
"""

from __future__ import annotations

import numpy as np

from dataflows.contract.problem import StepProblem
from dataflows.rows.cycles import gather_kernel_rows, multiply_exactly, scatter_kernel_rows
from dataflows.rows.strips import Strip
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import ConvShape, Step


def mark_drivers(problem: StepProblem, strip: Strip) -> BoolArray:
    """Tell which driver rows of Forward or GTA hold a nonzero in a strip's window: ``(N, G, depth, Y)``."""
    shape, driver = problem.conv_shape, problem.driver
    by_group = shape.batch, shape.groups, driver.shape[1] // shape.groups, driver.shape[2]
    if not problem.array.passes_empty_rows:
        return np.ones(by_group, dtype=np.bool_)
    return np.asarray((strip.cut_drivers(driver) != 0).any(axis=-1)).reshape(by_group)


def mark_results(problem: StepProblem, strip: Strip) -> BoolArray | None:
    """Tell which result rows have a set bit in the mask of a strip's columns: ``(N, G, outputs, X)``.

    None where a mask holds none of them back.
    """
    if not problem.array.passes_empty_rows or problem.mask is None:
        return None
    shape, mask = problem.conv_shape, problem.mask
    by_group = shape.batch, shape.groups, mask.shape[1] // shape.groups, mask.shape[2]
    return np.asarray(mask[..., strip.columns.start : strip.columns.stop].any(axis=-1)).reshape(by_group)


def count_operations(problem: StepProblem, strip: Strip) -> IntArray:
    """Count the row operations of every result row of Forward or GTA: ``(N, G, outputs, X)``.

    Where no mask holds any of them back, all outputs of a group have the same, and stand as one.
    """
    met = mark_drivers(problem, strip).sum(axis=2, dtype=np.int64)[..., None]
    collect = scatter_kernel_rows if problem.step is Step.FORWARD else gather_kernel_rows
    counted: IntArray = collect(met, problem.conv_shape)[:, :, None, :, 0]
    wanted = mark_results(problem, strip)
    return counted if wanted is None else counted * wanted


def hold_back(issued: IntArray, problem: StepProblem, strip: Strip) -> IntArray:
    """Clear what result rows ``(N, G, outputs, X)`` would issue that have no row operation because of their mask."""
    wanted = mark_results(problem, strip)
    return issued if wanted is None else issued * wanted


def mark_inputs(problem: StepProblem) -> BoolArray:
    """Tell which input rows hold a nonzero, the second operands of GTW: ``(N, G, C / G, H)``."""
    shape = problem.conv_shape
    by_group = shape.batch, shape.groups, shape.group_in_channels, shape.in_height
    if not problem.array.passes_empty_rows:
        return np.ones(by_group, dtype=np.bool_)
    return np.asarray((problem.operands.input != 0).any(axis=-1)).reshape(by_group)


def mark_gradients(problem: StepProblem) -> BoolArray:
    """Tell which rows of grad_output hold a nonzero, the drivers of GTW: ``(N, G, M / G, P)``."""
    shape = problem.conv_shape
    by_group = shape.batch, shape.groups, shape.group_out_channels, shape.out_height
    if not problem.array.passes_empty_rows:
        return np.ones(by_group, dtype=np.bool_)
    return np.asarray((problem.operands.grad_output != 0).any(axis=-1)).reshape(by_group)


def count_kernel_operations(problem: StepProblem, kernel_rows: range) -> IntArray:
    """Count the row operations of GTW into some rows of each kernel: ``(G, M / G, C / G)``."""
    drivers = gather_kernel_rows(mark_gradients(problem)[..., None].astype(np.int64), problem.conv_shape, kernel_rows)
    return pair_images(drivers[..., 0], mark_inputs(problem), problem.conv_shape)


def pair_images(drivers: IntArray, inputs: BoolArray, shape: ConvShape) -> IntArray:
    """Sum over images and rows what drivers ``(N, G, M / G, H)`` and inputs ``(N, G, C / G, H)`` have in common."""
    left = np.moveaxis(drivers, 0, 2).reshape(shape.groups, shape.group_out_channels, -1)
    right = np.moveaxis(inputs, 0, 2).reshape(shape.groups, shape.group_in_channels, -1)
    return multiply_exactly(left, np.swapaxes(right, 1, 2))
