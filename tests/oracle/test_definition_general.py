"""Hold the definition of general geometry against plain loops, against itself uncut and against cases by hand."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from drawn_cases import thin
from oracle.definition import StepOracle, find_walk, list_tasks, run_step
from oracle.definition_layers import Array, Conv, Layer, Linear, Machine, Product, Transposed, cut_kernel, cut_strips
from oracle.general_layers import draw_layer, draw_machine, draw_operands, draw_transposed, make_loops
from oracle.layer_loops import (
    linear_forward,
    linear_gta,
    linear_gtw,
    matmul_backward,
    matmul_forward,
)

SEED = 130
CASES = 200
STEPS = ("forward", "gta", "gtw")
ROOMY = 10_000
Operands = dict[str, Array | None]


def draw_case(index: int) -> tuple[Layer, Machine, Operands]:
    """Draw a layer, a machine and operands."""
    rng = np.random.default_rng([SEED, index])
    layer = draw_layer(rng)
    return layer, draw_machine(rng), draw_operands(rng, layer)


def sum_plainly(layer: Layer, step: str, operands: Operands) -> Array:
    """Compute a step's result by the plain loops of its kind."""
    input, weight, grad_output, mask = (operands[name] for name in ("input", "weight", "grad_output", "mask"))
    if isinstance(layer, Product):
        second = weight.swapaxes(1, 2)
        if step == "forward":
            return matmul_forward(input, second)
        grad_input, grad_second = matmul_backward(grad_output, input, second)
        return grad_second.swapaxes(1, 2) if step == "gtw" else grad_input * (1 if mask is None else mask)
    if isinstance(layer, Linear):
        sums = {"forward": linear_forward, "gta": linear_gta, "gtw": linear_gtw}
    else:
        loops = make_loops(layer)
        sums = {"forward": loops.forward, "gta": loops.gta, "gtw": loops.gtw}
    given = {"forward": (input, weight), "gta": (grad_output, weight, mask), "gtw": (input, grad_output)}
    return sums[step](*given[step])


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_values_are_those_of_plain_loops_however_rows_are_cut_and_groups_packed(index: int) -> None:
    layer, machine, operands = draw_case(index)
    for step in STEPS:
        result = run_step(layer, step, machine, **operands)
        assert np.array_equal(result.output, sum_plainly(layer, step, operands)), step
        assert len(set(result.task_indices)) == len(result.task_indices)
        assert result.task_indices == sorted(result.task_indices)
        if machine.multipliers_per_pe == 1:
            least = result.row_ops * machine.row_overhead_cycles + result.multiplications
            worked = sum(map(sum, result.pe_cycles))
            assert worked == least + result.empty_issue_cycles or machine.empty_issue_cycles > 1


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_live_taps_do_not_depend_on_accumulators_or_packing(index: int) -> None:
    layer, machine, operands = draw_case(index)
    for step in STEPS:
        result = run_step(layer, step, machine, **operands)
        whole = run_step(layer, step, replace(machine, accumulators=ROOMY, pack_groups=False), **operands)
        assert result.multiplications == whole.multiplications
        if is_conv(layer):
            assert result.row_ops == whole.row_ops * count_strips(layer, step, machine)


def count_strips(layer: Conv | Transposed, step: str, machine: Machine) -> int:
    """Count the strips that an output row of a step is cut into."""
    if step == "gtw":
        return 1
    conv = layer if isinstance(layer, Conv) else layer.K
    return ceil((conv.Q if find_walk(layer, step) == "forward" else conv.W) / machine.accumulators)


def is_equal(first: StepOracle, second: StepOracle) -> bool:
    """Say whether all of two results but the values are the same."""
    return replace(first, output=second.output) == second


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_a_transposed_convolution_is_its_convolution_with_exchanged_steps(index: int) -> None:
    rng = np.random.default_rng([SEED, index, 1])
    layer, machine = draw_transposed(rng), draw_machine(rng)
    operands = draw_operands(rng, layer)
    swapped = {"input": operands["grad_output"], "weight": operands["weight"], "grad_output": operands["input"]}
    forward = run_step(layer, "forward", machine, **operands)
    assert is_equal(forward, run_step(layer.K, "gta", machine, **swapped))
    gtw = run_step(layer, "gtw", machine, **operands)
    assert is_equal(gtw, run_step(layer.K, "gtw", machine, **swapped))
    unmasked = run_step(layer, "gta", machine, **{**operands, "mask": None})
    assert is_equal(unmasked, run_step(layer.K, "forward", machine, **swapped))


