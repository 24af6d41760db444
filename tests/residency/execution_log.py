"""What a step's execution asked of DRAM, ports and groups, noted at their borders and in their order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from dataflows.contract.tasks import TaskTable
from sim.machine import accelerator, transfers
from sim.machine.accelerator import Accelerator, StepTiming, Surroundings
from sim.machine.controller import Controller
from sim.machine.dram import Dram
from sim.machine.ports import OPERANDS, Ports


@dataclass(frozen=True, slots=True)
class Transfer:
    """A DRAM transfer: the cycle of its request, and its bytes."""

    requested: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Read:
    """A burst that a group read: `number` counts the group's bursts of all its entries."""

    requested: int
    arrived: int
    group: int
    number: int
    size_bytes: int


@dataclass(slots=True)
class ExecutionLog:
    """All transfers, all entries handed to each group, all bursts read."""

    transfers: list[Transfer] = field(default_factory=list)
    handed: list[tuple[int, int]] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)


def execute_noted(
    table: TaskTable, groups: int, surroundings: Surroundings, dram: type[Dram] = Dram
) -> tuple[StepTiming, ExecutionLog]:
    """Execute a step on SimPy's machine and note what its units were asked for."""
    log = ExecutionLog()

    class NotingDram(dram):  # type: ignore[valid-type, misc]
        def transfer(self, size_bytes: int) -> Any:
            log.transfers.append(Transfer(int(self._env.now), size_bytes))
            return super().transfer(size_bytes)

    class NotingController(Controller):
        def offer(self, group: int, take: Callable[[int], None]) -> None:
            def note(entry: int) -> None:
                log.handed.append((group, entry))
                take(entry)

            super().offer(group, note)

    class NotingPorts(Ports):
        def request(
            self,
            kind: int,
            group: int,
            burst: int,
            size_bytes: int,
            arrive: Callable[[], None],
            part: int = 0,
            rows: int | None = None,
        ) -> None:
            requested = int(self._env.now)

            def note() -> None:
                if kind == OPERANDS:
                    log.reads.append(Read(requested, int(self._env.now), group, burst, size_bytes))
                arrive()

            super().request(kind, group, burst, size_bytes, note, part, rows)

    assert table.traffic is not None
    with ExitStack() as stack:
        stack.enter_context(patch.object(transfers, "Dram", NotingDram))
        stack.enter_context(patch.object(accelerator, "Controller", NotingController))
        stack.enter_context(patch.object(accelerator, "Ports", NotingPorts))
        timing = Accelerator(table.traffic, groups, surroundings).run(table)
    return timing, log
