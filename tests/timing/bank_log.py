"""The commands of a DRAM channel with banks, one clock after the other."""

from __future__ import annotations

from sim.machine.bank_commands import work_channel
from sim.machine.bank_state import (
    ACTIVATES,
    COMMAND,
    PRECHARGE_RANK,
    PRECHARGES,
    READS,
    REFRESHES,
    WRITES,
    BankTiming,
    ChannelState,
)

NAMES = {ACTIVATES: "ACT", READS: "RD", WRITES: "WR", REFRESHES: "REF"}


def list_commands(channel: ChannelState, timing: BankTiming, clocks: int) -> list[tuple[int, str]]:
    """Work a channel from clock 0 on, and list the clock and the name of each command."""
    commands = []
    for clock in range(clocks):
        before = channel.counts.copy()
        work_channel(channel, timing, clock + 1, -1)
        commands += [(clock, name) for place, name in NAMES.items() if channel.counts[place] > before[place]]
        if channel.counts[PRECHARGES] > before[PRECHARGES]:
            commands.append((clock, "PREA" if channel.choice[COMMAND] == PRECHARGE_RANK else "PRE"))
    return commands
