"""The built-in dataflow: 1-D row convolutions, as the machine's definition states them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from dataflows.contract.actions import Action
from dataflows.contract.array import PEArray
from dataflows.contract.entries import SUMMED_ENTRIES, sum_spans
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.step_form import StepForm
from dataflows.contract.tasks import StepCounts, StepValues, TaskTable
from dataflows.contract.tile_plan import TilePlan
from dataflows.rows.dealing import require_accumulators
from dataflows.sparsetrain.conv_kernels.mapping import ConvKernels
from dataflows.sparsetrain.conv_rows.mapping import ConvRows
from dataflows.sparsetrain.dram_bytes import measure_dram_bytes
from dataflows.sparsetrain.least_tiling import check_shape
from dataflows.sparsetrain.linear_outer.mapping import LinearOuter
from dataflows.sparsetrain.linear_products.mapping import LinearProducts
from dataflows.sparsetrain.mapping import Mapping
from dataflows.sparsetrain.matmul.factors import MatmulFactors
from dataflows.sparsetrain.matmul.rows import MatmulRows
from dataflows.sparsetrain.views import name_indices, see_step, show_values
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import ConvShape, LayerShape, LinearShape, MatmulShape, Step

# A further kind of layer, or another way to cut one, is one folder and its lines here.
MAPPINGS: dict[tuple[type[LayerShape], Step], Mapping] = {
    (ConvShape, Step.FORWARD): ConvRows(),
    (ConvShape, Step.GTA): ConvRows(),
    (ConvShape, Step.GTW): ConvKernels(),
    (LinearShape, Step.FORWARD): LinearProducts(),
    (LinearShape, Step.GTA): LinearProducts(),
    (LinearShape, Step.GTW): LinearOuter(),
    (MatmulShape, Step.FORWARD): MatmulRows(),
    (MatmulShape, Step.GTA): MatmulRows(),
    (MatmulShape, Step.GTW): MatmulFactors(),
}


# accumulator_updates: only in forward and gta of a fully connected layer do the products of an issue go into one word;
# the taps of a convolution, and the inputs of an outer product, have words of their own.
# taps_examined: S for each driver nonzero and PE in a convolution, the driver nonzeros in a fully connected layer; 0 on
# a dense machine, which has no index logic.
ACTIONS = (
    Action("accumulator_updates", "updates", "Partial sums read and written, once for all products of an issue."),
    Action("operand_store_reads", "words", "Words of data_bits read from operand stores.", per_multiplication=2),
    Action("taps_examined", "taps", "Taps whose indices or masks were looked at; none on a dense machine."),
    Action("rows_examined", "rows", "Row operations of which it was looked up whether their rows are empty."),
)


class RowConvolution:
    """SRC, MSRC and OSRC row operations dealt to PE groups; its dense machine does every in-range multiplication."""

    actions = ACTIONS

    def lower(self, problem: StepProblem) -> TaskTable:
        """Cut one step of one layer into tasks of exact length, and where there is memory into tiles and bursts.

        Raises:
            UnmappableLayerError: a row of a kernel does not fit the accumulators of a PE, or no tiling fits.
        """
        problem = see_step(problem)
        mapping = find_mapping(problem)
        require_accumulators(problem)
        names, indices = mapping.list_tasks(problem)
        names = name_indices(names, problem)
        if problem.memory is None:
            return TaskTable(mapping.measure_tasks(problem), names, indices, mapping.count(problem))
        traffic, dispatch = mapping.cut(problem)
        pe_cycles = sum_bursts(len(indices), traffic, dispatch)
        counts = mapping.recount(problem, mapping.count(problem), pe_cycles, traffic)
        return TaskTable(pe_cycles, names, indices, counts, traffic, dispatch)

    def check_shape(
        self, layer: str, shape: LayerShape, step: Step, array: PEArray, memory: MemoryShare | None = None
    ) -> None:
        """Refuse a step that does not fit, whatever its operands.

        Raises:
            UnmappableLayerError: as `lower` does, as far as a shape tells.
        """
        check_shape(layer, shape, step, array, memory)

    def measure_dram_bytes(self, form: StepForm, array: PEArray, memory: MemoryShare) -> int | None:
        """Give the DRAM bytes of a step whose tensors are all raw; None where no tiling fits."""
        return measure_dram_bytes(form, array, memory)

    def plan_tiles(self, problem: StepProblem, images: IntArray) -> TilePlan:
        """Cut one step of a batch into tiles, of which only some are to be lowered.

        Raises:
            UnmappableLayerError: a row of a kernel does not fit the accumulators of a PE, or no tiling fits.
        """
        problem = see_step(problem)
        require_accumulators(problem)
        require_images(problem)
        mapping = find_mapping(problem)
        names = name_indices(mapping.list_tasks(problem)[0], problem)
        return dataclasses.replace(mapping.plan_tiles(problem, images), index_names=names)

    def count(self, problem: StepProblem) -> StepCounts:
        """Count what the PEs do in a step, without cutting it into tasks."""
        problem = see_step(problem)
        return find_mapping(problem).count(problem)

    def pack_tiles(self, problem: StepProblem, plan: TilePlan, images: Sequence[int], tiles: IntArray) -> Traffic:
        """Give the traffic of some tiles of a plan."""
        problem = see_step(problem)
        return find_mapping(problem).pack_tiles(problem, plan, images, tiles)

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Compute the values of the executed tasks, multiplication by multiplication on the driver elements."""
        seen = see_step(problem)
        return show_values(find_mapping(seen).execute(seen, executed), problem)


def find_mapping(problem: StepProblem) -> Mapping:
    """Find how this dataflow cuts a step.

    Raises:
        UnmappableLayerError: it does not know layers of this shape.
    """
    mapping = MAPPINGS.get((type(problem.shape), problem.step))
    if mapping is None:
        raise UnmappableLayerError(
            f"layer {problem.operands.layer!r}, step {problem.step}: the dataflow has no mapping for a "
            f"{type(problem.shape).__name__}"
        )
    return mapping


def require_images(problem: StepProblem) -> None:
    """Refuse to sample a step whose tiles need not hold whole images.

    Raises:
        UnmappableLayerError: the images of the problem, as it is mapped, are rows of the layer's images.
    """
    own = problem.own
    if isinstance(problem.shape, LinearShape) and own.shape.batch != problem.shape.batch:
        raise UnmappableLayerError(
            f"layer {own.operands.layer!r}, step {own.step}: cannot be sampled, because a tile of its tokens need not "
            "hold whole images; leave the sample away, or the layer out"
        )


def sum_bursts(tasks: int, traffic: Traffic, dispatch: IntArray) -> IntArray:
    """Sum the cycles of each task's bursts: int64 ``(tasks, PEs)``."""
    pe_cycles = np.zeros((tasks, traffic.burst_cycles.shape[1]), dtype=np.int64)
    # A reduction that is cut finely makes millions of entries: running sums of all of them would be the peak of memory.
    for start in range(0, len(dispatch), SUMMED_ENTRIES):
        edges = traffic.burst_first[start : start + SUMMED_ENTRIES + 1]
        entries = sum_spans(traffic.burst_cycles[edges[0] : edges[-1]], edges - edges[0])
        np.add.at(pe_cycles, dispatch[start : start + SUMMED_ENTRIES], entries)
    return pe_cycles
