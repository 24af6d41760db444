"""Bandwidths of streams beside those that another model of DRAM reports for the same parts.

The figures are DRAMsim3's (github.com/umd-memsys/DRAMsim3, commit 29817593, MIT licence), run with its shipped
configurations LPDDR4_8Gb_x16_2400 and DDR4_8Gb_x8_2400 for 200,000 clocks of saturating requests of a burst each: one
channel, open page, address mapping rochrababgco, queues for each bank. Patterns: `read` and `write`, consecutive
addresses; `copy`, runs read from one region and runs written to another, 2^28 bytes further, in turn; `scatter`, runs
read at random multiples of their size below 512 MiB. Its controller is another one, so equality is not asked for: a
tenth of each fraction, and the same order.
"""

from __future__ import annotations

from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest

from sim.dram_presets import load_dram
from sim.dram_prices import price_commands
from sim.machine.bank_commands import work_channel
from sim.machine.bank_state import ACTIVATES, LEFT, READS, REFRESHES, STREAMS, WRITES, BankTiming, make_channel
from workloads.arrays import IntArray

CLOCKS = 200_000
REGION, SCATTERED = 2**28, 2**29
# Kind of DRAM, pattern, bytes of a run, fraction of the peak, activates, refreshes.
REFERENCE = [
    ("lpddr4-2400", "read", 0, 0.9644, 408, 46),
    ("lpddr4-2400", "write", 0, 0.9666, 409, 46),
    ("lpddr4-2400", "copy", 256, 0.8698, 847, 46),
    ("lpddr4-2400", "copy", 1024, 0.8647, 845, 46),
    ("lpddr4-2400", "copy", 4096, 0.8694, 847, 46),
    ("lpddr4-2400", "copy", 16384, 0.9493, 588, 46),
    ("lpddr4-2400", "copy", 65536, 0.9515, 464, 46),
    ("lpddr4-2400", "scatter", 128, 0.9856, 24863, 46),
    ("lpddr4-2400", "scatter", 512, 0.983, 6412, 46),
    ("lpddr4-2400", "scatter", 2048, 0.972, 1647, 46),
    ("lpddr4-2400", "scatter", 8192, 0.9532, 417, 46),
    ("ddr4-2400", "read", 0, 0.7755, 336, 42),
    ("ddr4-2400", "write", 0, 0.7815, 337, 42),
    ("ddr4-2400", "copy", 256, 0.5599, 994, 42),
    ("ddr4-2400", "copy", 1024, 0.5588, 993, 42),
    ("ddr4-2400", "copy", 4096, 0.6164, 624, 42),
    ("ddr4-2400", "copy", 16384, 0.7202, 382, 42),
    ("ddr4-2400", "copy", 65536, 0.7489, 346, 42),
    ("ddr4-2400", "scatter", 64, 0.8822, 44317, 42),
    ("ddr4-2400", "scatter", 512, 0.9627, 6280, 42),
    ("ddr4-2400", "scatter", 2048, 0.8898, 1467, 42),
    ("ddr4-2400", "scatter", 8192, 0.7144, 314, 42),
]
# Nanojoules that it reports for each of those commands, without the length of a clock as a factor.
REFERENCE_NJ = {
    "lpddr4-2400": {
        "dram_activates": 3419.4 / 408,
        "dram_read_bursts": 181476.6 / 24109,
        "dram_refreshes": 20167.0 / 46,
    },
    "ddr4-2400": {"dram_activates": 1396.7 / 336, "dram_read_bursts": 137005.5 / 38775, "dram_refreshes": 35054.2 / 42},
}


