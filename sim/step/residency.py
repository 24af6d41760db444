"""What stays in the buffer from one step or pass to the very next, decided from shapes before anything runs.

Every tensor counts by its raw size. A tensor stays if the step or pass that writes it and the next one, which reads it,
can both be tiled with the capacity that is left, and move fewer bytes then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import Kept, MemoryShare
from dataflows.contract.step_form import StepForm
from dataflows.contract.tasks import ResidentDataflow
from dataflows.registry import load_dataflow
from sim.architecture import Architecture
from sim.step.stored_tensors import size_raw_tensor
from workloads.network import Network
from workloads.pass_traffic import MovedTensor, list_traffic
from workloads.passes import ElementwisePass, LayerStep
from workloads.shapes import LinearShape, MatmulShape
from workloads.step_traffic import Role, StepTraffic, list_holders, list_step_traffic

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Stay:
    """What stays of the tensors of a step or pass, beside which it runs.

    Attributes:
        resident_bytes: Raw, of all of them.
        reads: Those that are there already.
        writes: Those that it leaves there.
        unwritten: Those of them that are not written to DRAM, since nobody needs them after the next reader.
    """

    resident_bytes: int = 0
    reads: frozenset[MovedTensor] = frozenset()
    writes: frozenset[MovedTensor] = frozenset()
    unwritten: frozenset[MovedTensor] = frozenset()


NO_STAY = Stay()


@dataclass(frozen=True, slots=True)
class Residency:
    """What stays on a machine.

    Attributes:
        shares: What steps may use of the memory, by layer and step, where it is not all of it.
        passes: By node, kind and step.
        words: The parts of the steps and passes that stay, by the same.
        raw: Tensors that lie raw in the buffer.
    """

    shares: Mapping[tuple[str, str], MemoryShare] = field(default_factory=dict)
    passes: Mapping[Key, Stay] = field(default_factory=dict)
    words: Mapping[Key, str] = field(default_factory=dict)
    raw: frozenset[MovedTensor] = frozenset()


NO_RESIDENCY = Residency()


@dataclass(frozen=True, eq=False)
class Item:
    """A step or a pass in the order of execution.

    Attributes:
        needs: All that it needs of what lies in DRAM.
    """

    one: LayerStep | ElementwisePass
    traffic: StepTraffic | None
    reads: tuple[MovedTensor, ...]
    writes: tuple[MovedTensor, ...]
    needs: frozenset[MovedTensor]


Measure = Callable[[Item, Stay], int | None]


def make_item(network: Network, one: LayerStep | ElementwisePass) -> Item:
    """Tell what a step or pass reads, writes and needs."""
    if isinstance(one, ElementwisePass):
        moved = list_traffic(network, one)
        return Item(one, None, moved.reads, moved.writes, list_needs(network, moved.reads, find_masks(network, one)))
    traffic = list_step_traffic(network, one)
    reads = tuple(tensor for _, tensor in traffic.reads)
    writes = () if traffic.writes is None else (traffic.writes,)
    return Item(one, traffic, reads, writes, list_needs(network, reads, traffic.masks))


def find_masks(network: Network, made: ElementwisePass) -> tuple[str, ...]:
    """Name the outputs whose zeros a pass reads as a mask."""
    parts = made.members or (made,)
    return tuple(name for part in parts if part.mask_bytes for name in network.node(part.node).inputs)


def list_needs(network: Network, reads: Sequence[MovedTensor], masks: Sequence[str]) -> frozenset[MovedTensor]:
    """List all tensors whose bytes are needed for what is read."""
    found: frozenset[MovedTensor] = frozenset()
    return found.union(*(list_holders(network, tensor) for tensor in (*reads, *masks)))


def decide(
    items: Sequence[Item], sizes: Callable[[MovedTensor], int], capacity_bytes: int | None, measure: Measure
) -> list[Stay]:
    """Decide what stays, pair by pair in the order of execution.

    Args:
        measure: The DRAM bytes of a step or pass with what stays beside it; None where it cannot be tiled.
    """
    stays = [NO_STAY] * len(items)
    later = list_later_needs(items)
    for place in range(len(items) - 1):
        writer, reader = items[place], items[place + 1]
        for tensor in dict.fromkeys(writer.writes):
            size = sizes(tensor)
            if tensor not in reader.reads or (capacity_bytes is not None and size > capacity_bytes):
                continue
            is_needed = tensor in later[place + 1]
            tried = (
                add_written(stays[place], tensor, size, is_needed=is_needed),
                add_read(stays[place + 1], tensor, size),
            )
            before = [measure(writer, stays[place]), measure(reader, stays[place + 1])]
            after = [measure(writer, tried[0]), measure(reader, tried[1])]
            if falls(before, after):
                stays[place], stays[place + 1] = tried
    return stays


def falls(before: Sequence[int | None], after: Sequence[int | None]) -> bool:
    """Tell whether both tilings exist and the bytes of the two together fall."""
    known = [size for size in (*before, *after) if size is not None]
    return len(known) == len(before) + len(after) and sum(known[len(before) :]) < sum(known[: len(before)])


def list_later_needs(items: Sequence[Item]) -> list[frozenset[MovedTensor]]:
    """Give, for each place, what is needed after it."""
    needs: list[frozenset[MovedTensor]] = []
    behind: frozenset[MovedTensor] = frozenset()
    for item in reversed(items):
        needs.append(behind)
        behind |= item.needs
    return needs[::-1]


def add_written(stay: Stay, tensor: MovedTensor, size: int, *, is_needed: bool) -> Stay:
    """Let a tensor stay that is written."""
    unwritten = stay.unwritten if is_needed else stay.unwritten | {tensor}
    return Stay(stay.resident_bytes + size, stay.reads, stay.writes | {tensor}, unwritten)


def add_read(stay: Stay, tensor: MovedTensor, size: int) -> Stay:
    """Find a tensor that is read in the buffer."""
    return Stay(stay.resident_bytes + size, stay.reads | {tensor}, stay.writes, stay.unwritten)


def find_residency(network: Network, machine: Architecture, order: Sequence[LayerStep | ElementwisePass]) -> Residency:
    """Decide what stays in a machine's buffer.

    Args:
        order: The steps and passes of an iteration, as they are executed.

    Nothing is kept for a dataflow that does not tell what a step moves by its shape.
    """
    memory = machine.describe_memory()
    if memory is None or machine.buffer is None or not machine.buffer.keep_on_chip:
        return NO_RESIDENCY
    dataflow = load_dataflow(machine.dataflow, machine.dataflow_options)
    if not isinstance(dataflow, ResidentDataflow):
        return NO_RESIDENCY
    items = [make_item(network, one) for one in order]
    raw = find_raw(network, items)
    measurer = Measurer(network, machine, memory, dataflow, raw)
    stays = decide(items, measurer.size, memory.capacity_bytes, measurer.measure)
    return gather(items, stays, measurer)


def find_raw(network: Network, items: Sequence[Item]) -> frozenset[MovedTensor]:
    """List what fully connected layers and products write: it lies raw in the buffer, and is compressed by DMA."""
    kinds = LinearShape, MatmulShape
    return frozenset(
        tensor
        for item in items
        if isinstance(item.one, LayerStep) and isinstance(network.layer_shape(item.one.node), kinds)
        for tensor in item.writes
    )


@dataclass(eq=False)
class Measurer:
    """Sizes tensors, and steps and passes by what stays; the same question is answered once."""

    network: Network
    machine: Architecture
    memory: MemoryShare
    dataflow: ResidentDataflow
    raw: frozenset[MovedTensor]
    known: dict[Any, int | None] = field(default_factory=dict)

    def size(self, tensor: MovedTensor) -> int:
        """Give the raw bytes of a tensor."""
        return size_raw_tensor(self.network, tensor, self.memory.data_bits)

    def measure(self, item: Item, stay: Stay) -> int | None:
        """Give the DRAM bytes of a step or pass, None where what stays leaves too little room."""
        if isinstance(item.one, ElementwisePass):
            capacity = self.memory.capacity_bytes
            if capacity is not None and stay.resident_bytes > capacity:
                return None
            reads = sum(self.size(tensor) for tensor in item.reads if tensor not in stay.reads)
            return reads + sum(self.size(tensor) for tensor in item.writes if tensor not in stay.unwritten)
        share = self.share(item, stay)
        # Whether a tensor lies raw in the buffer is not seen where all are.
        assert item.traffic is not None
        form = StepForm(
            item.one.node, self.network.layer_shape(item.one.node), item.one.step, bool(item.traffic.masks),
            item.traffic.summed,
        )  # fmt: skip
        # Layers of one shape move the same, whatever their names.
        kept = dataclasses.replace(share.kept, raw=frozenset())
        key = dataclasses.replace(form, layer=""), share.capacity_bytes, kept
        if key not in self.known:
            try:
                self.known[key] = self.dataflow.measure_dram_bytes(form, self.machine.array.describe(), share)
            except UnmappableLayerError:
                # Whether the step can be worked at all is told when it is its turn.
                self.known[key] = None
        return self.known[key]

    def share(self, item: Item, stay: Stay) -> MemoryShare:
        """Give what a step may use of the memory."""
        assert item.traffic is not None
        roles = [(role, tensor) for role, tensor in item.traffic.reads if tensor in stay.reads]
        kept = Kept(
            operands=frozenset(role for role, _ in roles if isinstance(role, str)),
            raw=frozenset(role for role, tensor in roles if role in ("input", "grad_output") and tensor in self.raw),
            summed=frozenset(role for role, _ in roles if isinstance(role, int)),
            has_result=bool(stay.unwritten),
            resident_bytes=stay.resident_bytes,
        )  # fmt: skip
        capacity = self.memory.capacity_bytes
        left = None if capacity is None else capacity - stay.resident_bytes
        return dataclasses.replace(self.memory, capacity_bytes=left, kept=kept)


def gather(items: Sequence[Item], stays: Sequence[Stay], measurer: Measurer) -> Residency:
    """Give what was decided of all steps and passes."""
    shares: dict[tuple[str, str], MemoryShare] = {}
    passes: dict[Key, Stay] = {}
    words: dict[Key, str] = {}
    for item, stay in zip(items, stays, strict=True):
        if stay == NO_STAY:
            continue
        if isinstance(item.one, ElementwisePass):
            key = item.one.node, item.one.kind, item.one.step.value
            passes[key] = stay
        else:
            key = item.one.node, "", item.one.step.value
            shares[key[0], key[2]] = measurer.share(item, stay)
        words[key] = name_stay(item, stay)
    return Residency(shares, passes, words, measurer.raw)


def name_stay(item: Item, stay: Stay) -> str:
    """Say what stays of a step's or pass's tensors: ``input+output``, in brackets what is written to DRAM too."""
    names: list[str] = []
    if item.traffic is not None:
        names += [name_role(role) for role, tensor in item.traffic.reads if tensor in stay.reads]
    else:
        names += ["input"] * len(stay.reads)
    names += ["output" if tensor in stay.unwritten else "(output)" for tensor in item.writes if tensor in stay.writes]
    return "+".join(names)


def name_role(role: Role) -> str:
    """Name a tensor by its part in a step."""
    return role if isinstance(role, str) else "summed"
