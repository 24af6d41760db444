"""Rows and kernels that do not fit the accumulators of a PE: strips of result rows, runs of kernel rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from dataflows.rows.taps import TapTable, tabulate_taps
from workloads.arrays import BoolArray
from workloads.shapes import ConvShape, Step

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Strip:
    """Some columns of a result row, and the window of driver elements that a row operation on them reads.

    Attributes:
        is_whole: The row is not cut; all its driver elements are read.
    """

    columns: range
    window: range
    is_whole: bool

    def limit(self, values: NDArray[np.bool_]) -> BoolArray:
        """Clear flags of result columns ``(..., columns)`` that are not the strip's."""
        return values if self.is_whole else clear_outside(values, self.columns)

    def cut_drivers(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """Give what there is of the driver elements in the window alone, ``(..., positions)`` to ``(..., window)``."""
        return values[..., self.window.start : self.window.stop]

    def limit_drivers(self, values: NDArray[np.bool_]) -> BoolArray:
        """Clear flags of driver elements ``(..., positions)`` outside the window."""
        return values if self.is_whole else clear_outside(values, self.window)


def clear_outside(values: NDArray[np.bool_], places: range) -> BoolArray:
    """Clear flags outside some places of the last axis."""
    limited = np.zeros_like(values)
    limited[..., places.start : places.stop] = values[..., places.start : places.stop]
    return limited


def cut_strips(shape: ConvShape, step: Step, array: PEArray) -> tuple[Strip, ...]:
    """Cut the result rows of Forward or GTA into as few strips, about equally long, as the accumulators can hold."""
    width, driver_width = shape.out_width, shape.in_width
    if step is Step.GTA:
        width, driver_width = driver_width, width
    parts = -(-width // array.accumulators)
    if parts == 1:
        return (Strip(range(width), range(driver_width), is_whole=True),)
    size = -(-width // parts)
    strips = [range(start, min(width, start + size)) for start in range(0, width, size)]
    return tuple(Strip(columns, find_window(shape, step, columns), is_whole=False) for columns in strips)


def find_window(shape: ConvShape, step: Step, columns: range) -> range:
    """Find the driver elements that a row operation on some result columns reads, whether or not a tap exists."""
    U, left, reach = shape.stride_width, shape.pad_left, (shape.kernel_width - 1) * shape.dilation_width
    first, last = columns[0], columns[-1]
    if step is Step.FORWARD:
        low, high, width = first * U - left, last * U - left + reach, shape.in_width
    else:
        # The elements q with q U - left <= last and q U - left + reach >= first.
        low, high, width = -((reach - left - first) // U), (last + left) // U, shape.out_width
    return range(max(0, low), max(0, low, min(width, high + 1)))


def tabulate_strip(shape: ConvShape, step: Step, strip: Strip) -> TapTable:
    """List the taps of a driver row that fall into a strip; partners count from the strip's first column."""
    taps = tabulate_taps(shape, step)
    if strip.is_whole:
        return taps
    falls = (taps.partner >= strip.columns.start) & (taps.partner < strip.columns.stop)
    first = np.append(0, np.cumsum(falls))[taps.first].astype(np.int64)
    return TapTable(first, taps.tap[falls], taps.partner[falls] - strip.columns.start)


def cut_kernel(shape: ConvShape, array: PEArray) -> tuple[range, ...]:
    """Cut the rows of a kernel into the runs that GTW accumulates; a PE holds at least one row."""
    R = shape.kernel_height
    parts = -(-R // max(1, array.accumulators // shape.kernel_width))
    size = -(-R // parts)
    return tuple(range(start, min(R, start + size)) for start in range(0, R, size))
