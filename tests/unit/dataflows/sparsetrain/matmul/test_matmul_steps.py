"""Steps of a product of two activations, held against loops over single dot products."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from random_layers import draw_operands

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare, RowFormat, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from dataflows.sparsetrain.matmul.factors import MatmulFactors
from dataflows.sparsetrain.matmul.problems import take_product
from dataflows.sparsetrain.matmul.refusal import refuse_sample
from dataflows.sparsetrain.matmul.rows import MatmulRows
from dataflows.sparsetrain.matmul.tiling import start_sizes
from dataflows.sparsetrain.views import see_step
from sim.architecture import load_architecture
from sim.step.layer_run import run_layer_step
from sim.step.verify import Verdict
from sim.step.work import StepOptions
from workloads.layer_images import join_images, select_images
from workloads.operands import GradientFinish, Operands
from workloads.pruning import PruningKey, prune
from workloads.shapes import MatmulShape, Step

N, HEADS, T, C, M = 2, 3, 4, 5, 7
SIDES = list(product([False, True], repeat=2))
ARRAY = PEArray(groups=1, pes_per_group=2, multipliers_per_pe=2, min_tasks_per_group=50, row_overhead_cycles=1)


def draw(transpose_a: bool = False, transpose_b: bool = False, scale: float = 1.0, seed: int = 3) -> Operands:
    shape = MatmulShape(N, T, C, M, (HEADS,), transpose_a, transpose_b, scale)
    operands = draw_operands(np.random.default_rng(seed), shape)
    return replace(operands, mask=operands.input != 0)


def turned(operands: Operands) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give A, its mask, B and the gradient with one axis of products."""
    shape = operands.shape
    assert isinstance(shape, MatmulShape)
    a = np.swapaxes(operands.input, -1, -2) if shape.transpose_a else operands.input
    b = np.swapaxes(operands.weight, -1, -2) if shape.transpose_b else operands.weight
    a, b, grad = a.reshape(-1, T, C), b.reshape(-1, C, M), operands.grad_output.reshape(-1, T, M)
    return a, a != 0, b, grad


