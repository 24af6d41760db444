"""What a dataflow hands to the machine: a table of tasks, its counts, and the values of the tasks that ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.actions import Action
from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.step_form import StepForm
from dataflows.contract.tile_plan import TilePlan
from workloads.arrays import BoolArray, IntArray
from workloads.shapes import LayerShape, Step


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What the PEs do in one step, summed over tasks.

    Attributes:
        row_ops: Row operations executed.
        multiplications: Those this machine does (live taps; in-range taps on a dense machine).
        effectual_macs: Live taps, whatever the machine.
        dense_macs: In-range taps.
        header_cycles: PE cycles spent on row headers, and on driver nonzeros without a live tap.
        empty_issue_cycles: PE cycles spent on row headers, and on driver nonzeros without a live tap.
        actions: How often each action was done that the dataflow declares as counted, by its name.
    """

    row_ops: int
    multiplications: int
    effectual_macs: int
    dense_macs: int
    nominal_macs: int
    header_cycles: int
    empty_issue_cycles: int
    actions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TaskTable:
    """The tasks of one layer step, in the order of their dispatch.

    Attributes:
        pe_cycles: int64 ``(tasks, pes_per_group)``, 0 where a PE has no output; a task computes for as long as the
            slowest of its PEs.
        indices: int64 ``(tasks, len(index_names))``, what a task stands for (image, row, block).
        traffic: What the tasks move, or None on a machine whose memory takes no time.
        dispatch: int64 ``(entries,)``, the task of each entry of the traffic; None where every task is one entry, in
            the tasks' order.

    Raises:
        ValueError: the arrays disagree in length, or a PE has negative cycles.
    """

    pe_cycles: IntArray
    index_names: tuple[str, ...]
    indices: IntArray
    counts: StepCounts
    traffic: Traffic | None = None
    dispatch: IntArray | None = None

    def __post_init__(self) -> None:
        if self.pe_cycles.ndim != 2 or self.indices.shape != (len(self.pe_cycles), len(self.index_names)):
            raise ValueError(
                f"a task table needs pe_cycles (tasks, PEs) and indices (tasks, {len(self.index_names)}), "
                f"got {self.pe_cycles.shape} and {self.indices.shape}"
            )
        if self.pe_cycles.size and int(self.pe_cycles.min()) < 0:
            raise ValueError(f"pe_cycles must not be negative, got {int(self.pe_cycles.min())}")

        entries = len(self) if self.dispatch is None else len(self.dispatch)
        if self.traffic is not None and len(self.traffic.pes) != entries:
            raise ValueError(f"the traffic has {len(self.traffic.pes)} entries, the dispatch {entries}")

    def __len__(self) -> int:
        return len(self.pe_cycles)


@dataclass(frozen=True, eq=False)
class StepValues:
    """What the executed tasks computed: the output as it leaves the PEs, before bias and mask of the PPU.

    Attributes:
        output: float32, the shape of the step's result; NaN where no executed task made a value.
        row_ops: Counted where the values were made.
        multiplications: Counted where the values were made.
    """

    output: NDArray[np.float32]
    row_ops: int
    multiplications: int


class Dataflow(Protocol):
    """How a layer step becomes tasks, and what those tasks compute. Nothing to inherit.

    A guest's tasks may have any shape: only `pe_cycles`, the dispatch order, traffic and counts reach the machine.
    A dataflow is made without arguments and registered under the entry point group ``sparsetrain.dataflows``.
    """

    def lower(self, problem: StepProblem) -> TaskTable:
        """Cut one step of one layer into tasks of exact length, and where there is memory into tiles and bursts.

        Raises:
            UnmappableLayerError: the layer does not fit this array; the message names the layer.
        """
        ...

    def execute(self, problem: StepProblem, executed: BoolArray) -> StepValues:
        """Compute the values of the tasks flagged in `executed` ``(tasks,)``, multiplication by multiplication."""
        ...


@runtime_checkable
class PricedDataflow(Dataflow, Protocol):
    """What a dataflow offers besides where energy is asked for; an empty tuple says that it has no actions."""

    @property
    def actions(self) -> tuple[Action, ...]:
        """The actions of its PEs beside multiplications and accumulations, as a class has them."""
        ...


@runtime_checkable
class CheckedDataflow(Dataflow, Protocol):
    """What a dataflow offers besides where it can tell from a shape alone that a step does not fit a machine."""

    def check_shape(
        self, layer: str, shape: LayerShape, step: Step, array: PEArray, memory: MemoryShare | None = None
    ) -> None:
        """Refuse a step that `lower` would refuse for any operands.

        Raises:
            UnmappableLayerError: the layer does not fit; the message names it.
        """
        ...


@runtime_checkable
class ResidentDataflow(Dataflow, Protocol):
    """What a dataflow offers besides where tensors may stay in the buffer: what a step moves by its shape alone.

    Its traffic leaves out what `MemoryShare.kept` names.
    """

    def measure_dram_bytes(self, form: StepForm, array: PEArray, memory: MemoryShare) -> int | None:
        """Give the DRAM bytes of a step whose tensors are all raw, in the tiling chosen then; None where none fits."""
        ...


@runtime_checkable
class SampledDataflow(Dataflow, Protocol):
    """What a dataflow offers besides where steps are to be sampled: some tiles of a step without the others.

    Such a dataflow counts the same for an image whichever others are in the batch; and its GTW has the same tasks for
    any batch, whose cycles are sums over images, while the tasks of Forward and GTA belong to one image each.
    """

    def plan_tiles(self, problem: StepProblem, images: IntArray) -> TilePlan:
        """Cut one step of a batch into tiles.

        Args:
            problem: With the operands of some images of the batch.
            images: int64 ``(N,)``, for every image of the batch the place in the operands of the one that stands for
                it.

        Raises:
            UnmappableLayerError: the layer does not fit; the message names it.
        """
        ...

    def count(self, problem: StepProblem) -> StepCounts:
        """Count what the PEs do in a step, as `lower` does where there is no memory."""
        ...

    def pack_tiles(self, problem: StepProblem, plan: TilePlan, images: Sequence[int], tiles: IntArray) -> Traffic:
        """Give the traffic of some tiles, by their numbers in a plan's order.

        Args:
            problem: With the operands of the images of these numbers, ascending; they hold all that the tiles read.
        """
        ...
