"""The memory that an iteration takes: tensors from when they are written until nothing needs them any more.

Every tensor counts by its raw size: what compression saves is not known when memory is set aside for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sim.architecture import Architecture
from sim.step.residency import make_item
from sim.step.stored_tensors import size_raw_tensor
from workloads.network import INPUT, Network
from workloads.optimisers.optimiser import ElementwiseCost
from workloads.pass_traffic import MovedTensor, list_traffic
from workloads.passes import ElementwisePass, LayerStep, PassStep, list_stored
from workloads.shapes import Step
from workloads.updates import list_updates, size_parameter

Ordered = LayerStep | ElementwisePass


@dataclass(frozen=True, slots=True)
class Event:
    """What a step or pass leaves in memory, with its bytes, and what it needs there."""

    writes: Mapping[Hashable, int]
    needs: frozenset[Hashable]


def measure_activations(network: Network, order: Sequence[Ordered], data_bits: int) -> int:
    """Give the most bytes that activations and their gradients take at one time.

    Args:
        order: The steps and passes of an iteration, as they are executed.
    """
    first: dict[Hashable, int] = {}
    if network.consumers(INPUT):
        first[INPUT] = size_raw_tensor(network, INPUT, data_bits)
    events = [Event(first, frozenset()), *(make_event(network, one, data_bits) for one in order)]
    return find_peak(events)


def make_event(network: Network, one: Ordered, data_bits: int) -> Event:
    """Tell what a step or pass leaves and needs: tensors, and indices of maxima or flags."""
    writes: dict[Hashable, int] = {
        tensor: size_raw_tensor(network, tensor, data_bits) for tensor in list_written(network, one)
    }
    needs: set[Hashable] = set(make_item(network, one).needs)
    if isinstance(one, ElementwisePass):
        for part in one.members or (one,):
            if part.index_bits and part.step is PassStep.FORWARD:
                writes["beside", part.node] = -(-part.index_bits // 8)
            elif part.index_bits:
                needs.add(("beside", part.node))
    return Event(writes, frozenset(needs))


def list_written(network: Network, one: Ordered) -> Sequence[MovedTensor]:
    """List the activations and gradients to activations that a step or pass writes."""
    if isinstance(one, ElementwisePass):
        return list_traffic(network, one).writes
    if one.step is Step.FORWARD:
        return list_stored(network, one.node)
    return make_item(network, one).writes


def find_peak(events: Sequence[Event]) -> int:
    """Give the most bytes that are alive at one event: each tensor from an event that writes it to its last need.

    One that is written again lives until its last need before that, and again from there.
    """
    ends: dict[Hashable, int] = {}
    changes = [0] * (len(events) + 1)
    for place in reversed(range(len(events))):
        for tensor, size in events[place].writes.items():
            changes[place] += size
            changes[ends.pop(tensor, place) + 1] -= size
        for tensor in events[place].needs:
            ends.setdefault(tensor, place)
    return max(accumulate(changes))


def measure_parameters(
    network: Network,
    machine: Architecture,
    cost: ElementwiseCost | None,
    list_steps: Callable[[str], tuple[Step, ...]],
) -> int:
    """Give the bytes of trained parameters, their gradients, and what an optimiser keeps of each."""
    assert machine.storage is not None
    words = 1 if cost is None else cost.reads - 1
    data_bits, acc_bits = machine.storage.data_bits, machine.storage.acc_bits
    shapes = [shape for update in list_updates(network, list_steps) for _, shape in update.parameters]
    return sum(size_parameter(shape, data_bits) + words * size_parameter(shape, acc_bits) for shape in shapes)