def work_task(operands: Operands, step: Step, skips: bool) -> list[list[int]]:
    """Give the cycles of every task on each PE, by the definition."""
    a, mask, _, grad = turned(operands)
    places, B, L = N * HEADS, ARRAY.pes_per_group, ARRAY.multipliers_per_pe

    def cost(row: np.ndarray) -> int:
        return 1 + -(-int(np.count_nonzero(row) if skips else len(row)) // L)

    tasks = []
    if step is Step.GTW:
        k = max(1, min(ARRAY.accumulators, places * M * C // (B * ARRAY.groups * ARRAY.min_tasks_per_group)))
        for p, m, first in product(range(places), range(M), range(0, C, B * k)):
            runs = [range(c, min(C, c + k)) for c in range(first, min(C, first + B * k), k)]
            rows = [n for n in range(T) if grad[p, n, m] != 0 or not skips]
            cycles = [sum(cost(a[p, n, run.start : run.stop]) for n in rows) for run in runs]
            tasks.append(cycles + [0] * (B - len(runs)))
        return tasks
    outputs, drivers = (M, a) if step is Step.FORWARD else (C, grad)
    for p, n, first in product(range(places), range(T), range(0, outputs, B)):
        owned = range(first, min(outputs, first + B))
        wanted = [step is Step.FORWARD or not skips or mask[p, n, c] for c in owned]
        tasks.append([cost(drivers[p, n]) * one for one in wanted] + [0] * (B - len(owned)))
    return tasks


@pytest.mark.parametrize(("transpose_a", "transpose_b"), SIDES)
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("step", Step)
def test_tasks_take_the_cycles_of_the_definition(step: Step, skips: bool, transpose_a: bool, transpose_b: bool) -> None:
    operands, array = draw(transpose_a, transpose_b), replace(ARRAY, skip_zeros=skips)
    table = RowConvolution().lower(StepProblem(operands, step, array))
    assert table.pe_cycles.tolist() == work_task(operands, step, skips)
    assert table.index_names == ("product", "column" if step is Step.GTW else "row", "block")
    cut = RowConvolution().lower(StepProblem(operands, step, array, MemoryShare()))
    np.testing.assert_array_equal(cut.pe_cycles, table.pe_cycles)
    assert table.counts.nominal_macs == N * HEADS * T * C * M


@pytest.mark.parametrize(("transpose_a", "transpose_b"), SIDES)
@pytest.mark.parametrize("preset", ["sparsetrain", "dense", "ideal"])
@pytest.mark.parametrize("step", Step)
def test_values_are_verified_and_pruned_by_the_image(
    step: Step, preset: str, transpose_a: bool, transpose_b: bool
) -> None:
    operands = draw(transpose_a, transpose_b, scale=2.0)
    rng = np.random.default_rng(1)
    finish = GradientFinish(tau=3.5, key=PruningKey(1, "a", 0))
    factor = GradientFinish(rng.random(operands.weight.shape) < 0.5, 2.5, PruningKey(1, "b", 0))
    operands = replace(
        operands, finish=finish, weight_finish=factor, summed=(operands.input[::-1].copy(),),
        weight_summed=(operands.weight[::-1].copy(),),
    )  # fmt: skip
    machine = load_architecture(preset)
    (run,) = run_layer_step(operands, step, (machine,), StepOptions(keeps_output=True))
    assert run.result.verdict == Verdict.EXACT.value
    assert run.output is not None
    a, _, b, grad = turned(operands)
    if step is Step.FORWARD:
        np.testing.assert_array_equal(run.output.reshape(-1, T, M), 2 * a @ b)
    if step is Step.GTW:
        expected = 2 * np.swapaxes(a, 1, 2) @ grad
        expected = (np.swapaxes(expected, 1, 2) if transpose_b else expected).reshape(operands.weight.shape)
        expected = (expected + operands.weight_summed[0]) * factor.mask
        assert factor.key is not None
        np.testing.assert_array_equal(run.output, prune(expected, factor.tau, factor.key))
    one = [select_images(operands, [image]) for image in (1, 0)]
    (alone,) = run_layer_step(one[0], step, (machine,), StepOptions(keeps_output=True))
    assert alone.output is not None
    np.testing.assert_array_equal(alone.output[0], run.output[1])
    np.testing.assert_array_equal(join_images(*one).weight, operands.weight[::-1])


def find_traffic(operands: Operands, step: Step, memory: MemoryShare) -> Traffic:
    traffic = RowConvolution().lower(StepProblem(operands, step, ARRAY, memory)).traffic
    assert traffic is not None
    return traffic


def test_every_place_of_the_batch_loads_its_own_factor_once() -> None:
    memory = MemoryShare(None, None, 16, 32, RowFormat.RAW)
    operands = draw()
    a, b, grad = (2 * tensor.size for tensor in (operands.input, operands.weight, operands.grad_output))
    mask = N * HEADS * T * -(-C // 8)
    assert find_traffic(operands, Step.FORWARD, memory).tile_load_bytes.tolist() == [a + b]
    assert find_traffic(operands, Step.GTA, memory).tile_load_bytes.tolist() == [grad + b + mask]
    found = find_traffic(operands, Step.GTW, memory)
    assert found.tile_load_bytes.tolist() == [a + grad]
    assert found.tile_write_back_bytes.tolist() == [b]


def test_the_gradient_to_the_second_factor_is_an_activations() -> None:
    memory = MemoryShare(None, None, 16, 32, RowFormat.RAW)
    operands = draw()
    idle = replace(operands, grad_output=np.zeros_like(operands.grad_output))
    assert not find_traffic(idle, Step.GTW, memory).ppu_elements.any()
    summed = replace(idle, weight_summed=(operands.weight,), weight_finish=GradientFinish(operands.weight != 0))
    found = find_traffic(summed, Step.GTW, memory)
    # What is added comes to the PPU though no product does, with a bit of the mask for each result.
    assert found.ppu_elements.sum() == operands.weight.size
    np.testing.assert_array_equal(found.ppu_write_bytes, 2 * found.ppu_elements)
    np.testing.assert_array_equal(found.ppu_read_bytes, 2 * found.ppu_elements + -(-found.ppu_elements // 8))
    assert found.tile_load_bytes.tolist() == [2 * (operands.input.size + idle.grad_output.size + operands.weight.size)
                                              + N * HEADS * M * -(-C // 8)]  # fmt: skip


@pytest.mark.parametrize("step", Step)
def test_a_tiling_is_the_best_of_all_that_fit(step: Step) -> None:
    operands = draw()
    memory = MemoryShare(260, None, 16, 32, RowFormat.RAW)
    found = find_traffic(operands, step, memory)
    assert found.footprint_bytes <= 260
    assert len(found.tile_load_bytes) > 1
    moved = int(found.tile_load_bytes.sum() + found.tile_write_back_bytes.sum())
    tiles = len(found.tile_load_bytes)
    outputs, depth, rows = {Step.FORWARD: (M, C, T), Step.GTA: (C, M, T), Step.GTW: (C, T, M)}[step]
    # k of GTW counts the products of the batch: 6 x 35 over 2 PEs and 50 tasks.
    block = 4 if step is Step.GTW else 2
    assert start_sizes()[0].shape == (4,)
    tilings = list_tilings(step, outputs, depth, rows, block, 260)
    least = min(bytes_moved for _, bytes_moved, _ in tilings)
    best = min(one for one in tilings if 32 * one[1] <= 33 * least)
    assert (tiles, moved) == best[:2]
    place, row, width, part = (-size for size in best[2])
    assert found.tiling == f"{place}x{row}x{width}|{part}"


def list_tilings(
    step: Step, outputs: int, depth: int, rows: int, block: int, capacity: int
) -> list[tuple[int, int, tuple[int, ...]]]:
    """List tiles, bytes and negated run lengths of every tiling of raw tensors of two bytes an element."""
    P, tilings = N * HEADS, []
    for p, n, b, o in product(
        range(1, P + 1), range(1, rows + 1), range(1, -(-outputs // block) + 1), range(1, depth + 1)
    ):
        width, cut = min(outputs, b * block), o < depth
        mask_bytes = -(-width // 8)
        if step is Step.GTW:
            tile = p * 2 * o * (n + width)
        else:
            tile = p * 2 * o * (n + width) + (p * n * mask_bytes if step is Step.GTA else 0)
        need = p * n * width * (4 if cut else 2) * (1 if cut else 2) + 2 * tile
        if need > capacity:
            continue
        b_runs, n_runs, parts = -(-outputs // (b * block)), -(-rows // n), -(-depth // o)
        widths = [min(outputs, start + b * block) - start for start in range(0, outputs, b * block)]
        moved = P * 2 * depth * (rows * b_runs + outputs * n_runs) + P * 2 * rows * outputs
        if step is Step.GTA:
            moved += parts * P * rows * sum(-(-one // 8) for one in widths)
        tilings.append((-(-P // p) * n_runs * b_runs * parts, moved, (-p, -n, -b, -o)))
    return tilings


def test_products_are_taken_one_by_one_and_not_sampled() -> None:
    problem = see_step(StepProblem(draw(True, False), Step.GTW, ARRAY, MemoryShare()))
    a, _, b, _ = turned(draw(True, False))
    one = take_product(problem, 4)
    np.testing.assert_array_equal(one.operands.input, a[4])
    np.testing.assert_array_equal(one.operands.weight, b[4].T)
    for mapping in (MatmulRows(), MatmulFactors()):
        with pytest.raises(
            UnmappableLayerError, match="layer 'layer', step gtw: cannot be sampled on a machine with memory"
        ):
            mapping.plan_tiles(problem, np.arange(2))
    assert "product of two activations" in str(refuse_sample(problem))
