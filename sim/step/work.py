"""What the runs of steps are made with and give: the costly parts of a run, its options, and a step's run."""

from __future__ import annotations

import dataclasses

from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import Dataflow, TaskTable
from dataflows.registry import load_dataflow
from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.machine.accelerator import Engine, StepTiming, Surroundings, run_step
from sim.machine.trace import StepTrace
from sim.pinned_tiling import require_pinned
from sim.results.rows import StepResult
from sim.sampling.intervals import Spread
from sim.sampling.options import SampleOptions
from sim.step.shares import StepShares
from sim.step.stored_tensors import StoredBytes
from workloads.arrays import Float32Array
from workloads.errors import InputError
from workloads.kept_tensors import TensorKeeper
from workloads.opening import open_operands
from workloads.sources.source import OperandStream
from workloads.workload import Workload


@dataclasses.dataclass(frozen=True, eq=False)
class StepRun:
    """A step's result on one machine; output is None unless values were computed and asked for.

    Attributes:
        stored: Bytes that the step's tensors take on this machine.
        counts: Actions, None on a machine without prices.
        trace: What its units did and when, where that was asked for.
        spreads: Of cycles and energy, where they are estimated.
    """

    result: StepResult
    message: str
    output: Float32Array | None
    stored: StoredBytes
    counts: ActionCounts | None
    trace: StepTrace | None = None
    spreads: tuple[Spread, Spread] | None = None


@dataclasses.dataclass(eq=False)
class StepWork:
    """The costly parts of a run, each made afresh; a sweep puts in its place what remembers them between runs."""

    dataflows: dict[tuple[str, str], Dataflow] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def load(self, machine: Architecture) -> Dataflow:
        """Make the dataflow of a machine with its options, once."""
        key = machine.dataflow, repr(machine.dataflow_options)
        if key not in self.dataflows:
            self.dataflows[key] = load_dataflow(machine.dataflow, machine.dataflow_options)
        return self.dataflows[key]

    def open(self, workload: Workload, iteration: int | None, keeper: TensorKeeper | None = None) -> OperandStream:
        """Open the operands of a workload.

        Args:
            keeper: Of the tensors of the host's pass, None keeps all in memory.
        """
        return open_operands(workload, iteration, keeper)

    def lower(self, dataflow: Dataflow, problem: StepProblem, machine: Architecture) -> TaskTable:
        """Have a dataflow cut a step into tasks."""
        return lower_step(dataflow, problem, machine)

    def time(self, table: TaskTable, groups: int, surroundings: Surroundings, engine: Engine) -> StepTiming:
        """Execute the tasks of a step on so many PE groups."""
        return run_step(table, groups, surroundings, engine)


@dataclasses.dataclass(frozen=True, slots=True)
class StepOptions:
    """What to do with each step: compare its values with the reference, keep them, and on which engine to time it.

    Attributes:
        traced: Name of the machine whose events are noted, on SimPy's engine whichever is chosen; None notes none.
        sample: Of a sampled run, which computes no values.
        shares: What steps may use of the memory.
    """

    verifies: bool = True
    keeps_output: bool = False
    engine: Engine = Engine.COMPILED
    work: StepWork = dataclasses.field(default_factory=StepWork)
    traced: str | None = None
    sample: SampleOptions | None = None
    shares: StepShares = dataclasses.field(default_factory=StepShares)


def lower_step(dataflow: Dataflow, problem: StepProblem, machine: Architecture) -> TaskTable:
    """Have a dataflow cut a step into tasks.

    Raises:
        InputError: the machine models memory, and the dataflow tells no traffic, or does not take a pinned tiling.
    """
    table = dataflow.lower(problem)
    if problem.memory is not None and table.traffic is None:
        raise InputError(
            f"the dataflow '{machine.dataflow}' tells no memory traffic, so '{machine.name}' cannot time its memory; "
            "use an ideal architecture (one without buffer, dram, ppu and storage)"
        )
    if table.traffic is not None:
        require_pinned(problem.memory, table.traffic.tiling, machine)
    return table
