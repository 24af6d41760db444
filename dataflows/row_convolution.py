"""The built-in dataflow: 1-D row convolutions, as the machine's definition states them."""

from __future__ import annotations

import dataclasses

import numpy as np

from dataflows.array import PEArray
from dataflows.conv_kernels_traffic import make_kernels_traffic
from dataflows.conv_lowering import count_conv, list_conv_tasks, lower_conv
from dataflows.conv_rows_traffic import make_rows_traffic
from dataflows.dealing import require_accumulators
from dataflows.execution import execute_conv, execute_linear
from dataflows.linear_lowering import lower_linear
from dataflows.linear_traffic import make_linear_traffic
from dataflows.memory import MemoryShare, Traffic
from dataflows.tasks import BoolArray, IntArray, StepValues, TaskTable
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, Step


class RowConvolution:
    """SRC, MSRC and OSRC row operations dealt to PE groups; its dense machine does every in-range multiplication."""

    def lower(self, operands: Operands, step: Step, array: PEArray, memory: MemoryShare | None = None) -> TaskTable:
        """Cut one step of one layer into tasks of exact length, and where there is memory into tiles and bursts.

        Raises:
            UnmappableLayerError: a row or a kernel of results does not fit the accumulators of a PE, or no tiling fits.
        """
        if isinstance(operands.shape, LinearShape):
            table = lower_linear(operands, step, array)
            if memory is None:
                return table
            return attach_pieces(table, *make_linear_traffic(operands, step, array, memory))
        if memory is None:
            return lower_conv(operands, step, array)
        require_accumulators(operands, step, array)
        if step is Step.GTW:
            traffic, dispatch = make_kernels_traffic(operands, array, memory)
        else:
            traffic, dispatch = make_rows_traffic(operands, step, array, memory)
        names, indices = list_conv_tasks(operands.shape, step, array)
        pe_cycles = sum_bursts(len(indices), traffic, dispatch)
        return TaskTable(pe_cycles, names, indices, count_conv(operands, step, array), traffic, dispatch)

    def execute(self, operands: Operands, step: Step, array: PEArray, executed: BoolArray) -> StepValues:
        """Compute the values of the executed tasks, multiplication by multiplication on the driver elements."""
        execute = execute_conv if isinstance(operands.shape, ConvShape) else execute_linear
        return execute(operands, step, array, executed)


def attach_pieces(table: TaskTable, traffic: Traffic, dispatch: IntArray) -> TaskTable:
    """Add traffic to a fully connected layer's table; the pieces of a row that was cut have headers of their own."""
    pe_cycles = sum_bursts(len(table), traffic, dispatch)
    added = int(pe_cycles.sum() - table.pe_cycles.sum())
    counts = dataclasses.replace(table.counts, header_cycles=table.counts.header_cycles + added)
    return dataclasses.replace(table, pe_cycles=pe_cycles, counts=counts, traffic=traffic, dispatch=dispatch)


def sum_bursts(tasks: int, traffic: Traffic, dispatch: IntArray) -> IntArray:
    """Sum the cycles of each task's bursts: int64 ``(tasks, PEs)``."""
    running = np.pad(traffic.burst_cycles, [(1, 0), (0, 0)]).cumsum(axis=0)
    entries = running[traffic.burst_first[1:]] - running[traffic.burst_first[:-1]]
    pe_cycles = np.zeros((tasks, entries.shape[1]), dtype=np.int64)
    np.add.at(pe_cycles, dispatch, entries)
    return pe_cycles
