"""Several DRAM channels are one with the bandwidth of all of them, and more of them take no more cycles."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from banked_channels import draw_streams
from conformance.stepped_pairs import make_table
from conformance.test_engines import NARROW, make_traffic
from drawn_cases import thin
from random_layers import draw_operands

from sim.architecture import load_architecture
from sim.dram_presets import load_dram
from sim.machine.accelerator import Engine, StepTiming, run_step
from sim.machine.banked_channels import BankedDram
from sim.step.layer_run import run_layer_step
from sim.step.work import StepOptions
from workloads.shapes import ConvShape, Step

ALL_STEPS = tuple(Step)


def run_with(seed: int, step: Step, *overrides: str) -> dict[str, Any]:
    """Run a step of a random layer, in many tiles, on a machine of one name."""
    rng = np.random.default_rng((53, seed))
    H, C, M = (int(size) for size in rng.integers([4, 1, 1], [13, 17, 17]))
    operands = draw_operands(rng, ConvShape(2, C, H, H, M, 3, 3, padding=(1, 1, 1, 1)))
    small = ("name=small", "array.groups=4", "buffer.capacity_bytes=6000")
    (run,) = run_layer_step(operands, step, (load_architecture("sparsetrain", (*small, *overrides)),), StepOptions())
    return {name: getattr(run.result, name) for name in run.result.__dataclass_fields__}


@pytest.mark.parametrize("step", ALL_STEPS)
@pytest.mark.parametrize("seed", range(4))
def test_channels_are_one_channel_with_the_bandwidth_of_all(seed: int, step: Step) -> None:
    several = run_with(seed, step, "dram.channels=3", "dram.bytes_per_cycle=8")
    assert several == run_with(seed, step, "dram.bytes_per_cycle=24")


@pytest.mark.parametrize("step", ALL_STEPS)
@pytest.mark.parametrize("seed", range(4))
def test_a_step_takes_no_more_cycles_with_more_channels(seed: int, step: Step) -> None:
    cycles = [run_with(seed, step, f"dram.channels={count}", "dram.bytes_per_cycle=1")["cycles"] for count in (1, 2, 8)]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[-1]


def test_unlimited_channels_are_unlimited() -> None:
    machine = load_architecture("sparsetrain", ("dram.channels=4", "dram.bytes_per_cycle=null"))
    assert machine.describe_surroundings().dram_bytes_per_cycle is None


def time_banked(seed: int, kind: str, channels: int) -> tuple[StepTiming, BankedDram]:
    """Time a random step of up to eleven tiles on DRAM with banks."""
    rng = np.random.default_rng((83, seed))
    tiles, scale = int(rng.integers(1, 12)), int(rng.choice([1, 10, 100]))
    traffic = make_traffic(seed, int(rng.choice([1, 200, 5000])), tiles, 3)
    loads, writes = scale * traffic.tile_load_bytes, scale * traffic.tile_write_back_bytes
    traffic = dataclasses.replace(traffic, tile_load_bytes=loads, tile_write_back_bytes=writes)
    traffic = dataclasses.replace(traffic, streams=draw_streams(rng, traffic))
    part = load_dram(kind)
    dram = BankedDram(channels, part.describe(), part.clock_mhz, 800)
    speeds = dataclasses.replace(NARROW, banked=dram)
    return run_step(make_table(traffic), 3, speeds, Engine.COMPILED), dram


# The worst of 2,400 pairs: with eight channels for four, a refresh falls into the last transfer.
WORST_SEED, WORST_CYCLES = 59, (85316, 84052, 84021, 84042)
CHANNELS = (1, 2, 4, 8)


@pytest.mark.parametrize("kind", ["lpddr4-2400", "ddr4-2400"])
@pytest.mark.parametrize("seed", thin(range(40)))
def test_with_banks_more_channels_take_hardly_more_cycles_and_none_more_than_its_buses_carry(
    seed: int, kind: str
) -> None:
    times = [time_banked(seed, kind, channels) for channels in CHANNELS]
    for (fewer, _), (more, _) in pairwise(times):
        assert more.cycles <= 1.001 * fewer.cycles
    for timing, dram in times:
        peak = dram.channels * dram.timing.burst_bytes * dram.dram_mhz / (dram.timing.burst * dram.machine_mhz)
        assert timing.cycles * peak >= timing.dram_read_bytes + timing.dram_write_bytes
        assert timing.dram_busy_cycles <= timing.cycles


def test_the_worst_step_that_was_found_takes_what_it_took() -> None:
    cycles = tuple(time_banked(WORST_SEED, "lpddr4-2400", channels)[0].cycles for channels in CHANNELS)
    assert cycles == WORST_CYCLES
