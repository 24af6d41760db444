"""One step of one layer on every machine of a run."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from dataflows.registry import load_dataflow
from dataflows.tasks import Dataflow, StepValues, TaskTable
from sim.architecture import Architecture
from sim.energy import ActionCounts, EnergyResult, compute_energy
from sim.machine.accelerator import INSTANT, Engine, StepTiming, Surroundings, run_step
from sim.machine.ledger import State
from sim.machine_energy import count_actions, count_port_bytes, find_prices
from sim.results import ENERGY_COLUMNS, StepResult
from sim.stored_tensors import StoredBytes, size_stored
from sim.verify import NOT_VERIFIED, Verdict, Verification, verify_step
from workloads.errors import InputError
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

FloatArray = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class StepRun:
    """A step's result on one machine; output is None unless values were computed and asked for.

    stored: bytes that the step's tensors take on this machine. counts: actions, None on a machine without prices.
    """

    result: StepResult
    message: str
    output: FloatArray | None
    stored: StoredBytes
    counts: ActionCounts | None


@dataclasses.dataclass(frozen=True, slots=True)
class StepOptions:
    """What to do with each step: compare its values with the reference, keep them, and on which engine to time it."""

    verifies: bool = True
    keeps_output: bool = False
    engine: Engine = Engine.COMPILED


def run_layer_step(
    operands: Operands, step: Step, machines: tuple[Architecture, ...], options: StepOptions
) -> list[StepRun]:
    """Execute one step on each machine in turn, and compare values with the reference where asked to.

    Raises:
        UnmappableLayerError: the layer does not fit a machine.
    """
    runs: list[StepRun] = []
    for machine in machines:
        array = machine.array.describe()
        dataflow = load_dataflow(machine.dataflow)
        table = lower_step(dataflow, operands, step, machine)
        timing = run_step(table, array.groups, describe_surroundings(machine), options.engine)
        verification, output = NOT_VERIFIED, None
        if options.verifies or options.keeps_output:
            values = dataflow.execute(operands, step, array, timing.executed)
            output = finish_values(operands, step, values)
            if options.verifies:
                verification = verify_values(operands, step, table, values, output)
        counts = count_step_actions(machine, table, timing)
        result = make_result(operands, step, machine, table, timing, verification, counts)
        stored = find_stored_bytes(operands, step, machine, table)
        runs.append(StepRun(result, verification.message, output if options.keeps_output else None, stored, counts))
    return runs


def lower_step(dataflow: Dataflow, operands: Operands, step: Step, machine: Architecture) -> TaskTable:
    """Have a dataflow cut a step into tasks.

    Raises:
        InputError: the machine models memory, and the dataflow tells no traffic.
    """
    memory = machine.describe_memory()
    table = dataflow.lower(operands, step, machine.array.describe(), memory)
    if memory is not None and table.traffic is None:
        raise InputError(
            f"the dataflow '{machine.dataflow}' tells no memory traffic, so '{machine.name}' cannot time its memory; "
            "use an ideal architecture (one without buffer, dram, ppu and storage)"
        )
    return table


def describe_surroundings(machine: Architecture) -> Surroundings:
    """Give the speeds of what surrounds a machine's PE groups."""
    if machine.buffer is None or machine.dram is None or machine.ppu is None:
        return INSTANT
    return Surroundings(
        ports=machine.buffer.ports,
        bytes_per_port_cycle=machine.buffer.bytes_per_port_cycle,
        dram_bytes_per_cycle=machine.dram.bytes_per_cycle,
        dram_latency_cycles=machine.dram.latency_cycles,
        elements_per_cycle=machine.ppu.elements_per_cycle,
        prefetches_next_task=machine.buffer.prefetch_next_task,
    )


def count_step_actions(machine: Architecture, table: TaskTable, timing: StepTiming) -> ActionCounts | None:
    """Count a step's actions; None on a machine whose actions have no price."""
    width = None if machine.buffer is None else machine.buffer.bytes_per_port_cycle
    if find_prices(machine) is None or width is None:
        return None
    return count_actions(table, timing, width)


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


