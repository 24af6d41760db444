"""One step of one layer on every machine of a run."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.tasks import Dataflow, StepValues, TaskTable
from dataflows.registry import load_dataflow
from dataflows.storage.written import finish_gradient
from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.machine.accelerator import Engine, StepTiming, Surroundings, run_step
from sim.machine.ledger import State
from sim.machine.trace import StepTrace, TraceRecorder
from sim.machine_energy import count_actions, count_port_bytes, find_prices
from sim.results.rows import StepResult
from sim.sampling.intervals import Spread
from sim.sampling.options import SampleOptions
from sim.step.measures import StepMeasures, fill
from sim.step.pruning_unit import write_gradient
from sim.step.stored_tensors import StoredBytes, size_stored
from sim.step.verify import NOT_VERIFIED, Verdict, Verification, verify_step
from workloads.arrays import Float32Array
from workloads.errors import InputError
from workloads.kept_tensors import TensorKeeper
from workloads.kinds import name_kind
from workloads.opening import open_operands
from workloads.operands import Operands
from workloads.reference import require_float32
from workloads.shapes import Step
from workloads.sources.source import OperandStream
from workloads.workload import Workload

# Values of a step up to this size are kept to compare another machine's with them.
KEPT_BYTES = 2**28


@dataclasses.dataclass(frozen=True, eq=False)
class StepRun:
    """A step's result on one machine; output is None unless values were computed and asked for.

    stored: bytes that the step's tensors take on this machine. counts: actions, None on a machine without prices.
    trace: what its units did and when, where that was asked for. spreads: of cycles and energy, where they are
    estimated.
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

    dataflows: dict[str, Dataflow] = dataclasses.field(default_factory=dict, init=False, repr=False)

    def load(self, name: str) -> Dataflow:
        """Make the dataflow of this name, once."""
        if name not in self.dataflows:
            self.dataflows[name] = load_dataflow(name)
        return self.dataflows[name]

    def open(self, workload: Workload, iteration: int | None, keeper: TensorKeeper | None = None) -> OperandStream:
        """Open the operands of a workload; keeper: of the tensors of the host's pass, None keeps all in memory."""
        return open_operands(workload, iteration, keeper)

    def lower(self, dataflow: Dataflow, operands: Operands, step: Step, machine: Architecture) -> TaskTable:
        """Have a dataflow cut a step into tasks."""
        return lower_step(dataflow, operands, step, machine)

    def time(self, table: TaskTable, groups: int, surroundings: Surroundings, engine: Engine) -> StepTiming:
        """Execute the tasks of a step on so many PE groups."""
        return run_step(table, groups, surroundings, engine)


@dataclasses.dataclass(frozen=True, slots=True)
class StepOptions:
    """What to do with each step: compare its values with the reference, keep them, and on which engine to time it.

    traced: name of the machine whose events are noted, on SimPy's engine whichever is chosen; None notes none. sample:
    of a sampled run, which computes no values.
    """

    verifies: bool = True
    keeps_output: bool = False
    engine: Engine = Engine.COMPILED
    work: StepWork = dataclasses.field(default_factory=StepWork)
    traced: str | None = None
    sample: SampleOptions | None = None


def run_layer_step(
    operands: Operands, step: Step, machines: tuple[Architecture, ...], options: StepOptions
) -> list[StepRun]:
    """Execute one step on each machine in turn, and compare values with the reference where asked to.

    Raises:
        UnmappableLayerError: the layer does not fit a machine.
    """
    comparison = Comparison(operands, step)
    return [run_machine_step(comparison, machine, options) for machine in machines]


def run_machine_step(comparison: Comparison, machine: Architecture, options: StepOptions) -> StepRun:
    """Execute a step on one machine; its table, which may be large, goes before the next one's is made."""
    operands, step = comparison.operands, comparison.step
    dataflow = options.work.load(machine.dataflow)
    table = options.work.lower(dataflow, operands, step, machine)
    timing, trace = time_step(table, machine, options)
    verification, kept = NOT_VERIFIED, None
    if options.verifies or options.keeps_output:
        verification, kept = compute_values(comparison, machine, dataflow, table, timing, options)
    counts = count_step_actions(operands, step, machine, table, timing)
    result = fill(measure_step(operands, step, table, timing, verification, counts), machine)
    stored = find_stored_bytes(operands, step, machine, table)
    return StepRun(result, verification.message, kept, stored, counts, trace)


def compute_values(
    comparison: Comparison, machine: Architecture, dataflow: Dataflow, table: TaskTable, timing: StepTiming,
    options: StepOptions,
) -> tuple[Verification, Float32Array | None]:  # fmt: skip
    """Compute the values of the tasks that were executed; compare them and keep what is written, where asked to."""
    operands, step = comparison.operands, comparison.step
    values = dataflow.execute(machine.pose(operands, step), timing.executed)
    # What overflows is refused where it is compared.
    with np.errstate(over="ignore", invalid="ignore"):
        sums = finish_values(operands, step, values)
        written = write_values(operands, step, sums)
    verification = verify_values(comparison, table, values, sums, written) if options.verifies else NOT_VERIFIED
    return verification, written if options.keeps_output else None


