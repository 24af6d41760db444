"""Each time of a data sheet, from both sides: a command is not sent a clock before, and is sent at its clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from timing.bank_log import NAMES, list_commands

from sim.machine.bank_commands import work_channel
from sim.machine.bank_state import ENDED, LEFT, STREAMS, BankTiming, ChannelState, make_channel

# Everything takes as little as it can, so that the one time that is made long decides.
SHORT = BankTiming(
    ranks=2, groups=2, banks=4, row_bursts=4, burst_bytes=64, queue=8, burst=1, cl=1, cwl=1, rcd=1, rp=1, ras=1, rtp=1,
    wr=0, ccd_s=1, ccd_l=1, rrd_s=1, rrd_l=1, faw=4, wtr_s=0, wtr_l=0, rtrs=0, refi=100_000, rfc=1,
)  # fmt: skip
LONG = 23


@dataclass(frozen=True)
class Burst:
    """A burst that is asked for."""

    group: int = 0
    bank: int = 0
    rank: int = 0
    row: int = 0
    column: int = 0
    is_write: bool = False
    clock: int = 0

    @property
    def number(self) -> int:
        """The burst's number: column, group, bank, rank and row, the lowest first."""
        upper = (self.row * SHORT.ranks + self.rank) * SHORT.banks + self.bank
        return (upper * SHORT.groups + self.group) * SHORT.row_bursts + self.column


def write(**place: int) -> Burst:
    return Burst(**place, is_write=True)  # type: ignore[arg-type]


def ask(timing: BankTiming, bursts: list[Burst]) -> ChannelState:
    """Make a channel that is asked for bursts, each a transfer."""
    channel = make_channel(timing, len(bursts) + 1, len(bursts) + 1)
    for place, burst in enumerate(bursts):
        channel.streams[place] = burst.clock, burst.number, burst.number + 1, burst.is_write, place
        channel.transfers[place, LEFT] = 1
    channel.counts[STREAMS] = len(bursts)
    return channel


@dataclass(frozen=True)
class Gap:
    """The clocks between the first `before` and the command `after` of that number, as `formula` of the timing."""

    bursts: list[Burst]
    before: str
    after: str
    number: int
    formula: Callable[[BankTiming], int]


