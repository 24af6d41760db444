"""A DRAM channel with banks, command by command; the definition of the machine tells which goes first.

Between two commands nothing changes but by an arrival or a refresh that falls due, so the next command is the one
that may go first, and the clocks before it are skipped.
"""

from __future__ import annotations

from sim.machine.bank_state import (
    ACTIVATE,
    ACTIVATES,
    ACTIVE_CLOCKS,
    ARRIVAL,
    AT,
    BANK_ACTIVATE,
    BANK_COLUMN,
    BANK_PRECHARGE,
    CLOCK,
    CLOSED,
    COLUMN,
    COMMAND,
    DRAINING,
    END_BURST,
    ENDED,
    ENTRY_BANK,
    ENTRY_COLUMNS,
    ENTRY_ROW,
    ENTRY_TRANSFER,
    FIRST_ACTIVATE,
    GROUP_ACTIVATE,
    GROUP_READ,
    GROUP_WRITE,
    IS_WRITE,
    LEFT,
    NEVER,
    NEXT_BURST,
    NONE,
    OF_TRANSFER,
    OLDEST,
    OPEN_BANKS,
    OPEN_ROW,
    OPEN_SINCE,
    PLACE,
    PRECHARGE,
    PRECHARGE_RANK,
    PRECHARGES,
    READ_ENTRIES,
    READ_QUEUE,
    READS,
    REFRESH,
    REFRESH_DUE,
    REFRESHES,
    STREAM,
    STREAMS,
    TARGET,
    WRITE_ENTRIES,
    WRITE_QUEUE,
    BankTiming,
    ChannelState,
)
from workloads.kernel import kernel


@kernel(inlines=True)
def admit(channel: ChannelState, timing: BankTiming, now: int) -> int:
    """Take in bursts that have arrived while their queue has room; give when the next one arrives."""
    counts, streams = channel.counts, channel.streams
    while counts[STREAM] < counts[STREAMS]:
        stream = streams[counts[STREAM]]
        if stream[ARRIVAL] > now:
            return int(stream[ARRIVAL])
        kind = WRITE_QUEUE if stream[IS_WRITE] else READ_QUEUE
        while stream[NEXT_BURST] < stream[END_BURST]:
            size = counts[READ_ENTRIES + kind]
            if size == timing.queue:
                return NEVER
            row = stream[NEXT_BURST] // timing.row_bursts
            lower = timing.groups if timing.is_group_lowest else timing.banks
            upper = timing.banks if timing.is_group_lowest else timing.groups
            low = row % lower
            row //= lower
            high = row % upper
            row //= upper
            rank = row % timing.ranks
            group, bank = (low, high) if timing.is_group_lowest else (high, low)
            entry = channel.queues[kind, size]
            entry[ENTRY_BANK] = (rank * timing.groups + group) * timing.banks + bank
            entry[ENTRY_ROW] = row // timing.ranks
            entry[ENTRY_TRANSFER] = stream[OF_TRANSFER]
            counts[READ_ENTRIES + kind] = size + 1
            stream[NEXT_BURST] += 1
        counts[STREAM] += 1
    return NEVER


@kernel(inlines=True)
def offer(channel: ChannelState, at: int, command: int, target: int, place: int) -> None:
    """Choose a command if it may go before the one that is chosen; what is offered first goes first among equals."""
    choice = channel.choice
    kind = min(command, ACTIVATE)
    if at < choice[AT] or (at == choice[AT] and kind < min(choice[COMMAND], ACTIVATE)):
        choice[AT], choice[COMMAND], choice[TARGET], choice[PLACE] = at, command, target, place


@kernel(inlines=True)
def offer_refreshes(channel: ChannelState, timing: BankTiming, now: int) -> int:
    """Offer what ranks need whose refresh is due; give when the next refresh falls due."""
    due_at, rank_banks = NEVER, timing.groups * timing.banks
    for rank in range(timing.ranks):
        due = channel.ranks[rank, REFRESH_DUE]
        if due > now:
            due_at = min(due_at, due)
            continue
        is_open, at = channel.ranks[rank, OPEN_BANKS] > 0, now
        for bank in range(rank * rank_banks, (rank + 1) * rank_banks):
            if not is_open:
                at = max(at, channel.banks[bank, BANK_ACTIVATE])
            elif channel.banks[bank, OPEN_ROW] != CLOSED:
                at = max(at, channel.banks[bank, BANK_PRECHARGE])
        offer(channel, at, PRECHARGE_RANK if is_open else REFRESH, rank, 0)
    return due_at


