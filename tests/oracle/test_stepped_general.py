"""Hold the stepped model of general geometry against the definition, against itself uncut and against cases by hand."""

from __future__ import annotations

from dataclasses import fields, replace
from math import ceil

import numpy as np
import pytest
from drawn_cases import thin
from oracle import definition_layers
from oracle.definition import run_step as run_defined
from oracle.describe_layers import describe
from oracle.general_layers import draw_layer, draw_machine, draw_operands, draw_tensor
from oracle.stepped_conv import Conv
from oracle.stepped_conv_work import ConvWork
from oracle.stepped_linear import Product
from oracle.stepped_lowering import Operands, Tile, Work
from oracle.stepped_records import Machine, TimedTask
from oracle.stepped_step import lower_step, make_work, run_step
from oracle.stepped_storage import size_tensor
from oracle.stepped_tiling import plan_tiling

SEED = 131
CASES = 150
STEPS = ("forward", "gta", "gtw")
IDEAL = Machine(
    capacity_bytes=None, ports=None, bytes_per_port_cycle=None, operand_store_bytes=None, prefetch_next_task=False,
    dram_bytes_per_cycle=None, dram_latency_cycles=0, elements_per_cycle=None,
)  # fmt: skip


def draw_case(index: int) -> tuple[definition_layers.Layer, definition_layers.Machine, dict[str, object]]:
    """Draw a layer, the array of its machine and operands."""
    rng = np.random.default_rng([SEED, index])
    layer = draw_layer(rng)
    return layer, draw_machine(rng), draw_operands(rng, layer)


def give_array(array: definition_layers.Machine, machine: Machine = IDEAL) -> Machine:
    """Give a machine the array of another."""
    return replace(machine, **{field.name: getattr(array, field.name) for field in fields(array)})


def add_cycles(task: TimedTask, pes: int) -> list[int]:
    """Add up a task's bursts for each PE of a group."""
    return [sum(cycles[pe] for _, cycles in task.bursts if pe < len(cycles)) for pe in range(pes)]


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_tasks_take_the_definitions_cycles_in_its_order(index: int) -> None:
    layer, array, operands = draw_case(index)
    for step in STEPS:
        defined = run_defined(layer, step, array, **operands)
        (tile,), _ = lower_step(make_work(describe(layer), step, give_array(array), **operands))
        assert [add_cycles(task, array.pes_per_group) for task in tile.tasks] == defined.pe_cycles
        assert run_step(describe(layer), step, give_array(array), **operands).cycles == defined.cycles


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_what_strips_write_adds_up_to_the_rows_that_are_not_cut(index: int) -> None:
    rng = np.random.default_rng([SEED, index])
    layer = describe(draw_layer(rng))
    if not isinstance(layer, Conv):
        layer = Conv("layer", 2, 3, 4, 9, 2, 3, 3)
    array, shapes = draw_machine(rng), layer.tensor_shapes
    tensors = {name: draw_tensor(rng, shapes[kind]) for name, kind in (
        ("input", "input"), ("weight", "weight"), ("grad_output", "output"), ("summed", "input"),
    )}  # fmt: skip
    for step in ("forward", "gta"):
        cut, whole = (
            make_work(layer, step, give_array(replace(array, accumulators=words)), **tensors, output_is_relu=True)
            for words in (array.accumulators, 1000)
        )
        pair = [[work.size_results(index) for index in np.ndindex(*work.task_limits)] for work in (cut, whole)]
        for name in ("elements", "partial_bytes", "final_bytes"):
            assert sum(getattr(one, name) for one in pair[0]) == sum(getattr(one, name) for one in pair[1])
        assert pair[0] == pair[1] or len(pair[0]) > len(pair[1])
        written = whole.operands.take("written")
        stored = size_tensor(written, whole.formats["written"], whole.machine.data_bits)
        assert sum(one.final_bytes for one in pair[0]) == stored


def test_a_transposed_convolution_moves_what_its_convolution_does_with_exchanged_steps() -> None:
    checked = 0
    for index in range(CASES):
        layer, array, operands = draw_case(index)
        if not isinstance(layer, definition_layers.Transposed):
            continue
        machine = replace(give_array(array), operand_store_bytes=64)
        swapped = {"input": operands["grad_output"], "weight": operands["weight"], "grad_output": operands["input"]}
        operands = {**operands, "mask": None}
        for step, exchanged in (("forward", "gta"), ("gta", "forward"), ("gtw", "gtw")):
            own = make_work(describe(layer), step, machine, **operands, output_is_relu=True)
            written = own.operands.written
            other = make_work(describe(layer.K), exchanged, machine, **swapped, output_is_relu=True, written=written)
            tiles = [plan_tiling(work, work.task_limits, work.reduction_limits).tiles[0] for work in (own, other)]
            tasks = [list(tile.tasks) for tile in tiles]
            assert tasks[0] == tasks[1]
            for at in tasks[0]:
                pair = [
                    [(sum(item.rows.values()), item.pe_cycles) for item in work.list_items(at, tile.reduction)]
                    for work, tile in zip((own, other), tiles, strict=True)
                ]
                assert pair[0] == pair[1]
                assert own.size_results(at) == other.size_results(at)
            assert own.size_load(tiles[0]) == other.size_load(tiles[1])
            assert own.size_write_back(tiles[0]) == other.size_write_back(tiles[1])
            checked += 1
    assert checked > CASES / 2


