"""Hold what stays in the buffer, and what a step then moves, against cases by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from oracle.residency import Resident, Unit, choose_residents, count_bytes, find_stay
from oracle.stepped_conv import Conv
from oracle.stepped_linear import Linear
from oracle.stepped_lowering import Stay, Work
from oracle.stepped_records import Machine
from oracle.stepped_step import lower_step, make_work
from oracle.stepped_tiling import choose_tiling

RAW = Machine(groups=1, pes_per_group=2, min_tasks_per_group=1, sparse_format="raw")
WORD = RAW.data_bits // 8
FIRST = Conv("first", 1, 2, 3, 4, 3, 1, 1)
SECOND = Conv("second", 1, 3, 3, 4, 5, 1, 1)
IMAGE, MIDDLE, LAST = (channels * 3 * 4 * WORD for channels in (2, 3, 5))
WEIGHTS = 2 * 3 * WORD, 3 * 5 * WORD
ROOMY = 100_000


def make_forward(layer: Conv, capacity: int = ROOMY) -> Work:
    """Lower Forward of a layer whose operands are all ones."""
    shapes = layer.tensor_shapes
    machine = replace(RAW, capacity_bytes=capacity)
    return make_work(layer, "forward", machine, np.ones(shapes["input"]), np.ones(shapes["weight"]))


def list_units(capacity: int, *, is_needed_later: bool = False) -> list[Unit]:
    """Give two convolutions, and a pass that reads what the second one writes, or what both write."""
    later = {"c": LAST, "b": MIDDLE} if is_needed_later else {"c": LAST}
    return [
        Unit({"a": IMAGE}, {"b": MIDDLE}, lambda: make_forward(FIRST, capacity), {"a": "input"}),
        Unit({"b": MIDDLE}, {"c": LAST}, lambda: make_forward(SECOND, capacity), {"b": "input"}),
        Unit(later, {"d": LAST}),
    ]


def test_tensors_stay_between_neighbours_in_a_roomy_buffer() -> None:
    assert choose_residents(list_units(ROOMY), ROOMY) == [Resident(0, "b", False), Resident(1, "c", False)]


def test_a_tensor_that_is_needed_later_is_written_all_the_same() -> None:
    units = list_units(ROOMY, is_needed_later=True)
    residents = choose_residents(units, ROOMY)
    assert residents == [Resident(0, "b", True), Resident(1, "c", False)]
    moved = [count_bytes(units, number, residents, ROOMY) for number in range(3)]
    assert moved == [IMAGE + WEIGHTS[0] + MIDDLE, WEIGHTS[1], MIDDLE + LAST]
    assert find_stay(units, 1, residents) == Stay(frozenset(["input"]), True, MIDDLE + LAST)


def test_what_stays_is_moved_by_neither_and_all_else_as_before() -> None:
    units = list_units(ROOMY)
    residents = choose_residents(units, ROOMY)
    apart = [count_bytes(units, number, [], ROOMY) for number in range(3)]
    together = [count_bytes(units, number, residents, ROOMY) for number in range(3)]
    assert apart == [IMAGE + WEIGHTS[0] + MIDDLE, MIDDLE + WEIGHTS[1] + LAST, 2 * LAST]
    assert together == [IMAGE + WEIGHTS[0], WEIGHTS[1], LAST]


def list_pair(first: Conv, second: Conv, capacity: int, *, is_needed_later: bool) -> list[Unit]:
    """Give two convolutions, the second of which reads what the first one writes, and a pass behind them."""
    sizes = [int(np.prod(shape)) * WORD for layer in (first, second) for shape in layer.tensor_shapes.values()]
    return [
        Unit({"a": sizes[0]}, {"b": sizes[2]}, lambda: make_forward(first, capacity), {"a": "input"}),
        Unit({"b": sizes[3]}, {"c": sizes[5]}, lambda: make_forward(second, capacity), {"b": "input"}),
        Unit({"b": sizes[2]} if is_needed_later else {"a": sizes[0]}, {"d": WORD}),
    ]


# Eight words between the layers. All partial rows, 32 bytes, and one of six channels twice, 24, are 56 bytes: each
# operand is read once. Beside the eight words the outputs are cut in two, and twelve words of weights read twice.
SIX_TO_TWO, TWO_TO_ONE, BETWEEN = Conv("first", 1, 6, 4, 1, 2, 1, 1), Conv("second", 1, 2, 4, 1, 1, 1, 1), 8 * WORD
TIGHT = 8 * 4 + 2 * (4 + 2) * WORD


@pytest.mark.parametrize(("capacity", "is_needed_later", "stays"), [
    (TIGHT, True, False), (TIGHT, False, True), (TIGHT + BETWEEN, True, True), (TIGHT + BETWEEN, False, True),
])  # fmt: skip
def test_a_tensor_stays_only_if_smaller_tiles_cost_less_than_it_saves(
    capacity: int, is_needed_later: bool, stays: bool
) -> None:
    units = list_pair(SIX_TO_TWO, TWO_TO_ONE, capacity, is_needed_later=is_needed_later)
    asked = [Resident(0, "b", is_needed_later)]
    once = (6 * 4 + 6 * 2) * WORD
    assert count_bytes(units, 0, [], capacity) == once + BETWEEN
    reread = 6 * 2 * WORD if capacity == TIGHT else 0
    assert count_bytes(units, 0, asked, capacity) == once + reread + (BETWEEN if is_needed_later else 0)
    assert choose_residents(units, capacity) == (asked if stays else [])


def test_a_tensor_does_not_stay_where_one_of_the_two_does_not_fit_beside_it() -> None:
    # One output of the first needs a partial word and two channels of two words; the tensor between takes 16 bytes.
    least = 2 * 4 + 2 * (1 + 2) * WORD
    for capacity, fits in ((least + BETWEEN - 1, False), (least + BETWEEN, True)):
        units = list_pair(SIX_TO_TWO, TWO_TO_ONE, capacity, is_needed_later=False)
        assert (count_bytes(units, 0, [Resident(0, "b", False)], capacity) is not None) is fits
        assert fits or choose_residents(units, capacity) == []


@pytest.mark.parametrize("step", ["forward", "gta", "gtw"])
@pytest.mark.parametrize("kind", ["conv", "linear"])
def test_a_step_loads_nothing_of_what_stays_and_works_as_before(kind: str, step: str) -> None:
    layer: Any = Conv("conv", 2, 3, 4, 5, 4, 3, 3, padding=1) if kind == "conv" else Linear("fc", 3, 7, 5)
    rng = np.random.default_rng(11)
    shapes = layer.tensor_shapes | {"grad_output": layer.tensor_shapes["output"]}
    tensors = {name: rng.integers(0, 3, shapes[name]) for name in ("input", "weight", "grad_output")}
    machine = replace(RAW, sparse_format="auto", skip_empty_rows=True)
    driver = "input" if step == "forward" else "grad_output"
    plain, resident = (make_work(layer, step, machine, **tensors, output_is_relu=True) for _ in range(2))
    resident.stay = Stay(frozenset([driver]), keeps_result=True, size_bytes=500)
    ((apart,), _), ((beside,), _) = lower_step(plain), lower_step(resident)
    (tile,) = choose_tiling(plain).tiles
    bits = -(-sum(row[0] == driver for row in plain.list_moved(tile)[0]) // 8)
    assert beside.load_bytes == apart.load_bytes - plain.size_loads(tile)[driver] - bits
    assert (beside.write_back_bytes, beside.tasks) == (0, apart.tasks)
    assert apart.write_back_bytes > 0


def test_what_stays_takes_its_bytes_from_the_capacity_and_tiles_hold_none_of_it() -> None:
    needed = 2 * LAST + 2 * (MIDDLE + WEIGHTS[1])
    assert len(choose_tiling(make_forward(SECOND, needed)).tiles) == 1
    assert len(choose_tiling(make_forward(SECOND, needed - 1)).tiles) > 1
    for spare, is_whole in ((0, True), (-1, False)):
        work = make_forward(SECOND, needed - 2 * MIDDLE + MIDDLE + spare)
        work.stay = Stay(frozenset(["input"]), size_bytes=MIDDLE)
        assert (len(choose_tiling(work).tiles) == 1) is is_whole
