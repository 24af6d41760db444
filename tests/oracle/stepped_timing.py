"""Time tiles of tasks by advancing the machine one border between cycles after another.

Nothing here predicts when something will end: at each border every part of the machine is asked
whether it has finished, and every running counter is lowered by one for the cycle that follows.

Choices where the definition of the machine leaves room:

T1. A border repeats the round (ends; results and tasks handed over; requests; grants) until a whole round
    changes nothing, so that work of 0 cycles chains within the border.
T2. PEs start on bursts, tiles start and a waiting task moves into the PPU within "ends", since each of these
    follows from an end without anybody's decision.
T3. Within "handed over" all results go first, then one task goes to the lowest group that may take one, then
    what that ends is followed up, until no group may take a task. So a group whose task needs no time and
    no port is free again in the same border and, being the lowest, takes the next one.
T4. When a tile starts, every group is free, so the lowest index takes the first task, whichever group fell idle
    first in the tile before.
T5. Requests of one border that come in different rounds still queue by (PPU first, group, burst) among those not yet
    granted. A grant is never taken back.
T6. A request of 0 bytes is not made: the burst has arrived once it could have been requested, the PPU goes on. The same
    holds for a DRAM transfer of 0 bytes, which ends when it would have been queued, without latency or queueing.
T7. A transfer of more than 0 bytes over ports of unlimited width still needs a port, for 0 cycles. A DRAM transfer at
    unlimited bandwidth still waits for the latency and its turn.
T8. Bursts are numbered through all tasks that a group works in a step; "the lower burst" and the halves go by it.
T9. Only PEs with an output start on bursts; such a PE with 0 cycles in a burst starts and ends when it reaches it.
    A burst that no PE works on ends when it arrives, and counts as started then.
T10. A task without bursts has "started on its last burst" and has ended as soon as it is the group's present task.
     The present task is the one whose results have not been handed to the PPU; at most one more is held.
T11. A waiting task makes no PPU request; its read is requested at the border at which it goes into process.
T12. Waiting for the tile: from the border at which all tasks of the tile before have ended in the PEs of all groups
     (PPU work and stalls may still go on) to the start of the next tile; in the first tile from border 0. After the
     tasks of the last tile nobody waits for a tile: the groups are idle while PPU writes and write-backs drain.
T13. A group without a task while others still work in the tile is idle. A group with an unended task and no running PE
    waits for operands.
T14. A PPU is busy while it computes its ceil(X / elements_per_cycle) only. A DRAM channel is busy while it transfers,
    not in its latency. Buffer bytes are those that pass the ports; DMA is counted in the DRAM bytes alone.
T15. The step ends at the first border at which all tiles and all write-backs have ended. A tile without tasks ends when
    it starts. A step without tiles takes 0 cycles.
T16. A task that hands nothing to the PPU is dropped when results are handed over, whether or not the PPU has a place;
    its tile may end with that.
T17. Where groups may share reads, a burst's driver rows queue before its other rows, as (group, burst, part). When a
    request for driver rows is granted, the next ones in the queue for the same bytes that came up at the same border
    come along, until `multicast` are served; two bursts of one group count as two. What comes up later at the border,
    when the access is granted already, does not join it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from oracle.stepped_dram import SteppedBanks
from oracle.stepped_groups import Group, PostProcessor
from oracle.stepped_records import Machine, StepTimes, TimedTask, TimedTile
from oracle.stepped_transfers import Dram, DramTransfer, Ports


@dataclass(eq=False)
class TileControl:
    """Follow the tiles: which one is worked, which loads are queued."""

    tiles: Sequence[TimedTile]
    dram: Dram | SteppedBanks
    started: int = 0
    ended: int = 0
    dispatched_tasks: int = 0
    loads: list[DramTransfer] = field(default_factory=list)
    write_backs: list[DramTransfer] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Say whether every tile and every write-back has ended."""
        is_written = len(self.write_backs) == len(self.tiles) and all(write.is_over for write in self.write_backs)
        return self.ended == len(self.tiles) and is_written

    def end(self, finished_tasks: int) -> bool:
        """End the present tile or start the next one if that is due and say whether it was."""
        if self.started > self.ended:
            if finished_tasks < sum(len(tile.tasks) for tile in self.tiles[: self.started]):
                return False
            self.ended += 1
            return True
        if self.started < len(self.tiles) and len(self.loads) > self.started and self.loads[self.started].is_over:
            self.started += 1
            self.dispatched_tasks = 0
            return True
        return False

    def next_task(self) -> TimedTask | None:
        """Return the next task of the present tile, None if there is none left."""
        if self.started == self.ended or self.dispatched_tasks == len(self.tiles[self.started - 1].tasks):
            return None
        return self.tiles[self.started - 1].tasks[self.dispatched_tasks]

    def queue_requests(self) -> bool:
        """Queue the write-backs and loads that have come up and say whether there were any."""
        is_changed = False
        while len(self.loads) < min(2, len(self.tiles)):
            self.loads.append(self.dram.request(self.tiles[len(self.loads)].load_bytes))
            is_changed = True
        while len(self.write_backs) < self.ended:
            tile = len(self.write_backs)
            self.write_backs.append(self.dram.request(self.tiles[tile].write_back_bytes, is_write=True))
            if tile + 2 < len(self.tiles):
                self.loads.append(self.dram.request(self.tiles[tile + 2].load_bytes))
            is_changed = True
        return is_changed