def test_only_the_steps_own_exception_holds_of_a_transposed_convolution() -> None:
    # Stride 2, one tap: every other output meets nothing. Forward writes its bias there; nothing is left to do in K's.
    layer = Conv("up", 1, 1, 3, 1, 1, 1, 1, stride=(2, 1), is_transposed=True)
    ones = {"input": np.ones((1, 1, 2, 1)), "weight": np.ones((1, 1, 1, 1)), "grad_output": np.ones((1, 1, 3, 1))}
    (forward,), _ = lower_step(make_work(layer, "forward", IDEAL, **ones))
    assert [task.elements for task in forward.tasks] == [1, 1, 1]
    # Padding past the input: GTA's first and last rows meet nothing, so their gradients are zero.
    padded = Conv("pad", 1, 1, 1, 1, 1, 1, 1, padding=(1, 0, 1, 0), is_transposed=True)
    wide = {"input": np.ones((1, 1, 3, 1)), "weight": np.ones((1, 1, 1, 1)), "grad_output": np.ones((1, 1, 1, 1))}
    (gta,), _ = lower_step(make_work(padded, "gta", IDEAL, **wide))
    assert [task.elements for task in gta.tasks] == [0, 1, 0]
    (summed,), _ = lower_step(make_work(padded, "gta", IDEAL, **wide, summed=np.ones((1, 1, 3, 1))))
    assert [task.elements for task in summed.tasks] == [1, 1, 1]


def work_strips(row_format: str, accumulators: int = 2) -> Work:
    """Lower Forward of one row of 8 at stride 2 under one tap: outputs 0..1 read w = 0..2, 2..3 read w = 4..6."""
    layer = Conv("strips", 1, 1, 1, 8, 1, 1, 1, stride=2)
    machine = replace(IDEAL, accumulators=accumulators, sparse_format=row_format)
    operands = Operands(
        input=np.array([[[[1, 0, 0, 0, 2, 3, 0, 4]]]]), weight=np.ones((1, 1, 1, 1)),
        written=np.array([[[[1, 0, 2, 0]]]]), is_written_compressed=True,
    )  # fmt: skip
    return ConvWork(layer, "forward", machine, operands)


def list_tile(strips: range) -> Tile:
    """Give a tile of some strips."""
    return Tile((range(1), range(1), strips, range(1)), (range(1),), is_first_part=True, is_last_part=True)


def test_a_strip_fetches_its_window_of_a_raw_row_and_all_of_a_compressed_one() -> None:
    word, kernel = 2, 2
    raw, mask = work_strips("raw"), work_strips("bitmask")
    stored = 2 + ceil((8 + 4 * 16) / 8)
    for strip in (0, 1):
        (item,) = raw.list_items((0, 0, strip, 0), (range(1),))
        assert sum(item.rows.values()) == 3 * word + kernel
        (item,) = mask.list_items((0, 0, strip, 0), (range(1),))
        assert sum(item.rows.values()) == stored + kernel
    # A tile of both strips holds both windows; w = 3 and 7 are in neither.
    assert raw.size_load(list_tile(range(2))) == 6 * word + kernel
    assert raw.size_load(list_tile(range(1))) == 3 * word + kernel
    assert mask.size_load(list_tile(range(2))) == stored + kernel
    whole = work_strips("raw", accumulators=4)
    (item,) = whole.list_items((0, 0, 0), (range(1),))
    assert sum(item.rows.values()) == 8 * word + kernel


def test_strips_write_shares_of_one_stored_row() -> None:
    # 2 bytes of pointer, 4 bits and 2 nonzeros of 2 bytes: 7 bytes, of which half an element more goes to the first.
    mask, raw = work_strips("bitmask"), work_strips("raw")
    assert [mask.size_results((0, 0, strip, 0)).final_bytes for strip in (0, 1)] == [ceil(7 / 2), 7 - ceil(7 / 2)]
    assert [raw.size_results((0, 0, strip, 0)).final_bytes for strip in (0, 1)] == [4, 4]
    assert [raw.size_results((0, 0, strip, 0)).partial_bytes for strip in (0, 1)] == [8, 8]
    assert [raw.size_results((0, 0, strip, 0)).elements for strip in (0, 1)] == [2, 2]


def test_a_strip_has_the_mask_bits_of_its_own_columns() -> None:
    layer = Conv("wide", 1, 2, 1, 20, 1, 1, 1)
    machine = replace(IDEAL, accumulators=9)
    tensors = {"input": np.ones((1, 2, 1, 20)), "weight": np.ones((1, 2, 1, 1)), "grad_output": np.ones((1, 1, 1, 20))}
    work = make_work(layer, "gta", machine, **tensors, mask=np.ones((1, 2, 1, 20)))
    # Strips of 7, 7 and 6 columns, a byte each for the two channels of the block.
    assert work.task_limits == (1, 1, 3, 1)
    assert [work.size_mask((0, 0, strip, 0)) for strip in range(3)] == [2, 2, 2]
    summed = make_work(layer, "gta", replace(machine, sparse_format="raw"), **tensors, summed=np.ones((1, 2, 1, 20)))
    assert [summed.size_results((0, 0, strip, 0)).read_bytes for strip in range(3)] == [2 * 14, 2 * 14, 2 * 12]


