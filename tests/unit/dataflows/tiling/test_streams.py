"""Transfers of tiles lie where the tile's rows lie, by tensors, and sum to what the tiles move."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
from random_layers import draw_conv_shape, draw_linear_shape, draw_operands

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, RowFormat, TileStreams, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.traffic_laws import check_streams
from dataflows.sparsetrain.dataflow import RowConvolution
from dataflows.tiling.streams import Placed, TileLoads, place_streams
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, Step

ARRAY = PEArray(groups=2, pes_per_group=2, min_tasks_per_group=8)
RAW = MemoryShare(capacity_bytes=None, sparse_format=RowFormat.RAW)
STEPS = tuple(Step)


def find_streams(operands: Operands, step: Step, share: MemoryShare) -> tuple[Traffic, TileStreams]:
    """Give a step's traffic and where its transfers lie."""
    traffic = RowConvolution().lower(StepProblem(operands, step, ARRAY, share)).traffic
    assert traffic is not None
    assert traffic.streams is not None
    return traffic, traffic.streams


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("seed", range(12))
def test_streams_keep_their_laws_however_a_step_is_tiled(seed: int, step: Step) -> None:
    rng = np.random.default_rng((73, seed))
    shape = draw_linear_shape(rng) if seed % 4 == 0 else draw_conv_shape(rng)
    operands = draw_operands(rng, shape)
    for capacity in (None, 3000):
        share = MemoryShare(capacity_bytes=capacity)
        traffic, streams = find_streams(operands, step, share)
        assert list(check_streams(traffic, streams)) == []


def test_the_laws_tell_a_transfer_that_is_elsewhere() -> None:
    operands = draw_operands(np.random.default_rng(3), ConvShape(1, 2, 4, 4, 2, 3, 3))
    traffic, streams = find_streams(operands, Step.FORWARD, RAW)
    more = dataclasses.replace(streams, first_bytes=streams.first_bytes + 1)
    assert list(check_streams(traffic, more)) == ["a transfer ends behind its tensor"]
    less = dataclasses.replace(streams, size_bytes=streams.size_bytes - (streams.size_bytes > 0))
    assert list(check_streams(traffic, less)) == [
        "what tiles load of their tensors does not sum to tile_load_bytes",
        "what tiles write of the last tensor is not tile_write_back_bytes",
    ]


@pytest.mark.parametrize("step", STEPS)
def test_one_tile_moves_whole_tensors(step: Step) -> None:
    shape = ConvShape(2, 3, 5, 4, 6, 3, 3, padding=(1, 1, 1, 1))
    _, streams = find_streams(draw_operands(np.random.default_rng(1), shape), step, RAW)
    assert not streams.first_bytes.any()
    assert streams.size_bytes[0].tolist() == streams.tensor_bytes.tolist()


N, C, H, M, R = 2, 3, 6, 4, 3
ROW, KERNEL, SUMS = 2 * H, 2 * R * R, 4 * R * R


def list_runs(traffic: Traffic, limits: tuple[int, ...]) -> list[tuple[int, ...]]:
    """List where each tile begins: its task indices, the last fastest, then its reduction indices."""
    sizes = [int(size) for size in traffic.tiling.replace("|", "x").split("x")]
    return list(product(*(range(0, limit, size) for limit, size in zip(limits, sizes, strict=True))))


def find_expected(step: Step, traffic: Traffic) -> list[list[int]]:
    """Give the first byte that each tile reads of each tensor, and the first that it writes; PEs are two."""

    def row(n: int, channels: int, c: int, h: int) -> int:
        return ((n * channels + c) * H + max(0, h)) * ROW

    if step is Step.FORWARD:
        runs = list_runs(traffic, (N, H, M // 2, C))
        return [[row(n, C, c, p - 1), (2 * b * C + c) * KERNEL, 0, 0, 0, row(n, M, 2 * b, p)] for n, p, b, c in runs]
    if step is Step.GTA:
        runs = list_runs(traffic, (N, H, 2, M))
        return [[row(n, M, m, h - 1), (m * C + 2 * b) * KERNEL, 0, 0, 0, row(n, C, 2 * b, h)] for n, h, b, m in runs]
    runs = list_runs(traffic, (M, 2, N, H))
    return [[row(n, M, m, h - 1), row(n, C, 2 * b, h), 0, (m * C + 2 * b) * SUMS] for m, b, n, h in runs]


@pytest.mark.parametrize(("step", "capacity"), [(Step.FORWARD, 700), (Step.GTA, 400), (Step.GTW, 260)])
def test_rows_of_equal_length_lie_exactly_where_they_are_read(step: Step, capacity: int) -> None:
    shape = ConvShape(N, C, H, H, M, R, R, padding=(1, 1, 1, 1))
    operands = dataclasses.replace(draw_operands(np.random.default_rng(1), shape), mask=None)
    traffic, streams = find_streams(operands, step, dataclasses.replace(RAW, capacity_bytes=capacity))
    expected = np.array(find_expected(step, traffic))
    assert expected.shape == streams.first_bytes.shape
    assert len(expected) > 8
    # A run that would end behind its tensor begins earlier: of rows of several channels, those of the first alone lie
    # side by side.
    is_moved = streams.tensor_bytes - streams.size_bytes < expected
    assert (is_moved | (streams.first_bytes == expected) | (streams.size_bytes == 0)).all()
    assert is_moved.mean() < 0.2


def test_weights_of_a_fully_connected_layer_lie_output_by_output() -> None:
    shape = LinearShape(2, 8, 6)
    operands = draw_operands(np.random.default_rng(1), shape)
    _, streams = find_streams(operands, Step.FORWARD, dataclasses.replace(RAW, capacity_bytes=80))
    assert len(streams.first_bytes) > 2
    starts = streams.first_bytes[:, 1]
    # Blocks of two outputs of eight inputs of two bytes, perhaps in pieces of the inputs.
    assert set(starts.tolist()) == set(range(0, int(starts.max()) + 1, int(np.diff(np.unique(starts))[0])))
    assert streams.tensor_bytes[1] == 6 * 8 * 2


def test_what_is_loaded_besides_is_read_from_its_beginning_to_its_end() -> None:
    loads = TileLoads([Placed(100, 10), Placed(50, 5)], [(30,), (20,), (0,)], [(2, 0), (9, 4), (0, 0)])
    streams = place_streams(loads, np.array([33, 25, 1]), np.array([10, 20, 0]))
    assert streams.tensor_bytes.tolist() == [100, 9, 50]
    # The second run would end behind its tensor, and the second write too.
    assert streams.first_bytes.tolist() == [[20, 0, 0], [80, 3, 30], [0, 8, 0]]
    assert streams.size_bytes.tolist() == [[30, 3, 10], [20, 5, 20], [0, 1, 0]]
