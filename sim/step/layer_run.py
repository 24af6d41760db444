"""One step of one layer on every machine of a run."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.arithmetic import FLOAT32_SUMS, Arithmetic, choose_arithmetic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import Dataflow, TaskTable
from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.machine.accelerator import Engine, StepTiming, run_step
from sim.machine.ledger import State
from sim.machine.trace import StepTrace, TraceRecorder
from sim.machine_energy import count_actions, count_port_bytes, find_prices, read_actions
from sim.step.accuracy import Accuracy, measure_accuracy
from sim.step.measures import StepMeasures, fill
from sim.step.stored_tensors import StoredBytes, name_gradient, size_stored, size_summed
from sim.step.values import Comparison, finish_values, verify_values, write_values
from sim.step.verify import NOT_VERIFIED, Verification
from sim.step.work import StepOptions, StepRun
from workloads.arrays import Float32Array
from workloads.kinds import name_kind
from workloads.operands import Operands
from workloads.shapes import Step
from workloads.value_formats import ValueFormat


def run_layer_step(
    operands: Operands, step: Step, machines: tuple[Architecture, ...], options: StepOptions
) -> list[StepRun]:
    """Execute one step on each machine in turn, and compare values with the reference where asked to.

    Raises:
        UnmappableLayerError: the layer does not fit a machine.
    """
    comparison = Comparison(operands.at(step), step)
    return [run_machine_step(comparison, machine, options) for machine in machines]


def run_machine_step(comparison: Comparison, machine: Architecture, options: StepOptions) -> StepRun:
    """Execute a step on one machine; its table, which may be large, goes before the next one's is made."""
    operands, step = comparison.operands, comparison.step
    if (operands.form, operands.loss_scale) != (machine.values, machine.loss_scale):
        raise ValueError(
            f"'{machine.name}' stores {machine.values} with loss_scale {machine.loss_scale}, but the operands of "
            f"{operands.layer!r} are {operands.form} with {operands.loss_scale}: `OperandView.show` rounds them"
        )
    dataflow = options.work.load(machine)
    problem = options.shares.pose(machine, operands, step)
    table = options.work.lower(dataflow, problem, machine)
    timing, trace = time_step(table, machine, options)
    values = ComputedValues()
    if options.verifies or options.keeps_output:
        arithmetic = choose_step_arithmetic(operands, step, machine, table)
        posed = dataclasses.replace(problem, arithmetic=arithmetic)
        values = compute_values(comparison, posed, dataflow, table, timing, options)
    counts = count_step_actions(operands, step, machine, table, timing)
    accuracy = measure_accuracy(comparison, values.sums)
    result = fill(measure_step(operands, step, table, timing, values.verification, accuracy, counts), machine)
    result = dataclasses.replace(result, kept=options.shares.tell_kept(machine, operands.layer, step))
    stored = find_stored_bytes(operands, step, machine, table)
    return StepRun(result, values.verification.message, values.kept, stored, counts, trace)


@dataclasses.dataclass(frozen=True, slots=True)
class ComputedValues:
    """The values of a step, where they are computed.

    Attributes:
        sums: Behind bias and mask, before more is done to a gradient.
        kept: What is written, where it is asked for.
    """

    verification: Verification = NOT_VERIFIED
    sums: Float32Array | None = None
    kept: Float32Array | None = None


def compute_values(
    comparison: Comparison, problem: StepProblem, dataflow: Dataflow, table: TaskTable, timing: StepTiming,
    options: StepOptions,
) -> ComputedValues:  # fmt: skip
    """Compute the values of the tasks that were executed; compare them and keep what is written, where asked to."""
    operands, step = comparison.operands, comparison.step
    values = dataflow.execute(problem, timing.executed)
    # What overflows is refused where it is compared.
    with np.errstate(over="ignore", invalid="ignore"):
        sums = finish_values(operands, step, values)
        written = write_values(operands, step, sums)
    verification = NOT_VERIFIED
    if options.verifies:
        verification = verify_values(comparison, table, values, sums, written, problem.arithmetic.product_error)
    return ComputedValues(verification, sums, written if options.keeps_output else None)