class SteppedMachine:
    """Step the whole machine from border to border."""

    def __init__(self, tiles: Sequence[TimedTile], machine: Machine, banks: SteppedBanks | None = None) -> None:
        """Set the machine up at border 0, with DRAM that has banks if any are given."""
        self.border = 0
        self.ports = Ports(machine)
        self.dram = banks or Dram(machine)
        self.control = TileControl(tiles, self.dram)
        self.groups = [Group(machine, PostProcessor(machine, group)) for group in range(machine.groups)]

    def _end_everything(self) -> bool:
        is_changed, has_ended = False, True
        while has_ended:
            has_ended = self.ports.end() | self.dram.end()
            for group in self.groups:
                has_ended |= group.ppu.end() | group.end()
            has_ended |= self.control.end(sum(group.ppu.finished_tasks + group.void_tasks for group in self.groups))
            is_changed |= has_ended
        return is_changed

    def _hand_over_task(self) -> bool:
        task = self.control.next_task()
        takers = [group for group in self.groups if group.may_take_task]
        if task is None or not takers:
            return False
        takers[0].take(task)
        self.control.dispatched_tasks += 1
        return True

    def _hand_over(self) -> bool:
        is_changed, is_handed = False, True
        while is_handed:
            results = [group.hand_over_results() for group in self.groups]
            is_handed = any(results) or self._hand_over_task()
            is_changed |= is_handed
            self._end_everything()
        return is_changed

    def settle(self) -> None:
        """Do everything that happens at this border."""
        is_changed = True
        while is_changed:
            is_changed = self._end_everything() | self._hand_over()
            is_changed |= self.control.queue_requests()
            for group in self.groups:
                is_changed |= group.ppu.queue_requests(self.ports, self.border)
                is_changed |= group.queue_requests(self.ports, self.border)
            is_changed |= self.ports.grant()

    def pass_cycle(self) -> None:
        """Let the cycle behind this border pass."""
        is_tile_left = self.control.started < len(self.control.tiles)
        is_work_ended = all(group.present is None or group.present.is_ended for group in self.groups)
        is_all_handed = self.control.next_task() is None and all(group.following is None for group in self.groups)
        for group in self.groups:
            group.pass_cycle(is_tile_left and is_work_ended and is_all_handed)
            group.ppu.pass_cycle()
        self.ports.pass_cycle()
        self.dram.pass_cycle()
        self.border += 1


def run_tiles(tiles: Sequence[TimedTile], machine: Machine, banks: SteppedBanks | None = None) -> StepTimes:
    """Work the tiles one after the other and report the times."""
    stepped = SteppedMachine(tiles, machine, banks)
    stepped.settle()
    while not stepped.control.is_over:
        stepped.pass_cycle()
        stepped.settle()
    tasks = [task for tile in tiles for task in tile.tasks]

    def waits(reason: str) -> tuple[int, ...]:
        return tuple(group.waits.get(reason, 0) for group in stepped.groups)

    return StepTimes(
        cycles=stepped.border,
        busy=waits("busy"),
        wait_ppu=waits("ppu"),
        wait_dram=waits("dram"),
        wait_operands=waits("operands"),
        idle=waits("idle"),
        ports_busy=stepped.ports.busy_cycles,
        dram_busy=stepped.dram.busy_cycles,
        ppu_busy=sum(group.ppu.busy_cycles for group in stepped.groups),
        dram_read_bytes=sum(tile.load_bytes for tile in tiles),
        dram_write_bytes=sum(tile.write_back_bytes for tile in tiles),
        buffer_read_bytes=sum(task.ppu_read_bytes + sum(size for size, _ in task.bursts) for task in tasks)
        - stepped.ports.shared_bytes,
        buffer_write_bytes=sum(task.write_bytes for task in tasks),
        tiles=len(tiles),
        shared_bytes=stepped.ports.shared_bytes,
        store_words=sum(task.store_words for task in tasks),
    )
