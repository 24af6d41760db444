"""What it costs that the PPU applies a mask of GTA that the PEs do not know, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, RowFormat, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from workloads.operands import GradientFinish, Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step

PES = 2
WORD = 2
MEMORY = MemoryShare(None, None, 8 * WORD, 16 * WORD, RowFormat.RAW)
N, C, H, W, M = 2, 4, 3, 9, 5
CONV = ConvShape(N, C, H, W, M, 1, 1)
MASK_ROW = -(-W // 8)
INPUTS, OUTPUTS = 19, 6
LINEAR = LinearShape(N, INPUTS, OUTPUTS)


def make_operands(shape: LayerShape) -> Operands:
    """Make a dense layer whose mask is set for every other element."""
    mask = np.arange(np.prod(shape.input_shape)).reshape(shape.input_shape) % 2 == 0
    tensors = (np.ones(size, np.float32) for size in (shape.input_shape, shape.weight_shape, shape.output_shape))
    input, weight, grad_output = tensors
    return Operands("layer", shape, input, weight, None, grad_output, mask, tuple(Step))


def hide_mask(operands: Operands) -> Operands:
    return replace(operands, mask=None, finish=GradientFinish(mask=operands.mask))


def find_traffic(operands: Operands, **array: bool) -> Traffic:
    traffic = (
        RowConvolution().lower(StepProblem(operands, Step.GTA, PEArray(pes_per_group=PES, **array), MEMORY)).traffic
    )
    assert traffic is not None
    return traffic


def test_in_a_convolution_the_ppu_reads_a_mask_row_for_each_pe_and_no_burst_does() -> None:
    seen = make_operands(CONV)
    fetching, reading = find_traffic(seen), find_traffic(hide_mask(seen))
    tasks = N * H * C // PES
    weights = C * M * WORD
    assert reading.ppu_read_bytes.tolist() == [PES * MASK_ROW] * tasks
    assert fetching.ppu_read_bytes.tolist() == [0] * tasks
    # A store without limit: each task is one burst of M gradient rows, a weight for each PE, and the mask where known.
    burst = M * W * WORD + PES * M * WORD
    assert reading.burst_bytes.tolist() == [burst] * tasks
    assert fetching.burst_bytes.tolist() == [burst + PES * MASK_ROW] * tasks
    loaded = N * M * H * W * WORD + weights + N * C * H * MASK_ROW
    assert reading.tile_load_bytes.tolist() == fetching.tile_load_bytes.tolist() == [loaded]


def test_a_fully_connected_layer_reads_a_bit_for_each_output_of_a_task() -> None:
    seen = make_operands(LINEAR)
    fetching, reading = find_traffic(seen), find_traffic(hide_mask(seen))
    owned = [min(PES, INPUTS - first) for first in range(0, INPUTS, PES)] * N
    assert reading.ppu_read_bytes.tolist() == [-(-outputs // 8) for outputs in owned]
    assert fetching.ppu_read_bytes.tolist() == [0] * len(owned)
    row = OUTPUTS * WORD
    assert reading.burst_bytes.tolist() == [row + outputs * row for outputs in owned]
    loaded = N * row + INPUTS * row + N * -(-INPUTS // 8)
    assert reading.tile_load_bytes.tolist() == fetching.tile_load_bytes.tolist() == [loaded]


@pytest.mark.parametrize("shape", [CONV, LINEAR])
def test_a_ppu_reads_a_mask_for_the_same_bytes_on_the_dense_machine(shape: LayerShape) -> None:
    seen = make_operands(shape)
    sparse = find_traffic(hide_mask(seen))
    for operands in (seen, hide_mask(seen)):
        dense = find_traffic(operands, skip_zeros=False)
        np.testing.assert_array_equal(dense.ppu_read_bytes, sparse.ppu_read_bytes)
        np.testing.assert_array_equal(dense.tile_load_bytes, sparse.tile_load_bytes)


@pytest.mark.parametrize("shape", [CONV, LINEAR])
def test_without_a_mask_nobody_reads_one(shape: LayerShape) -> None:
    unmasked = find_traffic(replace(make_operands(shape), mask=None))
    assert not unmasked.ppu_read_bytes.any()
