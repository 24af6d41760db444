"""GTW of a convolution worked by hand: lengths, bursts, traffic, tiles of a batch, values."""

from __future__ import annotations

import numpy as np
from worked_layers import ARRAY, CONV_GRADIENT, CONV_INPUT, OVERHEAD, PES, SUM_BYTES, pose_conv, size_mask_row

from dataflows.rows.taps import pair_rows
from dataflows.sparsetrain.conv_kernels.bursts import KernelCycles, make_room
from dataflows.sparsetrain.conv_kernels.lengths import deal_gtw, tally_gtw
from dataflows.sparsetrain.conv_kernels.mapping import ConvKernels
from dataflows.sparsetrain.conv_kernels.plan import plan_kernels
from dataflows.sparsetrain.conv_kernels.sampled_tiles import pack_kernels_tiles, plan_kernels_tiles
from dataflows.sparsetrain.conv_kernels.tile_tables import tabulate_kernels
from dataflows.sparsetrain.conv_kernels.traffic import make_kernels_traffic
from dataflows.sparsetrain.conv_kernels.values import execute_gtw
from workloads.shapes import Step

C, M, ROWS, W = 2, 2, 2, 3
PROBLEM = pose_conv(Step.GTW)
# Nonzeros of each filter's rows of the gradient; a PE owns one channel, and an element without a partner costs a cycle.
GRADIENT_NONZEROS = [(1, 1), (0, 1)]
CYCLES = [ROWS * OVERHEAD + sum(nonzeros) for nonzeros in GRADIENT_NONZEROS]


def test_a_task_pays_an_overhead_for_each_row_and_a_cycle_for_each_gradient() -> None:
    assert deal_gtw(PROBLEM).tolist() == [[cycles] * PES for cycles in CYCLES]
    assert ConvKernels().measure_tasks(PROBLEM).tolist() == [[cycles] * PES for cycles in CYCLES]


def test_multiplications_are_those_of_nonzeros_that_meet() -> None:
    tally = tally_gtw(PROBLEM)
    assert tally.row_ops == M * C * ROWS
    met = np.einsum("nmpq,ncpq->mc", CONV_GRADIENT != 0, (CONV_INPUT != 0).astype(np.int64))
    assert tally.multiplications == int(met.sum())


def test_issue_cycles_of_a_filter_are_its_nonzeros_row_by_row() -> None:
    cycles = KernelCycles(PROBLEM.operands, PROBLEM.conv_shape, ARRAY, pair_rows(PROBLEM.conv_shape))
    issued = cycles.issue(range(1, 2))
    assert issued[0, :, 0, 0, :].tolist() == [[nonzeros] * C for nonzeros in GRADIENT_NONZEROS[1]]


def test_running_sums_end_with_the_bytes_of_both_operands() -> None:
    plan = plan_kernels(PROBLEM)
    tables = tabulate_kernels(plan)
    assert tables.lone.sums[..., -1, -1, -1].sum() == plan.driver_bytes.sum()
    assert tables.paired.sums[..., -1, -1, -1].sum() == plan.input_bytes.sum()
    assert (plan.limits, plan.reductions) == ((M, 1), (1, ROWS))


def test_room_for_bursts_doubles() -> None:
    room = make_room(entries=1, pes=PES, tells_drivers=True)
    before = len(room.size_bytes)
    room.grow()
    assert (len(room.size_bytes), room.cycles.shape) == (2 * before, (2 * before, PES))
    assert room.drivers.shape == (2 * before, 2)


def test_one_tile_loads_both_operands_and_writes_raw_sums() -> None:
    traffic, dispatch = make_kernels_traffic(PROBLEM)
    gradients = sum(size_mask_row(W, count) for nonzeros in GRADIENT_NONZEROS for count in nonzeros)
    inputs = sum(size_mask_row(W, int(count)) for count in np.count_nonzero(CONV_INPUT, axis=-1).reshape(-1))
    assert traffic.tile_load_bytes.tolist() == [gradients + inputs]
    assert traffic.ppu_write_bytes.tolist() == [C * SUM_BYTES] * M
    assert traffic.footprint_bytes == 2 * M * C * SUM_BYTES + 2 * (gradients + inputs)
    assert dispatch.tolist() == [0, 1]


def test_all_tiles_of_a_batch_are_the_traffic_of_the_step() -> None:
    plan, (whole, _) = plan_kernels_tiles(PROBLEM, np.array([0])), make_kernels_traffic(PROBLEM)
    packed = pack_kernels_tiles(plan, PROBLEM, [0], np.array([0]))
    assert packed.burst_bytes.tolist() == whole.burst_bytes.tolist()
    assert packed.burst_cycles.tolist() == whole.burst_cycles.tolist()


def test_values_are_correlations_of_gradient_and_input() -> None:
    values = execute_gtw(PROBLEM, np.ones(M, dtype=np.bool_))
    assert values.output[..., 0, 0].tolist() == np.einsum("nmpq,ncpq->mc", CONV_GRADIENT, CONV_INPUT).tolist()
