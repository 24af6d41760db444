"""Hold row operations that are left out since they cannot multiply against cases by hand and against all executed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn_cases import thin
from oracle.definition import StepOracle, run_step
from oracle.definition_layers import Array, Conv, Linear, Machine, Product, Transposed
from oracle.general_layers import draw_layer, draw_machine, draw_operands

SEED = 140
CASES = 150
STEPS = ("forward", "gta", "gtw")
ONE_PE = Machine(groups=1, pes_per_group=1, skip_empty_rows=True)
HEADER = ONE_PE.row_overhead_cycles


def rows(*values: list[int]) -> Array:
    """Return the rows of one channel of one image."""
    return np.array([[list(values)]])


def channels(*values: list[int]) -> Array:
    """Return channels of one row each, of one image."""
    return np.array([[[row] for row in values]])


def count(step: StepOracle) -> tuple[int, int, int]:
    """Return the row operations executed, those examined and the multiplications."""
    return step.row_ops, step.examined_row_ops, step.multiplications


def test_a_row_without_nonzeros_is_no_operation_of_forward() -> None:
    # Rows 0 and 2 of three hold nonzeros; p = 0 reads h = 0, 1, p = 1 all but the padding, p = 2 h = 1, 2.
    layer = Conv(N=1, C=1, H=3, W=3, M=1, R=3, S=1, pad_h=1)
    image, kernel = rows([1, 0, 2], [0, 0, 0], [0, 5, 0]), np.array([[[[1], [10], [100]]]])
    step = run_step(layer, "forward", ONE_PE, image, kernel, None)
    assert step.task_cycles == [HEADER + 2, 2 * HEADER + 2 + 1, HEADER + 1]
    assert count(step) == (1 + 2 + 1, 2 + 3 + 2, 2 + 3 + 1)
    assert step.output.ravel().tolist() == [10, 0, 20, 1, 500, 2, 0, 50, 0]
    # Each of the six nonzeros that are issued has one tap examined.
    assert step.examined_taps == 2 + 3 + 1
    executed = run_step(layer, "forward", replace(ONE_PE, skip_empty_rows=False), image, kernel, None)
    assert executed.examined_taps == 2 + 3 + 1
    assert executed.task_cycles == [2 * HEADER + 2, 3 * HEADER + 2 + 1, 2 * HEADER + 1]


def test_the_dense_machine_leaves_nothing_out() -> None:
    layer = Conv(N=1, C=1, H=3, W=3, M=1, R=3, S=1, pad_h=1)
    dense = replace(ONE_PE, skip_zeros=False)
    for step in STEPS:
        done = run_step(layer, step, dense, np.zeros((1, 1, 3, 3)), np.ones((1, 1, 3, 1)), np.zeros((1, 1, 3, 3)))
        assert count(done) == (7, 7, 7 * 3)
        assert (done.cycles, done.examined_taps) == (7 * (HEADER + 3), 0)


def test_a_row_that_meets_no_tap_is_still_an_operation() -> None:
    # At stride 2 the only nonzero, at w = 1, has no tap; the row is not empty, so its header and an issue are charged.
    layer = Conv(N=1, C=1, H=1, W=3, M=1, R=1, S=1, U=2)
    step = run_step(layer, "forward", ONE_PE, rows([0, 4, 0]), np.ones((1, 1, 1, 1)), None)
    assert (step.cycles, count(step)) == (HEADER + 1, (1, 1, 0))


def test_a_kernel_row_of_zeros_is_still_an_operation() -> None:
    layer = Conv(N=1, C=1, H=1, W=3, M=1, R=1, S=1)
    machine = replace(ONE_PE, skip_weights=True)
    step = run_step(layer, "forward", machine, rows([0, 4, 0]), np.zeros((1, 1, 1, 1)), None)
    assert (step.cycles, count(step)) == (HEADER + 1, (1, 1, 0))


def test_gta_leaves_out_empty_drivers_and_masked_rows() -> None:
    # Of two input channels the second is masked; of three filters the second has no gradient.
    layer = Conv(N=1, C=2, H=1, W=2, M=3, R=1, S=1)
    machine = replace(ONE_PE, pes_per_group=2)
    gradient, mask = channels([3, 4], [0, 0], [0, 5]), channels([0, 1], [0, 0])
    weight = np.array([[1, 10], [2, 20], [3, 30]]).reshape(3, 2, 1, 1)
    step = run_step(layer, "gta", machine, None, weight, gradient, mask)
    assert step.pe_cycles == [[(HEADER + 2) + (HEADER + 1), 0]]
    assert count(step) == (2, 2 * 3, 1 + 1)
    assert step.output.ravel().tolist() == [0, 4 * 1 + 5 * 3, 0, 0]
    unmasked = run_step(layer, "gta", machine, None, weight, gradient)
    assert count(unmasked) == (2 * 2, 2 * 3, 2 * 3)


def test_gtw_leaves_out_empty_gradients_and_empty_inputs() -> None:
    # Rows of dO: full, empty, full; rows of I: full, full, empty. With R = 1 row p meets row h = p.
    layer = Conv(N=1, C=1, H=3, W=2, M=1, R=1, S=1)
    image, gradient = rows([1, 2], [3, 4], [0, 0]), rows([5, 0], [0, 0], [6, 7])
    step = run_step(layer, "gtw", ONE_PE, image, None, gradient)
    assert (step.cycles, count(step)) == (HEADER + 1, (1, 3, 1))
    assert step.output.ravel().tolist() == [5]


def test_a_strip_asks_for_its_window_and_the_mask_of_its_own_columns() -> None:
    # Two strips of two columns, a kernel of one tap: each reads the elements of its own columns.
    layer = Conv(N=1, C=1, H=1, W=4, M=1, R=1, S=1)
    machine, weight = replace(ONE_PE, accumulators=2), np.full((1, 1, 1, 1), 2)
    forward = run_step(layer, "forward", machine, rows([0, 0, 3, 0]), weight, None)
    assert forward.task_cycles == [0, HEADER + 1]
    gta = run_step(layer, "gta", machine, None, weight, rows([1, 0, 1, 1]), rows([0, 1, 0, 0]))
    # The first strip has a driver nonzero and a mask that is set, though not where they meet; the second no mask.
    assert gta.task_cycles == [HEADER + 1, 0]
    assert count(gta) == (1, 2, 0)


def test_a_row_that_is_not_cut_asks_for_all_its_elements() -> None:
    # The kernel never reaches w = 3, but the row is read whole.
    layer = Conv(N=1, C=1, H=1, W=4, M=1, R=1, S=2, U=3)
    assert layer.Q == 1
    step = run_step(layer, "forward", ONE_PE, rows([0, 0, 0, 8]), np.ones((1, 1, 1, 2)), None)
    assert (step.cycles, count(step)) == (HEADER + 1, (1, 1, 0))


def test_a_transposed_convolution_leaves_out_rows_whose_outputs_are_all_masked() -> None:
    # K reads this layer's output: its GTA step is K's Forward, with drivers dO and the mask of this layer's input.
    layer = Transposed(Conv(N=1, C=1, H=1, W=2, M=2, R=1, S=1))
    machine = replace(ONE_PE, pes_per_group=2)
    weight, mask = np.ones((2, 1, 1, 1)), channels([0, 0], [1, 0])
    step = run_step(layer, "gta", machine, None, weight, rows([5, 0]), mask)
    assert step.pe_cycles == [[0, HEADER + 1]]
    assert count(step) == (1, 2, 1)
    executed = run_step(layer, "gta", replace(machine, skip_empty_rows=False), None, weight, rows([5, 0]), mask)
    assert executed.pe_cycles == [[HEADER + 1, HEADER + 1]]


def test_products_of_a_fully_connected_layer_with_an_empty_row_are_none() -> None:
    layer, machine = Linear(N=2, C=3, M=2), replace(ONE_PE, multipliers_per_pe=2)
    image, gradient = np.array([[0, 0, 0], [1, 2, 3]]), np.array([[4, 0], [0, 0]])
    weight, mask = np.ones((2, 3), int), np.array([[1, 0, 1], [1, 1, 1]])
    forward = run_step(layer, "forward", machine, image, weight, None)
    assert forward.task_cycles == [0, 0, HEADER + 2, HEADER + 2]
    assert count(forward) == (2, 4, 6)
    gta = run_step(layer, "gta", machine, None, weight, gradient, mask)
    # Image 1 has no gradient; a product whose mask is not set is not even examined.
    assert gta.task_cycles == [HEADER + 1, 0, HEADER + 1, 0, 0, 0]
    assert count(gta) == (2, 2 + 3, 2)
    gtw = run_step(layer, "gtw", machine, image, None, gradient)
    # dO[0, 0] is the only nonzero, and it meets an empty row.
    assert (gtw.cycles, count(gtw)) == (0, (0, 3, 0))


def test_a_block_of_gtw_is_a_row_of_its_own() -> None:
    layer, machine = Linear(N=1, C=4, M=1), replace(ONE_PE, pes_per_group=2, min_tasks_per_group=1)
    step = run_step(layer, "gtw", machine, np.array([[0, 0, 3, 0]]), None, np.array([[7]]))
    assert step.pe_cycles == [[0, HEADER + 1]]
    assert count(step) == (1, 2, 1)
    assert step.output.tolist() == [[0, 0, 21, 0]]


def test_products_of_two_activations_are_left_out_place_by_place() -> None:
    layer = Product(Z=2, T=1, C=2, M=1)
    first, second = np.array([[[0, 0]], [[0, 3]]]), np.ones((2, 1, 2), int)
    step = run_step(layer, "forward", ONE_PE, first, second, None)
    assert step.task_cycles == [0, HEADER + 1]
    assert count(step) == (1, 2, 1)
    gtw = run_step(layer, "gtw", ONE_PE, first, None, np.full((2, 1, 1), 5))
    assert count(gtw) == (1, 4, 1)


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_leaving_out_changes_no_value_and_saves_what_the_rows_would_have_cost(index: int) -> None:
    rng = np.random.default_rng([SEED, index])
    layer = draw_layer(rng)
    machine = replace(draw_machine(rng), empty_issue_cycles=0)
    operands = draw_operands(rng, layer)
    for step in STEPS:
        executed, left_out = (
            run_step(layer, step, replace(machine, skip_empty_rows=skips), **operands) for skips in (False, True)
        )
        assert left_out.output.tolist() == executed.output.tolist()
        assert left_out.multiplications == executed.multiplications
        assert left_out.examined_row_ops == executed.examined_row_ops == executed.row_ops
        # Without a floor on an issue a row that cannot multiply costs its header alone.
        saved = (executed.row_ops - left_out.row_ops) * machine.row_overhead_cycles
        assert sum(map(sum, executed.pe_cycles)) - sum(map(sum, left_out.pe_cycles)) == saved
        if not machine.skip_zeros:
            assert left_out == replace(executed, output=left_out.output)


def test_every_step_of_every_kind_of_layer_leaves_some_rows_out() -> None:
    left: dict[tuple[str, str], int] = {}
    for index in range(CASES):
        rng = np.random.default_rng([SEED, index])
        layer, machine = draw_layer(rng), replace(draw_machine(rng), skip_empty_rows=True)
        operands = draw_operands(rng, layer)
        for step in STEPS:
            done = run_step(layer, step, machine, **operands)
            key = type(layer).__name__, step
            left[key] = left.get(key, 0) + done.examined_row_ops - done.row_ops
    assert set(left) == {(kind, step) for kind in ("Conv", "Transposed", "Linear", "Product") for step in STEPS}
    assert min(left.values()) > 10, left