def time_step(table: TaskTable, machine: Architecture, options: StepOptions) -> tuple[StepTiming, StepTrace | None]:
    """Execute the tasks of a step, and note the events of the machine that is traced."""
    groups, surroundings = machine.array.groups, machine.describe_surroundings()
    if machine.name != options.traced:
        return options.work.time(table, groups, surroundings, options.engine), None
    recorder = TraceRecorder()
    timing = run_step(table, groups, surroundings, Engine.SIMPY, recorder)
    return timing, recorder.finish(table.index_names, table.indices, table.dispatch)


def lower_step(dataflow: Dataflow, operands: Operands, step: Step, machine: Architecture) -> TaskTable:
    """Have a dataflow cut a step into tasks.

    Raises:
        InputError: the machine models memory, and the dataflow tells no traffic.
    """
    problem = machine.pose(operands, step)
    table = dataflow.lower(problem)
    if problem.memory is not None and table.traffic is None:
        raise InputError(
            f"the dataflow '{machine.dataflow}' tells no memory traffic, so '{machine.name}' cannot time its memory; "
            "use an ideal architecture (one without buffer, dram, ppu and storage)"
        )
    return table


def count_step_actions(
    operands: Operands, step: Step, machine: Architecture, table: TaskTable, timing: StepTiming
) -> ActionCounts | None:
    """Count a step's actions; None on a machine whose actions have no price.

    A machine that skips zeros prunes every element of the gradient that its PPUs write, once, however often its sums
    pass them; one that does not has no such unit.
    """
    width = None if machine.buffer is None else machine.buffer.bytes_per_port_cycle
    if find_prices(machine) is None or width is None:
        return None
    is_pruned = step is Step.GTA and operands.finish.tau > 0 and machine.array.skip_zeros
    pruned = ActionCounts(pruned_elements=count_results(table) if is_pruned else 0)
    return count_actions(table, timing, width) + pruned


def count_results(table: TaskTable) -> int:
    """Count the results that pass the PPUs: those of each task once, though its reduction may be cut."""
    if table.traffic is None:
        return 0
    results = np.zeros(len(table), dtype=np.int64)
    results[slice(None) if table.dispatch is None else table.dispatch] = table.traffic.ppu_elements
    return int(results.sum())


def find_stored_bytes(operands: Operands, step: Step, machine: Architecture, table: TaskTable) -> StoredBytes:
    """Tell what the tensors of a step take on a machine, for the passes beside it."""
    memory, array = machine.describe_memory(), machine.array.describe()
    if memory is None or table.traffic is None:
        return StoredBytes()
    written = int(table.traffic.tile_write_back_bytes.sum())
    if step is Step.FORWARD:
        return StoredBytes(input=size_stored(operands.input, array, memory), output=written)
    if step is Step.GTA:
        return StoredBytes(grad_output=size_stored(operands.grad_output, array, memory), grad_input=written)
    return StoredBytes(grad_output=size_stored(operands.grad_output, array, memory))


def finish_values(operands: Operands, step: Step, values: StepValues) -> Float32Array:
    """Do what the PPU does to results that leave the PEs: add the bias, apply the mask."""
    if step is Step.FORWARD and operands.bias is not None:
        bias = operands.bias.reshape(-1, *(1,) * (values.output.ndim - 2))
        return values.output + bias
    if step is Step.GTA and operands.mask is not None:
        masked: Float32Array = np.where(operands.mask, values.output, np.float32(0))
        return masked
    return values.output


def write_values(operands: Operands, step: Step, sums: Float32Array) -> Float32Array:
    """Do what the PPU does to a finished gradient to the input before it is written: sum, mask and prune it.

    A dense machine has no pruning unit; its gradient is pruned all the same, at no cost, as its next operands are.
    """
    return write_gradient(sums, operands) if is_finished(operands, step) else sums


def is_finished(operands: Operands, step: Step) -> bool:
    """Tell whether the PPU does more to a step's result than to add the bias or to apply the mask."""
    finish = operands.finish
    return step is Step.GTA and (bool(operands.summed) or finish.mask is not None or finish.tau > 0)


class Comparison:
    """Compares the sums of a step with the reference; sums that another machine had already are not compared again."""

    def __init__(self, operands: Operands, step: Step) -> None:
        self.operands = operands
        self.step = step
        self._compared: list[tuple[Float32Array | bytes, Verification]] = []

    def compare(self, sums: Float32Array) -> Verification:
        """Compare a machine's sums; a digest stands for large ones that were compared before."""
        if sums.nbytes <= KEPT_BYTES:
            known = [found for other, found in self._compared if np.array_equal(other, sums)]
            kept: Float32Array | bytes = sums
        else:
            kept = hashlib.blake2b(np.ascontiguousarray(sums).view(np.uint8).data, digest_size=32).digest()
            known = [found for other, found in self._compared if other == kept]
        if known:
            return known[0]
        verification = verify_step(self.operands, self.step, sums)
        self._compared.append((kept, verification))
        return verification


