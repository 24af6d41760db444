"""Check the tiling choice and whole steps of the stepped model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from oracle.stepped_conv import Conv
from oracle.stepped_linear import Linear
from oracle.stepped_lowering import Work
from oracle.stepped_records import Machine
from oracle.stepped_step import compute_grad_input, compute_output, lower_step, make_work, run_step
from oracle.stepped_tiling import choose_tiling, plan_tiling

LAYER = Conv("conv", 2, 3, 4, 5, 4, 3, 3, padding=1)
FULLY_CONNECTED = Linear("fc", 2, 7, 5)
SMALL = Machine(
    groups=2,
    pes_per_group=2,
    min_tasks_per_group=2,
    ports=2,
    bytes_per_port_cycle=4,
    operand_store_bytes=64,
    dram_bytes_per_cycle=8,
    dram_latency_cycles=5,
)
IDEAL = replace(
    SMALL,
    capacity_bytes=None,
    ports=None,
    bytes_per_port_cycle=None,
    operand_store_bytes=None,
    prefetch_next_task=False,
    dram_bytes_per_cycle=None,
    dram_latency_cycles=0,
    elements_per_cycle=None,
)


def draw_tensors(layer: Conv | Linear, density: float, seed: int) -> dict[str, Any]:
    random = np.random.default_rng([seed, 5])
    shapes = layer.tensor_shapes | {"grad_output": layer.tensor_shapes["output"], "mask": layer.tensor_shapes["input"]}
    tensors = {name: random.integers(1, 9, shape) * (random.random(shape) < density) for name, shape in shapes.items()}
    return {name: tensors[name] for name in ("input", "weight", "grad_output", "mask")}


def make_drawn_work(layer: Conv | Linear, step: str, machine: Machine, density: float = 0.5, seed: int = 0) -> Work:
    return make_work(layer, step, machine, **draw_tensors(layer, density, seed), output_is_relu=True)


def test_a_roomy_buffer_holds_the_layer_in_one_tile() -> None:
    work = make_drawn_work(LAYER, "forward", SMALL)
    tiling = choose_tiling(work)
    assert len(tiling.tiles) == 1
    assert str(tiling) == "2x4x2|3"
    image_bytes = work.size_load(tiling.tiles[0]) - 4 * 3 * 3 * 3 * 2
    tensor = draw_tensors(LAYER, 0.5, 0)["input"]
    assert image_bytes == min(
        tensor.size * 2, sum(2 + -(-(5 + int(n) * 16) // 8) for n in np.count_nonzero(tensor, 3).flat)
    )
    output_bytes = 2 * 4 * 4 * 5 * 2
    assert tiling.needed_bytes == 2 * output_bytes + 2 * tiling.load_bytes[0]


def test_one_byte_less_than_needed_forces_another_tiling() -> None:
    whole = choose_tiling(make_drawn_work(LAYER, "forward", SMALL))
    exact = replace(SMALL, capacity_bytes=whole.needed_bytes)
    assert choose_tiling(make_drawn_work(LAYER, "forward", exact)) == whole
    short = replace(SMALL, capacity_bytes=whole.needed_bytes - 1)
    other = choose_tiling(make_drawn_work(LAYER, "forward", short))
    assert len(other.tiles) > 1
    assert other.dram_bytes >= whole.dram_bytes


def test_a_cut_reduction_passes_partial_rows_through_the_ppu() -> None:
    machine = replace(SMALL, skip_zeros=False)
    work = make_drawn_work(LAYER, "forward", machine)
    tiling = plan_tiling(work, (2, 4, 2), (2,))
    output_rows, output_width = 2 * 4 * 4, 5
    assert tiling.needed_bytes == output_rows * output_width * 4 + 2 * max(tiling.load_bytes)
    input_bytes, weight_bytes = 2 * 4 * 5 * 2, 4 * 3 * 3 * 2
    assert tiling.load_bytes == (2 * (input_bytes + weight_bytes), input_bytes + weight_bytes)
    assert tiling.write_back_bytes == (0, output_rows * output_width * 2)
    first, last = (work.time_task((0, 0, 0), tile) for tile in tiling.tiles)
    assert (first.ppu_read_bytes, first.write_bytes) == (0, 2 * output_width * 4)
    assert (last.ppu_read_bytes, last.write_bytes) == (2 * output_width * 4, 2 * output_width * 2)
    assert first.elements == last.elements == 2 * output_width


def test_halo_rows_count_in_every_tile_that_needs_them() -> None:
    work = make_drawn_work(LAYER, "forward", replace(SMALL, skip_zeros=False))
    tiling = plan_tiling(work, (2, 2, 2), (3,))
    # Each half of the output rows needs three of the four input rows.
    assert tiling.load_bytes == (2 * 3 * 3 * 5 * 2 + 4 * 3 * 9 * 2,) * 2


def test_the_gtw_reduction_is_cut_along_images_and_rows() -> None:
    work = make_drawn_work(LAYER, "gtw", replace(SMALL, skip_zeros=False))
    tiling = plan_tiling(work, work.task_limits, (1, 3))
    assert [tile.reduction for tile in tiling.tiles] == [
        (range(n, n + 1), heights) for n in (0, 1) for heights in (range(0, 3), range(3, 4))
    ]
    # Rows 0 to 2 meet all of the gradient's rows, row 3 meets rows 2 and 3.
    row_bytes = 5 * 2
    assert tiling.load_bytes == (row_bytes * (3 * 3 + 4 * 4), row_bytes * (3 * 1 + 4 * 2)) * 2
    assert tiling.write_back_bytes == (0, 0, 0, 4 * 3 * 9 * 4)
    assert tiling.needed_bytes == 4 * 3 * 9 * 4 + 2 * row_bytes * (3 * 3 + 4 * 4)


def test_among_equal_tilings_the_fewest_and_then_the_largest_tiles_win() -> None:
    work = make_drawn_work(LAYER, "forward", replace(SMALL, skip_zeros=False))
    sizes = [(task, cut) for task in ((2, 4, 2), (2, 4, 1), (1, 4, 2)) for cut in ((3,), (2,))]
    tilings = [plan_tiling(work, *size) for size in sizes]
    assert min(tilings, key=lambda tiling: tiling.order) == tilings[0]
    gradient = make_drawn_work(LAYER, "gta", SMALL)
    uneven, even = (plan_tiling(gradient, (2, 4, 2), (filters,)) for filters in (3, 2))
    assert (uneven.dram_bytes, len(uneven.tiles)) == (even.dram_bytes, len(even.tiles))
    assert uneven.order < even.order
    cut = plan_tiling(work, (2, 4, 2), (2,))
    assert cut.dram_bytes == tilings[0].dram_bytes
    assert cut.order > tilings[0].order
    assert cut.order < plan_tiling(work, (2, 4, 2), (1,)).order


def test_a_layer_that_cannot_be_tiled_is_refused_with_its_bytes() -> None:
    machine = replace(SMALL, skip_zeros=False, capacity_bytes=10)
    work = make_drawn_work(LAYER, "forward", machine)
    # One row of one block of two filters, one channel: three input rows (two at the edge) and six kernel rows.
    needed = 1 * 2 * 5 * 4 + 2 * (3 * 5 * 2 + 6 * 3 * 2)
    with pytest.raises(
        ValueError, match=rf"^Layer conv cannot be tiled in forward: it needs {needed} bytes, the buffer"
    ):
        choose_tiling(work)


@pytest.mark.parametrize(
    "layer", [LAYER, Conv("grouped", 1, 2, 5, 5, 4, 3, 2, 2, 1, 2), FULLY_CONNECTED], ids=lambda layer: layer.name
)
@pytest.mark.parametrize("step", ["forward", "gta", "gtw"])
@pytest.mark.parametrize("skip_zeros", [True, False])
def test_a_step_in_tiles_accounts_for_every_cycle_and_byte(layer: Conv | Linear, step: str, skip_zeros: bool) -> None:
    machine = replace(SMALL, skip_zeros=skip_zeros)
    whole = choose_tiling(make_drawn_work(layer, step, machine))
    machine = replace(machine, capacity_bytes=whole.needed_bytes * 2 // 3)
    times = run_step(layer, step, machine, **draw_tensors(layer, 0.5, 0), output_is_relu=True)
    assert times.tiles > 1
    reasons = (times.busy, times.wait_ppu, times.wait_dram, times.wait_operands, times.idle)
    assert [sum(waits) for waits in zip(*reasons, strict=True)] == [times.cycles] * machine.groups
    assert times.dram_read_bytes >= sum(whole.load_bytes)
    tiles, _ = lower_step(make_drawn_work(layer, step, machine))
    assert times.buffer_read_bytes == sum(
        task.ppu_read_bytes + sum(size for size, _ in task.bursts) for tile in tiles for task in tile.tasks
    )


@pytest.mark.parametrize("layer", [LAYER, FULLY_CONNECTED], ids=lambda layer: layer.name)
@pytest.mark.parametrize("step", ["forward", "gta", "gtw"])
def test_the_ideal_machine_is_never_slower_and_only_works_or_idles(layer: Conv | Linear, step: str) -> None:
    tensors = draw_tensors(layer, 0.4, 3)
    ideal = run_step(layer, step, IDEAL, **tensors)
    assert sum(ideal.wait_ppu) + sum(ideal.wait_dram) + sum(ideal.wait_operands) == 0
    full = run_step(layer, step, SMALL, **tensors)
    assert full.cycles > ideal.cycles
    assert sum(full.busy) >= sum(ideal.busy)


@pytest.mark.parametrize(
    ("layer", "mask_row_bytes", "read_bytes"),
    # Two rows of 5 bits and 5 elements, or two outputs of the 7 of an image.
    [(LAYER, 2 * 3 * 4 * 1, 2 * 1 + 2 * 5 * 2), (FULLY_CONNECTED, 2 * 1, 1 + 2 * 2)],
    ids=["conv", "fc"],
)
def test_masks_and_summed_gradients_are_loaded_and_read(
    layer: Conv | Linear, mask_row_bytes: int, read_bytes: int
) -> None:
    tensors = draw_tensors(layer, 0.5, 0)
    unmasked = tensors | {"mask": None}
    summed = np.ones(layer.tensor_shapes["input"])
    dense = replace(SMALL, skip_zeros=False)
    plain = choose_tiling(make_work(layer, "gta", dense, **unmasked))
    work = make_work(layer, "gta", dense, **tensors, summed=summed)
    full = choose_tiling(work)
    assert full.load_bytes[0] == plain.load_bytes[0] + mask_row_bytes + summed.size * 2
    first = (0,) * len(work.task_limits)
    task = work.time_task(first, full.tiles[0])
    assert task.ppu_read_bytes == read_bytes
    assert task.bursts == make_work(layer, "gta", dense, **unmasked).time_task(first, plain.tiles[0]).bursts
    skipping = make_work(layer, "gta", SMALL, **(tensors | {"mask": summed}), summed=summed)
    bare = make_work(layer, "gta", SMALL, **unmasked)
    fetched = skipping.time_task(first, full.tiles[0]).bursts[0][0] - bare.time_task(first, plain.tiles[0]).bursts[0][0]
    assert fetched == skipping.size_mask(first) > 0
    assert skipping.time_task(first, full.tiles[0]).ppu_read_bytes == read_bytes - skipping.size_mask(first)


def test_a_fully_connected_output_is_raw_in_the_buffer_and_compressed_in_dram() -> None:
    layer = Linear("fc", 1, 2, 40)
    weight = np.zeros((40, 2), dtype=np.int64)
    weight[3] = 1
    times = run_step(layer, "forward", SMALL, np.ones((1, 2)), weight, output_is_relu=True)
    assert times.buffer_write_bytes == 40 * 2
    assert times.dram_write_bytes == 2 + -(-(6 + 1 * (16 + 6)) // 8)
    raw = run_step(layer, "forward", SMALL, np.ones((1, 2)), weight)
    assert raw.dram_write_bytes == 40 * 2


def test_outputs_and_gradients_are_adjoint() -> None:
    layer = Conv("c", 1, 4, 5, 4, 2, 2, 3, stride=2, padding=1, groups=2)
    tensors = draw_tensors(layer, 1.0, 9)
    output = compute_output(layer, tensors["input"], tensors["weight"], None)
    grad_input = compute_grad_input(layer, tensors["grad_output"], tensors["weight"])
    assert (output * tensors["grad_output"]).sum() == (grad_input * tensors["input"]).sum()


def test_a_tensor_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^Layer fc was given weight of shape \(7, 5\); it must be \(5, 7\)\.$"):
        run_step(FULLY_CONNECTED, "forward", SMALL, np.ones((2, 7)), np.ones((7, 5)))


def test_a_missing_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^The step reads the tensor weight, which was not given\.$"):
        run_step(FULLY_CONNECTED, "forward", SMALL, np.ones((2, 7)))
