"""A transposed convolution is the convolution from its output to its input, its steps exchanged; held against loops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from random_layers import draw_operands

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.conv_rows.masked_outputs import find_output_mask
from dataflows.sparsetrain.dataflow import RowConvolution
from dataflows.sparsetrain.views import see_step
from sim.architecture import load_architecture
from sim.step.layer_run import run_layer_step
from sim.step.verify import Verdict
from sim.step.work import StepOptions
from workloads.kinds.conv_transpose2d import ConvTranspose2d
from workloads.operands import EXCHANGED, GradientFinish, Operands, exchange_roles
from workloads.pruning import PruningKey
from workloads.reference import bound_forward, bound_gta, bound_gtw, run_forward, run_gta, run_gtw, sum_length
from workloads.shapes import Step, TransposedConvShape

N, C, H, W = 2, 4, 3, 4
FORMS = [
    {"out_channels": 6, "kernel": [3, 2], "stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
    {"out_channels": 5, "kernel": 3, "stride": [3, 1], "padding": [1, 0, 0, 2], "dilation": [1, 2]},
    {"out_channels": 3, "kernel": 2, "stride": 1, "dilation": 3, "output_padding": 2},
    {"out_channels": 4, "kernel": 1, "stride": 3},
]
ARRAY = PEArray(groups=2, pes_per_group=2, multipliers_per_pe=2, min_tasks_per_group=1)


def make_layer(form: dict[str, object]) -> ConvTranspose2d:
    return ConvTranspose2d.model_validate({"name": "up", "type": "conv_transpose2d", **form})


def draw(form: dict[str, object], seed: int = 1) -> Operands:
    shape = make_layer(form).infer_geometry((N, C, H, W))
    operands = draw_operands(np.random.default_rng(seed), shape)
    rng = np.random.default_rng(seed + 1)
    input, grad_output, weight = (
        (rng.integers(-3, 4, one.shape) * (rng.random(one.shape) < 0.7)).astype(np.float32)
        for one in (operands.input, operands.grad_output, operands.weight)
    )
    return replace(operands, input=input, grad_output=grad_output, weight=weight, mask=input != 0)


def list_taps(shape: TransposedConvShape) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Give (h, w, r, s, p, q): the input at h, w adds through the tap r, s to the output at p, q."""
    conv = shape.conv
    for h, w, r, s in product(range(H), range(W), range(conv.kernel_height), range(conv.kernel_width)):
        p = h * conv.stride[0] + r * conv.dilation[0] - conv.pad_top
        q = w * conv.stride[1] + s * conv.dilation[1] - conv.pad_left
        if 0 <= p < conv.in_height and 0 <= q < conv.in_width:
            yield h, w, r, s, p, q


