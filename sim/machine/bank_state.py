"""What a DRAM channel with banks is made of: its timing in clocks, and the integer arrays that hold its state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from workloads.arrays import IntArray

NEVER = 2**62
CLOSED = -1

# Counters of a channel. CLOCK is the first clock that was not worked yet; DRAINING, how many writes go before any read.
(
    CLOCK,
    READ_ENTRIES,
    WRITE_ENTRIES,
    DRAINING,
    STREAM,
    STREAMS,
    ACTIVATES,
    PRECHARGES,
    READS,
    WRITES,
    REFRESHES,
    ACTIVE_CLOCKS,
    COUNTERS,
) = range(13)

# Columns of a bank: its open row, and the first clocks at which it takes the commands.
OPEN_ROW, BANK_ACTIVATE, BANK_PRECHARGE, BANK_COLUMN, BANK_COLUMNS = range(5)
# Columns of a bank group.
GROUP_ACTIVATE, GROUP_READ, GROUP_WRITE, GROUP_COLUMNS = range(4)
# Columns of a rank: when its next refresh is due, its open banks and since when, and its last four activates in a ring.
REFRESH_DUE, OPEN_BANKS, OPEN_SINCE, OLDEST, FIRST_ACTIVATE, RANK_COLUMNS = 0, 1, 2, 3, 4, 8
# Columns of an entry of a queue, a stream, and a transfer.
ENTRY_BANK, ENTRY_ROW, ENTRY_TRANSFER, ENTRY_COLUMNS = range(4)
ARRIVAL, NEXT_BURST, END_BURST, IS_WRITE, OF_TRANSFER, STREAM_COLUMNS = range(6)
LEFT, ENDED, TRANSFER_COLUMNS = range(3)
READ_QUEUE, WRITE_QUEUE = range(2)
# A command that is chosen: its clock, what it is, and its bank (of a rank's commands the rank), and place in the queue.
AT, COMMAND, TARGET, PLACE, CHOICE_COLUMNS = range(5)
NONE, REFRESH, COLUMN, PRECHARGE_RANK, ACTIVATE, PRECHARGE = range(6)


class BankTiming(NamedTuple):
    """A channel: its ranks of bank groups of banks, and times in clocks by the names of data sheets, without the t.

    Attributes:
        row_bursts: Bursts in an open row of a bank.
        burst_bytes: What a burst moves.
        queue: Bursts that the controller looks at, of reads and of writes each.
        burst: Clocks for which a burst takes the data bus.
        cl: From a read to its data.
        cwl: From a write to its data.
        rtrs: Idle clocks of the data bus where the rank or the direction changes.
        is_group_lowest: Whether neighbouring rows lie in different bank groups, else in banks of one group.
    """

    ranks: int
    groups: int
    banks: int
    row_bursts: int
    burst_bytes: int
    queue: int
    burst: int
    cl: int
    cwl: int
    rcd: int
    rp: int
    ras: int
    rtp: int
    wr: int
    ccd_s: int
    ccd_l: int
    rrd_s: int
    rrd_l: int
    faw: int
    wtr_s: int
    wtr_l: int
    rtrs: int
    refi: int
    rfc: int
    is_group_lowest: int = 1

    @property
    def rank_banks(self) -> int:
        """Banks of a rank."""
        return self.groups * self.banks


class ChannelState(NamedTuple):
    """Everything that changes in a channel, int64.

    Attributes:
        counts: ``(COUNTERS,)``.
        banks: ``(ranks x groups x banks, BANK_COLUMNS)``.
        groups: ``(ranks x groups, GROUP_COLUMNS)``.
        ranks: ``(ranks, RANK_COLUMNS)``.
        queues: ``(2, queue, ENTRY_COLUMNS)``; reads and writes, the oldest first.
        streams: ``(streams, STREAM_COLUMNS)``; bursts in the order in which they are asked for.
        transfers: ``(transfers, TRANSFER_COLUMNS)``; bursts that are left, and the clock at which the last data ended.
        choice: ``(CHOICE_COLUMNS,)``.
    """

    counts: IntArray
    banks: IntArray
    groups: IntArray
    ranks: IntArray
    queues: IntArray
    streams: IntArray
    transfers: IntArray
    choice: IntArray


def make_channel(timing: BankTiming, streams: int = 16, transfers: int = 16) -> ChannelState:
    """Lay out an idle channel: all banks are closed and may be activated, refreshes of the ranks are staggered."""

    def zeros(*shape: int) -> IntArray:
        return np.zeros(shape, dtype=np.int64)

    banks = zeros(timing.ranks * timing.rank_banks, BANK_COLUMNS)
    banks[:, OPEN_ROW] = CLOSED
    ranks = zeros(timing.ranks, RANK_COLUMNS)
    ranks[:, REFRESH_DUE] = timing.refi * np.arange(1, timing.ranks + 1) // timing.ranks
    ranks[:, FIRST_ACTIVATE:] = -timing.faw
    return ChannelState(
        counts=zeros(COUNTERS),
        banks=banks,
        groups=zeros(timing.ranks * timing.groups, GROUP_COLUMNS),
        ranks=ranks,
        queues=zeros(2, timing.queue, ENTRY_COLUMNS),
        streams=zeros(streams, STREAM_COLUMNS),
        transfers=zeros(transfers, TRANSFER_COLUMNS),
        choice=zeros(CHOICE_COLUMNS),
    )