def list_streams(pattern: str, run_bytes: int, burst_bytes: int) -> IntArray:
    """List enough streams to saturate a channel: clock, first burst, end, is write, transfer."""
    most = CLOCKS // 4 + 64
    if pattern in ("read", "write"):
        return np.array([[0, 0, most, pattern == "write", 0]], dtype=np.int64)
    size = run_bytes // burst_bytes
    runs = np.arange(most // size + 1)
    if pattern == "copy":
        first = np.stack([runs * size, REGION // burst_bytes + runs * size], axis=1).reshape(-1)
        is_write = np.tile([0, 1], len(runs))
    else:
        first = np.random.default_rng(71).integers(0, SCATTERED // run_bytes, len(runs)) * size
        is_write = np.zeros(len(runs), dtype=np.int64)
    none = np.zeros(len(first), dtype=np.int64)
    return np.stack([none, first, first + size, is_write, none], axis=1).astype(np.int64)


def run_pattern(timing: BankTiming, pattern: str, run_bytes: int) -> IntArray:
    """Give the counters of a channel after the streams of a pattern."""
    streams = list_streams(pattern, run_bytes, timing.burst_bytes)
    channel = make_channel(timing)._replace(streams=streams)
    channel.counts[STREAMS], channel.transfers[0, LEFT] = len(streams), CLOCKS
    work_channel(channel, timing, CLOCKS, -1)
    return channel.counts


@pytest.fixture(scope="module")
def fractions() -> dict[tuple[str, str, int], float]:
    found = {}
    for name, pattern, run_bytes, *_ in REFERENCE:
        part = load_dram(name)
        counts = run_pattern(part.describe(), pattern, run_bytes)
        moved = int(counts[READS] + counts[WRITES]) * part.describe().burst_bytes
        found[name, pattern, run_bytes] = moved / (CLOCKS * part.bytes_per_clock)
    return found


@pytest.mark.parametrize(("name", "pattern", "run_bytes", "fraction"), [row[:4] for row in REFERENCE])
def test_a_pattern_reaches_its_fraction_of_the_peak_within_a_tenth(
    fractions: dict[tuple[str, str, int], float], name: str, pattern: str, run_bytes: int, fraction: float
) -> None:
    assert fractions[name, pattern, run_bytes] == pytest.approx(fraction, rel=0.1)


def test_patterns_that_differ_by_more_than_three_percent_are_in_the_same_order(
    fractions: dict[tuple[str, str, int], float],
) -> None:
    for one, other in combinations(REFERENCE, 2):
        if one[0] == other[0] and abs(one[3] / other[3] - 1) > 0.03:
            mine = fractions[one[:3]] - fractions[other[:3]]
            assert mine * (one[3] - other[3]) > 0, (one, other)


@pytest.mark.parametrize(
    ("name", "pattern", "run_bytes", "activates", "refreshes"), [(*row[:3], *row[4:]) for row in REFERENCE]
)
def test_rows_are_activated_and_refreshed_as_often(
    name: str, pattern: str, run_bytes: int, activates: int, refreshes: int
) -> None:
    counts = run_pattern(load_dram(name).describe(), pattern, run_bytes)
    assert int(counts[REFRESHES]) == refreshes
    # Reads and writes in turn contend for a bank each time that the direction changes, which other controllers do at
    # other times.
    assert int(counts[ACTIVATES]) == pytest.approx(activates, rel=0.4 if pattern == "copy" else 0.1)


@pytest.mark.parametrize("name", REFERENCE_NJ)
def test_commands_cost_what_the_other_model_reports_times_the_length_of_a_clock(name: str) -> None:
    part = load_dram(name)
    prices = {price.action: price.pj for price in price_commands(part)}
    for action, nj in REFERENCE_NJ[name].items():
        assert prices[action] == pytest.approx(1000 * nj * 1000 / part.clock_mhz, rel=1e-3)


def test_the_table_beside_the_presets_is_what_both_models_give(fractions: dict[tuple[str, str, int], float]) -> None:
    text = (files("sim") / "presets" / "drams" / "README.md").read_text(encoding="utf-8")
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(("| lpddr4", "| ddr4"))]
    assert len(lines) == len(REFERENCE)
    for cells, (name, pattern, run_bytes, fraction, activates, _) in zip(lines, REFERENCE, strict=True):
        mine = fractions[name, pattern, run_bytes]
        expected = [name, pattern, str(run_bytes or "-"), f"{fraction:.4f}", f"{mine:.4f}"]
        assert cells[:7] == [*expected, f"{100 * (mine / fraction - 1):+.1f} %", f"{activates:,}"]
        counts = run_pattern(load_dram(name).describe(), pattern, run_bytes)
        assert cells[7] == f"{int(counts[ACTIVATES]):,}"