def test_the_draws_hold_every_kind_and_every_cut() -> None:
    cases = [draw_case(index)[:2] for index in range(CASES)]
    assert {type(layer) for layer, _ in cases} == {Conv, Transposed, Linear, Product}
    convs = [(layer if isinstance(layer, Conv) else layer.K, machine) for layer, machine in cases if is_conv(layer)]
    assert any(conv.U_h != conv.U_w for conv, _ in convs)
    assert any(conv.PQ and replace(conv, PQ=None).shapes["output"][2:] != conv.PQ for conv, _ in convs)
    assert {len(cut_strips(conv.Q, machine.accumulators)) for conv, machine in convs} >= {1, 2, 3}
    assert {len(cut_kernel(conv, machine.accumulators)) for conv, machine in convs} >= {1, 2, 3}
    packed = [
        (layer, step)
        for layer, machine in cases
        for step in STEPS
        if list_tasks(layer, step, machine) != list_tasks(layer, step, replace(machine, pack_groups=False))
    ]
    assert {(type(layer), step) for layer, step in packed} == {
        (kind, step) for kind in (Conv, Transposed) for step in STEPS
    }


def is_conv(layer: Layer) -> bool:
    """Say whether a layer is a convolution of either kind."""
    return isinstance(layer, Conv | Transposed)


def row(*values: int) -> Array:
    """Return the values as a tensor of one image, one channel and one row."""
    return np.array(values).reshape(1, 1, 1, -1)


ONE_PE = Machine(groups=1, pes_per_group=1, row_overhead_cycles=10)


def test_strips_are_as_few_as_fit_and_of_equal_length() -> None:
    assert cut_strips(7, 3) == [range(0, 3), range(3, 6), range(6, 7)]
    assert cut_strips(8, 7) == [range(0, 4), range(4, 8)]
    assert cut_strips(7, 7) == [range(7)]
    conv = Conv(N=1, C=1, H=9, W=9, M=1, R=7, S=2)
    # ceil(7 / ceil(7 / floor(A / 2))) kernel rows: of 5 words 2 rows in 4 runs, of 9 words 4 rows in 2 runs.
    assert cut_kernel(conv, 5) == [range(0, 2), range(2, 4), range(4, 6), range(6, 7)]
    assert cut_kernel(conv, 9) == [range(0, 4), range(4, 7)]
    assert cut_kernel(conv, 14) == [range(7)]


def test_a_strip_reads_its_window_whether_or_not_a_tap_exists() -> None:
    # Stride 2, one tap: outputs 0..1 read w = 0..2, outputs 2..3 read w = 4..6; w = 3 and 7 are in neither window.
    layer = Conv(N=1, C=1, H=1, W=8, M=1, R=1, S=1, U=2)
    operands = (row(*[1] * 8), row(3), None)
    cut = run_step(layer, "forward", replace(ONE_PE, accumulators=2), *operands)
    assert cut.task_indices == [(0, 0, 0, 0), (0, 0, 1, 0)]
    assert cut.task_cycles == [10 + 3, 10 + 3]
    assert (cut.row_ops, cut.multiplications, cut.empty_issue_cycles) == (2, 4, 2)
    whole = run_step(layer, "forward", ONE_PE, *operands)
    assert (whole.task_indices, whole.task_cycles) == ([(0, 0, 0)], [10 + 8])


def test_a_strip_of_gta_reads_the_gradients_whose_columns_meet_it() -> None:
    # Dilation 2, two taps, left padding 1: q spans the columns q - 1 and q + 1, and q in between is met without a tap.
    layer = Conv(N=1, C=1, H=1, W=4, M=1, R=1, S=2, D=(1, 2), pad_w=(1, 0))
    assert layer.Q == 3
    cut = run_step(layer, "gta", replace(ONE_PE, accumulators=1), None, row(1, 1), row(1, 1, 1))
    # Column 0: q = 0 (span -1..1, no tap on it), q = 1 (0..2). Column 1: all, q = 0 and 2 with a tap.
    # Column 2: q = 1, 2 (1..3), one of them with a tap on it. Column 3: q = 2.
    assert cut.task_cycles == [10 + 2, 10 + 3, 10 + 2, 10 + 1]
    assert cut.multiplications == 1 + 2 + 1 + 1


