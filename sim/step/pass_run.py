"""The elementwise passes of a workload on a machine, as rows beside those of the layers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import prod

from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.machine.dram_layout import Moved
from sim.machine.elementwise import run_pass
from sim.machine_energy import count_commands, find_prices
from sim.results.rows import StepResult
from sim.step.measures import StepMeasures, fill
from sim.step.stored_tensors import StoredBytes, size_output, size_share
from workloads.fusion import HeldRows, fuse_passes
from workloads.gradient_shares import GradientShare
from workloads.network import Network
from workloads.pass_traffic import MovedTensor, list_traffic
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

    Args:
        pruned: The nodes the gradient to whose output is pruned.
    """
    if machine.is_ideal:
        return []
    wanted = tuple(steps)
    passes = [made for made in list_machine_passes(network, machine) if STEP_OF_PASS[made.step] in wanted]
    return [run_elementwise(network, made, machine, stored, pruned) for made in passes]


def list_machine_passes(network: Network, machine: Architecture) -> tuple[ElementwisePass, ...]:
    """List the passes of an iteration as a machine runs them: those joined that it runs as one.

    Rows that a pass needs of the one before it are held in the buffer, raw.
    """
    if machine.ppu is None or not machine.ppu.fuse_passes:
        return list_passes(network)
    capacity = None if machine.buffer is None else machine.buffer.capacity_bytes
    bits = find_data_bits(machine)

    def holds(held: Sequence[HeldRows]) -> bool:
        return capacity is None or sum(one.rows * -(-one.width * bits // 8) for one in held) <= capacity

    return fuse_passes(network, holds)


def count_pruned(network: Network, made: ElementwisePass, machine: Architecture, pruned: frozenset[str]) -> int:
    """Count the elements that a pass prunes as it writes them; a dense machine has no unit for that."""
    if made.step is not PassStep.BACKWARD or not machine.array.skip_zeros:
        return 0
    writer = made.members[-1].node if made.members else made.node
    written = [name for name in made.writes_gradients if name in pruned]
    return sum(
        prod(network.node(name).output_shape) for name in written if find_gradient_writer(network, name) == writer
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
        fusion_saved_bytes=size_saved(network, made, machine, stored),
        actions=actions,
    )
    return fill(measures, machine), actions


def size_transfers(
    network: Network, made: ElementwisePass, machine: Architecture, stored: Mapping[str, StoredBytes]
) -> Moved:
    """Give the bytes that a pass reads and writes: tensors as they are stored, targets, indices of maxima, masks."""
    bits = find_data_bits(machine)
    traffic = list_traffic(network, made)

    def list_sizes(tensors: Sequence[MovedTensor]) -> list[tuple[Hashable, int]]:
        return [(name_moved(tensor), size_moved(network, tensor, stored, bits)) for tensor in tensors]

    targets = ("targets", -(-traffic.target_elements * bits // 8))
    reads = [*list_sizes(traffic.reads), targets, ("read beside", traffic.read_bytes)]
    return Moved(tuple(reads), (*list_sizes(traffic.writes), ("written beside", traffic.write_bytes)))


def name_moved(tensor: MovedTensor) -> Hashable:
    """Name where a tensor lies: the gradient to a node's output apart from that output."""
    return ("gradient", tensor.node) if isinstance(tensor, GradientShare) else ("output", tensor)


def size_saved(
    network: Network, made: ElementwisePass, machine: Architecture, stored: Mapping[str, StoredBytes]
) -> int:
    """Give the bytes that fused passes do not move: those of tensors that one would write and the next one read."""
    bits = find_data_bits(machine)
    handed = list_traffic(network, made).handed_on
    return sum((1 + readings) * size_moved(network, tensor, stored, bits) for tensor, readings in handed)


def size_moved(network: Network, tensor: MovedTensor, stored: Mapping[str, StoredBytes], data_bits: int) -> int:
    """Give the stored bytes of a node's output or of a gradient."""
    if isinstance(tensor, GradientShare):
        return size_share(network, tensor, stored, data_bits)
    return size_output(network, tensor, stored, data_bits)


def find_data_bits(machine: Architecture) -> int:
    """Give the bits of a number; a machine that runs passes has some."""
    assert machine.storage is not None
    return machine.storage.data_bits


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