OTHER_ROW = [Burst(), Burst(row=1)]
SAME_ROW = [Burst(), Burst(column=1)]
GAPS = {
    "rcd": [Gap([Burst()], "ACT", "RD", 0, lambda t: t.rcd), Gap([write()], "ACT", "WR", 0, lambda t: t.rcd)],
    "rp": [Gap(OTHER_ROW, "PRE", "ACT", 1, lambda t: t.rp)],
    "ras": [Gap(OTHER_ROW, "ACT", "PRE", 0, lambda t: t.ras)],
    "rtp": [Gap(OTHER_ROW, "RD", "PRE", 0, lambda t: t.rtp)],
    "wr": [Gap([write(), write(row=1)], "WR", "PRE", 0, lambda t: t.cwl + t.burst + t.wr)],
    "cwl": [Gap([write(), write(row=1)], "WR", "PRE", 0, lambda t: t.cwl + t.burst + t.wr)],
    "cl": [Gap([Burst(), write(column=1)], "RD", "WR", 0, lambda t: t.cl + t.burst + t.rtrs - t.cwl)],
    "burst": [
        Gap(SAME_ROW, "RD", "RD", 1, lambda t: t.burst),
        Gap([Burst(), Burst(group=1)], "RD", "RD", 1, lambda t: t.burst),
        Gap([write(), write(column=1)], "WR", "WR", 1, lambda t: t.burst),
    ],
    "ccd_l": [
        Gap(SAME_ROW, "RD", "RD", 1, lambda t: t.ccd_l),
        Gap([write(), write(bank=1)], "WR", "WR", 1, lambda t: t.ccd_l),
    ],
    "ccd_s": [Gap([Burst(), Burst(group=1)], "RD", "RD", 1, lambda t: t.ccd_s)],
    "rrd_l": [Gap([Burst(), Burst(bank=1)], "ACT", "ACT", 1, lambda t: t.rrd_l)],
    "rrd_s": [Gap([Burst(), Burst(group=1)], "ACT", "ACT", 1, lambda t: t.rrd_s)],
    "faw": [Gap([Burst(group=one % 2, bank=one // 2) for one in range(5)], "ACT", "ACT", 4, lambda t: t.faw)],
    "wtr_l": [Gap([write(), Burst(column=1, clock=1)], "WR", "RD", 0, lambda t: t.cwl + t.burst + t.wtr_l)],
    "wtr_s": [Gap([write(), Burst(group=1, clock=1)], "WR", "RD", 0, lambda t: t.cwl + t.burst + t.wtr_s)],
    "rtrs": [
        Gap([Burst(), Burst(rank=1)], "RD", "RD", 1, lambda t: t.burst + t.rtrs),
        Gap([write(), write(rank=1)], "WR", "WR", 1, lambda t: t.burst + t.rtrs),
        Gap([Burst(), write(column=1)], "RD", "WR", 0, lambda t: t.cl + t.burst + t.rtrs - t.cwl),
        Gap([write(), Burst(rank=1, clock=1)], "WR", "RD", 0, lambda t: t.cwl + t.burst + t.rtrs - t.cl),
        Gap([write(), Burst(column=1, clock=1)], "WR", "RD", 0, lambda t: t.cwl + t.burst + t.rtrs - t.cl),
    ],
    "rfc": [Gap([Burst(clock=SHORT.refi // 2)], "REF", "ACT", 0, lambda t: t.rfc)],
}
CASES = [(name, gap) for name, gaps in GAPS.items() for gap in gaps]


def find_nth(commands: list[tuple[int, str]], name: str, number: int) -> int:
    """Give the clock of the nth command of a name."""
    return [clock for clock, other in commands if other == name][number]


@pytest.mark.parametrize("long", [LONG, LONG + 1])
@pytest.mark.parametrize(("name", "gap"), CASES, ids=[f"{name}-{place}" for place, (name, _) in enumerate(CASES)])
def test_a_command_is_sent_at_its_clock_and_not_before(name: str, gap: Gap, long: int) -> None:
    timing = SHORT._replace(**{name: long})
    last = max(burst.clock for burst in gap.bursts) + 200
    commands = list_commands(ask(timing, gap.bursts), timing, last)
    at = find_nth(commands, gap.before, 0) + gap.formula(timing)
    assert find_nth(commands, gap.after, gap.number) == at
    counter = {command: place for place, command in NAMES.items()}.get(gap.after)
    if counter is not None:
        channel = ask(timing, gap.bursts)
        work_channel(channel, timing, at, -1)
        assert channel.counts[counter] == gap.number
        work_channel(channel, timing, at + 1, -1)
        assert channel.counts[counter] == gap.number + 1


def test_every_time_of_a_data_sheet_has_its_test() -> None:
    sizes = {"ranks", "groups", "banks", "row_bursts", "burst_bytes", "queue", "is_group_lowest"}
    assert set(BankTiming._fields) - sizes - {"refi"} == set(GAPS)


def test_refreshes_are_staggered_over_the_ranks_and_come_each_interval() -> None:
    timing = SHORT._replace(refi=50, rfc=7)
    commands = list_commands(ask(timing, []), timing, 160)
    assert commands == [(25 * number, "REF") for number in range(1, 7)]


def test_a_rank_that_is_due_closes_its_banks_refreshes_and_takes_nothing_meanwhile() -> None:
    timing = SHORT._replace(ranks=1, refi=50, rfc=LONG, rp=5)
    bursts = [Burst(), Burst(group=1), Burst(column=1, clock=50)]
    commands = list_commands(ask(timing, bursts), timing, 90)
    assert commands[:4] == [(0, "ACT"), (1, "RD"), (2, "ACT"), (3, "RD")]
    refresh = 50 + timing.rp
    assert commands[4:] == [(50, "PREA"), (refresh, "REF"), (refresh + LONG, "ACT"), (refresh + LONG + 1, "RD")]


def test_a_refresh_waits_for_the_row_to_have_been_open_long_enough() -> None:
    timing = SHORT._replace(ranks=1, refi=50, ras=LONG)
    commands = list_commands(ask(timing, [Burst(clock=45)]), timing, 80)
    assert commands == [(45, "ACT"), (46, "RD"), (45 + LONG, "PREA"), (45 + LONG + timing.rp, "REF")]


def test_a_row_streams_a_burst_each_burst_time_behind_its_activate() -> None:
    timing = SHORT._replace(rcd=15, burst=8, cl=17, ccd_l=6)
    channel = ask(timing, [Burst(column=column) for column in range(SHORT.row_bursts)])
    work_channel(channel, timing, 200, -1)
    ends = [15 + 8 * column + 17 + 8 for column in range(SHORT.row_bursts)]
    assert channel.transfers[: len(ends), ENDED].tolist() == ends


def test_a_younger_burst_of_an_open_row_goes_before_an_older_one_of_another_row() -> None:
    timing = SHORT._replace(rp=9, rcd=9)
    commands = list_commands(ask(timing, [Burst(), Burst(row=1), Burst(column=1)]), timing, 60)
    assert [name for _, name in commands] == ["ACT", "RD", "RD", "PRE", "ACT", "RD"]


def test_writes_wait_for_reads_until_their_queue_is_full() -> None:
    timing = SHORT._replace(queue=2, rcd=5)

    def list_columns(writes: int) -> list[str]:
        bursts = [*[write(column=one) for one in range(writes)], *[Burst(group=1, column=one) for one in range(2)]]
        return [name for _, name in list_commands(ask(timing, bursts), timing, 90) if name in ("RD", "WR")]

    assert list_columns(1) == ["RD", "RD", "WR"]
    assert list_columns(2) == ["WR", "WR", "RD", "RD"]


def test_no_burst_overtakes_another_on_its_way_into_the_queues() -> None:
    timing = SHORT._replace(queue=1, rcd=5)
    bursts = [Burst(), Burst(column=1), write(group=1)]
    names = [name for _, name in list_commands(ask(timing, bursts), timing, 90) if name in ("RD", "WR")]
    assert names == ["RD", "WR", "RD"]
