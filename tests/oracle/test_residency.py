"""Hold the decision what stays in the buffer against cases by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oracle.residency import Decision, Resident, Unit
from oracle.stepped_conv import Conv
from oracle.stepped_lowering import Work
from oracle.stepped_records import Machine
from oracle.stepped_step import make_work

RAW = Machine(groups=1, pes_per_group=2, min_tasks_per_group=1, sparse_format="raw")
WORD = RAW.data_bits // 8
FIRST = Conv("first", 1, 2, 3, 4, 3, 1, 1)
SECOND = Conv("second", 1, 3, 3, 4, 5, 1, 1)
IMAGE, MIDDLE, LAST = (channels * 3 * 4 * WORD for channels in (2, 3, 5))
WEIGHTS = 2 * 3 * WORD, 3 * 5 * WORD
ROOMY = 100_000


def lower_forward(layer: Conv, kept: frozenset[str], capacity: int) -> Work:
    """Lower Forward of a layer whose operands are all ones."""
    input, weight = (np.ones(layer.tensor_shapes[name]) for name in ("input", "weight"))
    return make_work(layer, "forward", replace(RAW, capacity_bytes=capacity), input, weight, kept=kept)


def decide(first: Conv, second: Conv, capacity: int, *, is_needed_later: bool) -> Decision:
    """Decide for two convolutions, and a pass that reads what the second one writes, or what both write."""
    shapes = (first.tensor_shapes["input"], first.tensor_shapes["output"], second.tensor_shapes["output"])
    sizes = dict(zip("abc", (int(np.prod(shape)) * WORD for shape in shapes), strict=True)) | {"d": WORD}
    later = {"first": "c", "second": "b"} if is_needed_later else {"first": "c"}
    units = (
        Unit("first", {"input": "a"}, ("b",), lower=lambda kept, left: lower_forward(first, kept, left)),
        Unit("second", {"input": "b"}, ("c",), lower=lambda kept, left: lower_forward(second, kept, left)),
        Unit("pass", later, ("d",)),
    )
    return Decision(units, sizes, capacity)


def test_tensors_stay_between_neighbours_in_a_roomy_buffer() -> None:
    decision = decide(FIRST, SECOND, ROOMY, is_needed_later=False)
    assert decision.residents == [Resident(0, "b", False), Resident(1, "c", False)]
    apart, together = ([decision.count_bytes(number, some) for number in range(3)] for some in ([], decision.residents))
    assert apart == [IMAGE + WEIGHTS[0] + MIDDLE, MIDDLE + WEIGHTS[1] + LAST, LAST + WORD]
    assert together == [IMAGE + WEIGHTS[0], WEIGHTS[1], WORD]
    assert decision.describe() == {"first": "output", "second": "input+output", "pass": "first"}


def test_a_tensor_that_is_needed_later_is_written_all_the_same() -> None:
    decision = decide(FIRST, SECOND, ROOMY, is_needed_later=True)
    assert decision.residents == [Resident(0, "b", True), Resident(1, "c", False)]
    moved = [decision.count_bytes(number, decision.residents) for number in range(3)]
    assert moved == [IMAGE + WEIGHTS[0] + MIDDLE, WEIGHTS[1], MIDDLE + WORD]
    assert decision.describe()["first"] == "(output)"


def test_what_is_taken_as_a_mask_later_is_written_too() -> None:
    units = (Unit("one", {}, ("x",)), Unit("two", {"input": "x"}, ()), Unit("three", {}, (), frozenset("x")))
    assert Decision(units, {"x": 8}, 8).residents == [Resident(0, "x", True)]
    assert Decision(units[:2], {"x": 8}, 8).residents == [Resident(0, "x", False)]
    assert Decision(units[:2], {"x": 8}, 7).residents == []


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
    decision = decide(SIX_TO_TWO, TWO_TO_ONE, capacity, is_needed_later=is_needed_later)
    asked = Resident(0, "b", is_needed_later)
    once = (6 * 4 + 6 * 2) * WORD
    assert decision.count_bytes(0, []) == once + BETWEEN
    reread = 6 * 2 * WORD if capacity == TIGHT else 0
    assert decision.count_bytes(0, [asked]) == once + reread + (BETWEEN if is_needed_later else 0)
    assert (asked in decision.residents) is stays


def test_a_tensor_does_not_stay_where_one_of_the_two_does_not_fit_beside_it() -> None:
    # Two outputs of the first need two partial words, one image word and two weights; between them stand 16 bytes.
    least = 2 * 4 + 2 * (1 + 2) * WORD
    for capacity, fits in ((least + BETWEEN - 1, False), (least + BETWEEN, True)):
        decision = decide(SIX_TO_TWO, TWO_TO_ONE, capacity, is_needed_later=False)
        assert (decision.count_bytes(0, [Resident(0, "b", False)]) is not None) is fits
        assert fits or decision.residents[:1] == [] or decision.residents[0].writer != 0
