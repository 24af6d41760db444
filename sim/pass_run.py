"""The elementwise passes of a workload on a machine, as rows beside those of the layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

from sim.architecture import Architecture
from sim.energy import ActionCounts, compute_energy
from sim.layer_run import describe_surroundings, energy_columns
from sim.machine.elementwise import run_pass
from sim.machine_energy import find_prices
from sim.results import StepResult
from sim.stored_tensors import StoredBytes, size_gradient, size_output
from workloads.network import Network
from workloads.passes import ElementwisePass, PassStep, list_passes
from workloads.pruning_sites import find_gradient_writer
from workloads.shapes import Step

# Which of the user's steps a pass belongs to.
STEP_OF_PASS = {PassStep.FORWARD: Step.FORWARD, PassStep.LOSS: Step.FORWARD, PassStep.BACKWARD: Step.GTA}


def run_passes(
    network: Network,
    machine: Architecture,
    stored: Mapping[str, StoredBytes],
    steps: Iterable[Step],
    pruned: frozenset[str] = frozenset(),
) -> list[tuple[StepResult, ActionCounts | None]]:
    """Execute the passes that belong to the steps, and count their actions; an ideal machine has none.

    pruned: the nodes the gradient to whose output is pruned.
    """
    if machine.is_ideal:
        return []
    wanted = tuple(steps)
    passes = [made for made in list_passes(network) if STEP_OF_PASS[made.step] in wanted]
    return [run_elementwise(network, made, machine, stored, pruned) for made in passes]


def count_pruned(network: Network, made: ElementwisePass, machine: Architecture, pruned: frozenset[str]) -> int:
    """Count the elements that a pass prunes as it writes them; a dense machine has no unit for that."""
    if made.step is not PassStep.BACKWARD or not machine.array.skip_zeros:
        return 0
    written = [name for name in made.writes_gradients if name in pruned]
    return sum(
        prod(network.node(name).output_shape) for name in written if find_gradient_writer(network, name) == made.node
    )


def run_elementwise(
    network: Network,
    made: ElementwisePass,
    machine: Architecture,
    stored: Mapping[str, StoredBytes],
    pruned: frozenset[str],
) -> tuple[StepResult, ActionCounts | None]:
    """Execute one pass: both machines pay it."""
    buffer, storage = machine.buffer, machine.storage
    assert buffer is not None
    assert storage is not None
    bits = storage.data_bits
    index_bytes = -(-made.index_bits // 8)
    read_bytes = sum(size_output(network, name, stored, bits) for name in made.reads)
    read_bytes += sum(size_gradient(network, name, stored, bits) for name in made.reads_gradients)
    write_bytes = sum(size_output(network, name, stored, bits) for name in made.writes)
    write_bytes += sum(size_gradient(network, name, stored, bits) for name in made.writes_gradients)
    if made.step is PassStep.FORWARD:
        write_bytes += index_bytes
    else:
        read_bytes += index_bytes - (-made.mask_bits // 8)
    timing = run_pass(made.elements, read_bytes, write_bytes, machine.array.groups, describe_surroundings(machine))
    prices = find_prices(machine)
    energy, counts = None, None
    if prices is not None and buffer.bytes_per_port_cycle is not None:
        # Each byte passes the buffer twice: DMA and PPU.
        reads, writes = (-(-size // buffer.bytes_per_port_cycle) for size in (read_bytes, write_bytes))
        counts = ActionCounts(
            ppu_elements=made.elements,
            pruned_elements=count_pruned(network, made, machine, pruned),
            buffer_reads=reads + writes,
            buffer_writes=reads + writes,
            noc_bytes=read_bytes + write_bytes,
            dram_read_bits=8 * read_bytes,
            dram_write_bits=8 * write_bytes,
        )
        energy = compute_energy(counts, timing.cycles, machine.clock_mhz, prices)
    result = StepResult(
        layer=made.node,
        kind=made.kind,
        step=made.step.value,
        machine=machine.name,
        cycles=timing.cycles,
        bound_cycles=0,
        busy_cycles=0,
        wait_operands_cycles=0,
        wait_dram_cycles=(timing.cycles - timing.ppu_cycles) * machine.array.groups,
        wait_ppu_cycles=0,
        idle_cycles=timing.ppu_cycles * machine.array.groups,
        pe_imbalance_cycles=0,
        overhead_cycles=0,
        ports_busy_cycles=0,
        dram_busy_cycles=timing.dram_busy_cycles,
        ppu_busy_cycles=timing.ppu_cycles * machine.array.groups,
        pe_utilization=0.0,
        nominal_macs=0,
        dense_macs=0,
        effectual_macs=0,
        row_ops=0,
        tasks=0,
        tiles=0,
        events=timing.events,
        buffer_read_bytes=read_bytes,
        buffer_write_bytes=write_bytes,
        dram_read_bytes=read_bytes,
        dram_write_bytes=write_bytes,
        **energy_columns(energy),
        input_density=None,
        weight_density=None,
        grad_output_density=None,
        mask_density=None,
        verified=False,
        verdict="none",
        max_abs_error=None,
        tolerance=None,
        cycles_ci95=0.0,
        energy_ci95_pj=None if energy is None else 0.0,
        sampled_fraction=1.0,
        operands="",
    )
    return result, counts
