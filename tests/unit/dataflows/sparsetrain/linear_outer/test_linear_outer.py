"""GTW of a fully connected layer worked by hand: lengths, tiling, traffic, tiles of a batch, values."""

from __future__ import annotations

import numpy as np
from worked_layers import LINEAR_GRADIENT, LINEAR_INPUT, OVERHEAD, SUM_BYTES, pose_linear, size_mask_row

from dataflows.sparsetrain.linear_outer.lengths import count_outer, measure_outer
from dataflows.sparsetrain.linear_outer.mapping import LinearOuter
from dataflows.sparsetrain.linear_outer.plan import find_outer_tiling, plan_outer
from dataflows.sparsetrain.linear_outer.sampled_tiles import plan_outer_tiles
from dataflows.sparsetrain.linear_outer.tiling import measure_outer_tile
from dataflows.sparsetrain.linear_outer.traffic import make_outer_traffic
from workloads.shapes import Step

N, C, M = 2, 3, 2
PROBLEM = pose_linear(Step.GTW)
# Blocks of two inputs, one for each PE: nonzeros of the images' inputs. Only the second filter has gradients, in both.
BLOCK_CYCLES = [[2 * OVERHEAD + 1, 2 * OVERHEAD + 0], [2 * OVERHEAD + 2, 0]]
IDLE = [0, 0]
LOAD = sum(size_mask_row(M, 1) for _ in range(N)) + sum(size_mask_row(C, nonzeros) for nonzeros in (2, 1))


def test_a_filter_without_gradients_takes_no_cycles() -> None:
    assert measure_outer(PROBLEM).tolist() == [IDLE, IDLE, *BLOCK_CYCLES]
    assert count_outer(PROBLEM).multiplications == 2 + 1


def test_a_filter_that_no_image_needs_hands_nothing_to_the_ppu() -> None:
    traffic, dispatch = make_outer_traffic(PROBLEM)
    assert plan_outer(PROBLEM).find_idle().tolist() == [[True, True], [False, False]]
    assert traffic.ppu_elements.tolist() == [0, 0, 2, 1]
    assert traffic.ppu_write_bytes.tolist() == [0, 0, 2 * SUM_BYTES, SUM_BYTES]
    assert traffic.tile_write_back_bytes.tolist() == [M * C * SUM_BYTES]
    assert dispatch.tolist() == [0, 1, 2, 3]


def test_without_a_limit_one_tile_holds_the_step() -> None:
    plan = plan_outer(PROBLEM)
    sizes = find_outer_tiling(plan)
    assert sizes.tolist() == [M, 2, N]
    rows = plan.gradients.running, plan.gradients.code, plan.inputs.running, plan.inputs.code
    assert measure_outer_tile(sizes, *rows, plan.block) == LOAD
    assert make_outer_traffic(PROBLEM)[0].tile_load_bytes.tolist() == [LOAD]


def test_a_batch_of_repeated_images_keeps_its_idle_filters() -> None:
    plan = plan_outer_tiles(PROBLEM, np.array([0, 1, 1]))
    assert plan.idle is not None
    assert np.flatnonzero(plan.idle.all(axis=1)).tolist() == [0]


def test_values_are_outer_products_summed_over_images() -> None:
    values = LinearOuter().execute(PROBLEM, np.ones(4, dtype=np.bool_))
    assert values.output.tolist() == (LINEAR_GRADIENT.T @ LINEAR_INPUT).tolist()