def choose_step_arithmetic(operands: Operands, step: Step, machine: Architecture, table: TaskTable) -> Arithmetic:
    """Give the arithmetic of a machine's PEs for a step that is cut as its table says."""
    if machine.storage is None or operands.form is ValueFormat.FLOAT32:
        return FLOAT32_SUMS
    runs = () if table.traffic is None else table.traffic.reduction_runs
    return choose_arithmetic(operands, step, machine.storage.acc_bits, runs)


def time_step(table: TaskTable, machine: Architecture, options: StepOptions) -> tuple[StepTiming, StepTrace | None]:
    """Execute the tasks of a step, and note the events of the machine that is traced."""
    groups, surroundings = machine.array.groups, machine.describe_surroundings()
    if machine.name != options.traced:
        return options.work.time(table, groups, surroundings, options.engine), None
    recorder = TraceRecorder()
    timing = run_step(table, groups, surroundings, Engine.SIMPY, recorder)
    return timing, recorder.finish(table.index_names, table.indices, table.dispatch)


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
    is_pruned = operands.writes_gradient(step) and operands.find_finish(step).prunes and machine.array.skip_zeros
    pruned = ActionCounts(pruned_elements=count_results(table) if is_pruned else 0)
    return count_actions(table, timing, width, read_actions(machine.dataflow)) + pruned


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
    written = table.traffic.result_bytes
    if step is Step.FORWARD:
        return StoredBytes(input=size_stored(operands.input, array, memory), output=written)
    grad_output = size_stored(operands.grad_output, array, memory)
    if step is Step.GTA:
        summed = size_summed(operands, step, array, memory)
        has_copy = operands.grad_output_for_gta is not None
        return name_gradient(grad_output, has_copy=has_copy).merge(StoredBytes(grad_input=written, summed=summed))
    if not operands.writes_gradient(step):
        return StoredBytes(grad_output=grad_output)
    summed = size_summed(operands, step, array, memory)
    return StoredBytes(grad_output=grad_output, grad_factor=written, factor_summed=summed)


def measure_step(
    operands: Operands,
    step: Step,
    table: TaskTable,
    timing: StepTiming,
    check: Verification,
    accuracy: Accuracy,
    actions: ActionCounts | None,
) -> StepMeasures:
    """Gather what an executed step was measured to do."""
    counts = table.counts
    read_bytes, write_bytes = count_port_bytes(table.traffic, timing)
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
        task_indices="/".join(table.index_names),
        tiles=1 if table.traffic is None else len(table.traffic.tile_load_bytes),
        tiling="none" if table.traffic is None else table.traffic.tiling,
        events=timing.events,
        buffer_read_bytes=read_bytes,
        buffer_write_bytes=write_bytes,
        residency_saved_bytes=0 if table.traffic is None else table.traffic.kept_bytes,
        dram_read_bytes=timing.dram_read_bytes,
        dram_write_bytes=timing.dram_write_bytes,
        input_density=density(operands.input),
        weight_density=density(operands.weight),
        grad_output_density=density(operands.grad_output),
        mask_density=1.0 if operands.mask is None else density(operands.mask),
        vanished_elements=accuracy.vanished,
        saturated_elements=accuracy.saturated,
        float32_max_error=accuracy.max_error,
        float32_relative_error=accuracy.relative_error,
        multiplications=counts.multiplications,
        pe_cycles=int(table.pe_cycles.sum()),
        actions=actions,
        check=check,
    )


def density(tensor: NDArray[np.float32] | NDArray[np.bool_]) -> float:
    """Give the share of nonzeros."""
    return np.count_nonzero(tensor) / tensor.size
