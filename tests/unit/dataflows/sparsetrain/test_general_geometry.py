"""Strides, paddings, dilation, strips, runs of kernel rows and packed groups against loops over multiplications."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from drawn_cases import thin
from oracle.stepped_records import TimedTask
from oracle.stepped_tiling import choose_tiling
from random_layers import ALL_STEPS, draw_conv_shape, draw_operands, draw_tensor
from slow_convolution import SlowWork, describe_machine

from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare, RowFormat, Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.traffic_laws import list_unequal
from dataflows.rows.dealing import count_packed_groups
from dataflows.rows.geometry import describe_rows
from dataflows.rows.strips import cut_kernel, cut_strips
from dataflows.sparsetrain.dataflow import RowConvolution
from dataflows.tiling.spans import find_spans
from sim.step.values import finish_values
from workloads.operands import Operands
from workloads.reference import run_forward, run_gta, run_gtw
from workloads.shapes import ConvShape, Step

CASES = 90
# Tilings times multiplications beyond which the loops try no tiling but that of one tile.
MOST_WORK = 400_000
DATAFLOW = RowConvolution()
REFERENCES = {Step.FORWARD: run_forward, Step.GTA: run_gta, Step.GTW: run_gtw}


@dataclass(frozen=True)
class Drawn:
    """A layer and machines with and without memory."""

    operands: Operands
    array: PEArray
    share: MemoryShare


@cache
def draw(index: int) -> Drawn:
    """Draw a small layer, accumulators too few for its rows and kernels in two of three cases, groups in half."""
    rng = np.random.default_rng([113, index])

    def choose(*values: object) -> object:
        return values[int(rng.integers(len(values)))]

    shape = draw_conv_shape(rng, largest_kernel=5, largest_size=7)
    if index % 2:
        groups = int(rng.integers(2, 6))
        shape = dataclasses.replace(
            shape, batch=1, groups=groups, in_channels=groups * int(rng.integers(1, 3)),
            out_channels=groups * int(rng.integers(1, 3)),
        )  # fmt: skip
    if index % 3 == 0:
        dilation = int(rng.integers(1, 4)), int(rng.integers(2, 4))
        stride = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        shape = dataclasses.replace(
            shape, in_height=8, in_width=7, kernel_height=3, kernel_width=2, dilation=dilation, stride=stride, batch=1,
            in_channels=shape.groups, out_channels=2 * shape.groups,
        )  # fmt: skip
    operands = draw_operands(rng, shape)
    if rng.random() < 0.4:
        summed = tuple(draw_tensor(rng, shape.input_shape, 0.4) for _ in range(int(rng.integers(1, 3))))
        operands = dataclasses.replace(operands, summed=summed)
    operands = dataclasses.replace(operands, relu_follows=bool(rng.random() < 0.5))
    array = PEArray(
        groups=int(rng.choice([1, 2, 5])),
        pes_per_group=int(rng.integers(1, 8)),
        multipliers_per_pe=int(rng.integers(1, 3)),
        accumulators=max(shape.kernel_width, int(rng.choice([1, 2, 3, 4, 5, 9, 256]))),
        min_tasks_per_group=int(rng.choice([1, 2, 8])),
        row_overhead_cycles=int(rng.integers(0, 3)),
        empty_issue_cycles=int(rng.integers(0, 3)),
        skip_zeros=bool(rng.random() < 0.7),
        skip_weights=bool(rng.random() < 0.3),
        pack_groups=bool(rng.random() < 0.8),
        skip_empty_rows=index % 4 == 1,
    )
    share = MemoryShare(
        choose(None, 100000, 2000, 600, 300, 150), choose(None, 8, 20, 64, 2048), choose(8, 12, 16),  # type: ignore[arg-type]
        choose(24, 32), choose(None, *RowFormat),  # type: ignore[arg-type]
    )  # fmt: skip
    return Drawn(operands, array, share)


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_tasks_counts_and_values_are_those_of_the_loops(index: int) -> None:
    drawn = draw(index)
    for step in ALL_STEPS:
        problem = StepProblem(drawn.operands, step, drawn.array)
        table, work = DATAFLOW.lower(problem), SlowWork(problem, describe_machine(problem))
        whole = tuple(map(range, work.reduction_limits))
        assert len(table) == len(work.tasks)
        row_ops = live = empty = examined = looked_up = 0
        for number, index_of in enumerate(work.tasks):
            cycles = [0] * drawn.array.pes_per_group
            for _, pe, operation in work.list_row_operations(index_of, whole):
                looked_up += work.machine.leaves_rows_out
                if not operation.is_executed:
                    continue
                cycles[pe] += work.count_cycles(operation)
                row_ops, live = row_ops + 1, live + sum(operation.taps)
                busy = sum(-(-taps // drawn.array.multipliers_per_pe) for taps in operation.taps)
                empty += work.count_cycles(operation) - drawn.array.row_overhead_cycles - busy
                examined += len(operation.elements) * drawn.operands.shape.weight_shape[3] * drawn.array.skip_zeros
            assert table.pe_cycles[number].tolist() == cycles
            assert number_index(table.index_names, index_of, work) == tuple(table.indices[number].tolist())
        counts = table.counts
        found = (counts.row_ops, counts.multiplications, counts.empty_issue_cycles, counts.actions["taps_examined"])
        assert found == (row_ops, live, empty, examined)
        assert counts.actions["rows_examined"] == looked_up
        values = DATAFLOW.execute(problem, np.ones(len(table), dtype=np.bool_))
        assert (values.row_ops, values.multiplications) == (row_ops, live)
        np.testing.assert_array_equal(finish_values(drawn.operands, step, values), REFERENCES[step](drawn.operands))


def number_index(names: tuple[str, ...], place: tuple[int, ...], work: SlowWork) -> tuple[int, ...]:
    """Give a place as the table names it: in GTW blocks are numbered on through the groups of the convolution."""
    if names[0] != "filter":
        return place
    per_group = work.task_limits[1]
    return (place[0], place[1] + place[0] // work.shape.group_out_channels * per_group, *place[2:])


def list_traffic(traffic: Traffic) -> list[TimedTask]:
    """Give the entries of a traffic as the stepped model has them."""
    found = []
    for entry in range(len(traffic.pes)):
        bursts = slice(traffic.burst_first[entry], traffic.burst_first[entry + 1])
        cycles, pes = traffic.burst_cycles[bursts], int(traffic.pes[entry])
        assert not cycles[:, pes:].any()
        taken = zip(traffic.burst_bytes[bursts].tolist(), map(tuple, cycles[:, :pes].tolist()), strict=True)
        handed = traffic.ppu_read_bytes[entry], traffic.ppu_elements[entry], traffic.ppu_write_bytes[entry]
        words = int(traffic.store_writes[entry])
        found.append(TimedTask(tuple(taken), *map(int, handed), store_words=words))
    return found


def count_tilings(work: SlowWork) -> int:
    """Count the tilings that the loops would try, one if the buffer is unlimited."""
    limited = work.machine.capacity_bytes is not None
    return int(np.prod(work.task_limits + work.reduction_limits)) if limited else 1


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_tiles_bursts_and_results_are_those_of_the_loops(index: int) -> None:
    drawn = draw(index)
    for step in ALL_STEPS:
        problem = StepProblem(drawn.operands, step, drawn.array, drawn.share)
        work = SlowWork(problem, describe_machine(problem))
        if count_tilings(work) * work.shape.nominal_macs > MOST_WORK:
            problem = dataclasses.replace(problem, memory=dataclasses.replace(drawn.share, capacity_bytes=None))
            work = SlowWork(problem, describe_machine(problem))
        try:
            tiling = choose_tiling(work)
        except ValueError as error:
            needed = next(word for word in str(error).split() if word.isdigit())
            with pytest.raises(UnmappableLayerError, match=f"the smallest needs {needed} bytes"):
                DATAFLOW.lower(problem)
            continue
        traffic = DATAFLOW.lower(problem).traffic
        assert traffic is not None
        assert traffic.tiling == str(tiling)
        bits = [work.size_bits(tile) for tile in tiling.tiles]
        loads = [size + loaded for size, (loaded, _) in zip(tiling.load_bytes, bits, strict=True)]
        assert traffic.tile_load_bytes.tolist() == loads
        written = [size + moved for size, (_, moved) in zip(tiling.write_back_bytes, bits, strict=True)]
        assert traffic.tile_write_back_bytes.tolist() == written
        entries = [(tile.place(at), tile) for tile in tiling.tiles for at in tile.tasks]
        assert list_traffic(traffic) == [work.time_task(*entry) for entry in entries]


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_all_tiles_of_a_plan_are_the_traffic_of_the_step(index: int) -> None:
    drawn = draw(index)
    images = np.arange(drawn.operands.shape.batch)
    for step in ALL_STEPS:
        share = dataclasses.replace(drawn.share, capacity_bytes=drawn.share.capacity_bytes and 2000)
        problem = StepProblem(drawn.operands, step, drawn.array, share)
        try:
            whole = DATAFLOW.lower(problem)
        except UnmappableLayerError:
            continue
        plan = DATAFLOW.plan_tiles(problem, images)
        packed = DATAFLOW.pack_tiles(problem, plan, images.tolist(), np.arange(len(plan)))
        assert whole.traffic is not None
        assert list_unequal(packed, whole.traffic) == []
        assert (plan.tasks, plan.index_names) == (len(whole), whole.index_names)
        assert "x".join(str(size) for size in plan.sizes) == whole.traffic.tiling.replace("|", "x")
        assert [len(classes) for classes in plan.classes] == [len(runs) for runs in plan.runs]


def test_the_cases_cover_strips_runs_packed_groups_and_gaps_in_every_combination() -> None:
    found: Counter[tuple[object, ...]] = Counter()
    for index in range(CASES):
        drawn = draw(index)
        shape, array = drawn.operands.shape, drawn.array
        assert isinstance(shape, ConvShape)
        for step in ALL_STEPS:
            is_packed = count_packed_groups(shape, step, array) > 1
            parts = cut_kernel(shape, array) if step is Step.GTW else cut_strips(shape, step, array)
            found[step, is_packed, len(parts) > 1, array.skip_zeros] += 1
        found["gaps"] += any(find_spans(describe_rows(shape, step).pairs).met.size > 1 for step in ALL_STEPS[:2])
    assert len(found) == 3 * 2 * 2 * 2 + 1
    assert found["gaps"] >= 10
