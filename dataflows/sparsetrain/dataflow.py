"""The built-in dataflow: 1-D row convolutions, as the machine's definition states them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.contract.entries import sum_spans
from dataflows.contract.memory import MemoryShare, Traffic
from dataflows.contract.tasks import StepCounts, StepValues, TaskTable
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.dealing import require_accumulators
from dataflows.sparsetrain.conv_kernels.traffic import make_kernels_traffic
from dataflows.sparsetrain.conv_lengths import count_conv, list_conv_tasks, lower_conv
from dataflows.sparsetrain.conv_rows.traffic import make_rows_traffic
from dataflows.sparsetrain.conv_tiles import pack_kernels_tiles, pack_rows_tiles, plan_kernels_tiles, plan_rows_tiles
from dataflows.sparsetrain.least_tiling import check_shape
from dataflows.sparsetrain.linear_lengths import lower_linear
from dataflows.sparsetrain.linear_tiles import pack_linear_tiles, plan_outer_tiles, plan_products_tiles
from dataflows.sparsetrain.linear_traffic import make_linear_traffic
from dataflows.sparsetrain.values import execute_conv, execute_linear
from workloads.arrays import BoolArray, IntArray
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

    def check_shape(
        self, layer: str, shape: ConvShape | LinearShape, step: Step, array: PEArray, memory: MemoryShare | None = None
    ) -> None:
        """Refuse a step that does not fit, whatever its operands.

        Raises:
            UnmappableLayerError: as `lower` does, as far as a shape tells.
        """
        check_shape(layer, shape, step, array, memory)

    def plan_tiles(
        self, operands: Operands, images: IntArray, step: Step, array: PEArray, memory: MemoryShare
    ) -> TilePlan:
        """Cut one step of a batch into tiles, of which only some are to be lowered.

        Raises:
            UnmappableLayerError: a row or a kernel of results does not fit the accumulators of a PE, or no tiling fits.
        """
        require_accumulators(operands, step, array)
        if isinstance(operands.shape, LinearShape):
            if step is Step.GTW:
                return plan_outer_tiles(operands, images, array, memory)
            return plan_products_tiles(operands, images, step, array, memory)
        if step is Step.GTW:
            return plan_kernels_tiles(operands, images, array, memory)
        return plan_rows_tiles(operands, images, step, array, memory)

    def count(self, operands: Operands, step: Step, array: PEArray) -> StepCounts:
        """Count what the PEs do in a step, without cutting it into tasks."""
        if isinstance(operands.shape, LinearShape):
            return lower_linear(operands, step, array).counts
        return count_conv(operands, step, array)

    def pack_tiles(
        self, plan: TilePlan, operands: Operands, images: Sequence[int], tiles: IntArray, step: Step, array: PEArray,
        memory: MemoryShare,
    ) -> Traffic:  # fmt: skip
        """Give the traffic of some tiles of a plan."""
        if isinstance(operands.shape, LinearShape):
            return pack_linear_tiles(plan, operands, images, tiles, step, array, memory)
        if step is Step.GTW:
            return pack_kernels_tiles(plan, operands, images, tiles, array, memory)
        return pack_rows_tiles(plan, operands, images, tiles, step, array, memory)

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
    entries = sum_spans(traffic.burst_cycles, traffic.burst_first)
    pe_cycles = np.zeros((tasks, entries.shape[1]), dtype=np.int64)
    np.add.at(pe_cycles, dispatch, entries)
    return pe_cycles