def energy_columns(energy: EnergyResult | None) -> dict[str, float | None]:
    """Give the energy columns of a row, all None where there is no energy."""
    if energy is None:
        return dict.fromkeys(ENERGY_COLUMNS)
    parts = {f"{name}_pj": value for name, value in energy.component_pj().items()}
    return {"energy_pj": energy.total_pj, "dynamic_pj": energy.dynamic_pj, **parts}


def finish_values(operands: Operands, step: Step, values: StepValues) -> FloatArray:
    """Do what the PPU does to results that leave the PEs: add the bias, apply the mask."""
    if step is Step.FORWARD and operands.bias is not None:
        bias = operands.bias.reshape(-1, *(1,) * (values.output.ndim - 2))
        return values.output + bias
    if step is Step.GTA and operands.mask is not None:
        masked: FloatArray = np.where(operands.mask, values.output, np.float32(0))
        return masked
    return values.output


def verify_values(
    operands: Operands, step: Step, table: TaskTable, values: StepValues, output: FloatArray
) -> Verification:
    """Compare values with the reference and counts of work with what was timed; wrong values are named first."""
    compared = verify_step(operands, step, output)
    miscounted = check_counts(operands, step, table, values)
    if miscounted is None:
        return compared
    if compared.verdict is Verdict.FAILED:
        return dataclasses.replace(compared, message=f"{compared.message}; {miscounted.message}")
    return miscounted


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


def make_result(
    operands: Operands,
    step: Step,
    machine: Architecture,
    table: TaskTable,
    timing: StepTiming,
    check: Verification,
    actions: ActionCounts | None,
) -> StepResult:
    """Fill one row of ``steps.csv``."""
    array, counts, prices = machine.array.describe(), table.counts, find_prices(machine)
    busy = timing.total(State.BUSY)
    offered = timing.cycles * array.multipliers
    read_bytes, write_bytes = count_port_bytes(table.traffic)
    energy = None
    if actions is not None and prices is not None:
        energy = compute_energy(actions, timing.cycles, machine.clock_mhz, prices)
    return StepResult(
        layer=operands.layer,
        kind="conv2d" if isinstance(operands.shape, ConvShape) else "linear",
        step=step.value,
        machine=machine.name,
        cycles=timing.cycles,
        bound_cycles=-(-counts.multiplications // array.multipliers),
        busy_cycles=busy,
        wait_operands_cycles=timing.total(State.WAIT_OPERANDS),
        wait_dram_cycles=timing.total(State.WAIT_DRAM),
        wait_ppu_cycles=timing.total(State.WAIT_PPU),
        idle_cycles=timing.total(State.IDLE),
        pe_imbalance_cycles=busy * array.pes_per_group - int(table.pe_cycles.sum()),
        overhead_cycles=counts.header_cycles + counts.empty_issue_cycles,
        ports_busy_cycles=timing.ports_busy_cycles,
        dram_busy_cycles=timing.dram_busy_cycles,
        ppu_busy_cycles=timing.ppu_busy_cycles,
        pe_utilization=counts.multiplications / offered if offered else 0.0,
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
        **energy_columns(energy),
        input_density=density(operands.input),
        weight_density=density(operands.weight),
        grad_output_density=density(operands.grad_output),
        mask_density=1.0 if operands.mask is None else density(operands.mask),
        verified=check.verdict in (Verdict.EXACT, Verdict.WITHIN_TOLERANCE),
        verdict=check.verdict.value,
        max_abs_error=check.max_abs_error,
        tolerance=check.tolerance,
    )


def density(tensor: NDArray[np.float32] | NDArray[np.bool_]) -> float:
    """Give the share of nonzeros."""
    return np.count_nonzero(tensor) / tensor.size