def verify_values(
    comparison: Comparison, table: TaskTable, values: StepValues, sums: Float32Array, written: Float32Array
) -> Verification:
    """Compare values with the reference and counts of work with what was timed; wrong values are named first.

    A pruned gradient is compared before and behind pruning: its sums by `verify_step`, and what the PPU made of these
    sums with what the host's pruning makes of the same, exactly. So an element is snapped otherwise than in the
    reference only where its sum lies within the sum's tolerance of the border; sums of integers leave no such border.
    """
    operands, step = comparison.operands, comparison.step
    compared = comparison.compare(sums)
    miscounted = check_written(operands, step, sums, written) or check_counts(operands, step, table, values)
    if miscounted is None:
        return compared
    if compared.verdict is Verdict.FAILED:
        return dataclasses.replace(compared, message=f"{compared.message}; {miscounted.message}")
    return miscounted


def check_written(operands: Operands, step: Step, sums: Float32Array, written: Float32Array) -> Verification | None:
    """Compare a written gradient with the host's sum, mask and pruning of the same sums; None where they agree.

    Raises:
        InputError: what the host makes of them exceeds float32.
    """
    if not is_finished(operands, step):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        expected = finish_gradient(sums, operands)
    require_float32(operands, step, expected)
    bad = written != expected
    if not bad.any():
        return None
    index = tuple(int(place) for place in np.unravel_index(int(np.argmax(bad)), bad.shape))
    message = (
        f"layer {operands.layer!r}, step {step}: written gradient{list(index)} is {written[index]:.9g}, the host's "
        f"sum, mask and pruning give {expected[index]:.9g} ({int(bad.sum())} of {bad.size} elements differ)"
    )
    return Verification(Verdict.FAILED, message=message)


def check_counts(operands: Operands, step: Step, table: TaskTable, values: StepValues) -> Verification | None:
    """Compare the work counted where values were made with the work that was timed; None where they agree."""
    timed = (table.counts.row_ops, table.counts.multiplications)
    done = (values.row_ops, values.multiplications)
    if timed == done:
        return None
    message = (
        f"layer {operands.layer!r}, step {step}: {timed[0]} row operations and {timed[1]} multiplications were timed, "
        f"{done[0]} and {done[1]} were done"
    )
    return Verification(Verdict.FAILED, message=message)


def measure_step(
    operands: Operands,
    step: Step,
    table: TaskTable,
    timing: StepTiming,
    check: Verification,
    actions: ActionCounts | None,
) -> StepMeasures:
    """Gather what an executed step was measured to do."""
    counts = table.counts
    read_bytes, write_bytes = count_port_bytes(table.traffic)
    return StepMeasures(
        layer=operands.layer,
        kind=name_kind(operands.shape),
        step=step.value,
        cycles=timing.cycles,
        busy_cycles=timing.total(State.BUSY),
        wait_operands_cycles=timing.total(State.WAIT_OPERANDS),
        wait_dram_cycles=timing.total(State.WAIT_DRAM),
        wait_ppu_cycles=timing.total(State.WAIT_PPU),
        idle_cycles=timing.total(State.IDLE),
        overhead_cycles=counts.header_cycles + counts.empty_issue_cycles,
        ports_busy_cycles=timing.ports_busy_cycles,
        dram_busy_cycles=timing.dram_busy_cycles,
        ppu_busy_cycles=timing.ppu_busy_cycles,
        nominal_macs=counts.nominal_macs,
        dense_macs=counts.dense_macs,
        effectual_macs=counts.effectual_macs,
        row_ops=counts.row_ops,
        tasks=int(timing.executed.sum()),
        tiles=1 if table.traffic is None else len(table.traffic.tile_load_bytes),
        events=timing.events,
        buffer_read_bytes=read_bytes,
        buffer_write_bytes=write_bytes,
        dram_read_bytes=timing.dram_read_bytes,
        dram_write_bytes=timing.dram_write_bytes,
        input_density=density(operands.input),
        weight_density=density(operands.weight),
        grad_output_density=density(operands.grad_output),
        mask_density=1.0 if operands.mask is None else density(operands.mask),
        multiplications=counts.multiplications,
        pe_cycles=int(table.pe_cycles.sum()),
        actions=actions,
        check=check,
    )


def density(tensor: NDArray[np.float32] | NDArray[np.bool_]) -> float:
    """Give the share of nonzeros."""
    return np.count_nonzero(tensor) / tensor.size