def work_steps(operands: Operands) -> dict[Step, np.ndarray]:
    """Compute the three steps tap by tap."""
    shape = operands.shape
    assert isinstance(shape, TransposedConvShape)
    G = shape.conv.groups
    output, grad_input, grad_weight = (
        np.zeros(size) for size in (shape.output_shape, shape.input_shape, shape.weight_shape)
    )
    M = shape.output_shape[1]
    for h, w, r, s, p, q in list_taps(shape):
        for c, m in product(range(C), range(M // G)):
            out = c // (C // G) * (M // G) + m
            x, dy = operands.input[:, c, h, w], operands.grad_output[:, out, p, q]
            output[:, out, p, q] += x * operands.weight[c, m, r, s]
            grad_input[:, c, h, w] += dy * operands.weight[c, m, r, s]
            grad_weight[c, m, r, s] += (x * dy).sum()
    return {Step.FORWARD: output, Step.GTA: grad_input, Step.GTW: grad_weight}


@pytest.mark.parametrize("form", FORMS)
def test_the_reference_agrees_with_loops_and_stays_below_its_bounds(form: dict[str, object]) -> None:
    operands = draw(form)
    steps = work_steps(operands)
    np.testing.assert_array_equal(run_forward(operands), steps[Step.FORWARD])
    np.testing.assert_array_equal(run_gta(operands), steps[Step.GTA] * operands.mask)
    np.testing.assert_array_equal(run_gtw(operands), steps[Step.GTW])
    sizes = replace(
        operands, input=np.abs(operands.input), weight=np.abs(operands.weight), mask=None,
        grad_output=np.abs(operands.grad_output),
    )  # fmt: skip
    sums = work_steps(sizes)
    for step, bound in ((Step.FORWARD, bound_forward), (Step.GTA, bound_gta), (Step.GTW, bound_gtw)):
        assert (bound(replace(operands, mask=None)) * (1 + 1e-9) >= sums[step]).all()
        assert sum_length(operands.shape, step) >= 1


def work_masked_gta(operands: Operands, array: PEArray) -> list[list[int]]:
    """Give the cycles of GTA's tasks on each PE: SRC with driver rows dO, under the mask of the input."""
    shape, mask = operands.shape, operands.mask
    assert isinstance(shape, TransposedConvShape)
    assert mask is not None
    conv, B, L = shape.conv, array.pes_per_group, array.multipliers_per_pe
    G, M = conv.groups, conv.in_channels
    taps = list(list_taps(shape))
    tasks = []
    for n, h, group, first in product(range(N), range(H), range(G), range(0, C // G, B)):
        cycles = [0] * B
        for pe, c in enumerate(range(first, min(C // G, first + B))):
            c += group * (C // G)
            for m, r in product(range(M // G), range(conv.kernel_height)):
                p = h * conv.stride[0] + r * conv.dilation[0] - conv.pad_top
                if not 0 <= p < conv.in_height:
                    continue
                cycles[pe] += array.row_overhead_cycles
                for q in np.flatnonzero(operands.grad_output[n, group * (M // G) + m, p]):
                    live = sum(
                        mask[n, c, h, w] and not (array.skip_weights and operands.weight[c, m, r, s] == 0)
                        for h_, w, r_, s, p_, q_ in taps
                        if (h_, r_, p_, q_) == (h, r, p, q)
                    )
                    cycles[pe] += max(array.empty_issue_cycles, -(-int(live) // L))
        tasks.append(cycles)
    return tasks


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("skips_weights", [False, True])
@pytest.mark.parametrize("accumulators", [2, 3])
def test_strips_add_up_to_the_whole_row_where_every_element_is_read(
    form: dict[str, object], accumulators: int, skips_weights: bool
) -> None:
    # Without an overhead and a floor only live taps cost anything, however the rows are cut.
    array = replace(
        ARRAY, multipliers_per_pe=1, row_overhead_cycles=0, empty_issue_cycles=0, skip_weights=skips_weights
    )
    operands = draw(form)
    whole, cut = (
        RowConvolution().lower(StepProblem(operands, Step.GTA, one, MemoryShare()))
        for one in (array, replace(array, accumulators=accumulators))
    )
    strips = -(-W // accumulators)
    B, blocks = array.pes_per_group, len(whole) // (N * H)
    summed = cut.pe_cycles.reshape(N * H, strips, blocks, B).sum(axis=1)
    np.testing.assert_array_equal(summed.reshape(-1, B), whole.pe_cycles)
    assert cut.counts.multiplications == whole.counts.multiplications
    values = RowConvolution().execute(
        StepProblem(operands, Step.GTA, replace(array, accumulators=accumulators)), np.ones(len(cut), dtype=np.bool_)
    )
    np.testing.assert_array_equal(values.output, run_gta(operands))
    assert values.multiplications == whole.counts.multiplications


@pytest.mark.parametrize("skips_weights", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_gta_is_src_with_an_output_mask(form: dict[str, object], skips_weights: bool) -> None:
    operands, array = draw(form), replace(ARRAY, skip_weights=skips_weights)
    table = RowConvolution().lower(StepProblem(operands, Step.GTA, array))
    assert table.pe_cycles.tolist() == work_masked_gta(operands, array)
    for memory in (MemoryShare(), MemoryShare(capacity_bytes=600, operand_store_bytes=64)):
        cut = RowConvolution().lower(StepProblem(operands, Step.GTA, array, memory))
        np.testing.assert_array_equal(cut.pe_cycles, table.pe_cycles)
        assert cut.counts == table.counts


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("skips", [True, False])
def test_forward_and_gtw_are_the_convolutions_gta_without_a_mask_and_gtw(form: dict[str, object], skips: bool) -> None:
    operands, array = draw(form), replace(ARRAY, skip_zeros=skips)
    inner = exchange_roles(operands)
    for step in (Step.FORWARD, Step.GTW):
        found = RowConvolution().lower(StepProblem(operands, step, array))
        expected = RowConvolution().lower(StepProblem(inner, EXCHANGED[step], array))
        np.testing.assert_array_equal(found.pe_cycles, expected.pe_cycles)
        np.testing.assert_array_equal(found.indices, expected.indices)
        assert found.counts == expected.counts
    seen = see_step(StepProblem(operands, Step.GTA, array))
    assert (seen.step, seen.own.step) == (Step.FORWARD, Step.GTA)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("preset", ["sparsetrain", "dense", "ideal"])
@pytest.mark.parametrize("step", Step)
def test_values_are_verified_with_bias_sums_and_pruning(form: dict[str, object], preset: str, step: Step) -> None:
    operands = draw(form)
    channels = operands.shape.output_shape[1]
    operands = replace(
        operands, bias=np.arange(channels, dtype=np.float32), summed=(operands.input[::-1].copy(),),
        finish=GradientFinish(tau=2.5, key=PruningKey(1, "before", 0)), relu_follows=True,
    )  # fmt: skip
    (run,) = run_layer_step(operands, step, (load_architecture(preset),), StepOptions(keeps_output=True))
    assert run.result.verdict == Verdict.EXACT.value
    if step is not Step.GTA:
        expected = work_steps(operands)[step]
        if step is Step.FORWARD:
            expected = expected + np.arange(channels)[:, None, None]
        np.testing.assert_array_equal(run.output, expected)


def test_the_mask_is_fetched_by_a_sparse_machine_and_read_by_the_ppu_of_a_dense_one() -> None:
    memory, operands = MemoryShare(None, None, 16, 32, RowFormat.RAW), draw(FORMS[0])
    mask_bytes = N * C * H * -(-W // 8)
    traffic = {}
    for skips, known in product([True, False], [True, False]):
        given = operands if known else replace(operands, mask=None)
        found = RowConvolution().lower(StepProblem(given, Step.GTA, replace(ARRAY, skip_zeros=skips), memory)).traffic
        assert found is not None
        traffic[skips, known] = int(found.burst_bytes.sum()), int(found.ppu_read_bytes.sum())
    assert traffic[True, True] == (traffic[True, False][0] + mask_bytes, 0)
    assert traffic[False, True] == (traffic[False, False][0], mask_bytes)
    forward = RowConvolution().lower(StepProblem(operands, Step.FORWARD, ARRAY, memory)).traffic
    assert forward is not None
    assert not forward.ppu_read_bytes.any()


def test_what_does_not_fit_is_refused_in_the_words_of_the_layers_own_step() -> None:
    with pytest.raises(ValueError, match="output_padding must be smaller than the stride or the dilation, got 2"):
        make_layer({"out_channels": 2, "kernel": 2, "stride": 2, "output_padding": 2}).infer_geometry((N, C, H, W))
    with pytest.raises(ValueError, match="its output would have the size 0 x 1"):
        make_layer({"out_channels": 2, "kernel": 1, "padding": [1, 0, 2, 3]}).infer_geometry((N, C, H, W))
    problem = StepProblem(draw({"out_channels": 2, "kernel": [1, 7]}), Step.GTW, replace(ARRAY, accumulators=6))
    with pytest.raises(UnmappableLayerError, match="step gtw: one grad_weight kernel row needs 7 accumulators"):
        RowConvolution().lower(problem)
    with pytest.raises(UnmappableLayerError, match="layer 'layer', step forward: no tiling fits the global buffer"):
        RowConvolution().lower(StepProblem(draw(FORMS[0]), Step.FORWARD, ARRAY, MemoryShare(capacity_bytes=8)))
    assert find_output_mask(see_step(StepProblem(draw(FORMS[0]), Step.FORWARD, ARRAY))) is None
