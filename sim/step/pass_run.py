"""The elementwise passes of a workload on a machine, as rows beside those of the layers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from sim.architecture import Architecture
from sim.energy import ActionCounts
from sim.machine.dram_layout import Moved
from sim.machine.elementwise import run_pass
from sim.machine_energy import count_commands, find_prices
from sim.results.rows import StepResult
from sim.step.measures import StepMeasures, fill
from sim.step.residency import NO_RESIDENCY, NO_STAY, Residency, Stay
from sim.step.stored_tensors import StoredBytes, size_output, size_raw_tensor, size_share
from workloads.fusion import HeldRows, fuse_iteration
from workloads.gradient_shares import GradientShare
from workloads.network import Network
from workloads.pass_traffic import MovedTensor, list_traffic
from workloads.passes import GRADIENT_PRUNING, ElementwisePass, LayerStep, PassStep, list_iteration
from workloads.pruning_sites import find_copy_sites, find_gradient_writer
from workloads.settings import Pruning
from workloads.shapes import Step

# Which of the user's steps a pass belongs to.
STEP_OF_PASS = {PassStep.FORWARD: Step.FORWARD, PassStep.LOSS: Step.FORWARD, PassStep.BACKWARD: Step.GTA}


def run_passes(
    network: Network,
    machine: Architecture,
    stored: Mapping[str, StoredBytes],
    steps: Iterable[Step],
    pruned: frozenset[str] = frozenset(),
    residency: Residency = NO_RESIDENCY,
    copied: frozenset[str] = frozenset(),
) -> list[tuple[StepResult, ActionCounts | None]]:
    """Execute the passes that belong to the steps, and count their actions; an ideal machine has none.

    Args:
        pruned: The nodes the gradient to whose output is pruned.
        residency: What stays in the machine's buffer.
        copied: The layers whose GTA reads a pruned copy of its gradient (`find_copied`).
    """
    if machine.is_ideal:
        return []
    wanted = tuple(steps)
    passes = [made for made in list_machine_passes(network, machine, copied) if STEP_OF_PASS[made.step] in wanted]
    return [run_elementwise(PassOn(network, made, machine, stored, pruned, residency)) for made in passes]


@dataclass(frozen=True, eq=False)
class PassOn:
    """A pass on a machine.

    Attributes:
        stored: What the tensors of layers take on it.
        pruned: The nodes the gradient to whose output is pruned.
        residency: What stays in its buffer.
    """

    network: Network
    made: ElementwisePass
    machine: Architecture
    stored: Mapping[str, StoredBytes]
    pruned: frozenset[str] = frozenset()
    residency: Residency = NO_RESIDENCY

    @property
    def stay(self) -> Stay:
        """What stays of its own tensors."""
        return self.residency.passes.get(self.key, NO_STAY)

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others of an iteration."""
        return self.made.node, self.made.kind, self.made.step.value

    @property
    def words(self) -> str:
        """What stays of its own tensors, in words."""
        return self.residency.words.get(self.key, "none")

    @property
    def data_bits(self) -> int:
        """Bits of a number."""
        return find_data_bits(self.machine)

    def size(self, tensor: MovedTensor) -> int:
        """Give the bytes of a tensor in DRAM."""
        return size_moved(self.network, tensor, self.stored, self.data_bits)

    def size_there(self, tensor: MovedTensor) -> int:
        """Give the bytes of a tensor that is in the buffer already, where it may lie raw."""
        if tensor not in self.residency.raw:
            return self.size(tensor)
        return size_raw_tensor(self.network, tensor, self.data_bits)


def list_machine_passes(
    network: Network, machine: Architecture, copied: frozenset[str] = frozenset()
) -> tuple[ElementwisePass, ...]:
    """List the passes of an iteration as a machine runs them: those joined that it runs as one."""
    return tuple(
        one for one in list_machine_iteration(network, machine, copied=copied) if isinstance(one, ElementwisePass)
    )