def test_packed_groups_share_a_block_in_their_order() -> None:
    # Five groups of two filters: 2 * 2 <= 5, so floor(5 / 2) = 2 groups, 4 PEs, stand in a block; the last holds one.
    layer = Conv(N=1, C=5, H=1, W=2, M=10, R=1, S=1, G=5)
    machine = Machine(groups=1, pes_per_group=5, row_overhead_cycles=10, pack_groups=True)
    input = np.array([[1, 1], [1, 0], [0, 0], [1, 1], [0, 1]]).reshape(1, 5, 1, 2)
    step = run_step(layer, "forward", machine, input, np.ones((10, 1, 1, 1)), None)
    assert step.pe_cycles == [[12, 12, 11, 11, 0], [10, 10, 12, 12, 0], [11, 11, 0, 0, 0]]
    assert step.task_indices == [(0, 0, 0), (0, 0, 1), (0, 0, 2)]
    # GTW: one channel a group, 2 * 1 <= 5, so five groups in a block and a task for each of the two filters' places.
    grad_output = np.ones((1, 10, 1, 2))
    grad_output[0, 3] = 0  # place 1 of group 1
    gtw = run_step(layer, "gtw", machine, input, None, grad_output)
    assert gtw.task_indices == [(0, 0), (0, 1)]
    assert gtw.pe_cycles == [[12, 12, 12, 12, 12], [12, 10, 12, 12, 12]]
    assert len(run_step(layer, "gta", machine, None, np.ones((10, 1, 1, 1)), grad_output).task_cycles) == 1


def test_groups_of_more_than_half_the_pes_are_not_packed() -> None:
    layer = Conv(N=1, C=4, H=1, W=1, M=4, R=1, S=1, G=2)
    ones = np.ones((1, 4, 1, 1))
    for pes, blocks in ((3, 2), (4, 1)):
        machine = Machine(pes_per_group=pes, pack_groups=True)
        assert len(run_step(layer, "forward", machine, ones, np.ones((4, 2, 1, 1)), None).task_cycles) == blocks


def test_an_output_mask_takes_taps_from_src_and_leaves_the_overhead() -> None:
    layer = Transposed(Conv(N=1, C=1, H=1, W=4, M=1, R=1, S=1, PQ=(1, 4)))
    operands = (row(1, 0, 0, 2), row(5), row(1, 1, 0, 1))
    masked = run_step(layer, "gta", ONE_PE, *operands, mask=row(1, 0, 0, 0))
    assert (masked.cycles, masked.multiplications, masked.empty_issue_cycles) == (10 + 3, 1, 2)
    assert masked.output.ravel().tolist() == [5, 0, 0, 0]
    assert run_step(layer, "gta", replace(ONE_PE, empty_issue_cycles=0), *operands, mask=row(0, 0, 0, 0)).cycles == 10
    dense = run_step(layer, "gta", replace(ONE_PE, skip_zeros=False), *operands, mask=row(1, 0, 0, 0))
    assert (dense.cycles, dense.multiplications) == (10 + 4, 4)
    assert dense.output.ravel().tolist() == [5, 0, 0, 0]


def test_a_product_is_a_fully_connected_layer_in_each_place_of_the_batch() -> None:
    # k of GTW counts the batch's products: 3 * 4 * 5 // (2 PEs * 1 group * 8 tasks) = 3, of one place it would be 1.
    layer, machine = Product(Z=3, T=2, C=5, M=4), Machine(groups=1, pes_per_group=2)
    operands = draw_operands(np.random.default_rng(5), layer)
    for step in STEPS:
        product = run_step(layer, step, machine, **operands)
        one = machine if step != "gtw" else replace(machine, accumulators=3, min_tasks_per_group=1)
        places = [
            run_step(Linear(2, 5, 4), step, one, **{k: v if v is None else v[z] for k, v in operands.items()})
            for z in range(3)
        ]
        assert product.pe_cycles == [cycles for place in places for cycles in place.pe_cycles]
        assert product.task_indices == [(z, *index) for z, place in enumerate(places) for index in place.task_indices]
