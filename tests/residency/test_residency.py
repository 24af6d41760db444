"""Every row that a burst reads is in the buffer, nothing is in it that it cannot hold; planted faults are found."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from conformance.stepped_cases import draw_case
from conformance.stepped_pairs import describe_array, describe_layer, describe_share, describe_speeds
from oracle.stepped_lowering import Work
from oracle.stepped_records import Machine
from oracle.stepped_step import make_work
from random_layers import ALL_STEPS, draw_tensor
from residency.execution_log import execute_noted
from residency.residency import find_faults

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import TaskTable
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.machine.dram import Dram
from workloads.operands import Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step

SEED = 73
LAYERS = 60
DATAFLOW = RowConvolution()
CONV = ConvShape(2, 4, 6, 5, 6, 3, 2, padding=(1, 1, 1, 1), groups=2)
LINEAR = LinearShape(3, 17, 11)


def describe_work(operands: Operands, step: Step, machine: Machine) -> Work:
    """Give a step as the independent listing takes it."""
    return make_work(
        describe_layer(operands.shape), step.value, machine, operands.input, operands.weight, operands.grad_output,
        operands.mask, output_is_relu=operands.relu_follows,
    )  # fmt: skip


def lower(operands: Operands, step: Step, machine: Machine) -> TaskTable:
    """Cut a step into tiles, tasks and bursts."""
    return DATAFLOW.lower(StepProblem(operands, step, describe_array(machine), describe_share(machine)))


def judge(table: TaskTable, operands: Operands, step: Step, machine: Machine, dram: type[Dram] = Dram) -> list[str]:
    """Execute a step and list what is wrong with it."""
    timing, log = execute_noted(table, machine.groups, describe_speeds(machine), dram)
    return find_faults(table, describe_work(operands, step, machine), timing, log)


@pytest.mark.parametrize("index", range(LAYERS))
def test_every_row_is_there_when_it_is_read(index: int) -> None:
    operands, machine = draw_case(SEED, index)
    for step in ALL_STEPS:
        try:
            table = lower(operands, step, machine)
        except UnmappableLayerError:
            continue
        assert judge(table, operands, step, machine) == []
        assert table.traffic is not None
        assert machine.capacity_bytes is None or table.traffic.footprint_bytes <= machine.capacity_bytes


def make_step(shape: LayerShape, step: Step, **changes: Any) -> tuple[Operands, Machine, TaskTable]:
    """Make a step of a fixed layer that is cut into several tiles, or with `changes` another machine."""
    rng = np.random.default_rng([SEED, LAYERS])
    input, weight, grad_output = (
        draw_tensor(rng, size, 0.7) for size in (shape.input_shape, shape.weight_shape, shape.output_shape)
    )
    operands = Operands("layer", shape, input, weight, None, grad_output, input != 0, ALL_STEPS)
    machine = Machine(
        groups=2, capacity_bytes=600 if isinstance(shape, ConvShape) else 160, operand_store_bytes=64,
        dram_bytes_per_cycle=4, dram_latency_cycles=20,
    )  # fmt: skip
    machine = dataclasses.replace(machine, **changes)
    return operands, machine, lower(operands, step, machine)


CASES = pytest.mark.parametrize(("shape", "step"), [(shape, step) for shape in (CONV, LINEAR) for step in ALL_STEPS])


@CASES
def test_the_fixed_layers_have_more_than_two_tiles_and_no_fault(shape: LayerShape, step: Step) -> None:
    operands, machine, table = make_step(shape, step)
    assert table.traffic is not None
    assert len(table.traffic.tile_load_bytes) > 2
    assert judge(table, operands, step, machine) == []


def change_traffic(table: TaskTable, **changes: Any) -> TaskTable:
    """Give the table with some of its traffic changed."""
    assert table.traffic is not None
    return dataclasses.replace(table, traffic=dataclasses.replace(table.traffic, **changes))


@CASES
def test_a_load_that_leaves_out_a_row_is_found_though_another_brings_its_bytes(shape: LayerShape, step: Step) -> None:
    operands, machine, table = make_step(shape, step)
    assert table.traffic is not None
    loads = table.traffic.tile_load_bytes.copy()
    largest, smallest = int(loads.argmax()), int(loads.argmin())
    lost = int(loads[largest] - loads[smallest]) // 2 or int(loads[largest]) // 2
    loads[largest] -= lost
    loads[smallest if smallest != largest else largest - 1] += lost
    faults = judge(change_traffic(table, tile_load_bytes=loads), operands, step, machine)
    assert any(" reads (" in fault and fault.endswith("which no load brought in") for fault in faults)


@CASES
def test_a_load_of_fewer_bytes_is_found(shape: LayerShape, step: Step) -> None:
    operands, machine, table = make_step(shape, step)
    assert table.traffic is not None
    loads = table.traffic.tile_load_bytes.copy()
    loads[0] -= 1
    needed = int(loads.sum()) + 1
    faults = judge(change_traffic(table, tile_load_bytes=loads), operands, step, machine)
    assert faults == [f"executed DRAM transfers read {needed - 1} bytes, the tiles' rows are {needed}"]


class ForgetfulDram(Dram):
    """Leaves out the second transfer that has bytes, as if it had ended at once."""

    _transfers = 0

    def transfer(self, size_bytes: int) -> Any:
        """Queue a transfer, unless it is the second."""
        self._transfers += size_bytes > 0
        return super().transfer(0 if self._transfers == 2 else size_bytes)


class HastyDram(Dram):
    """Says of every transfer that it has ended when it is queued."""

    def transfer(self, size_bytes: int) -> Any:
        """Queue a transfer and forget about its end."""
        super().transfer(size_bytes)
        return self._env.timeout(0)


@CASES
def test_a_transfer_that_is_not_executed_is_found(shape: LayerShape, step: Step) -> None:
    operands, machine, table = make_step(shape, step)
    faults = judge(table, operands, step, machine, ForgetfulDram)
    assert len(faults) == 1
    assert re.fullmatch(r"executed DRAM transfers (read|write) \d+ bytes, the tiles' rows are \d+", faults[0])


@CASES
def test_a_burst_that_reads_before_its_tile_is_loaded_is_found(shape: LayerShape, step: Step) -> None:
    operands, machine, table = make_step(shape, step)
    faults = judge(table, operands, step, machine, HastyDram)
    assert any(fault.startswith("burst 0 reads at cycle 0, tile 0 is loaded at ") for fault in faults)


@CASES
def test_a_burst_that_reads_rows_of_another_size_is_found(shape: LayerShape, step: Step) -> None:
    operands, machine, table = make_step(shape, step)
    assert table.traffic is not None
    sizes = table.traffic.burst_bytes.copy()
    sizes[3] += 1
    faults = judge(change_traffic(table, burst_bytes=sizes), operands, step, machine)
    assert faults == [f"burst 3 reads {sizes[3]} bytes, its rows are {sizes[3] - 1}"]


@CASES
def test_a_tile_too_large_for_the_buffer_is_found(shape: LayerShape, step: Step) -> None:
    operands, machine, table = make_step(shape, step)
    assert table.traffic is not None
    wider = dataclasses.replace(machine, capacity_bytes=3 * table.traffic.footprint_bytes)
    faults = judge(lower(operands, step, wider), operands, step, machine)
    assert faults
    assert all(fault.endswith(f", it holds {machine.capacity_bytes}") for fault in faults)


@CASES
def test_a_third_operand_tile_in_the_buffer_is_found(shape: LayerShape, step: Step) -> None:
    operands, machine, table = make_step(shape, step)
    timing, log = execute_noted(table, machine.groups, describe_speeds(machine))
    requested = log.transfers[3].requested
    log.transfers[3] = dataclasses.replace(log.transfers[3], requested=requested - 1)
    faults = find_faults(table, describe_work(operands, step, machine), timing, log)
    assert f"tile 2 is loaded at cycle {requested - 1}, tile 0 ends at {requested}" in faults


@CASES
def test_a_burst_that_arrives_when_its_rows_are_evicted_is_found(shape: LayerShape, step: Step) -> None:
    operands, machine, table = make_step(shape, step)
    timing, log = execute_noted(table, machine.groups, describe_speeds(machine))
    end = log.transfers[2].requested
    log.reads[0] = dataclasses.replace(log.reads[0], arrived=end + 1)
    faults = find_faults(table, describe_work(operands, step, machine), timing, log)
    assert len(faults) == 1
    assert faults[0].endswith(f" arrives at cycle {end + 1}, tile 0 is evicted at {end}")
