"""Check the lowering to items and bursts of the stepped model against cases worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle.stepped_conv import Conv
from oracle.stepped_conv_work import ConvWork
from oracle.stepped_linear import Linear, LinearWork
from oracle.stepped_lowering import Item, Operands, count_kernels_per_pe, count_words, plan_bursts, split_blocks
from oracle.stepped_records import Machine
from oracle.stepped_storage import choose_format, size_row

SPARSE = Machine(groups=1, pes_per_group=2, min_tasks_per_group=1)
DENSE = replace(SPARSE, skip_zeros=False)


def test_row_sizes_follow_the_three_formulas() -> None:
    row = np.array([0, 3, 0, 0, 5, 0, 0, 0, 0])
    assert size_row(row, "raw", 16) == 9 * 16 // 8
    assert size_row(row, "bitmask", 16) == 2 + -(-(9 + 2 * 16) // 8)
    assert size_row(row, "offset", 16) == 2 + -(-(4 + 2 * (16 + 4)) // 8)
    assert size_row(row[:1], "offset", 16) == 2 + 1
    assert size_row(np.array([7]), "offset", 15) == 2 + -(-(1 + 15 + 1) // 8)
    assert size_row(np.ones(8), "offset", 16) == 2 + -(-(4 + 8 * (16 + 3)) // 8)


def test_auto_takes_the_smallest_total_and_the_dense_machine_stores_raw() -> None:
    empty = np.zeros((2, 3, 20))
    full = np.ones((2, 3, 20))
    half_full = np.tile([0, 1], (2, 3, 10))
    assert choose_format(empty, SPARSE) == "offset"
    assert choose_format(half_full, SPARSE) == "bitmask"
    assert choose_format(full, SPARSE) == "raw"
    assert choose_format(empty, DENSE) == "raw"
    assert choose_format(full, replace(SPARSE, sparse_format="offset")) == "offset"


def test_auto_prefers_raw_then_bitmask_where_totals_are_equal() -> None:
    short, long = np.arange(8) == 3, np.arange(16) < 14
    assert size_row(short, "bitmask", 16) == size_row(short, "offset", 16) < size_row(short, "raw", 16)
    assert choose_format(short, SPARSE) == "bitmask"
    assert size_row(long, "raw", 16) == size_row(long, "bitmask", 16) < size_row(long, "offset", 16)
    assert choose_format(long, SPARSE) == "raw"


def test_blocks_do_not_cross_the_groups_of_a_convolution() -> None:
    assert split_blocks(10, 2, 3) == [range(0, 3), range(3, 5), range(5, 8), range(8, 10)]


def test_a_pe_gets_as_many_kernels_as_fit_but_leaves_work_for_all() -> None:
    machine = replace(SPARSE, accumulators=40, groups=2, min_tasks_per_group=3)
    assert count_kernels_per_pe(machine, kernel_elements=9, kernels=1000) == 40 // 9
    assert count_kernels_per_pe(machine, kernel_elements=9, kernels=38) == 38 // (2 * 2 * 3)
    assert count_kernels_per_pe(machine, kernel_elements=9, kernels=5) == 1


def test_an_src_operation_counts_live_taps_per_driver_nonzero() -> None:
    layer = Conv("c", 1, 1, 1, 5, 2, 3, 3, stride=2, padding=1)
    image = np.array([[[[4, 0, 3, 2, 0]]]])
    weight = np.zeros((2, 1, 3, 3))
    weight[:, 0, 1] = [[1, 0, 2], [1, 1, 1]]
    operands = Operands(input=image, weight=weight, written=np.ones((1, 2, 1, 3)))
    work = ConvWork(layer, "forward", SPARSE, operands)
    # w = 0 meets q = 0 by s = 1 only, w = 2 meets q = 1 by s = 1, w = 3 meets q = 1 and 2 by s = 2 and 0.
    (item,) = work.list_items((0, 0, 0), (range(1),))
    assert item.pe_cycles == (1 + 1 + 1 + 2, 1 + 1 + 1 + 2)
    (item,) = ConvWork(layer, "forward", replace(SPARSE, skip_weights=True), operands).list_items(
        (0, 0, 0), (range(1),)
    )
    assert item.pe_cycles == (1 + 1 + 1 + 2, 1 + 1 + 1 + 2)
    look_ahead = replace(SPARSE, skip_weights=True, empty_issue_cycles=0)
    (item,) = ConvWork(layer, "forward", look_ahead, operands).list_items((0, 0, 0), (range(1),))
    assert item.pe_cycles == (1 + 0 + 0 + 2, 1 + 1 + 1 + 2)
    (item,) = ConvWork(layer, "forward", DENSE, operands).list_items((0, 0, 0), (range(1),))
    assert item.pe_cycles == (1 + 1 + 2 + 1 + 2 + 1, 1 + 1 + 2 + 1 + 2 + 1)
    (item,) = ConvWork(layer, "forward", replace(DENSE, multipliers_per_pe=2), operands).list_items(
        (0, 0, 0), (range(1),)
    )
    assert item.pe_cycles == (1 + 5, 1 + 5)


def test_forward_items_run_over_channels_then_kernel_rows_in_range() -> None:
    layer = Conv("c", 1, 2, 3, 4, 3, 3, 3, padding=1)
    operands = Operands(input=np.ones((1, 2, 3, 4)), weight=np.ones((3, 2, 3, 3)), written=np.ones((1, 3, 3, 4)))
    work = ConvWork(layer, "forward", SPARSE, operands)
    items = work.list_items((0, 0, 1), (range(2),))
    assert [list(item.rows) for item in items] == [
        [("input", 0, c, h), ("weight", 2, c, r)] for c in (0, 1) for h, r in ((0, 1), (1, 2))
    ]
    assert [sum(item.rows.values()) for item in items] == [4 * 2 + 3 * 2] * 4
    assert work.size_results((0, 0, 1)).elements == 4
    assert work.size_results((0, 0, 0)).final_bytes == 2 * 4 * 2


def test_an_msrc_operation_honours_the_mask_and_the_dense_machine_does_not() -> None:
    layer = Conv("c", 1, 1, 1, 4, 1, 3, 3, padding=1)
    gradient, mask = np.array([[[[2, 0, 0, 1]]]]), np.array([[[[1, 0, 0, 0]]]])
    operands = Operands(
        weight=np.ones((1, 1, 3, 3)), grad_output=gradient, mask=mask, written=np.array([[[[5, 0, 0, 0]]]])
    )
    work = ConvWork(layer, "gta", SPARSE, operands)
    (item,) = work.list_items((0, 0, 0), (range(1),))
    assert item.pe_cycles == (1 + 1 + 1,)
    tile_mask_bytes = 1
    assert work.size_mask((0, 0, 0)) == tile_mask_bytes
    dense = ConvWork(layer, "gta", DENSE, operands)
    (item,) = dense.list_items((0, 0, 0), (range(1),))
    assert item.pe_cycles == (1 + 2 + 3 + 3 + 2,)
    assert dense.size_results((0, 0, 0)).read_bytes == tile_mask_bytes


def test_gtw_items_share_driver_and_input_rows_and_fill_the_first_pe_first() -> None:
    layer = Conv("c", 2, 3, 2, 4, 1, 2, 2)
    image = np.ones((2, 3, 2, 4))
    gradient = np.array([[[[1, 0, 2]]], [[[0, 0, 0]]]])
    machine = replace(SPARSE, min_tasks_per_group=1, groups=1, pes_per_group=1)
    operands = Operands(input=image, grad_output=gradient)
    assert ConvWork(layer, "gtw", machine, operands).kernels == 3
    work = ConvWork(layer, "gtw", SPARSE, operands)
    assert work.kernels == 1
    work.kernels, work.blocks = 2, split_blocks(3, 1, 4)
    items = work.list_items((0, 0), (range(2), range(2)))
    # h = 0 is met by r = 0 and h = 1 by r = 1; PE 1 has one kernel, so it has nothing in the second local channel.
    places = [(n, h, local) for n in (0, 1) for h in (0, 1) for local in (0, 1)]
    channels = {0: (0, 2), 1: (1,)}
    assert [list(item.rows) for item in items] == [
        [("grad_output", n, 0, 0), *(("input", n, c, h) for c in channels[local])] for n, h, local in places
    ]
    full, empty = 1 + 2 + 2, 1
    assert [item.pe_cycles for item in items] == [
        ((full, empty)[n], (full, empty)[n] if local == 0 else 0) for n, _, local in places
    ]


def test_a_grouped_convolution_reads_its_own_groups_channels() -> None:
    layer = Conv("c", 1, 4, 1, 2, 4, 1, 1, groups=2)
    image, weight, gradient = np.ones((1, 4, 1, 2)), np.ones((4, 2, 1, 1)), np.ones((1, 4, 1, 2))
    operands = Operands(input=image, weight=weight, grad_output=gradient, written=gradient)
    forward = ConvWork(layer, "forward", SPARSE, operands).list_items((0, 0, 1), (range(2),))
    assert [list(item.rows) for item in forward] == [
        [("input", 0, 2 + c, 0), ("weight", 2, c, 0), ("weight", 3, c, 0)] for c in (0, 1)
    ]
    gta = ConvWork(layer, "gta", SPARSE, operands).list_items((0, 0, 1), (range(2),))
    assert [list(item.rows) for item in gta] == [
        [("grad_output", 0, m, 0), ("weight", m, 0, 0), ("weight", m, 1, 0)] for m in (2, 3)
    ]
    gtw = ConvWork(layer, "gtw", replace(SPARSE, pes_per_group=1), operands).list_items((3, 0), (range(1), range(1)))
    assert [list(item.rows) for item in gtw] == [[("grad_output", 0, 3, 0), ("input", 0, 2 + c, 0)] for c in (0, 1)]


def test_a_burst_takes_items_while_their_distinct_rows_fit_a_half() -> None:
    machine = replace(SPARSE, operand_store_bytes=20)
    items = [Item({("a",): 4, ("b",): 3}, (2, 1)), Item({("a",): 4, ("c",): 3}, (3, 0)), Item({("a",): 4}, (1, 1))]
    assert plan_bursts(items, machine, mask_bytes=5) == ((10 + 5, (2 + 3 + 1, 1 + 0 + 1)),)
    narrow = replace(machine, operand_store_bytes=18)
    # The row a is fetched again in the second burst.
    assert plan_bursts(items, narrow) == ((7, (2, 1)), (7, (3 + 1, 0 + 1)))
    unlimited = replace(machine, operand_store_bytes=None)
    assert plan_bursts(items * 5, unlimited) == ((10, (30, 10)),)
    assert plan_bursts([], machine, mask_bytes=5) == ()


def test_an_item_larger_than_a_half_is_cut_into_equal_segments() -> None:
    machine = replace(SPARSE, operand_store_bytes=20)
    small, large = Item({("a",): 3}, (2, 1)), Item({("b",): 25}, (10, 4))
    assert plan_bursts([small, large, small], machine) == (
        (3, (2, 1)),
        (9, (10 // 3, 4 // 3)),
        (9, (20 // 3 - 10 // 3, 8 // 3 - 4 // 3)),
        (25 - 18, (10 - 20 // 3, 4 - 8 // 3)),
        (3, (2, 1)),
    )


def test_a_kernel_row_that_does_not_fit_the_accumulators_is_refused() -> None:
    layer = Conv("wide", 1, 1, 1, 9, 1, 2, 8, padding=1)
    operands = Operands(input=np.ones((1, 1, 1, 9)), grad_output=np.ones((1, 1, 2, 4)))
    ConvWork(layer, "gtw", replace(SPARSE, accumulators=8), operands)
    with pytest.raises(ValueError, match=r"^Layer wide needs 8 accumulators in gtw; a PE has 7\.$"):
        ConvWork(layer, "gtw", replace(SPARSE, accumulators=7), operands)


def test_a_fully_connected_forward_task_is_one_item() -> None:
    layer = Linear("fc", 1, 5, 3)
    operands = Operands(
        input=np.array([[1, 0, 2, 0, 3]]), weight=np.ones((3, 5)), written=np.ones((1, 3)), is_weight_pruned=False
    )
    machine = replace(SPARSE, multipliers_per_pe=2, sparse_format="bitmask")
    (item,) = LinearWork(layer, "forward", machine, operands).list_items((0, 0), (range(5),))
    assert item.pe_cycles == (1 + 2, 1 + 2)
    assert sum(item.rows.values()) == (2 + -(-(5 + 3 * 16) // 8)) + 2 * 5 * 2
    (item,) = LinearWork(layer, "forward", replace(machine, skip_zeros=False), operands).list_items((0, 1), (range(5),))
    assert item.pe_cycles == (1 + 3,)
    assert sum(item.rows.values()) == 5 * 2 + 5 * 2


def test_a_fully_connected_gta_works_only_where_the_mask_is_set() -> None:
    layer = Linear("fc", 1, 4, 3)
    operands = Operands(
        weight=np.ones((3, 4)),
        grad_output=np.array([[1, 0, 2]]),
        mask=np.array([[0, 1, 0, 0]]),
        written=np.ones((1, 4)),
    )
    work = LinearWork(layer, "gta", SPARSE, operands)
    (item,) = work.list_items((0, 0), (range(3),))
    assert item.pe_cycles == (0, 1 + 2)
    assert list(item.rows) == [("grad_output", 0, 0, 3), ("weight", 1, 0, 3)]
    assert work.list_items((0, 1), (range(3),)) == []
    (item,) = LinearWork(layer, "gta", DENSE, operands).list_items((0, 1), (range(3),))
    assert item.pe_cycles == (1 + 3, 1 + 3)


def test_a_fully_connected_gtw_skips_images_without_gradient() -> None:
    layer = Linear("fc", 3, 4, 2)
    operands = Operands(
        input=np.array([[1, 0, 2, 0], [1, 1, 1, 1], [0, 0, 5, 5]]), grad_output=np.array([[1, 0], [0, 1], [2, 2]])
    )
    work = LinearWork(layer, "gtw", SPARSE, operands)
    assert work.kernels == 4 * 2 // 2
    assert work.blocks == [range(0, 4)]
    items = work.list_items((0, 0), (range(3),))
    assert [item.pe_cycles for item in items] == [(1 + 2,), (1 + 2,)]
    assert [list(item.rows) for item in items] == [[("grad_output", n, 0, 1), ("input", n, 0, 4)] for n in (0, 2)]
    assert work.size_results((0, 0)).final_bytes == 4 * 4
    dense = LinearWork(layer, "gtw", DENSE, operands).list_items((0, 0), (range(3),))
    assert [item.pe_cycles for item in dense] == [(1 + 4,)] * 3


def test_every_pe_that_works_on_a_row_anywhere_in_a_burst_takes_its_words_in() -> None:
    first, second, third = frozenset([("a",)]), frozenset([("a",), ("b",)]), frozenset([("b",)])
    items = [
        Item({("a",): 4, ("b",): 3}, (1, 1), (first, third)),
        Item({("a",): 4, ("b",): 3}, (1, 1), (second, third)),
        Item({("a",): 4}, (0, 1), (frozenset(), first)),
    ]
    whole = replace(SPARSE, operand_store_bytes=None)
    row, other, mask = 4 // 2, 2, 1
    # PE 0 takes in a and b, PE 1 too, a in the last item alone; three bytes are two words, a byte of the mask is one.
    assert count_words(items, whole) == 2 * (row + other)
    assert count_words(items, whole, mask_bytes=1) == 2 * (row + other) + mask
    # A half of 7 bytes holds all three items, one of 6 none of the first two, which are fetched in segments.
    assert count_words(items, replace(SPARSE, operand_store_bytes=14)) == 2 * (row + other)
    assert count_words(items, replace(SPARSE, operand_store_bytes=12)) == (row + other) + (row + 2 * other) + row
    assert count_words([], whole, mask_bytes=1) == 0
