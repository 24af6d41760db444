"""Hold the stepped model of rows that are left out against the definition, all executed, and cases by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_cases import thin
from oracle.definition import run_step as run_defined
from oracle.describe_layers import describe
from oracle.general_layers import draw_layer, draw_machine, draw_operands
from oracle.stepped_conv import Conv
from oracle.stepped_linear import Linear
from oracle.stepped_lowering import Item, Operation, Work, gather_item
from oracle.stepped_records import Machine
from oracle.stepped_step import lower_step, make_work, run_step
from oracle.stepped_tiling import plan_tiling
from oracle.test_stepped_general import IDEAL, STEPS, add_cycles, give_array

SEED = 141
CASES = 150
PAIR = Machine(groups=1, pes_per_group=2, min_tasks_per_group=1, sparse_format="raw", skip_empty_rows=True)
HEADER, WORD = PAIR.row_overhead_cycles, PAIR.data_bits // 8
# Two input channels of two rows and three columns; row 1 of channel 0 and row 0 of channel 1 hold no nonzero.
IMAGE = np.array([[[[1, 0, 2], [0, 0, 0]], [[0, 0, 0], [0, 3, 0]]]])


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_tasks_take_the_definitions_cycles(index: int) -> None:
    rng = np.random.default_rng([SEED, index])
    layer, array = draw_layer(rng), replace(draw_machine(rng), skip_empty_rows=True)
    operands = draw_operands(rng, layer)
    for step in STEPS:
        defined = run_defined(layer, step, array, **operands)
        (tile,), _ = lower_step(make_work(describe(layer), step, give_array(array), **operands))
        assert [add_cycles(task, array.pes_per_group) for task in tile.tasks] == defined.pe_cycles
        assert run_step(describe(layer), step, give_array(array), **operands).cycles == defined.cycles


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_what_is_left_out_is_not_fetched_and_all_else_moves_as_before(index: int) -> None:
    rng = np.random.default_rng([SEED, index])
    layer, array = draw_layer(rng), draw_machine(rng)
    operands = draw_operands(rng, layer)
    for step in STEPS:
        machine = replace(give_array(array), operand_store_bytes=64)
        works = [
            make_work(describe(layer), step, replace(machine, skip_empty_rows=skips), **operands, output_is_relu=True)
            for skips in (False, True)
        ]
        for place in np.ndindex(*works[0].task_limits):
            executed, left = (
                work.list_items(place, tuple(range(limit) for limit in work.reduction_limits)) for work in works
            )
            assert len(left) <= len(executed)
            assert all(any(one.rows.items() <= other.rows.items() for other in executed) for one in left)
            assert works[0].size_results(place) == works[1].size_results(place)
        if not array.skip_zeros:
            assert lower_step(works[0]) == lower_step(works[1])


def list_everything(work: Work, place: tuple[int, ...]) -> list[Item]:
    """List the items of a task whose reduction is not cut."""
    return work.list_items(place, tuple(range(limit) for limit in work.reduction_limits))


def test_an_item_has_the_rows_and_cycles_of_the_operations_that_are_executed() -> None:
    first, second = Operation({("a",): 2, ("b",): 3}, 7), Operation({("a",): 2, ("c",): 5}, None)
    assert gather_item([first, second, None]) == Item({("a",): 2, ("b",): 3}, (7, 0, 0))
    assert gather_item([second, first]) == Item({("a",): 2, ("b",): 3}, (0, 7))
    assert gather_item([replace(first, cycles=0), second]) == Item({("a",): 2, ("b",): 3}, (0, 0))
    assert gather_item([second, None]) is None


def test_a_burst_of_forward_fetches_no_empty_driver_and_no_kernel_row_for_it() -> None:
    layer = Conv("conv", 1, 2, 2, 3, 3, 2, 1)
    weight = np.ones((3, 2, 2, 1))
    work = make_work(layer, "forward", PAIR, IMAGE, weight)
    (tile,), _ = lower_step(work)
    # p = 0 reads (c, r) = (0, 0) with two nonzeros and (1, 1) with one; the other two driver rows are empty.
    drivers, cycles = 2 * 3 * WORD, (HEADER + 2) + (HEADER + 1)
    assert tile.tasks[0].bursts == ((drivers + 2 * 2 * 1 * WORD, (cycles, cycles)),)
    assert tile.tasks[1].bursts == ((drivers + 2 * 1 * WORD, (cycles,)),)
    # The load holds all rows, and a bit for each of the four of the input; the output, which no ReLU follows, has none.
    assert tile.load_bytes == (4 * 3 + weight.size) * WORD + 1
    assert tile.write_back_bytes == 3 * 3 * WORD
    relu = make_work(layer, "forward", PAIR, IMAGE, weight, output_is_relu=True)
    assert lower_step(relu)[0][0].write_back_bytes == 3 * 3 * WORD + 1


def test_an_empty_image_still_passes_the_ppu_of_forward() -> None:
    layer = Conv("conv", 1, 2, 2, 3, 3, 2, 1)
    work = make_work(layer, "forward", PAIR, np.zeros_like(IMAGE), np.ones((3, 2, 2, 1)))
    (tile,), _ = lower_step(work)
    assert [(task.bursts, task.elements, task.write_bytes) for task in tile.tasks] == [
        ((), 2 * 3, 2 * 3 * WORD), ((), 3, 3 * WORD),
    ]  # fmt: skip


@pytest.mark.parametrize("summed", [None, np.ones((1, 4, 1, 9))])
def test_gta_fetches_for_the_pes_whose_mask_is_set_alone(summed: np.ndarray | None) -> None:
    # Blocks of input channels (0, 1) and (2, 3); of channel 0 alone the mask is set somewhere.
    layer = Conv("conv", 1, 4, 1, 9, 2, 1, 1)
    gradient, weight, mask = np.zeros((1, 2, 1, 9)), np.ones((2, 4, 1, 1)), np.zeros((1, 4, 1, 9))
    gradient[0, 1, 0, :2] = 5
    mask[0, 0, 0, 8] = 1
    work = make_work(layer, "gta", PAIR, None, weight, gradient, mask, summed=summed)
    (tile,), _ = lower_step(work)
    mask_row, row = 2, 9 * WORD
    # Filter 1 alone has a gradient: one driver row, one kernel row of one word, and the mask rows of both PEs.
    assert tile.tasks[0].bursts == ((row + WORD + 2 * mask_row, (HEADER + 2, 0)),)
    assert tile.tasks[1].passes_ppu is (summed is not None)
    # Bits of two rows of dO, of four mask rows and of four gradients to be summed: a byte for each tensor.
    sums = 0 if summed is None else 4 * row + 1
    assert tile.load_bytes == 2 * row + weight.size * WORD + 4 * mask_row + 2 + sums
    assert tile.write_back_bytes == 4 * row + 1


def test_gtw_fetches_the_input_rows_that_meet_a_gradient_and_ends_tasks_that_meet_none() -> None:
    layer = Conv("conv", 1, 2, 2, 3, 2, 1, 1)
    gradient = np.zeros((1, 2, 2, 3))
    gradient[0, 0, 0] = [5, 0, 5]
    work = make_work(layer, "gtw", replace(PAIR, min_tasks_per_group=2), IMAGE, None, gradient)
    (tile,), _ = lower_step(work)
    # Filter 0 has a gradient in row 0 alone, where channel 1 is empty; filter 1 has none.
    assert tile.tasks[0].bursts == ((2 * 3 * WORD, (HEADER + 2, 0)),)
    assert not tile.tasks[1].passes_ppu
    assert tile.load_bytes == 2 * 4 * 3 * WORD + 2
    assert tile.write_back_bytes == 2 * 2 * 4


@pytest.mark.parametrize(("rows", "bits_bytes"), [(2, 2), (1, 1)])
def test_bits_are_rounded_up_once_a_tensor_and_tile(rows: int, bits_bytes: int) -> None:
    # Of five channels a tile of two rows loads ten rows, one of one row five; it writes one or two.
    layer = Conv("conv", 1, 5, 2, 1, 1, 1, 1)
    work = make_work(layer, "forward", PAIR, np.zeros((1, 5, 2, 1)), np.ones((1, 5, 1, 1)), output_is_relu=True)
    tiles = plan_tiling(work, (1, rows, 1), (5,)).tiles
    assert [work.size_bits(tile) for tile in tiles] == [(bits_bytes, 1)] * len(tiles)
    parts = plan_tiling(work, (1, rows, 1), (3,)).tiles
    assert [work.size_bits(tile)[1] for tile in parts] == [0, 1] * len(tiles)


def test_fully_connected_pieces_are_empty_on_their_own() -> None:
    layer = Linear("fc", 1, 4, 3)
    image, weight = np.array([[0, 0, 3, 4]]), np.ones((3, 4))
    work = make_work(layer, "forward", PAIR, image, weight)
    assert work.list_items((0, 0), (range(2),)) == []
    (item,) = work.list_items((0, 0), (range(2, 4),))
    assert (sum(item.rows.values()), item.pe_cycles) == (3 * 2 * WORD, (HEADER + 2, HEADER + 2))
    # In GTW a PE's block of the input is a row: PE 0 has the first two inputs, PE 1 the others.
    gtw = make_work(layer, "gtw", replace(PAIR, min_tasks_per_group=3), image, None, np.array([[5, 0, 6]]))
    (item,) = list_everything(gtw, (0, 0))
    assert gtw.kernels == 2
    assert (sum(item.rows.values()), item.pe_cycles) == ((1 + 2) * WORD, (0, HEADER + 2))
    assert [task.passes_ppu for task in lower_step(gtw)[0][0].tasks] == [True, False, True]


def test_a_step_without_any_operation_takes_the_time_of_its_ppus() -> None:
    layer = Conv("conv", 1, 2, 2, 3, 3, 2, 1)
    machine = replace(IDEAL, groups=1, pes_per_group=2, elements_per_cycle=1, skip_empty_rows=True)
    empty = np.zeros_like(IMAGE)
    forward = run_step(layer, "forward", machine, empty, np.ones((3, 2, 2, 1)))
    assert (forward.cycles, forward.busy, forward.buffer_read_bytes) == (2 * 3 + 3, (0,), 0)
    gtw = run_step(layer, "gtw", machine, empty, None, np.ones((1, 3, 1, 3)))
    assert (gtw.cycles, gtw.buffer_read_bytes, gtw.buffer_write_bytes) == (0, 0, 0)
