"""Several DRAM channels are one with the bandwidth of all of them, and more of them take no more cycles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from random_layers import draw_operands

from sim.architecture import load_architecture
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
