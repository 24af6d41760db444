"""The elementwise passes of a workload on a machine, as rows beside those of the layers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from math import prod

from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.machine.dram_layout import Moved
from sim.machine.elementwise import run_pass
from sim.machine_energy import count_commands, find_prices
from sim.results.rows import StepResult
from sim.step.measures import StepMeasures, fill
from sim.step.stored_tensors import StoredBytes, size_output, size_share
from workloads.gradient_shares import GradientShare
from workloads.network import Network
from workloads.passes import ElementwisePass, PassStep, list_passes, list_shares_read, list_shares_written
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

    Args:
        pruned: The nodes the gradient to whose output is pruned.
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
    groups = machine.array.groups
    moved = size_transfers(network, made, machine, stored)
    read_bytes, write_bytes = moved.read_bytes, moved.write_bytes
    timing = run_pass(made.elements, moved, groups, machine.describe_surroundings())
    ppu_actions = ActionCounts(ppu_elements=made.elements, pruned_elements=count_pruned(network, made, machine, pruned))
    actions = count_pass_actions(ppu_actions + count_commands(timing.commands), read_bytes, write_bytes, machine)
    measures = StepMeasures(
        layer=made.node,
        kind=made.kind,
        step=made.step.value,
        cycles=timing.cycles,
        wait_dram_cycles=(timing.cycles - timing.ppu_cycles) * groups,
        idle_cycles=timing.ppu_cycles * groups,
        dram_busy_cycles=timing.dram_busy_cycles,
        ppu_busy_cycles=timing.ppu_cycles * groups,
        events=timing.events,
        buffer_read_bytes=read_bytes,
        buffer_write_bytes=write_bytes,
        dram_read_bytes=read_bytes,
        dram_write_bytes=write_bytes,
        actions=actions,
    )
    return fill(measures, machine), actions


def size_transfers(
    network: Network, made: ElementwisePass, machine: Architecture, stored: Mapping[str, StoredBytes]
) -> Moved:
    """Give the bytes that a pass reads and writes: tensors as they are stored, targets, indices of maxima, masks."""
    assert machine.storage is not None
    bits = machine.storage.data_bits

    def list_tensors(outputs: tuple[str, ...], shares: tuple[GradientShare, ...]) -> list[tuple[Hashable, int]]:
        sized: list[tuple[Hashable, int]] = []
        sized += [(("output", name), size_output(network, name, stored, bits)) for name in outputs]
        return sized + [(("gradient", share.node), size_share(network, share, stored, bits)) for share in shares]

    reads = list_tensors(made.reads, list_shares_read(network, made))
    writes = list_tensors(made.writes, list_shares_written(network, made))
    reads.append(("targets", -(-made.target_elements * bits // 8)))
    indices = ("indices", -(-made.index_bits // 8))
    if made.step is PassStep.FORWARD:
        writes.append(indices)
    else:
        reads += [indices, ("mask", made.mask_bytes)]
    return Moved(tuple(reads), tuple(writes))


def count_pass_actions(
    ppu_actions: ActionCounts, read_bytes: int, write_bytes: int, machine: Architecture
) -> ActionCounts | None:
    """Count the actions of a pass besides those of its PPUs; None on a machine whose actions have no price."""
    width = None if machine.buffer is None else machine.buffer.bytes_per_port_cycle
    if find_prices(machine) is None or width is None:
        return None
    # Each byte passes the buffer twice: DMA and PPU.
    accesses = sum(-(-size // width) for size in (read_bytes, write_bytes))
    return ppu_actions + ActionCounts(
        buffer_reads=accesses,
        buffer_writes=accesses,
        noc_bytes=read_bytes + write_bytes,
        dram_read_bits=8 * read_bytes,
        dram_write_bits=8 * write_bytes,
    )