@kernel(inlines=True)
def offer_entries(channel: ChannelState, timing: BankTiming, kind: int, now: int) -> None:
    """Offer the next command of each burst in a queue, the oldest first; those of a rank to be refreshed have none."""
    banks, groups, ranks = channel.banks, channel.groups, channel.ranks
    entries, size = channel.queues[kind], channel.counts[READ_ENTRIES + kind]
    column = GROUP_WRITE if kind == WRITE_QUEUE else GROUP_READ
    for place in range(size):
        bank = entries[place, ENTRY_BANK]
        group = bank // timing.banks
        rank = group // timing.groups
        if ranks[rank, REFRESH_DUE] <= now:
            continue
        row = banks[bank, OPEN_ROW]
        if row == entries[place, ENTRY_ROW]:
            at = max(now, banks[bank, BANK_COLUMN], groups[group, column])
            offer(channel, at, COLUMN, bank, place)
        elif row == CLOSED:
            window = ranks[rank, FIRST_ACTIVATE + ranks[rank, OLDEST]] + timing.faw
            at = max(now, banks[bank, BANK_ACTIVATE], groups[group, GROUP_ACTIVATE], window)
            offer(channel, at, ACTIVATE, bank, place)
        else:
            at, is_wanted = max(now, banks[bank, BANK_PRECHARGE]), False
            if at < channel.choice[AT]:
                for other in range(size):
                    if entries[other, ENTRY_BANK] == bank and entries[other, ENTRY_ROW] == row:
                        is_wanted = True
                        break
                if not is_wanted:
                    offer(channel, at, PRECHARGE, bank, place)


@kernel(inlines=True)
def issue_column(channel: ChannelState, timing: BankTiming, kind: int, now: int) -> None:
    """Move the data of the chosen burst, and take it out of its queue."""
    counts, groups, bank = channel.counts, channel.groups, channel.choice[TARGET]
    group = bank // timing.banks
    rank = group // timing.groups
    column, other = (GROUP_WRITE, GROUP_READ) if kind == WRITE_QUEUE else (GROUP_READ, GROUP_WRITE)
    latency, other_latency = (timing.cwl, timing.cl) if kind == WRITE_QUEUE else (timing.cl, timing.cwl)
    data_end = now + latency + timing.burst
    for place in range(timing.ranks * timing.groups):
        # The data bus: one burst behind the other, with a gap where rank or direction change.
        turned = data_end + timing.rtrs - other_latency
        if place // timing.groups != rank:
            same = now + timing.burst + timing.rtrs
        else:
            is_same_group = place == group
            same = now + max(timing.burst, timing.ccd_l if is_same_group else timing.ccd_s)
            if kind == WRITE_QUEUE:
                turned = max(turned, data_end + (timing.wtr_l if is_same_group else timing.wtr_s))
        groups[place, column] = max(groups[place, column], same)
        groups[place, other] = max(groups[place, other], turned)
    closes = data_end + timing.wr if kind == WRITE_QUEUE else now + timing.rtp
    channel.banks[bank, BANK_PRECHARGE] = max(channel.banks[bank, BANK_PRECHARGE], closes)
    entries, place = channel.queues[kind], channel.choice[PLACE]
    transfer = channel.transfers[entries[place, ENTRY_TRANSFER]]
    transfer[LEFT] -= 1
    transfer[ENDED] = max(transfer[ENDED], data_end)
    counts[READ_ENTRIES + kind] -= 1
    for later in range(place, counts[READ_ENTRIES + kind]):
        for field in range(ENTRY_COLUMNS):
            entries[later, field] = entries[later + 1, field]
    counts[READS + kind] += 1
    counts[DRAINING] -= kind == WRITE_QUEUE


