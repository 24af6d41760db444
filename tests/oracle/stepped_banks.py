"""Work a DRAM channel with banks from clock to clock, from the list of the commands that it has sent.

Nothing here knows when a command may be sent: at every clock each rule is asked whether enough clocks have passed since
the commands before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Place:
    """Say where a burst lies."""

    rank: int
    group: int
    bank: int
    row: int

    def is_bank_of(self, other: Place) -> bool:
        """Say whether both lie in one bank."""
        return (self.rank, self.group, self.bank) == (other.rank, other.group, other.bank)


@dataclass(frozen=True)
class Command:
    """Hold a command that was sent; those of a rank have the place of its bank 0."""

    clock: int
    name: str
    place: Place


@dataclass(frozen=True)
class Request:
    """Hold one burst that is asked for."""

    clock: int
    burst: int
    is_write: bool
    transfer: int


@dataclass(eq=False)
class SteppedChannel:
    """Follow a channel; `timing` has the numbers of `BankTiming` by their names."""

    timing: dict[str, int]
    waiting: list[Request]
    clock: int = 0
    draining: int = 0
    queues: dict[bool, list[Request]] = field(default_factory=lambda: {False: [], True: []})
    sent: list[Command] = field(default_factory=list)
    ended: dict[int, int] = field(default_factory=dict)
    open_rows: dict[tuple[int, int, int], int] = field(default_factory=dict)
    refreshed: dict[int, int] = field(default_factory=dict)
    active_clocks: int = 0

    def locate(self, burst: int) -> Place:
        """Deal a burst's number out, the lowest part first."""
        rest = burst // self.timing["row_bursts"]
        parts = {}
        names = ["groups", "banks"] if self.timing["is_group_lowest"] else ["banks", "groups"]
        for name in (*names, "ranks"):
            parts[name] = rest % self.timing[name]
            rest //= self.timing[name]
        return Place(parts["ranks"], parts["groups"], parts["banks"], rest)

    def is_due(self, rank: int) -> bool:
        """Say whether a rank waits for its refresh."""
        first = self.timing["refi"] * (rank + 1) // self.timing["ranks"]
        return self.clock >= first + self.timing["refi"] * self.refreshed.get(rank, 0)

    def list_gaps(self, name: str, place: Place, old: Command) -> Iterator[int]:
        """List the clocks that have to lie between an earlier command and this one."""
        t, then, is_bank = self.timing, old.place, old.place.is_bank_of(place)
        is_rank = then.rank == place.rank
        is_group = is_rank and then.group == place.group
        tail = "l" if is_group else "s"
        if name in ("PREA", "REF"):
            is_bank = is_rank
        if old.name in ("PREA", "REF"):
            is_bank = is_rank
        if old.name == "ACT":
            if name in ("RD", "WR") and is_bank:
                yield t["rcd"]
            if name in ("PRE", "PREA") and is_bank:
                yield t["ras"]
            if name == "ACT" and is_rank:
                yield t[f"rrd_{tail}"]
        if old.name in ("PRE", "PREA") and name in ("ACT", "REF") and is_bank:
            yield t["rp"]
        if old.name == "REF" and name in ("ACT", "REF") and is_rank:
            yield t["rfc"]
        if name in ("PRE", "PREA") and is_bank and old.name in ("RD", "WR"):
            yield t["rtp"] if old.name == "RD" else t["cwl"] + t["burst"] + t["wr"]
        if old.name == name and name in ("RD", "WR"):
            yield max(t["burst"], t[f"ccd_{tail}"]) if is_rank else t["burst"] + t["rtrs"]
        if (old.name, name) == ("RD", "WR"):
            yield t["cl"] + t["burst"] + t["rtrs"] - t["cwl"]
        if (old.name, name) == ("WR", "RD"):
            turn = t["rtrs"] - t["cl"]
            yield t["cwl"] + t["burst"] + (max(t[f"wtr_{tail}"], turn) if is_rank else turn)

    def may_send(self, name: str, place: Place) -> bool:
        """Say whether every rule allows a command now."""
        longest = sum(self.timing[part] for part in ("rfc", "ras", "cwl", "cl", "wr", "rcd", "rp", "faw", "rtp")) + 99
        for old in reversed(self.sent):
            if old.clock + longest < self.clock:
                break
            if any(self.clock - old.clock < gap for gap in self.list_gaps(name, place, old)):
                return False
        if name == "ACT":
            before = [old.clock for old in self.sent if old.name == "ACT" and old.place.rank == place.rank]
            if len(before) >= 4 and self.clock - before[-4] < self.timing["faw"]:
                return False
        return True

    def open_row(self, place: Place) -> int | None:
        """Give the open row of a bank."""
        return self.open_rows.get((place.rank, place.group, place.bank))

    def list_candidates(self, worked: Sequence[Request]) -> Iterator[tuple[str, Place, Request | None]]:
        """List the commands that are wanted, the first to be sent first."""
        due = [Place(rank, 0, 0, 0) for rank in range(self.timing["ranks"]) if self.is_due(rank)]
        ranks_open = {rank for rank, _, _ in self.open_rows}
        for place in due:
            if place.rank not in ranks_open:
                yield "REF", place, None
        places = [self.locate(request.burst) for request in worked]
        usable = [
            (request, place) for request, place in zip(worked, places, strict=True) if not self.is_due(place.rank)
        ]
        for request, place in usable:
            if self.open_row(place) == place.row:
                yield "WR" if request.is_write else "RD", place, request
        for place in due:
            if place.rank in ranks_open:
                yield "PREA", place, None
        for _, place in usable:
            row = self.open_row(place)
            if row is None:
                yield "ACT", place, None
            elif row != place.row and not any(one.is_bank_of(place) and one.row == row for one in places):
                yield "PRE", place, None

    def send(self, name: str, place: Place, request: Request | None) -> None:
        """Send a command."""
        self.sent.append(Command(self.clock, name, place))
        key = place.rank, place.group, place.bank
        if name == "ACT":
            self.open_rows[key] = place.row
        elif name == "PRE":
            del self.open_rows[key]
        elif name == "PREA":
            self.open_rows = {one: row for one, row in self.open_rows.items() if one[0] != place.rank}
        elif name == "REF":
            self.refreshed[place.rank] = self.refreshed.get(place.rank, 0) + 1
        if request is not None:
            self.queues[request.is_write].remove(request)
            self.draining -= request.is_write
            latency = self.timing["cwl" if request.is_write else "cl"]
            self.ended[request.transfer] = self.clock + latency + self.timing["burst"]

    def step(self) -> None:
        """Work one clock."""
        while self.waiting and self.waiting[0].clock <= self.clock:
            queue = self.queues[self.waiting[0].is_write]
            if len(queue) == self.timing["queue"]:
                break
            queue.append(self.waiting.pop(0))
        reads, writes = len(self.queues[False]), len(self.queues[True])
        if not self.draining and (writes == self.timing["queue"] or (writes and not reads)):
            self.draining = writes
        for name, place, request in self.list_candidates(self.queues[self.draining > 0]):
            if self.may_send(name, place):
                self.send(name, place, request)
                break
        # A rank is active from the clock of the activate until that of the precharge.
        self.active_clocks += len({rank for rank, _, _ in self.open_rows})
        self.clock += 1


def run_requests(timing: dict[str, int], requests: Sequence[Request], clocks: int) -> SteppedChannel:
    """Work so many clocks."""
    channel = SteppedChannel(timing, list(requests))
    while channel.clock < clocks:
        channel.step()
    return channel
