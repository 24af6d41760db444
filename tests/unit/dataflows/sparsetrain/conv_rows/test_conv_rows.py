"""Forward and GTA of a convolution worked by hand: lengths, bursts, traffic, tiles of a batch, values."""

from __future__ import annotations

import numpy as np
from worked_layers import CONV_GRADIENT, CONV_INPUT, CONV_WEIGHT, OVERHEAD, PES, WORD_BYTES, pose_conv, size_mask_row

from dataflows.sparsetrain.conv_rows.chunk_cycles import ChunkCycles
from dataflows.sparsetrain.conv_rows.chunks import cut_chunks
from dataflows.sparsetrain.conv_rows.lengths import deal_forward, deal_gta, tally_forward
from dataflows.sparsetrain.conv_rows.mapping import ConvRows
from dataflows.sparsetrain.conv_rows.plan import plan_rows
from dataflows.sparsetrain.conv_rows.sampled_tiles import pack_rows_tiles, plan_rows_tiles
from dataflows.sparsetrain.conv_rows.traffic import make_rows_traffic
from dataflows.sparsetrain.conv_rows.values import execute_forward, execute_gta
from dataflows.tiling.bursts import UNLIMITED_BYTES
from workloads.shapes import Step

C, M, W = 2, 2, 3
# Nonzeros of the two channels' rows, result row by result row.
DRIVER_NONZEROS = [(2, 1), (0, 3)]
FORWARD_CYCLES = [C * OVERHEAD + sum(nonzeros) for nonzeros in DRIVER_NONZEROS]
GRADIENT_NONZEROS = [(1, 0), (1, 1)]


def size_kernel_rows(pes: int) -> int:
    return pes * WORD_BYTES


def test_a_task_pays_an_overhead_for_each_channel_and_a_cycle_for_each_nonzero() -> None:
    assert deal_forward(pose_conv(Step.FORWARD)).tolist() == [[cycles] * PES for cycles in FORWARD_CYCLES]
    gta = [[M * OVERHEAD + sum(nonzeros)] * PES for nonzeros in GRADIENT_NONZEROS]
    assert deal_gta(pose_conv(Step.GTA)).tolist() == gta


def test_row_operations_and_their_multiplications_add_up() -> None:
    tally = tally_forward(pose_conv(Step.FORWARD))
    assert tally.row_ops == M * C * len(DRIVER_NONZEROS)
    assert tally.multiplications == M * sum(map(sum, DRIVER_NONZEROS))
    counts = ConvRows().count(pose_conv(Step.FORWARD))
    assert (counts.row_ops, counts.multiplications) == (tally.row_ops, tally.multiplications)


def test_an_unlimited_store_takes_all_items_of_a_task_in_one_burst() -> None:
    plan = plan_rows(pose_conv(Step.FORWARD))
    # Columns: strip, image, result row, group, PEs, first and last channel.
    kinds = np.array([[0, 0, x, 0, PES, 0, C] for x in range(len(DRIVER_NONZEROS))])
    chunks = cut_chunks(kinds, np.arange(PES + 1)[:, None], plan, UNLIMITED_BYTES, 16)
    assert chunks.first.tolist() == [0, 1, 2]
    sizes = [sum(size_mask_row(W, count) + size_kernel_rows(PES) for count in nonzeros) for nonzeros in DRIVER_NONZEROS]
    assert chunks.size_bytes.tolist() == sizes
    cycles, sharing = ChunkCycles(plan, plan.strips[0]).sum_up(kinds, chunks)
    assert (cycles[:, 0].tolist(), sharing) == (FORWARD_CYCLES, M)


def test_a_store_that_holds_one_item_makes_a_burst_of_each_channel() -> None:
    plan = plan_rows(pose_conv(Step.FORWARD))
    half = size_mask_row(W, 3) + size_kernel_rows(PES)
    chunks = cut_chunks(np.array([[0, 0, 0, 0, PES, 0, C]]), np.arange(PES + 1)[:, None], plan, half, 16)
    sizes = [size_mask_row(W, count) + size_kernel_rows(PES) for count in DRIVER_NONZEROS[0]]
    assert chunks.size_bytes.tolist() == sizes


def test_one_tile_loads_every_operand_once_and_writes_the_compressed_result() -> None:
    traffic, dispatch = make_rows_traffic(pose_conv(Step.FORWARD))
    drivers = sum(size_mask_row(W, count) for nonzeros in DRIVER_NONZEROS for count in nonzeros)
    assert traffic.tile_load_bytes.tolist() == [drivers + M * C * WORD_BYTES]
    written = np.count_nonzero(np.einsum("mc,ncpq->nmpq", CONV_WEIGHT[..., 0, 0], CONV_INPUT), axis=-1)
    rows = [[size_mask_row(W, int(written[0, m, p])) for m in range(M)] for p in range(2)]
    assert traffic.ppu_write_bytes.tolist() == [sum(row) for row in rows]
    assert traffic.tile_write_back_bytes.tolist() == [sum(map(sum, rows))]
    assert dispatch.tolist() == [0, 1]


def test_all_tiles_of_a_batch_are_the_traffic_of_the_step() -> None:
    problem = pose_conv(Step.GTA)
    plan = plan_rows_tiles(problem, np.array([0]))
    packed, (whole, _) = pack_rows_tiles(plan, problem, [0], np.array([0])), make_rows_traffic(problem)
    assert plan.tasks == len(GRADIENT_NONZEROS)
    assert packed.burst_cycles.tolist() == whole.burst_cycles.tolist()
    assert packed.tile_load_bytes.tolist() == whole.tile_load_bytes.tolist()


def test_values_are_sums_over_channels_and_masked_where_the_relu_was_zero() -> None:
    executed, weight = np.ones(2, dtype=np.bool_), CONV_WEIGHT[..., 0, 0]
    forward = execute_forward(pose_conv(Step.FORWARD), executed)
    assert forward.output.tolist() == np.einsum("mc,ncpq->nmpq", weight, CONV_INPUT).tolist()
    gta = execute_gta(pose_conv(Step.GTA), executed)
    assert gta.output.tolist() == (np.einsum("mc,nmpq->ncpq", weight, CONV_GRADIENT) * (CONV_INPUT != 0)).tolist()
