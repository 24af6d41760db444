"""Whether intervals hold what a full simulation finds: on clustered zeros, and images of unequal density.

The tiles of each step are executed once; what differs from draw to draw is which of them are looked at.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import pytest
from clustered_layers import draw_clustered

from dataflows.sparsetrain.dataflow import RowConvolution
from sim.architecture import Architecture, load_architecture
from sim.energy import compute_energy
from sim.machine_energy import find_prices
from sim.sampling.design import StepDraws
from sim.sampling.estimate import StepEstimate
from sim.sampling.ideal_sample import IdealSampler
from sim.sampling.pool import ImagePool
from sim.sampling.step_cut import begin_cut, order_tiles
from sim.sampling.step_sample import StepSampler
from workloads.layer_images import keep_images
from workloads.shapes import ConvShape, LayerShape, LinearShape, MatmulShape, Step

FRACTION, DRAWS = 0.15, 30
# Few groups and small buffers make many tiles; 2 bytes a cycle make a step that waits for the DRAM, 32 one that works.
CASES: dict[str, tuple[LayerShape, int, int]] = {
    "many images": (ConvShape(40, 6, 10, 10, 8, 3, 3, padding=(1, 1, 1, 1)), 1500, 2),
    "stride": (ConvShape(32, 4, 12, 12, 6, 3, 3, stride=(2, 2), padding=(1, 1, 1, 1)), 1200, 32),
    "runs of images": (ConvShape(24, 24, 5, 5, 24, 3, 3, padding=(1, 1, 1, 1)), 2500, 32),
    "few images": (ConvShape(2, 16, 20, 20, 16, 3, 3, padding=(1, 1, 1, 1)), 3000, 2),
    "fully connected": (LinearShape(48, 60, 44), 700, 32),
}
Outcome = tuple[StepEstimate, list[StepEstimate]]


def make_machine(name: str, capacity_bytes: int, dram_bytes: int) -> Architecture:
    changes = (
        f"buffer.capacity_bytes={capacity_bytes}", "buffer.operand_store_bytes=256", "array.groups=4",
        f"dram.bytes_per_cycle={dram_bytes}",
    )  # fmt: skip
    return load_architecture(name, changes)


@lru_cache(maxsize=64)
def draw_estimates(case: str, step: Step, name: str = "sparsetrain") -> Outcome:
    """Give the step with all tiles simulated, and its estimates from so many draws."""
    shape, capacity, dram = CASES[case]
    machine, layer = make_machine(name, capacity, dram), keep_images(draw_clustered(shape, seed=5))
    draws = StepDraws(0, "layer", step.value)
    cut = begin_cut(ImagePool(layer), layer, step, machine, RowConvolution(), draws)
    estimates = []
    for seed in range(1, DRAWS + 1):
        draws = StepDraws(seed, "layer", step.value)
        tiles = order_tiles(cut.runs.plan, draws, draws.order_images(shape.batch))
        estimates.append(StepSampler(dataclasses.replace(cut, draws=tiles)).estimate(FRACTION))
    return StepSampler(cut).estimate(1.0), estimates


def price(found: StepEstimate, machine: Architecture) -> float:
    prices = find_prices(machine)
    assert prices is not None
    assert found.actions is not None
    return compute_energy(found.actions, found.cycles, machine.clock_mhz, prices).total_pj


def test_nineteen_of_twenty_intervals_hold_the_cycles_and_the_energy_of_the_full_simulation() -> None:
    held = priced = drawn = 0
    for case in CASES:
        machine = make_machine("sparsetrain", *CASES[case][1:])
        for step in Step:
            full, estimates = draw_estimates(case, step)
            energy = price(full, machine)
            for found in estimates:
                assert found.fraction < 0.5
                drawn += 1
                held += abs(found.cycles - full.cycles) <= found.cycles_spread.half_width + 0.5
                # Counts are rounded to whole actions before they are priced.
                priced += abs(price(found, machine) - energy) <= found.energy_spread.half_width + 1e-6 * energy
    assert drawn == len(CASES) * len(Step) * DRAWS
    assert 0.90 <= held / drawn <= 0.99
    assert 0.90 <= priced / drawn <= 0.99


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("step", list(Step))
def test_estimates_lean_to_no_side_by_more_than_half_of_their_interval(case: str, step: Step) -> None:
    full, estimates = draw_estimates(case, step)
    mean = sum(found.cycles for found in estimates) / DRAWS
    width = sum(found.cycles_spread.half_width for found in estimates) / DRAWS
    assert abs(mean - full.cycles) < width / 2
    assert width > 0


@pytest.mark.parametrize("case", CASES)
def test_the_dense_machine_whose_tiles_do_not_vary_is_estimated_exactly(case: str) -> None:
    full, estimates = draw_estimates(case, Step.FORWARD, "dense")
    for found in estimates:
        assert (found.cycles, found.busy_cycles, found.dram_read_bytes) == (
            full.cycles, full.busy_cycles, full.dram_read_bytes,
        )  # fmt: skip
        assert found.cycles_spread.half_width == 0


@pytest.mark.parametrize("step", list(Step))
def test_the_states_of_the_groups_sum_to_the_estimated_cycles(step: Step) -> None:
    for case in CASES:
        for found in draw_estimates(case, step)[1]:
            states = found.busy_cycles + found.wait_operands_cycles + found.wait_dram_cycles
            assert states + found.wait_ppu_cycles + found.idle_cycles == 4 * found.cycles
            assert min(found.wait_dram_cycles, found.idle_cycles) >= 0


def test_intervals_of_the_ideal_machine_hold_the_cycles_of_all_images() -> None:
    machine, held, drawn = load_architecture("ideal", ("array.groups=4",)), 0, 0
    shapes = [CASES[case][0] for case in ("many images", "fully connected")]
    for shape in (*shapes, MatmulShape(40, 12, 10, 14, places=(2,), transpose_b=True)):
        layer = keep_images(draw_clustered(shape, seed=5))
        for step in Step:
            samplers = [
                IdealSampler(
                    ImagePool(layer), layer.shape, step, machine, RowConvolution(), StepDraws(seed, "layer", step.value)
                )
                for seed in range(DRAWS)
            ]
            full = samplers[0].estimate(1.0)
            assert full.cycles_spread.half_width == 0
            for sampler in samplers:
                found = sampler.estimate(0.25)
                drawn += 1
                held += abs(found.cycles - full.cycles) <= found.cycles_spread.half_width + 0.5
    assert 0.90 <= held / drawn <= 0.99