def test_packed_groups_fetch_driver_rows_of_their_own() -> None:
    layer = Conv("depthwise", 1, 5, 1, 4, 5, 1, 1, groups=5)
    machine = replace(IDEAL, pes_per_group=3, sparse_format="raw", pack_groups=True)
    tensors = {"input": np.ones((1, 5, 1, 4)), "weight": np.ones((5, 1, 1, 1)), "grad_output": np.ones((1, 5, 1, 4))}
    row_bytes, kernel = 8, 2
    for step, second in (("forward", kernel), ("gta", kernel), ("gtw", row_bytes)):
        work = make_work(layer, step, machine, **tensors)
        (tile,), _ = lower_step(work)
        expected = [(3 * (row_bytes + second), 3), (2 * (row_bytes + second), 2)]
        assert [(task.bursts[0][0], len(task.bursts[0][1])) for task in tile.tasks] == expected


def test_runs_of_a_kernel_hand_over_their_own_rows() -> None:
    layer = Conv("tall", 1, 2, 5, 3, 2, 5, 2)
    machine = replace(IDEAL, accumulators=5, pes_per_group=2)
    tensors = {"input": np.ones((1, 2, 5, 3)), "weight": np.ones((2, 2, 5, 2)), "grad_output": np.ones((1, 2, 1, 2))}
    work = make_work(layer, "gtw", machine, **tensors)
    # floor(5 / 2) = 2 kernel rows of 5 in 3 runs of 2, 2 and 1; two kernels in a block; one row operation each.
    assert work.task_limits == (2, 1, 3)
    results = [work.size_results((0, 0, run)) for run in range(3)]
    assert [one.elements for one in results] == [8, 8, 4]
    assert [one.final_bytes for one in results] == [32, 32, 16]
    assert [len(work.list_items((0, 0, run), (range(1), range(5)))) for run in range(3)] == [2, 2, 1]


def test_the_gradient_to_a_products_second_factor_is_an_activations() -> None:
    layer = Product("scores", 2, 3, 2, places=2)
    rng = np.random.default_rng(1)
    tensors = {name: rng.integers(1, 4, shape) for name, shape in (
        ("input", (2, 2, 3)), ("weight", (2, 2, 3)), ("grad_output", (2, 2, 2)),
    )}  # fmt: skip
    tensors["grad_output"][0, :, 1] = 0
    machine = replace(IDEAL, pes_per_group=2, sparse_format="bitmask")
    mask = np.ones((2, 2, 3))
    (tile,), _ = lower_step(make_work(layer, "gtw", machine, **tensors, ppu_mask=mask))
    # Blocks of two and one of the three inputs; (place 0, m 1) has no product and hands nothing on.
    assert [task.elements for task in tile.tasks] == [2, 1, 0, 0, 2, 1, 2, 1]
    assert [task.write_bytes for task in tile.tasks] == [4, 2, 0, 0, 4, 2, 4, 2]
    assert [task.ppu_read_bytes for task in tile.tasks] == [1, 1, 0, 0, 1, 1, 1, 1]
    # Rows of three nonzeros take a pointer, 3 bits and 6 bytes; the empty one a pointer and 3 bits.
    assert tile.write_back_bytes == 3 * (2 + 7) + (2 + 1)
    rows = [2 + ceil((2 + 2 * 16) / 8)] * 2 + [2 + ceil((2 + 1 * 16) / 8)] * 2
    assert tile.load_bytes == sum(rows) + 4 * (2 + 7) + 4 * 1
    (summed,), _ = lower_step(make_work(layer, "gtw", machine, **tensors, ppu_mask=mask, summed=np.ones((2, 2, 3))))
    assert [task.elements for task in summed.tasks] == [2, 1] * 4
    assert [task.ppu_read_bytes for task in summed.tasks] == [1 + 4, 1 + 2] * 4


def test_a_products_second_factor_is_raw_in_both_orientations() -> None:
    layer = Product("values", 1, 3, 5, places=2)
    tensors = {"input": np.ones((2, 1, 3)), "weight": np.zeros((2, 5, 3)), "grad_output": np.ones((2, 1, 5))}
    machine = replace(IDEAL, pes_per_group=2, sparse_format="bitmask")
    for step, width in (("forward", 3), ("gta", 5)):
        (tile,), _ = lower_step(make_work(layer, step, machine, **tensors))
        driver = 2 + ceil((width + width * 16) / 8)
        assert [size for size, _ in tile.tasks[0].bursts] == [driver + 2 * 2 * width]
        assert tile.load_bytes == 2 * driver + 2 * 3 * 5 * 2
