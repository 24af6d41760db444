"""Laws that every step on every machine keeps, whatever the layer."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ideal_machine import DATAFLOW, deal_tasks, lower
from laws.layer_strategies import operands, sparse_machines

from dataflows.contract.problem import StepProblem
from sim.architecture import Architecture
from sim.machine.ledger import State
from sim.step.layer_run import run_layer_step
from sim.step.work import StepOptions, StepRun
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

# Compiled kernels load at the first example, so no example has a deadline; derandomized, so that runs are repeatable.
LAWFUL = settings(max_examples=30, deadline=None, derandomize=True)
STEPS = st.sampled_from(tuple(Step))


def run_both(operands: Operands, step: Step, machine: Architecture) -> tuple[StepRun, StepRun]:
    """Run a step on a machine and on the same machine with skipping off."""
    options = StepOptions(verifies=True, keeps_output=True)
    sparse, dense = run_layer_step(operands, step, (machine, machine.without_skipping()), options)
    return sparse, dense


@LAWFUL
@given(operands(), STEPS, sparse_machines())
def test_the_time_of_every_group_sums_to_the_cycles_of_the_step(
    operands: Operands, step: Step, machine: Architecture
) -> None:
    for variant in (machine, machine.without_skipping()):
        array = variant.array.describe()
        table = lower(operands, step, array)
        timing, dealt_to = deal_tasks(table, array.groups)
        assert timing.spent.min() >= 0
        assert timing.spent.sum(axis=1).tolist() == [timing.cycles] * array.groups
        task_cycles = table.pe_cycles.max(axis=1)
        for group in range(array.groups):
            assert timing.spent[group, State.BUSY] == task_cycles[dealt_to == group].sum()
        assert timing.cycles >= task_cycles.max(initial=0)
        # Greedy dealing: no group ends before the last task starts, so the end is below the mean load plus one task.
        assert timing.cycles * array.groups <= task_cycles.sum() + (array.groups - 1) * task_cycles.max(initial=0)


@LAWFUL
@given(operands(), STEPS, sparse_machines())
def test_busy_and_idle_imbalance_and_bound_account_for_every_cycle(
    operands: Operands, step: Step, machine: Architecture
) -> None:
    for variant, run in zip((machine, machine.without_skipping()), run_both(operands, step, machine), strict=True):
        array, result = variant.array.describe(), run.result
        pe_cycles = int(lower(operands, step, array).pe_cycles.sum())
        assert result.busy_cycles + result.idle_cycles == result.cycles * array.groups
        assert result.busy_cycles * array.pes_per_group == pe_cycles + result.pe_imbalance_cycles
        assert result.pe_imbalance_cycles >= 0
        assert result.bound_cycles <= result.cycles
        assert 0.0 <= result.pe_utilization <= 1.0
        assert 0 <= result.overhead_cycles <= pe_cycles
        assert min(result.busy_cycles, result.idle_cycles) >= 0


@LAWFUL
@given(operands(), STEPS, sparse_machines())
def test_both_machines_compute_the_reference_exactly(operands: Operands, step: Step, machine: Architecture) -> None:
    sparse, dense = run_both(operands, step, machine)
    assert (sparse.result.verdict, sparse.message) == ("exact", "")
    assert (dense.result.verdict, dense.message) == ("exact", "")
    np.testing.assert_array_equal(sparse.output, dense.output)


@LAWFUL
@given(operands(), STEPS, sparse_machines())
def test_effectual_macs_are_at_most_the_dense_ones_and_those_the_nominal(
    operands: Operands, step: Step, machine: Architecture
) -> None:
    sparse, dense = (run.result for run in run_both(operands, step, machine))
    assert 0 <= sparse.effectual_macs <= sparse.dense_macs <= sparse.nominal_macs
    # What the operands are does not depend on the machine that reads them.
    for name in ("effectual_macs", "dense_macs", "nominal_macs", "input_density", "weight_density", "mask_density"):
        assert getattr(sparse, name) == getattr(dense, name)


@LAWFUL
@given(operands(densities=(1.0,), has_mask=False), STEPS, sparse_machines())
def test_at_density_1_without_mask_all_macs_are_effectual(
    operands: Operands, step: Step, machine: Architecture
) -> None:
    sparse, dense = (run.result for run in run_both(operands, step, machine))
    assert sparse.effectual_macs == sparse.dense_macs
    assert sparse.row_ops == dense.row_ops
    without_floor = machine.array.model_copy(update={"empty_issue_cycles": 0})
    sparse, dense = (
        run.result for run in run_both(operands, step, machine.model_copy(update={"array": without_floor}))
    )
    assert sparse.cycles == dense.cycles


@LAWFUL
@given(operands(), STEPS, sparse_machines())
def test_a_convolution_has_one_row_operation_for_each_kernel_row_that_meets_a_row(
    operands: Operands, step: Step, machine: Architecture
) -> None:
    shape = operands.shape
    if not isinstance(shape, ConvShape):
        return
    pairs = sum(
        0 <= p * shape.stride_height + r - shape.pad_top < shape.in_height
        for p in range(shape.out_height)
        for r in range(shape.kernel_height)
    )
    expected = shape.batch * shape.out_channels * shape.group_in_channels * pairs
    assert [run.result.row_ops for run in run_both(operands, step, machine)] == [expected, expected]


@LAWFUL
@given(operands(), STEPS, sparse_machines())
def test_a_perfect_look_ahead_without_headers_is_never_slower_than_the_dense_machine(
    operands: Operands, step: Step, machine: Architecture
) -> None:
    free = {"row_overhead_cycles": 0, "empty_issue_cycles": 0}
    machine = machine.model_copy(update={"array": machine.array.model_copy(update=free)})
    for sparse, dense in zip(*(table_cycles(operands, step, one) for one in with_dense(machine)), strict=True):
        assert sparse <= dense


def with_dense(machine: Architecture) -> tuple[Architecture, Architecture]:
    """Give a machine and its dense baseline."""
    return machine, machine.without_skipping()


def table_cycles(operands: Operands, step: Step, machine: Architecture) -> list[int]:
    """Give the cycles of every PE of every task."""
    cycles: list[int] = lower(operands, step, machine.array.describe()).pe_cycles.ravel().tolist()
    return cycles


@LAWFUL
@given(operands(), STEPS, sparse_machines())
def test_erasing_more_of_the_driver_never_costs_cycles(operands: Operands, step: Step, machine: Architecture) -> None:
    name = "input" if step is Step.FORWARD else "grad_output"
    driver = getattr(operands, name).copy()
    driver[..., ::2] = 0
    sparser = dataclasses.replace(operands, **{name: driver})
    before, after = table_cycles(operands, step, machine), table_cycles(sparser, step, machine)
    assert all(later <= earlier for earlier, later in zip(before, after, strict=True))


@LAWFUL
@given(operands(), STEPS, sparse_machines(), st.randoms(use_true_random=False))
def test_what_a_task_computes_does_not_depend_on_the_other_tasks(
    operands: Operands, step: Step, machine: Architecture, random: object
) -> None:
    array = machine.array.describe()
    tasks = len(lower(operands, step, array))
    whole = DATAFLOW.execute(StepProblem(operands, step, array), np.ones(tasks, dtype=np.bool_))
    flags = np.array([random.random() < 0.5 for _ in range(tasks)])  # type: ignore[attr-defined]
    parts = [DATAFLOW.execute(StepProblem(operands, step, array), chosen) for chosen in (flags, ~flags)]
    has_value = [~np.isnan(part.output) for part in parts]
    assert np.array_equal(has_value[0], ~has_value[1])
    np.testing.assert_array_equal(np.where(has_value[0], parts[0].output, parts[1].output), whole.output)
    assert sum(part.row_ops for part in parts) == whole.row_ops
    assert sum(part.multiplications for part in parts) == whole.multiplications
