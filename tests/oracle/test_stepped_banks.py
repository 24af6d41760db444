"""A channel with banks does, command by command, what the model does that steps from clock to clock."""

from __future__ import annotations

import numpy as np
import pytest
from banked_channels import draw_timing
from drawn_cases import thin
from oracle.stepped_banks import Request, run_requests
from timing.bank_log import list_commands

from sim.dram_presets import list_drams, load_dram
from sim.machine.bank_commands import work_channel
from sim.machine.bank_state import (
    ACTIVE_CLOCKS,
    END_BURST,
    ENDED,
    LEFT,
    OPEN_BANKS,
    OPEN_SINCE,
    STREAMS,
    BankTiming,
    ChannelState,
    make_channel,
)

CASES = 400
CLOCKS = 700
Streams = list[tuple[int, int, int, int, int]]


def draw_requests(rng: np.random.Generator, timing: BankTiming) -> Streams:
    """Draw streams of (clock, first burst, end, is write, transfer), in few rows so that banks are fought for."""
    streams, clock = [], 0
    most = timing.row_bursts * timing.groups * timing.banks * timing.ranks * int(rng.integers(1, 4))
    for transfer in range(int(rng.integers(1, 9))):
        clock += int(rng.choice([0, 0, 3, 40, 150]))
        is_write = int(rng.random() < 0.5)
        for _ in range(int(rng.integers(1, 3))):
            first = int(rng.integers(0, most))
            streams.append((clock, first, first + int(rng.integers(1, 9)), is_write, transfer))
    return streams


def fill_channel(timing: BankTiming, streams: Streams) -> ChannelState:
    """Make a channel that is asked for these streams."""
    channel = make_channel(timing, len(streams), len(streams))
    for place, (clock, first, end, is_write, transfer) in enumerate(streams):
        channel.streams[place] = clock, first, end, is_write, transfer
        channel.transfers[transfer, LEFT] += end - first
    channel.counts[STREAMS] = len(streams)
    return channel


def count_active(channel: ChannelState) -> int:
    """Give the clocks of ranks with an open bank up to now."""
    is_open = channel.ranks[:, OPEN_BANKS] > 0
    return int(channel.counts[ACTIVE_CLOCKS] + (CLOCKS - channel.ranks[is_open, OPEN_SINCE]).sum())


@pytest.mark.parametrize("seed", thin(range(CASES)))
def test_commands_ends_and_active_clocks_are_those_of_the_stepped_channel(seed: int) -> None:
    rng = np.random.default_rng((67, seed))
    timing = draw_timing(rng)
    compare_models(timing, draw_requests(rng, timing))


@pytest.mark.parametrize("kind", list_drams())
@pytest.mark.parametrize("seed", range(3))
def test_shipped_kinds_do_what_the_stepped_channel_does(kind: str, seed: int) -> None:
    # Refreshes are due early enough for a list that the stepped channel works in a second.
    timing = load_dram(kind).describe()._replace(refi=300, rfc=120)
    rng = np.random.default_rng((68, seed))
    streams, row = [], timing.row_bursts
    for transfer in range(6):
        first = int(rng.integers(0, 8 * row)) + int(rng.integers(0, 3)) * row * timing.rank_banks * timing.ranks
        streams.append((60 * transfer, first, first + int(rng.integers(1, 30)), transfer % 2, transfer))
    compare_models(timing, streams)


def compare_models(timing: BankTiming, streams: Streams) -> None:
    """Compare commands, ends of transfers and active clocks; also of a channel that is not stopped at every clock."""
    requests = [
        Request(clock, burst, bool(is_write), transfer)
        for clock, first, end, is_write, transfer in streams
        for burst in range(first, end)
    ]
    slow = run_requests(timing._asdict(), requests, CLOCKS)
    logged, leaping = fill_channel(timing, streams), fill_channel(timing, streams)
    commands = list_commands(logged, timing, CLOCKS)
    assert commands == [(one.clock, one.name) for one in slow.sent]
    work_channel(leaping, timing, CLOCKS, -1)
    for channel in (logged, leaping):
        assert {number: int(channel.transfers[number, ENDED]) for number in slow.ended} == slow.ended
        assert (channel.streams[:, 1] == channel.streams[:, END_BURST]).all() == (not slow.waiting)
        assert count_active(channel) == slow.active_clocks
    assert all((one == other).all() for one, other in zip(logged[:-1], leaping[:-1], strict=True))


def test_the_cases_send_every_command_and_end_most_transfers() -> None:
    names, ended, asked = set(), 0, 0
    for seed in range(0, CASES, 10):
        rng = np.random.default_rng((67, seed))
        timing = draw_timing(rng)
        streams = draw_requests(rng, timing)
        channel = fill_channel(timing, streams)
        names |= {name for _, name in list_commands(channel, timing, CLOCKS)}
        transfers = {stream[4] for stream in streams}
        asked += len(transfers)
        ended += sum(int(channel.transfers[number, LEFT]) == 0 for number in transfers)
    assert names == {"ACT", "RD", "WR", "PRE", "PREA", "REF"}
    assert ended > 0.9 * asked