@kernel(inlines=True)
def close_bank(channel: ChannelState, timing: BankTiming, bank: int, now: int) -> None:
    """Precharge a bank that is open."""
    channel.banks[bank, OPEN_ROW] = CLOSED
    channel.banks[bank, BANK_ACTIVATE] = now + timing.rp
    rank = channel.ranks[bank // (timing.groups * timing.banks)]
    rank[OPEN_BANKS] -= 1
    if rank[OPEN_BANKS] == 0:
        channel.counts[ACTIVE_CLOCKS] += now - rank[OPEN_SINCE]


@kernel(inlines=True)
def open_bank(channel: ChannelState, timing: BankTiming, bank: int, row: int, now: int) -> None:
    """Activate a row."""
    group = bank // timing.banks
    rank = group // timing.groups
    channel.banks[bank, OPEN_ROW] = row
    channel.banks[bank, BANK_COLUMN] = now + timing.rcd
    channel.banks[bank, BANK_PRECHARGE] = now + timing.ras
    for place in range(rank * timing.groups, (rank + 1) * timing.groups):
        gap = timing.rrd_l if place == group else timing.rrd_s
        channel.groups[place, GROUP_ACTIVATE] = max(channel.groups[place, GROUP_ACTIVATE], now + gap)
    one = channel.ranks[rank]
    one[FIRST_ACTIVATE + one[OLDEST]] = now
    one[OLDEST] = (one[OLDEST] + 1) % 4
    if one[OPEN_BANKS] == 0:
        one[OPEN_SINCE] = now
    one[OPEN_BANKS] += 1


@kernel(inlines=True)
def issue(channel: ChannelState, timing: BankTiming, kind: int, now: int) -> None:
    """Do the chosen command."""
    counts, choice, rank_banks = channel.counts, channel.choice, timing.groups * timing.banks
    command, target = choice[COMMAND], choice[TARGET]
    if command == COLUMN:
        issue_column(channel, timing, kind, now)
    elif command == ACTIVATE:
        open_bank(channel, timing, target, channel.queues[kind, choice[PLACE], ENTRY_ROW], now)
        counts[ACTIVATES] += 1
    elif command == PRECHARGE:
        close_bank(channel, timing, target, now)
        counts[PRECHARGES] += 1
    elif command == PRECHARGE_RANK:
        for bank in range(target * rank_banks, (target + 1) * rank_banks):
            if channel.banks[bank, OPEN_ROW] != CLOSED:
                close_bank(channel, timing, bank, now)
        counts[PRECHARGES] += 1
    else:
        for bank in range(target * rank_banks, (target + 1) * rank_banks):
            channel.banks[bank, BANK_ACTIVATE] = now + timing.rfc
        channel.ranks[target, REFRESH_DUE] += timing.refi
        counts[REFRESHES] += 1


@kernel
def work_channel(channel: ChannelState, timing: BankTiming, until: int, stop: int) -> None:
    """Work the clocks before `until`, or those up to the one in which a transfer's last burst is sent.

    Args:
        stop: The transfer, or -1.
    """
    counts, choice = channel.counts, channel.choice
    while counts[CLOCK] < until and (stop < 0 or channel.transfers[stop, LEFT] > 0):
        now = counts[CLOCK]
        changes_at = admit(channel, timing, now)
        if counts[DRAINING] == 0 and (
            counts[WRITE_ENTRIES] == timing.queue or (counts[READ_ENTRIES] == 0 and counts[WRITE_ENTRIES] > 0)
        ):
            counts[DRAINING] = counts[WRITE_ENTRIES]
        kind = WRITE_QUEUE if counts[DRAINING] > 0 else READ_QUEUE
        choice[AT], choice[COMMAND] = NEVER, NONE
        changes_at = min(changes_at, offer_refreshes(channel, timing, now))
        offer_entries(channel, timing, kind, now)
        changes_at = min(changes_at, until)
        if choice[AT] < changes_at:
            issue(channel, timing, kind, choice[AT])
            counts[CLOCK] = choice[AT] + 1
        else:
            counts[CLOCK] = changes_at