def list_machine_iteration(
    network: Network,
    machine: Architecture,
    list_steps: Callable[[str], tuple[Step, ...]] | None = None,
    copied: frozenset[str] = frozenset(),
) -> tuple[LayerStep | ElementwisePass, ...]:
    """List the steps and passes of an iteration in their order as a machine runs them: passes joined that run as one.

    Rows that a pass needs of the one before it are held in the buffer, raw.

    Args:
        list_steps: The steps of a layer, by default those that training needs.
        copied: The layers whose GTA reads a pruned copy of its gradient (`find_copied`).
    """
    if machine.ppu is None or not machine.ppu.fuse_passes:
        return list_iteration(network, list_steps, copied)
    capacity = None if machine.buffer is None else machine.buffer.capacity_bytes
    bits = find_data_bits(machine)

    def holds(held: Sequence[HeldRows]) -> bool:
        return capacity is None or sum(one.rows * -(-one.width * bits // 8) for one in held) <= capacity

    return fuse_iteration(network, holds, list_steps, copied)


def find_copied(network: Network, pruning: Pruning | None, machine: Architecture) -> frozenset[str]:
    """Name the layers whose GTA reads a pruned copy of its gradient on a machine; a dense one has no unit to prune.

    Args:
        pruning: Of the workload, as the machine's policy has it.
    """
    if pruning is None or pruning.feeds == "both" or not pruning.rate or not machine.array.skip_zeros:
        return frozenset()
    return frozenset(find_copy_sites(network))


def count_pruned(network: Network, made: ElementwisePass, machine: Architecture, pruned: frozenset[str]) -> int:
    """Count the elements that a pass prunes as it writes them; a dense machine has no unit for that."""
    if made.step is not PassStep.BACKWARD or not machine.array.skip_zeros:
        return 0
    parts = made.members or (made,)
    copied = sum(part.elements for part in parts if part.kind == GRADIENT_PRUNING)
    if copied:
        return copied
    writer = made.members[-1].node if made.members else made.node
    written = [name for name in made.writes_gradients if name in pruned]
    return sum(
        prod(network.node(name).output_shape) for name in written if find_gradient_writer(network, name) == writer
    )


def run_elementwise(one: PassOn) -> tuple[StepResult, ActionCounts | None]:
    """Execute one pass: both machines pay it."""
    made, machine, groups = one.made, one.machine, one.machine.array.groups
    moved, there = size_transfers(one), size_kept(one)
    timing = run_pass(made.elements, moved, groups, machine.describe_surroundings())
    pruned = count_pruned(one.network, made, machine, one.pruned)
    ppu_actions = ActionCounts(ppu_elements=made.elements, pruned_elements=pruned)
    actions = count_pass_actions(ppu_actions + count_commands(timing.commands), moved, there, machine)
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
        buffer_read_bytes=moved.read_bytes + there.read_bytes,
        buffer_write_bytes=moved.write_bytes + there.write_bytes,
        dram_read_bytes=moved.read_bytes,
        dram_write_bytes=moved.write_bytes,
        fusion_saved_bytes=size_saved(one.network, made, machine, one.stored),
        kept=one.words,
        residency_saved_bytes=sum(one.size(tensor) for tensor in list_unmoved(one)),
        actions=actions,
    )
    return fill(measures, machine), actions


def size_transfers(one: PassOn) -> Moved:
    """Give the bytes that a pass moves: tensors as they are stored, targets, indices of maxima, masks."""
    traffic, stay = list_traffic(one.network, one.made), one.stay

    def list_sizes(tensors: Sequence[MovedTensor], kept: frozenset[MovedTensor]) -> list[tuple[Hashable, int]]:
        return [(name_moved(tensor), one.size(tensor)) for tensor in tensors if tensor not in kept]

    targets = ("targets", -(-traffic.target_elements * one.data_bits // 8))
    reads = [*list_sizes(traffic.reads, stay.reads), targets, ("read beside", traffic.read_bytes)]
    return Moved(tuple(reads), (*list_sizes(traffic.writes, stay.unwritten), ("written beside", traffic.write_bytes)))


def size_kept(one: PassOn) -> Moved:
    """Give the bytes that a pass reads and writes in the buffer alone."""
    traffic, stay = list_traffic(one.network, one.made), one.stay
    reads = [(name_moved(tensor), one.size_there(tensor)) for tensor in traffic.reads if tensor in stay.reads]
    writes = [(name_moved(tensor), one.size(tensor)) for tensor in traffic.writes if tensor in stay.unwritten]
    return Moved(tuple(reads), tuple(writes))


def list_unmoved(one: PassOn) -> list[MovedTensor]:
    """List the tensors that a pass does not move, each as often as it would."""
    traffic, stay = list_traffic(one.network, one.made), one.stay
    reads = [tensor for tensor in traffic.reads if tensor in stay.reads]
    return [*reads, *(tensor for tensor in traffic.writes if tensor in stay.unwritten)]


def name_moved(tensor: MovedTensor) -> Hashable:
    """Name where a tensor lies: the gradient to a node's output apart from that output, and from a copy of it."""
    return (
        ("copy" if tensor.is_copy else "gradient", tensor.node)
        if isinstance(tensor, GradientShare)
        else ("output", tensor)
    )


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
    ppu_actions: ActionCounts, moved: Moved, there: Moved, machine: Architecture
) -> ActionCounts | None:
    """Count the actions of a pass besides those of its PPUs; None on a machine whose actions have no price.

    Args:
        there: What it reads and writes in the buffer alone.
    """
    width = None if machine.buffer is None else machine.buffer.bytes_per_port_cycle
    if find_prices(machine) is None or width is None:
        return None
    read_bytes, write_bytes = moved.read_bytes + there.read_bytes, moved.write_bytes + there.write_bytes
    # PPUs read and write every byte; DMA writes what is loaded, and reads what is written back.
    return ppu_actions + ActionCounts(
        buffer_reads=-(-read_bytes // width) - (-moved.write_bytes // width),
        buffer_writes=-(-moved.read_bytes // width) - (-write_bytes // width),
        noc_bytes=read_bytes + write_bytes,
        dram_read_bits=8 * moved.read_bytes,
        dram_write_bits=8 * moved.write_bytes,
    )
