"""The order of an iteration in which outputs are computed again for the backward pass, just before they are needed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from sim.step.live_tensors import Ordered, list_written
from sim.step.residency import make_item
from workloads.network import Network
from workloads.passes import LayerStep, PassStep
from workloads.recomputation import is_recomputed
from workloads.shapes import Step


@dataclass(frozen=True, slots=True)
class Repeated:
    """An iteration with what it repeats.

    Attributes:
        order: Steps and passes, those that are repeated in their places among the backward ones.
        again: Forward steps and passes that are repeated, in their order.
    """

    order: tuple[Ordered, ...]
    again: tuple[Ordered, ...]


def repeat_forward(network: Network, order: Sequence[Ordered], patterns: Sequence[str]) -> Repeated:
    """Insert the forward steps and passes that write again what was not stored, each once.

    One is repeated before the first backward step or pass that needs its output, and before it those that write what it
    reads, where that is not stored either.

    Args:
        order: As it is executed where everything is stored.
        patterns: Of layers whose outputs are not stored.
    """
    if not patterns:
        return Repeated(tuple(order), ())
    repeater = _Repeater(network, order, patterns)
    done: list[Ordered] = []
    again: list[Ordered] = []
    for one in order:
        if not is_forward(one):
            again += (found := repeater.list_repeated(one))
            done += found
        done.append(one)
    return Repeated(tuple(done), tuple(again))


def is_forward(one: Ordered) -> bool:
    """Tell whether a step or pass is of the forward half, which ends with the losses."""
    return one.step is Step.FORWARD if isinstance(one, LayerStep) else one.step is not PassStep.BACKWARD


@dataclass(eq=False)
class _Repeater:
    network: Network
    order: Sequence[Ordered]
    patterns: Sequence[str]
    writers: dict[Hashable, int] = field(init=False)
    repeated: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.writers = {
            tensor: place
            for place, one in enumerate(self.order)
            if is_forward(one)
            for tensor in list_written(self.network, one)
            if isinstance(tensor, str) and is_recomputed(self.network, tensor, self.patterns)
        }

    def list_repeated(self, one: Ordered) -> list[Ordered]:
        """List what has to be repeated before a step or pass, in the order of the forward half."""
        found: set[int] = set()
        waiting = [one]
        for needing in waiting:
            places = {self.writers[tensor] for tensor in make_item(self.network, needing).needs & self.writers.keys()}
            fresh = places - self.repeated - found
            found |= fresh
            waiting += [self.order[place] for place in sorted(fresh)]
        self.repeated |= found
        return [self.order[place] for place in sorted(found)]
