"""Forward and GTA of a fully connected layer worked by hand: lengths, tiling, traffic, tiles of a batch, values."""

from __future__ import annotations

import numpy as np
from worked_layers import (
    LINEAR_GRADIENT,
    LINEAR_INPUT,
    LINEAR_WEIGHT,
    OVERHEAD,
    PES,
    WORD_BYTES,
    pose_linear,
    size_mask_row,
)

from dataflows.sparsetrain.linear_products.lengths import count_products, measure_products
from dataflows.sparsetrain.linear_products.mapping import LinearProducts
from dataflows.sparsetrain.linear_products.plan import find_products_tiling, plan_products
from dataflows.sparsetrain.linear_products.sampled_tiles import count_owned, plan_products_tiles
from dataflows.sparsetrain.linear_products.tiling import measure_products_tile, size_products_tile
from dataflows.sparsetrain.linear_products.traffic import make_products_traffic
from dataflows.sparsetrain.linear_rows import add_headers, view_as_convolution
from dataflows.storage.stored_tensor import stack_vectors
from workloads.shapes import Step

N, C, M = 2, 3, 2
INPUT_NONZEROS = [2, 1]
FORWARD = pose_linear(Step.FORWARD)


def test_a_dot_product_pays_an_overhead_and_a_cycle_for_each_nonzero() -> None:
    assert measure_products(FORWARD).tolist() == [[OVERHEAD + nonzeros] * PES for nonzeros in INPUT_NONZEROS]
    assert count_products(FORWARD).multiplications == M * sum(INPUT_NONZEROS)


def test_gta_works_for_inputs_that_the_mask_lets_through_alone() -> None:
    product = OVERHEAD + 1
    # Blocks of two inputs: of (1, 0) and (2, -) in the first image, of (0, 0) and (3, -) in the second.
    assert measure_products(pose_linear(Step.GTA)).tolist() == [[product, 0], [product, 0], [0, 0], [product, 0]]


def test_without_a_limit_one_tile_holds_the_step() -> None:
    plan = plan_products(FORWARD)
    sizes = find_products_tiling(plan)
    assert sizes.tolist() == [N, 1, C]
    load = sum(size_mask_row(C, nonzeros) for nonzeros in INPUT_NONZEROS) + M * C * WORD_BYTES
    rows = plan.drivers.running, plan.drivers.code, 16
    measured = measure_products_tile(sizes, *rows, M, PES, False, *stack_vectors((), N, M))
    assert measured == load
    assert size_products_tile(sizes, N, M, PES, 16) == N * M * WORD_BYTES
    traffic, _ = make_products_traffic(FORWARD)
    assert traffic.tile_load_bytes.tolist() == [load]
    assert traffic.tile_write_back_bytes.tolist() == [N * M * WORD_BYTES]
    assert traffic.footprint_bytes == 2 * N * M * WORD_BYTES + 2 * load


def test_a_block_whose_products_are_all_masked_hands_nothing_to_the_ppu() -> None:
    traffic, _ = make_products_traffic(pose_linear(Step.GTA))
    assert traffic.ppu_elements.tolist() == [2, 1, 0, 1]
    assert traffic.ppu_write_bytes.tolist() == [2 * WORD_BYTES, WORD_BYTES, 0, WORD_BYTES]


def test_a_batch_repeats_its_images() -> None:
    plan = plan_products_tiles(FORWARD, np.array([0, 1, 1, 0]))
    assert (plan.tasks, len(plan)) == (4, 1)
    assert count_owned(range(1, 2), PES, C) == (1, C - PES)


def test_cutting_adds_headers() -> None:
    counts = count_products(FORWARD)
    uncut, cut = np.array([[3, 3]]), np.array([[4, 4]])
    assert add_headers(counts, uncut, cut).header_cycles == counts.header_cycles + PES


def test_values_are_matrix_products_of_a_convolution_of_one_by_one() -> None:
    assert view_as_convolution(FORWARD).conv_shape.weight_shape == (M, C, 1, 1)
    values = LinearProducts().execute(FORWARD, np.ones(N, dtype=np.bool_))
    assert values.output.tolist() == (LINEAR_INPUT @ LINEAR_WEIGHT.T).tolist()
    gta = LinearProducts().execute(pose_linear(Step.GTA), np.ones(2 * N, dtype=np.bool_))
    assert gta.output.tolist() == ((LINEAR_GRADIENT @ LINEAR_WEIGHT) * (LINEAR_INPUT != 0)).tolist()
