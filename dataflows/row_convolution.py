"""The built-in dataflow: 1-D row convolutions, as the machine's definition states them."""

from __future__ import annotations

import dataclasses

import numpy as np

from dataflows.array import PEArray
from dataflows.conv_kernels_traffic import make_kernels_traffic
from dataflows.conv_lowering import lower_conv
from dataflows.conv_rows_traffic import make_rows_traffic
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
        lower = lower_conv if isinstance(operands.shape, ConvShape) else lower_linear
        table = lower(operands, step, array)
        if memory is None:
            return table
        if isinstance(operands.shape, LinearShape):
            traffic, dispatch = make_linear_traffic(operands, step, array, memory)
        elif step is Step.GTW:
            traffic, dispatch = make_kernels_traffic(operands, array, memory)
        else:
            traffic, dispatch = make_rows_traffic(operands, step, array, memory)
        return attach_traffic(table, traffic, dispatch)

    def execute(self, operands: Operands, step: Step, array: PEArray, executed: BoolArray) -> StepValues:
        """Compute the values of the executed tasks, multiplication by multiplication on the driver elements."""
        execute = execute_conv if isinstance(operands.shape, ConvShape) else execute_linear
        return execute(operands, step, array, executed)


def attach_traffic(table: TaskTable, traffic: Traffic, dispatch: IntArray) -> TaskTable:
    """Add traffic to a table; the pieces of a fully connected row that was cut have headers of their own."""
    entries = np.repeat(np.arange(len(dispatch)), np.diff(traffic.burst_first))
    pe_cycles = np.zeros_like(table.pe_cycles)
    np.add.at(pe_cycles, dispatch[entries], traffic.burst_cycles)
    added = int(pe_cycles.sum() - table.pe_cycles.sum())
    counts = dataclasses.replace(table.counts, header_cycles=table.counts.header_cycles + added)
    return dataclasses.replace(table, pe_cycles=pe_cycles, counts=counts, traffic=traffic, dispatch=dispatch)
