"""What an optimiser is: a pure update of parameters, and what it costs for each element."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from workloads.kinds.execution import Parameters
from workloads.layers import StrictModel
from workloads.reference.arrays import Array
from workloads.settings import PositiveFloat
from workloads.workers import share_out


@dataclass(frozen=True)
class OptimiserState:
    """What an optimiser keeps between updates.

    Attributes:
        updates: How many there were.
        slots: For each parameter, tensors of its shape by name, all there or none.
    """

    updates: int = 0
    slots: Mapping[str, Parameters] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class TensorUpdate:
    """A parameter behind an update, and its slots."""

    parameter: Array
    slots: Parameters = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Update:
    """All parameters behind an update, keyed as they were, and the state."""

    parameters: Parameters
    state: OptimiserState


@dataclass(frozen=True)
class ElementwiseCost:
    """What the update of an element of a parameter takes: words read and written, operations."""

    reads: int
    writes: int
    multiplications: int
    additions: int
    divisions: int = 0
    square_roots: int = 0


class Optimiser(StrictModel, ABC):
    """An optimiser with its settings, as plain data would declare it.

    A class derived from it declares ``method: Literal["name"]`` and its own settings. Each element of a parameter is
    updated for itself, from the gradient to it and the elements of the slots in its place.
    """

    method: str
    learning_rate: PositiveFloat

    @abstractmethod
    def name_slots(self) -> tuple[str, ...]:
        """Name the tensors that are kept for each parameter."""

    @abstractmethod
    def cost(self) -> ElementwiseCost:
        """Say what an element costs with these settings; it reads and writes at least what is there."""

    @abstractmethod
    def update_tensor(self, parameter: Array, gradient: Array, slots: Parameters, updates: int) -> TensorUpdate:
        """Update one parameter; nothing given is changed, and types are kept.

        Args:
            slots: Empty before the first update.
            updates: How many were made before.
        """

    def update(self, parameters: Parameters, gradients: Parameters, state: OptimiserState) -> Update:
        """Update all parameters, which threads share in `workloads.workers.shared_work`; nothing given is changed.

        Raises:
            ValueError: a gradient is missing.
        """
        missing = [name for name in parameters if name not in gradients]
        if missing:
            raise ValueError(f"no gradient is given for {', '.join(missing)}")
        # The largest come first, so that threads end at about the same time.
        names, done = sorted(parameters, key=lambda name: -parameters[name].size), {}

        def update_one(number: int) -> None:
            name = names[number]
            slots = state.slots.get(name, {})
            done[name] = self.update_tensor(parameters[name], gradients[name], slots, state.updates)

        share_out(update_one, len(names))
        slots = {name: done[name].slots for name in parameters}
        return Update({name: done[name].parameter for name in parameters}, OptimiserState(state.updates + 1, slots))
