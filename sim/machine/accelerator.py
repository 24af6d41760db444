"""The discrete-event machine: executes the tasks of one layer step."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from dataflows.contract.memory import Traffic
from dataflows.contract.tasks import TaskTable
from sim.machine.banked_channels import DramCommands
from sim.machine.clock import CountingEnvironment, run_to_end
from sim.machine.controller import Controller
from sim.machine.dram_layout import place_tiles
from sim.machine.ledger import Ledger, State
from sim.machine.pe_group import GroupSurroundings, PEGroup
from sim.machine.ports import Ports
from sim.machine.ppu import PostProcessor
from sim.machine.surroundings import INSTANT as INSTANT
from sim.machine.surroundings import Surroundings as Surroundings
from sim.machine.tile_timing import compose_banked_step, compose_step, describe_work, time_tiles
from sim.machine.trace import Action, TraceRecorder, Unit
from sim.machine.transfers import make_transfers


@dataclass(frozen=True, eq=False)
class StepTiming:
    """When a step ended and where the time of every unit went.

    DRAM bytes are those of executed transfers; events, those of the kernel.

    Attributes:
        cycles: Of the step, int.
        spent: int64 ``(groups, states)``, each row sums to cycles.
        executed_by: int64 ``(tasks,)``, the group that ended the last of a task, its PPU's writes included, or -1.
        ports_busy_cycles: Cycles summed over ports, the channel, the PPUs.
        dram_busy_cycles: Cycles summed over ports, the channel, the PPUs.
        ppu_busy_cycles: Cycles summed over ports, the channel, the PPUs.
        commands: Of DRAM with banks.
        shared_bytes: Of fetches that were served by the access of another group's.
        shared_cycles: Cycles of ports that these would have taken.
    """

    cycles: int
    spent: NDArray[np.int64]
    executed_by: NDArray[np.int64]
    ports_busy_cycles: int
    dram_busy_cycles: int
    ppu_busy_cycles: int
    shared_bytes: int
    shared_cycles: int
    dram_read_bytes: int
    dram_write_bytes: int
    events: int
    commands: DramCommands | None = None

    @property
    def executed(self) -> NDArray[np.bool_]:
        """Flags of the tasks whose results were all written back."""
        return self.executed_by >= 0

    def total(self, state: State) -> int:
        """Cycles in one state, summed over groups."""
        return int(self.spent[:, state].sum())


class Engine(StrEnum):
    """What executes the events: SimPy, the definition, or the compiled loop that equals it."""

    SIMPY = "simpy"
    COMPILED = "compiled"


def run_step(
    table: TaskTable,
    groups: int,
    surroundings: Surroundings = INSTANT,
    engine: Engine = Engine.SIMPY,
    trace: TraceRecorder | None = None,
) -> StepTiming:
    """Execute the tasks of one step on so many PE groups; only SimPy's machine fills a trace.

    Raises:
        DeadlockError: the machine stopped with work left.
    """
    traffic = table.traffic or make_instant_traffic(table)
    if engine is Engine.COMPILED and trace is None:
        return run_compiled(table, traffic, groups, surroundings)
    return Accelerator(traffic, groups, surroundings, trace).run(table)


def run_compiled(table: TaskTable, traffic: Traffic, groups: int, surroundings: Surroundings) -> StepTiming:
    """Execute the tasks tile by tile in the compiled loop."""
    work = describe_work(traffic, surroundings)
    timings, finished_by = time_tiles(traffic.tile_first, work, groups, surroundings)
    if surroundings.banked is None:
        step = compose_step(timings, traffic.tile_load_bytes, traffic.tile_write_back_bytes, surroundings)
    else:
        step = compose_banked_step(timings, place_tiles(traffic, surroundings.banked), surroundings.banked)
    moved = (work.fetch_cycles, work.driver_cycles, work.read_cycles, work.write_cycles)
    shared_cycles = int(timings.shared_cycles.sum())
    return StepTiming(
        cycles=step.cycles,
        spent=step.spent,
        executed_by=find_workers(table, finished_by),
        ports_busy_cycles=sum(int(np.maximum(cycles, 0).sum()) for cycles in moved) - shared_cycles,
        dram_busy_cycles=step.dram_busy_cycles,
        ppu_busy_cycles=int(np.maximum(work.process_cycles, 0).sum()),
        shared_bytes=int(timings.shared_bytes.sum()),
        shared_cycles=shared_cycles,
        dram_read_bytes=int(traffic.tile_load_bytes.sum()),
        dram_write_bytes=int(traffic.tile_write_back_bytes.sum()),
        events=int(timings.events.sum()) + 2 * len(timings.events),
        commands=step.commands,
    )


def make_instant_traffic(table: TaskTable) -> Traffic:
    """Give every task one burst that is there at once and results that take no time: the ideal machine."""
    tasks, zeros = len(table), np.zeros(len(table), dtype=np.int64)
    none = np.zeros(1, dtype=np.int64)
    return Traffic(
        tile_first=np.array([0, tasks]),
        tile_load_bytes=none,
        tile_write_back_bytes=none,
        burst_first=np.arange(tasks + 1),
        burst_bytes=zeros,
        burst_cycles=table.pe_cycles,
        pes=np.full(tasks, table.pe_cycles.shape[1]),
        ppu_read_bytes=zeros,
        ppu_elements=zeros,
        ppu_write_bytes=zeros,
        store_writes=zeros,
        footprint_bytes=0,
        tiling="",
    )


class Accelerator:
    """PE groups with their PPUs, the buffer's ports, the DRAM channel, and the control of tiles."""

    def __init__(
        self, traffic: Traffic, groups: int, surroundings: Surroundings, trace: TraceRecorder | None = None
    ) -> None:
        self._env = CountingEnvironment()
        self._trace = trace
        self._traffic = traffic
        self._controller = Controller(self._env)
        self._ledger = Ledger(groups, trace)
        self._ports = Ports(self._env, surroundings, trace)
        self._transfers = make_transfers(self._env, traffic, surroundings, trace)
        self._finished_by = np.full(len(traffic.pes), -1, dtype=np.int64)
        self._working = self._left = 0
        self._waiting_since = 0
        self._tile_end = Event(self._env)
        shared = GroupSurroundings(
            self._env, traffic, self._ports, self._controller, self._ledger,
            surroundings.prefetches_next_task, surroundings.shares_reads(traffic), self._end_task, trace,
        )  # fmt: skip
        self._groups = [PEGroup(index, shared, partial(self._finish, index)) for index in range(groups)]
        for index, group in enumerate(self._groups):
            group.ppu = PostProcessor(
                self._env,
                index,
                self._ports,
                surroundings.elements_per_cycle,
                group.on_place,
                partial(self._finish, index),
                trace,
            )

    def run(self, table: TaskTable) -> StepTiming:
        """Execute every tile and give the step's times."""
        for group in self._groups:
            group.start()
        cycles = run_to_end(self._env, [self._env.process(self._control_tiles())])
        return StepTiming(
            cycles=cycles,
            spent=self._ledger.close(cycles),
            executed_by=find_workers(table, self._finished_by),
            ports_busy_cycles=self._ports.busy_cycles,
            dram_busy_cycles=self._transfers.busy_cycles,
            ppu_busy_cycles=sum(group.ppu.busy_cycles for group in self._groups),
            shared_bytes=self._ports.shared_bytes,
            shared_cycles=self._ports.shared_cycles,
            dram_read_bytes=self._transfers.read_bytes,
            dram_write_bytes=self._transfers.write_bytes,
            events=self._env.events,
            commands=self._transfers.count_commands(cycles),
        )

    def _control_tiles(self) -> Generator[Any, Any, None]:
        """Work tile after tile: loads run two ahead, and a write-back is queued before the load it makes room for."""
        tiles = len(self._traffic.tile_load_bytes)
        loads = [self._transfers.load(tile) for tile in range(min(2, tiles))]
        write_backs = []
        for tile in range(tiles):
            yield loads[tile]
            first, end = (int(place) for place in self._traffic.tile_first[tile : tile + 2])
            self._attribute_wait()
            opened = int(self._env.now)
            self._working = self._left = end - first
            if self._left:
                self._tile_end = Event(self._env)
                self._controller.open_tile(first, end)
                yield self._tile_end
            if self._trace is not None:
                self._trace.note(Unit.TILES, 0, Action.TILE, opened, int(self._env.now), tile)
            write_backs.append(self._transfers.write_back(tile))
            if tile + 2 < tiles:
                loads.append(self._transfers.load(tile + 2))
        yield from write_backs

    def _attribute_wait(self) -> None:
        """Put the time since the last task of the tile before, in which no group had work, down to the DRAM."""
        for group in range(len(self._groups)):
            self._ledger.attribute(group, State.IDLE, max(self._ledger.until(group), self._waiting_since))
            self._ledger.attribute(group, State.WAIT_DRAM, int(self._env.now))

    def _end_task(self) -> None:
        self._working -= 1
        if self._working == 0:
            self._waiting_since = int(self._env.now)

    def _finish(self, group: int, entry: int) -> None:
        self._finished_by[entry] = group
        self._left -= 1
        if self._left == 0:
            self._tile_end.succeed()


def find_workers(table: TaskTable, finished_by: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the group that finished each task, int64 ``(tasks,)``; -1 where any part of it was not finished."""
    if table.dispatch is None:
        return finished_by
    workers = np.full(len(table), -1, dtype=np.int64)
    workers[table.dispatch] = finished_by
    workers[table.dispatch[finished_by < 0]] = -1
    return workers
