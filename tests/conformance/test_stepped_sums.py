"""Gradients that the PPU adds and masks that it alone knows: traffic, tiling and times of the cycle-stepped model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conformance.stepped_cases import draw_machine, draw_shape
from conformance.stepped_pairs import (
    describe_array,
    describe_layer,
    describe_share,
    describe_speeds,
    list_stepped_times,
    list_times,
)
from drawn_cases import exhaustive, thin
from oracle.stepped_records import Machine, StepTimes
from oracle.stepped_step import run_step as run_stepped
from random_layers import draw_operands, draw_tensor

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import TaskTable
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.machine.accelerator import run_step
from workloads.operands import GradientFinish, Operands
from workloads.shapes import LinearShape, Step

SEED = 73
CASES = 120
LINEAR_CASES = 200
DATAFLOW = RowConvolution()


def draw_case(index: int) -> tuple[Operands, Machine]:
    """Draw a layer whose GTA adds one stored gradient, and a machine whose buffer is often small."""
    rng = np.random.default_rng([SEED, index])
    operands = draw_operands(rng, draw_shape(rng))
    gradient = draw_tensor(rng, operands.shape.input_shape, float(rng.choice([0.1, 0.5, 1.0])))
    return replace(operands, summed=(gradient,)), draw_machine(rng)


def draw_linear_case(index: int) -> tuple[Operands, Machine]:
    """Draw a fully connected layer and a buffer so small that the sizes of the added pieces decide on the tiling."""
    rng = np.random.default_rng([SEED, index, 1])
    shape = LinearShape(int(rng.integers(1, 4)), int(rng.integers(4, 13)), int(rng.integers(1, 7)))
    operands = draw_operands(rng, shape)
    gradient = draw_tensor(rng, shape.input_shape, float(rng.choice([0.1, 0.5, 1.0])))
    machine = replace(draw_machine(rng), capacity_bytes=int(rng.integers(40, 161)))
    return replace(operands, summed=(gradient,)), machine


def run_model(operands: Operands, machine: Machine) -> StepTimes | None:
    """Run GTA on the stepped model; None where it refuses the layer."""
    summed = operands.summed[0] if operands.summed else None
    try:
        return run_stepped(
            describe_layer(operands.shape), "gta", machine, operands.input, operands.weight, operands.grad_output,
            operands.mask, summed=summed, ppu_mask=operands.finish.mask,
        )  # fmt: skip
    except ValueError:
        return None


def lower(operands: Operands, machine: Machine) -> TaskTable:
    """Lower GTA for a machine."""
    return DATAFLOW.lower(StepProblem(operands, Step.GTA, describe_array(machine), describe_share(machine)))


def hide_mask(operands: Operands) -> Operands:
    """Leave the mask to the PPU, and the sum away."""
    return replace(operands, mask=None, finish=GradientFinish(mask=operands.mask), summed=())


@pytest.mark.parametrize("index", thin(range(CASES)))
def test_a_step_that_adds_a_stored_gradient_is_the_stepped_models(index: int) -> None:
    compare(*draw_case(index))


@pytest.mark.parametrize("index", thin(index for index in range(CASES) if draw_case(index)[0].mask is not None))
def test_a_step_whose_mask_the_ppu_alone_knows_is_the_stepped_models(index: int) -> None:
    operands, machine = draw_case(index)
    compare(hide_mask(operands), machine)


def compare(operands: Operands, machine: Machine) -> None:
    """Compare GTA on both models: times, bytes and tiling, or that both refuse it."""
    expected = run_model(operands, machine)
    if expected is None:
        with pytest.raises(UnmappableLayerError):
            lower(operands, machine)
        return
    table = lower(operands, machine)
    assert table.traffic is not None
    timing = run_step(table, machine.groups, describe_speeds(machine))
    assert list_times(timing, table.traffic) == list_stepped_times(expected)
    assert table.traffic.tiling == expected.tiling


@exhaustive
def test_the_tiling_of_a_fully_connected_layer_heeds_what_is_added() -> None:
    tiled = 0
    for index in range(LINEAR_CASES):
        operands, machine = draw_linear_case(index)
        expected = run_model(operands, machine)
        if expected is None:
            continue
        table = lower(operands, machine)
        assert table.traffic is not None
        assert table.traffic.tiling == expected.tiling, index
        assert table.traffic.tile_load_bytes.sum() == expected.dram_read_bytes, index
        tiled += expected.tiles > 1
    assert tiled > LINEAR_CASES / 2


@exhaustive
def test_the_cases_hold_cut_reductions_of_every_kind_of_layer() -> None:
    cut: set[tuple[bool, bool]] = set()
    for index in range(CASES):
        operands, machine = draw_case(index)
        expected = run_model(operands, machine)
        if expected is None:
            continue
        table = lower(operands, machine)
        assert table.dispatch is not None
        if len(table.dispatch) > len(table):
            cut.add((isinstance(operands.shape, LinearShape), machine.skip_zeros))
    assert cut == {(linear, skips) for linear in (False, True) for skips in (False, True)}


@pytest.mark.parametrize("index", range(0, CASES, 10))
def test_every_added_gradient_is_read_once_more(index: int) -> None:
    operands, machine = draw_case(index)
    machine = replace(machine, capacity_bytes=None, accumulators=256)
    read_bytes = []
    # Without any, tasks without row operations would not read their mask in the PPU either.
    for count in range(1, 4):
        table = lower(replace(operands, summed=operands.summed * count), machine)
        assert table.traffic is not None
        read_bytes.append((table.traffic.ppu_read_bytes.sum(), table.traffic.tile_load_bytes.sum()))
    (one, two, three) = read_bytes
    assert three[0] - two[0] == two[0] - one[0] > 0
    assert three[1] - two[1] == two[1] - one[1] > 0


def test_forward_and_gtw_add_nothing() -> None:
    operands, machine = draw_case(0)
    roomy = replace(machine, capacity_bytes=None, accumulators=256)
    for step in (Step.FORWARD, Step.GTW):
        tables = [
            DATAFLOW.lower(StepProblem(one, step, describe_array(roomy), describe_share(roomy)))
            for one in (operands, replace(operands, summed=()))
        ]
        assert tables[0].traffic is not None
        assert tables[1].traffic is not None
        np.testing.assert_array_equal(tables[0].traffic.ppu_read_bytes, tables[1].traffic.ppu_read_bytes)
        np.testing.assert_array_equal(tables[0].traffic.tile_load_bytes, tables[1].traffic.tile_load_bytes)
