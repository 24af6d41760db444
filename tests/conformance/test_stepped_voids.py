"""Tasks whose results must be zero, against the cycle-stepped model: strides past kernels, idle filters and blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conformance.stepped_cases import draw_machine
from conformance.stepped_pairs import describe_array, describe_share, list_stepped_times
from conformance.test_stepped_layers import DATAFLOW, Compared, compare_step
from drawn_cases import exhaustive, thin
from oracle.stepped_records import Machine
from random_layers import draw_operands, draw_tensor

from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from sim.machine.accelerator import Engine
from workloads.operands import Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step

SEED = 73
LAYERS = 80


def draw_shape(rng: np.random.Generator) -> LayerShape:
    """Draw a small fully connected layer, or a convolution whose stride passes over rows or that sees padding only."""
    if rng.random() < 0.6:
        return LinearShape(*(int(size) for size in rng.integers(1, (5, 14, 14))))
    while True:
        N, C, H, W, M, R, S, stride, pad = (int(size) for size in rng.integers(1, (3, 4, 6, 5, 4, 3, 3, 5, 4)))
        groups = int(rng.integers(1, 3))
        if min(H - R, W - S) + 2 * (pad - 1) >= 0:
            return ConvShape(
                N, groups * C, H, W, groups * M, R, S, stride=(stride, stride), padding=(pad - 1,) * 4, groups=groups
            )


def draw_void_case(index: int) -> tuple[Operands, Machine]:
    """Draw a layer with sparse gradients and masks, and a machine that cuts most reductions."""
    rng = np.random.default_rng((SEED, index))
    shape = draw_shape(rng)
    gradient = draw_tensor(rng, shape.output_shape, float(rng.choice([0, 0.05, 0.2, 0.5])))
    mask = rng.random(shape.input_shape) < float(rng.choice([0, 0.1, 0.4]))
    operands = replace(draw_operands(rng, shape), grad_output=gradient, mask=mask if rng.random() < 0.7 else None)
    return operands, replace(draw_machine(rng), groups=int(rng.choice([1, 2, 3, 5])))


CASES = [draw_void_case(index) for index in range(LAYERS)]


def find_traffic(compared: Compared) -> Traffic | None:
    """Give the traffic of a step that was not refused."""
    return None if isinstance(compared.table, str) else compared.table.traffic


@pytest.mark.parametrize("index", thin(range(LAYERS)))
def test_every_time_and_byte_is_the_stepped_models_where_tasks_hand_nothing_on(index: int) -> None:
    operands, machine = CASES[index]
    for step in (Step.GTA, Step.GTW):
        compared = compare_step(operands, step, machine)
        if find_traffic(compared) is not None:
            assert not isinstance(compared.stepped, str)
            assert compared.times == (list_stepped_times(compared.stepped),) * len(Engine)


def test_tasks_hand_nothing_on_in_every_kind_of_layer_but_a_fully_connected_one_that_skips_nothing() -> None:
    voids: dict[tuple[str, str, bool], int] = {}
    for operands, machine in CASES:
        for step in (Step.GTA, Step.GTW):
            try:
                problem = StepProblem(operands, step, describe_array(machine), describe_share(machine))
                traffic = DATAFLOW.lower(problem).traffic
            except UnmappableLayerError:
                continue
            assert traffic is not None
            key = type(operands.shape).__name__, step.value, machine.skip_zeros
            voids[key] = voids.get(key, 0) + int((~traffic.passes_ppu).sum())
    for step_name in ("gta", "gtw"):
        assert voids["LinearShape", step_name, False] == 0
        assert voids["LinearShape", step_name, True] > 100
        assert min(voids["ConvShape", step_name, skips] for skips in (True, False)) > 0


@exhaustive
def test_a_task_is_left_out_in_all_parts_of_its_reduction_or_in_none() -> None:
    partly_empty = 0
    for operands, machine in CASES:
        if not isinstance(operands.shape, LinearShape):
            continue
        compared = compare_step(operands, Step.GTW, replace(machine, capacity_bytes=150))
        traffic = find_traffic(compared)
        if traffic is None or isinstance(compared.table, str):
            continue
        assert compared.table.dispatch is not None
        passes, empty = traffic.passes_ppu, np.diff(traffic.burst_first) == 0
        for task in range(len(compared.table)):
            parts = compared.table.dispatch == task
            assert len(set(passes[parts].tolist())) == 1
            assert not passes[parts].any() or not empty[parts].all()
            partly_empty += int(empty[parts].any() and passes[parts].any())
    assert partly_empty > 0


def test_gradients_to_be_summed_are_written_by_tasks_without_row_operations_too() -> None:
    for operands, machine in CASES[:40:4]:
        summed = replace(operands, summed=(np.ones_like(operands.input),))
        traffic = find_traffic(compare_step(summed, Step.GTA, machine)) if machine.skip_zeros else None
        if traffic is not None:
            assert traffic.passes_ppu.all()
            assert (traffic.ppu_write_bytes > 0).all()
