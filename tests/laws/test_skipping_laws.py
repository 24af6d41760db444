"""What skipping zeros may cost: a machine that skips against one that does not, on the same operands and tiling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_layers import ALL_STEPS, draw_tensor

from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.architecture import load_architecture
from sim.machine.tile_timing import compose_step, describe_work, time_tiles
from workloads.operands import Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step

DATAFLOW = RowConvolution()
SPARSE = load_architecture("sparsetrain-v1")
CASES = 50


def draw_layer(
    seed: int, shape: LayerShape, input_density: float, gradient_density: float, *, is_masked: bool = True
) -> Operands:
    """Draw operands of these densities; the mask is the input's, as behind a ReLU."""
    rng = np.random.default_rng(seed)
    input = draw_tensor(rng, shape.input_shape, input_density)
    weight = draw_tensor(rng, shape.weight_shape, 1.0)
    gradient = draw_tensor(rng, shape.output_shape, gradient_density)
    return Operands("layer", shape, input, weight, None, gradient, input != 0 if is_masked else None, ALL_STEPS)


def compare_machines(operands: Operands, step: Step) -> tuple[int, int]:
    """Give the cycles of the preset machine, and of the one without skipping, with the latter's tiling."""
    memory, array = SPARSE.describe_memory(), SPARSE.array.describe()
    assert memory is not None
    images = np.arange(operands.shape.batch)
    dense = replace(array, skip_zeros=False)
    cut = DATAFLOW.plan_tiles(StepProblem(operands, step, dense, memory), images)
    found = []
    for one in (array, dense):
        plan = replace(
            DATAFLOW.plan_tiles(StepProblem(operands, step, one, memory), images), sizes=cut.sizes, runs=cut.runs
        )
        traffic = DATAFLOW.pack_tiles(
            StepProblem(operands, step, one, memory), plan, images.tolist(), np.arange(len(plan))
        )
        speeds = SPARSE.describe_surroundings()
        timings, _ = time_tiles(traffic.tile_first, describe_work(traffic, speeds), one.groups, speeds)
        step_cycles = compose_step(timings, traffic.tile_load_bytes, traffic.tile_write_back_bytes, speeds)
        found.append(step_cycles.cycles)
    return found[0], found[1]


def draw_linear(seed: int, batch: int) -> Operands:
    """Draw a fully connected layer of usual densities."""
    rng = np.random.default_rng((41, seed))
    shape = LinearShape(batch, int(rng.integers(2, 600)), int(rng.integers(2, 400)))
    return draw_layer(seed, shape, *(float(density) for density in rng.choice([0.05, 0.1, 0.3, 0.5, 0.7], 2)))


@pytest.mark.parametrize("seed", range(CASES))
def test_fully_connected_gta_takes_no_more_cycles_where_zeros_are_skipped(seed: int) -> None:
    skipping, dense = compare_machines(draw_linear(seed, 1 + seed % 8), Step.GTA)
    assert skipping <= dense


@pytest.mark.parametrize("seed", range(CASES))
def test_fully_connected_gtw_of_one_image_takes_no_more_cycles_where_zeros_are_skipped(seed: int) -> None:
    skipping, dense = compare_machines(draw_linear(seed, 1), Step.GTW)
    assert skipping <= dense


@pytest.mark.parametrize("seed", range(CASES // 2))
def test_fully_connected_gtw_of_several_images_takes_at_most_three_percent_more(seed: int) -> None:
    skipping, dense = compare_machines(draw_linear(seed, 2 + seed % 7), Step.GTW)
    assert skipping <= 1.03 * dense


@pytest.mark.parametrize("step", ALL_STEPS)
@pytest.mark.parametrize("seed", range(CASES // 4))
def test_convolutions_take_at_most_three_percent_more(seed: int, step: Step) -> None:
    rng = np.random.default_rng((43, seed))
    R, H, C, M = (int(size) for size in rng.integers([1, 6, 1, 1], [4, 13, 33, 33]))
    shape = ConvShape(int(rng.integers(1, 4)), C, H, H, M, R, R, padding=(R // 2, R // 2, R // 2, R // 2))
    operands = draw_layer(seed, shape, *(float(density) for density in rng.choice([0.05, 0.3, 0.5, 0.7], 2)))
    skipping, dense = compare_machines(operands, step)
    assert skipping <= 1.03 * dense


# The worst of some 2,000 random layers of each kind, densities from 0 to 1: seed, shape, densities, mask, cycles, and
# those without skipping. Nearly dense operands are behind all of them: a group that waits for its PPU holds up to
# three tasks, so whose turn it is at the end of a tile is decided long before; or rows with pointers are longer.
WORST = {
    "gta": (1614, LinearShape(2, 251, 276), 0.9, 1.0, True, 5756, 5619),
    "gta of six": (956, LinearShape(6, 96, 350), 0.9, 1.0, True, 4082, 3997),
    "gtw of one": (737, LinearShape(1, 205, 6), 0.9, 1.0, False, 410, 404),
    "gtw of one, masked": (413, LinearShape(1, 565, 368), 0.02, 0.9, True, 28524, 28311),
    "gtw of three": (1237, LinearShape(3, 29, 125), 0.7, 1.0, True, 822, 802),
    "gtw of five": (246, LinearShape(5, 227, 11), 0.9, 1.0, True, 779, 748),
}


@pytest.mark.parametrize("name", WORST)
def test_the_worst_layers_that_were_found_take_what_they_took(name: str) -> None:
    *drawn, is_masked, skipping, dense = WORST[name]
    operands = draw_layer(*drawn, is_masked=is_masked)  # type: ignore[arg-type]
    found = compare_machines(operands, Step.GTA if name.startswith("gta") else Step.GTW)
    assert found == (skipping, dense)
    assert skipping <= 1.042 * dense


def test_a_strided_convolution_on_a_dense_input_pays_for_elements_without_a_tap() -> None:
    shape = ConvShape(1, 64, 14, 14, 64, 1, 1, stride=(2, 2))
    skipping, dense = compare_machines(draw_layer(1, shape, 1.0, 1.0), Step.FORWARD)
    assert (skipping, dense) == (4208, 2898)
