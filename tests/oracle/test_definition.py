"""Hold the definition against cases worked by hand and against a second formula for its values and counts."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from oracle.definition import (
    StepOracle,
    count_kernels_per_pe,
    dispatch_tasks,
    run_step,
)
from oracle.definition_layers import Array, Conv, Linear, Machine, dense_macs, nominal_macs

ONE_PE = Machine(groups=1, pes_per_group=1)
DENSE_PE = replace(ONE_PE, skip_zeros=False)
HEADER = ONE_PE.row_overhead_cycles
STEPS = ("forward", "gta", "gtw")
LAYERS = (
    Conv(N=2, C=4, H=8, W=8, M=6, R=3, S=3, pad_h=1, pad_w=1),
    Conv(N=1, C=2, H=7, W=6, M=3, R=3, S=2, U=2, pad_h=1),
    Conv(N=1, C=3, H=5, W=7, M=2, R=1, S=1, U=3),
    Conv(N=2, C=4, H=5, W=5, M=8, R=2, S=3, pad_h=0, pad_w=2, G=2),
    Conv(N=1, C=4, H=4, W=4, M=4, R=3, S=3, pad_h=1, pad_w=1, G=4),
)


def row(*values: int) -> Array:
    """Return the values as a tensor of one image, one channel and one row."""
    return np.array(values).reshape(1, 1, 1, -1)


def draw(shape: tuple[int, ...], place: int) -> Array:
    """Return small integers, about half of them zero."""
    rng = np.random.default_rng([7, place])
    return rng.integers(-4, 5, shape) * (rng.random(shape) < 0.6)


def draw_operands(layer: Conv | Linear) -> tuple[Array, Array, Array, Array]:
    """Return input, weight, grad_output and the input's mask."""
    if isinstance(layer, Linear):
        shapes: list[tuple[int, ...]] = [(layer.N, layer.C), (layer.M, layer.C), (layer.N, layer.M)]
    else:
        shapes = [(layer.N, layer.C, layer.H, layer.W), (layer.M, layer.C // layer.G, layer.R, layer.S)]
        shapes.append((layer.N, layer.M, layer.P, layer.Q))
    input, weight, grad_output = (draw(shape, place) for place, shape in enumerate(shapes))
    return input, weight, grad_output, input != 0


def convolve(layer: Conv, step: str, input: Array, weight: Array, grad_output: Array) -> Array:
    """Compute a step from shifted windows of the padded input, group by group."""
    C, M, P, Q, U = layer.C // layer.G, layer.M // layer.G, layer.P, layer.Q, layer.U
    padded = np.pad(input, ((0, 0), (0, 0), (layer.pad_h, layer.pad_h), (layer.pad_w, layer.pad_w)))
    result = {"forward": np.zeros_like(grad_output), "gta": np.zeros_like(padded), "gtw": np.zeros_like(weight)}[step]
    for g in range(layer.G):
        c, m = slice(g * C, (g + 1) * C), slice(g * M, (g + 1) * M)
        windows = sliding_window_view(padded[:, c], (layer.R, layer.S), axis=(2, 3))[:, :, ::U, ::U][:, :, :P, :Q]
        if step == "forward":
            result[:, m] = np.einsum("ncpqrs,mcrs->nmpq", windows, weight[m])
        elif step == "gtw":
            result[m] = np.einsum("nmpq,ncpqrs->mcrs", grad_output[:, m], windows)
        else:
            for r in range(layer.R):
                for s in range(layer.S):
                    part = np.einsum("nmpq,mc->ncpq", grad_output[:, m], weight[m, :, r, s])
                    result[:, c, r : r + U * P : U, s : s + U * Q : U] += part
    inner_rows = slice(layer.pad_h, layer.pad_h + layer.H)
    inner_columns = slice(layer.pad_w, layer.pad_w + layer.W)
    return result[:, :, inner_rows, inner_columns] if step == "gta" else result


@pytest.mark.parametrize(("multipliers", "issue_cycles"), [(1, 2 + 3), (2, 1 + 2), (3, 1 + 1)])
def test_src_issues_the_taps_of_each_nonzero_in_steps_of_the_multipliers(multipliers: int, issue_cycles: int) -> None:
    # x at w = 0 reaches q = 1, 0 (two taps, the third falls off the edge), x at w = 2 reaches q = 3, 2, 1.
    layer = Conv(N=1, C=1, H=1, W=5, M=1, R=1, S=3, pad_w=1)
    machine = replace(ONE_PE, multipliers_per_pe=multipliers)
    step = run_step(layer, "forward", machine, row(2, 0, 3, 0, 0), row(1, 10, 100), None)
    assert step.cycles == HEADER + issue_cycles
    assert (step.row_ops, step.multiplications, step.empty_issue_cycles) == (1, 2 + 3, 0)
    assert step.output.ravel().tolist() == [2 * 10, 2 * 1 + 3 * 100, 3 * 10, 3 * 1, 0]


@pytest.mark.parametrize(("floor", "cycles", "empty"), [(0, 2 * 1, 0), (1, 4 * 1, 2 * 1), (2, 4 * 2, 2 * 2)])
def test_a_driver_nonzero_holds_the_issue_stage_for_the_floor(floor: int, cycles: int, empty: int) -> None:
    # At stride 2 with a kernel of one tap, w = 0 and 2 find one live tap, w = 1 and 3 none.
    layer = Conv(N=1, C=1, H=1, W=4, M=1, R=1, S=1, U=2)
    machine = replace(ONE_PE, empty_issue_cycles=floor)
    step = run_step(layer, "forward", machine, row(1, 1, 1, 1), row(3), None)
    assert (step.cycles, step.empty_issue_cycles, step.multiplications) == (HEADER + cycles, empty, 2)


def test_the_dense_machine_charges_nothing_for_an_element_without_taps() -> None:
    layer = Conv(N=1, C=1, H=1, W=4, M=1, R=1, S=1, U=2)
    step = run_step(layer, "forward", replace(DENSE_PE, empty_issue_cycles=5), row(0, 0, 0, 0), row(3), None)
    assert (step.cycles, step.empty_issue_cycles, step.multiplications) == (HEADER + 2, 0, 2)


@pytest.mark.parametrize(
    ("machine", "multiplications", "issue_cycles"),
    [
        (ONE_PE, 2 + 3, 2 + 3),
        (replace(ONE_PE, skip_weights=True), 1 + 2, 1 + 2),
        (replace(DENSE_PE, skip_weights=True), 2 + 3 + 3 + 3 + 2, 2 + 3 + 3 + 3 + 2),
        (replace(DENSE_PE, multipliers_per_pe=2), 2 + 3 + 3 + 3 + 2, 1 + 2 + 2 + 2 + 1),
    ],
)
def test_zero_weights_are_skipped_only_by_a_sparse_machine_told_to(
    machine: Machine, multiplications: int, issue_cycles: int
) -> None:
    layer = Conv(N=1, C=1, H=1, W=5, M=1, R=1, S=3, pad_w=1)
    step = run_step(layer, "forward", machine, row(2, 0, 3, 0, 0), row(1, 0, 100), None)
    assert (step.cycles, step.multiplications) == (HEADER + issue_cycles, multiplications)
    assert step.output.ravel().tolist() == [0, 2 * 1 + 3 * 100, 0, 3 * 1, 0]


@pytest.mark.parametrize(
    ("machine", "mask", "issue_cycles", "empty", "output"),
    [
        # x at q = 0 reaches w = 0, 1; x at q = 3 reaches w = 2, 3.
        (ONE_PE, None, 2 + 2, 0, [5 * 10, 5 * 100, 7 * 1, 7 * 10]),
        (ONE_PE, row(1, 0, 1, 1), 1 + 2, 0, [5 * 10, 0, 7 * 1, 7 * 10]),
        (ONE_PE, row(0, 0, 0, 0), 1 + 1, 2, [0, 0, 0, 0]),
        (replace(ONE_PE, empty_issue_cycles=0), row(0, 0, 0, 0), 0, 0, [0, 0, 0, 0]),
        (replace(ONE_PE, skip_weights=True), row(0, 0, 1, 1), 1 + 2, 1, [0, 0, 7 * 1, 7 * 10]),
        (DENSE_PE, row(1, 0, 1, 1), 2 + 3 + 3 + 2, 0, [5 * 10, 0, 7 * 1, 7 * 10]),
    ],
)
def test_msrc_does_the_taps_that_land_on_the_mask(
    machine: Machine, mask: Array | None, issue_cycles: int, empty: int, output: list[int]
) -> None:
    layer = Conv(N=1, C=1, H=1, W=4, M=1, R=1, S=3, pad_w=1)
    step = run_step(layer, "gta", machine, None, row(1, 10, 100), row(5, 0, 0, 7), mask)
    assert (step.cycles, step.empty_issue_cycles) == (HEADER + issue_cycles, empty)
    assert step.output.ravel().tolist() == output


def test_osrc_does_the_taps_that_meet_an_input_nonzero() -> None:
    # x at q = 0 meets I[0] under s = 1 (I[1] is zero), x at q = 3 meets I[2] under s = 0 and I[3] under s = 1.
    layer = Conv(N=1, C=1, H=1, W=4, M=1, R=1, S=3, pad_w=1)
    step = run_step(layer, "gtw", ONE_PE, row(2, 0, 3, 4), None, row(5, 0, 0, 7))
    assert (step.cycles, step.multiplications) == (HEADER + 1 + 2, 1 + 2)
    assert step.output.ravel().tolist() == [7 * 3, 5 * 2 + 7 * 4, 0]


@pytest.mark.parametrize("step", STEPS)
def test_an_empty_driver_row_still_costs_its_header(step: str) -> None:
    layer = Conv(N=1, C=1, H=3, W=3, M=1, R=3, S=3, pad_h=1, pad_w=1)
    zeros = np.zeros((1, 1, 3, 3), np.int64)
    result = run_step(layer, step, ONE_PE, zeros, zeros, zeros, zeros != 0)
    rows_in_range = 2 + 3 + 2
    assert (result.row_ops, result.cycles, result.multiplications) == (rows_in_range, rows_in_range * HEADER, 0)


def test_a_row_no_kernel_row_reaches_is_a_task_without_cycles_that_takes_its_turn() -> None:
    layer = Conv(N=1, C=1, H=4, W=1, M=1, R=1, S=1, U=2)
    grad_output = np.array([2, 3]).reshape(1, 1, 2, 1)
    step = run_step(layer, "gta", replace(ONE_PE, groups=2), None, row(5), grad_output)
    reached = HEADER + 1
    assert step.task_indices == [(0, 0, 0), (0, 1, 0), (0, 2, 0), (0, 3, 0)]
    assert step.task_cycles == [reached, 0, reached, 0]
    assert step.group_busy == [reached, reached]
    assert step.output.ravel().tolist() == [2 * 5, 0, 3 * 5, 0]


def test_tasks_go_to_the_group_free_earliest_and_the_lowest_on_a_tie() -> None:
    assert dispatch_tasks([5, 1, 1, 4, 3], 2) == [5 + 3, 1 + 1 + 4]
    assert dispatch_tasks([2, 2, 2, 2], 3) == [2 + 2, 2, 2]
    assert dispatch_tasks([0, 1, 1], 2) == [1, 1]


def test_a_short_block_leaves_the_last_pes_without_cycles() -> None:
    layer = Conv(N=1, C=1, H=1, W=1, M=4, R=1, S=1)
    step = run_step(layer, "forward", Machine(groups=2), row(1), np.ones((4, 1, 1, 1)), None)
    one = HEADER + 1
    assert step.task_indices == [(0, 0, 0), (0, 0, 1)]
    assert step.pe_cycles == [[one, one, one], [one, 0, 0]]
    assert step.row_ops == layer.M


@pytest.mark.parametrize("step", ["forward", "gta"])
def test_blocks_do_not_cross_the_groups_of_a_grouped_convolution(step: str) -> None:
    layer = Conv(N=1, C=4, H=1, W=1, M=4, R=1, S=1, G=2)
    ones = np.ones((1, 4, 1, 1), np.int64)
    result = run_step(layer, step, Machine(groups=1), ones, np.ones((4, 2, 1, 1), np.int64), ones)
    two_rows = 2 * (HEADER + 1)
    assert result.task_indices == [(0, 0, 0), (0, 0, 1)]
    assert result.pe_cycles == [[two_rows, two_rows, 0], [two_rows, two_rows, 0]]


def test_a_gtw_task_fills_pe_0_first_and_numbers_its_blocks_through_the_groups() -> None:
    # k = min(3 accumulators / 1, 4 filters * 5 channels / (2 PEs * 1 group * 1 task)) = 3, so blocks of 6 for 5.
    layer = Conv(N=1, C=10, H=1, W=1, M=4, R=1, S=1, G=2)
    machine = Machine(groups=1, pes_per_group=2, accumulators=3, min_tasks_per_group=1)
    input = np.ones((1, 10, 1, 1), np.int64)
    step = run_step(layer, "gtw", machine, input, None, np.ones((1, 4, 1, 1), np.int64))
    one = HEADER + 1
    assert step.task_indices == [(0, 0), (1, 0), (2, 1), (3, 1)]
    assert step.pe_cycles == [[3 * one, 2 * one]] * layer.M


@pytest.mark.parametrize(
    ("layer", "kernels"),
    [
        (Conv(N=1, C=512, H=7, W=7, M=512, R=3, S=3, pad_h=1, pad_w=1), 256 // (3 * 3)),
        (Conv(N=1, C=64, H=7, W=7, M=64, R=3, S=3, pad_h=1, pad_w=1), 64 * 64 // (3 * 56 * 8)),
        (Conv(N=1, C=512, H=7, W=7, M=512, R=1, S=1, G=64), 512 * 8 // (3 * 56 * 8)),
        (Conv(N=1, C=3, H=7, W=7, M=8, R=3, S=3), 1),
        (Linear(N=1, C=4096, M=4096), 256),
    ],
)
def test_a_gtw_task_takes_as_many_kernels_as_fit_and_leave_work_for_all_groups(
    layer: Conv | Linear, kernels: int
) -> None:
    assert count_kernels_per_pe(layer, Machine()) == kernels


def test_a_fully_connected_forward_packs_the_row_over_the_multipliers() -> None:
    layer = Linear(N=1, C=5, M=4)
    machine = Machine(groups=2, multipliers_per_pe=2, empty_issue_cycles=9, skip_weights=True)
    input, weight = np.array([[1, 0, 2, 3, 0]]), np.zeros((4, 5), np.int64)
    step = run_step(layer, "forward", machine, input, weight, None)
    one = HEADER + 2  # ceil(3 nonzeros / 2 multipliers)
    assert (step.task_indices, step.pe_cycles) == ([(0, 0), (0, 1)], [[one, one, one], [one, 0, 0]])
    assert (step.row_ops, step.multiplications, step.empty_issue_cycles) == (4, 4 * 3, 0)
    dense = run_step(layer, "forward", replace(machine, skip_zeros=False), input, weight, None)
    assert dense.pe_cycles == [[HEADER + 3] * 3, [HEADER + 3, 0, 0]]
    empty = run_step(layer, "forward", machine, 0 * input, weight, None)
    assert empty.pe_cycles == [[HEADER] * 3, [HEADER, 0, 0]]


def test_a_fully_connected_gta_does_nothing_where_the_mask_is_not_set() -> None:
    layer = Linear(N=1, C=3, M=4)
    weight, grad_output = np.arange(12).reshape(4, 3), np.array([[2, 0, 0, 3]])
    mask = np.array([[True, False, True]])
    step = run_step(layer, "gta", Machine(groups=1), None, weight, grad_output, mask)
    assert (step.pe_cycles, step.row_ops, step.multiplications) == ([[HEADER + 2, 0, HEADER + 2]], 2, 2 * 2)
    assert step.output.tolist() == [[2 * 0 + 3 * 9, 0, 2 * 2 + 3 * 11]]
    dense = run_step(layer, "gta", Machine(groups=1, skip_zeros=False), None, weight, grad_output, mask)
    assert (dense.pe_cycles, dense.multiplications) == ([[HEADER + 4] * 3], 3 * 4)
    assert np.array_equal(dense.output, step.output)


def test_a_fully_connected_gtw_works_the_images_whose_gradient_is_not_zero() -> None:
    # k = min(2 accumulators, 3 * 3 // (2 PEs * 1 group * 1 task)) = 2: PE 0 takes inputs 0 and 1, PE 1 input 2.
    layer = Linear(N=2, C=3, M=3)
    machine = Machine(groups=1, pes_per_group=2, accumulators=2, min_tasks_per_group=1)
    input, grad_output = np.array([[1, 2, 0], [0, 3, 4]]), np.array([[5, 0, 6], [0, 0, 7]])
    step = run_step(layer, "gtw", machine, input, None, grad_output)
    image_0, image_1 = [HEADER + 2, HEADER + 0], [HEADER + 1, HEADER + 1]
    assert step.task_indices == [(0, 0), (1, 0), (2, 0)]
    assert step.pe_cycles == [image_0, [0, 0], [image_0[0] + image_1[0], image_0[1] + image_1[1]]]
    assert np.array_equal(step.output, grad_output.T @ input)
    dense = run_step(layer, "gtw", replace(machine, skip_zeros=False), input, None, grad_output)
    assert dense.pe_cycles == [[2 * (HEADER + 2), 2 * (HEADER + 1)]] * layer.M


def test_a_pe_without_inputs_in_a_fully_connected_gtw_runs_no_row_operation() -> None:
    layer = Linear(N=2, C=1, M=1)
    step = run_step(layer, "gtw", Machine(groups=1), np.ones((2, 1)), None, np.ones((2, 1)))
    assert (step.pe_cycles, step.row_ops) == ([[2 * (HEADER + 1), 0, 0]], 2)


@pytest.mark.parametrize("overhead", [0, 4])
def test_the_overhead_is_charged_once_a_row_operation(overhead: int) -> None:
    machine = replace(ONE_PE, row_overhead_cycles=overhead)
    layer = Conv(N=1, C=1, H=2, W=1, M=1, R=2, S=1)
    column, dot = np.ones((1, 1, 2, 1)), np.ones((1, 2))
    assert run_step(layer, "forward", machine, column, column, None).cycles == 2 * (overhead + 1)
    assert run_step(Linear(N=1, C=2, M=1), "forward", machine, dot, dot, None).cycles == overhead + 2


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("skips", [(True, False), (True, True), (False, False)])
def test_a_convolution_equals_the_second_formula_in_values_and_counts(
    layer: Conv, step: str, skips: tuple[bool, bool]
) -> None:
    machine = Machine(groups=5, skip_zeros=skips[0], skip_weights=skips[1])
    input, weight, grad_output, mask = draw_operands(layer)
    result = run_step(layer, step, machine, input, weight, grad_output, mask)
    needed = [np.ones_like(tensor) for tensor in (input, weight, grad_output)]
    if skips[0]:
        weight_is_needed = (weight != 0) | (not skips[1])
        needed = [(input != 0) * 1, weight_is_needed * 1, (grad_output != 0) * 1]
    values, counts = convolve(layer, step, input, weight, grad_output), convolve(layer, step, *needed)
    if step == "gta":
        values, counts = values * mask, counts * (mask | (not skips[0]))
    assert result.output.dtype == np.int64
    assert np.array_equal(result.output, values)
    assert result.multiplications == counts.sum()
    check_laws(layer, machine, result)


def check_laws(layer: Conv, machine: Machine, result: StepOracle) -> None:
    """Hold the counts of a step on one-multiplier PEs against each other."""
    rows_in_range = sum(0 <= p * layer.U + r - layer.pad_h < layer.H for p in range(layer.P) for r in range(layer.R))
    assert result.row_ops == layer.N * layer.M * (layer.C // layer.G) * rows_in_range
    work = result.row_ops * machine.row_overhead_cycles + result.multiplications + result.empty_issue_cycles
    assert sum(map(sum, result.pe_cycles)) == work
    assert result.task_cycles == [max(cycles) for cycles in result.pe_cycles]
    assert (sum(result.group_busy), max(result.group_busy)) == (sum(result.task_cycles), result.cycles)
    assert result.task_indices == sorted(set(result.task_indices))


@pytest.mark.parametrize("layer", [*LAYERS, Linear(N=2, C=7, M=5)])
@pytest.mark.parametrize("step", STEPS)
def test_the_dense_machine_does_every_multiplication_in_range(layer: Conv | Linear, step: str) -> None:
    operands = draw_operands(layer)
    dense = run_step(layer, step, Machine(skip_zeros=False), *operands)
    sparse = run_step(layer, step, Machine(), *operands)
    assert dense.multiplications == dense_macs(layer) > sparse.multiplications
    assert np.array_equal(dense.output, sparse.output)


@pytest.mark.parametrize("machine", [Machine(), Machine(skip_zeros=False)])
def test_a_fully_connected_layer_equals_matrix_products(machine: Machine) -> None:
    layer = Linear(N=3, C=7, M=5)
    input, weight, grad_output, mask = operands = draw_operands(layer)
    assert np.array_equal(run_step(layer, "forward", machine, *operands).output, input @ weight.T)
    assert np.array_equal(run_step(layer, "gta", machine, *operands).output, (grad_output @ weight) * mask)
    assert np.array_equal(run_step(layer, "gta", machine, *operands[:3]).output, grad_output @ weight)
    assert np.array_equal(run_step(layer, "gtw", machine, *operands).output, grad_output.T @ input)


def test_the_padding_is_in_the_nominal_count_and_not_in_the_dense_one() -> None:
    layer = Conv(N=2, C=4, H=3, W=3, M=6, R=3, S=3, pad_h=1, pad_w=1, G=2)
    pairs_of_channels = layer.N * layer.M * layer.C // layer.G
    assert nominal_macs(layer) == pairs_of_channels * (3 * 3) * (3 * 3)
    assert dense_macs(layer) == pairs_of_channels * (2 + 3 + 2) ** 2


def test_fractions_are_summed_as_float64() -> None:
    step = run_step(Linear(N=1, C=2, M=1), "forward", ONE_PE, np.array([[0.5, 2]], np.float32), np.ones((1, 2)), None)
    assert step.output.dtype == np.float64
    assert step.output.tolist() == [[0.5 + 2]]


def test_a_kernel_row_that_does_not_fit_the_accumulators_is_refused() -> None:
    layer = Conv(N=1, C=1, H=8, W=8, M=1, R=2, S=3)
    operands = draw_operands(layer)
    run_step(layer, "gtw", replace(ONE_PE, accumulators=3), *operands)
    with pytest.raises(ValueError, match="accumulators") as refusal:
        run_step(layer, "gtw", replace(ONE_PE, accumulators=2), *operands)
    assert str(refusal.value) == f"{layer} needs 3 accumulators in each PE for its gtw step, the machine has 2."


def test_operands_and_steps_that_do_not_belong_are_refused() -> None:
    layer = Linear(N=1, C=2, M=3)
    weight = np.ones((3, 2))
    with pytest.raises(ValueError, match="input") as refusal:
        run_step(layer, "forward", ONE_PE, np.ones((2, 1)), weight, None)
    assert str(refusal.value) == f"The forward step of {layer} needs input of shape (1, 2), it was given shape (2, 1)."
    with pytest.raises(ValueError, match="grad_output") as refusal:
        run_step(layer, "gta", ONE_PE, None, weight, None)
    assert str(refusal.value) == f"The gta step of {layer} needs grad_output of shape (1, 3), it was given nothing."
    with pytest.raises(ValueError, match="step") as refusal:
        run_step(layer, "backward", ONE_PE, None, weight, None)
    assert str(refusal.value) == "A step is one of forward, gta, gtw, not 'backward'."
    with pytest.raises(ValueError, match="divide") as refusal:
        Conv(N=1, C=3, H=1, W=1, M=4, R=1, S=1, G=2)
    assert str(refusal.value) == "G = 2 must divide C = 3 and M = 4."
    with pytest.raises(ValueError, match="at least") as refusal:
        Conv(N=1, C=1, H=1, W=4, M=1, R=3, S=1)
    assert str(refusal.value) == "The output must have at least one row and column, not P = -1 and Q = 4."
