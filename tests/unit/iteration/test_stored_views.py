"""Each machine sees operands in the format that it stores; sampled runs see single images so, or refuse."""

from __future__ import annotations

import numpy as np
import pytest

from sim.architecture import load_architecture
from sim.iteration.policies import NATURAL, OperandSet, choose_contenders
from sim.run import RunResult, simulate
from workloads.errors import InputError
from workloads.operands import Operands
from workloads.shapes import LinearShape, Step
from workloads.value_formats import ValueFormat, round_values
from workloads.workload import load_workload

HALF = load_architecture("sparsetrain", ("storage.values=fp16", "storage.loss_scale=64"))
INTEGERS = ("storage.number_format=int16", "storage.values=int16")


def run_half(**options: object) -> RunResult:
    """Simulate a small network that stores half precision."""
    return simulate("lenet5", HALF, batch=2, operands="synthetic", **options)  # type: ignore[arg-type]


def test_machines_that_store_alike_share_operands_and_policies_still_part_them() -> None:
    single = load_architecture("sparsetrain", ("name=single",))
    contenders = choose_contenders(HALF, ["skipping-off", NATURAL, single], ())
    views = OperandSet(load_workload("lenet5"), contenders).group_views()
    assert [([machine.name for machine in machines], view.form.value, view.loss_scale) for view, machines in views] == [
        ([HALF.name, f"{HALF.name}-dense"], "fp16", 64),
        (["single"], "float32", 1),
        ([f"{HALF.name}-natural"], "fp16", 64),
    ]
    assert [view.changes_nothing for view, _ in views] == [False, True, False]


def test_the_operands_that_are_dealt_are_rounded_before_a_policy_takes_their_mask() -> None:
    values = np.array([[1 / 3, 1e-9]], dtype=np.float32)
    operands = Operands(
        "fc", LinearShape(1, 2, 1), values, values, None, np.ones((1, 1), dtype=np.float32), values != 0, tuple(Step)
    )
    dealt = OperandSet(load_workload("lenet5"), choose_contenders(HALF, NATURAL, ())).deal(operands)
    for seen, _ in dealt:
        assert seen.form is ValueFormat.FP16
        assert np.array_equal(seen.input, round_values(values, ValueFormat.FP16))
        assert seen.grad_output.tolist() == [[64]]
    assert dealt[0][0].mask is not None
    assert dealt[0][0].mask.tolist() == [[True, False]]
    assert dealt[1][0].mask is None
    assert dealt[1][0].finish.mask is not None
    assert dealt[1][0].finish.mask.tolist() == [[True, False]]


def test_a_run_tells_what_rounding_changed_in_files_words_and_values() -> None:
    result = run_half()
    assert result.is_correct
    rows = [step for step in result.steps if step.tasks]
    assert all(step.float32_max_error is not None and step.vanished_elements is not None for step in rows)
    assert all(step.float32_max_error is None for step in result.steps if not step.tasks)
    # Half of the last place of 11 bits, a few times over: of both operands and of the result.
    assert all(0 < (step.float32_relative_error or 0) < 4 * 2.0**-11 for step in rows)


def test_processes_and_engines_give_the_same_rows() -> None:
    alone = run_half()
    assert run_half(jobs=2).steps == alone.steps
    for one, other in zip(run_half(engine="simpy").steps, alone.steps, strict=True):
        assert (one.cycles, one.float32_max_error) == (other.cycles, other.float32_max_error)


def test_float32_is_what_it_was() -> None:
    single = simulate("lenet5", batch=2, operands="synthetic")
    assert all(step.float32_max_error is None and step.vanished_elements is None for step in single.steps)


def test_a_whole_sample_of_half_precision_is_the_whole_run() -> None:
    whole, sampled = run_half(verify=False), run_half(sample=1.0)
    assert [(row.layer, row.step, row.machine, row.cycles) for row in sampled.steps] == [
        (row.layer, row.step, row.machine, row.cycles) for row in whole.steps
    ]


def test_integers_whose_scale_is_of_all_images_are_not_sampled() -> None:
    with pytest.raises(InputError) as caught:
        simulate("lenet5", overrides=INTEGERS, operands="synthetic", sample=0.5)
    assert str(caught.value) == (
        "'sparsetrain[storage.number_format=int16,storage.values=int16]' cannot be sampled: storage.values is int16, "
        "whose scale follows from all images of a tensor; leave the sample away, or store fp16, bf16 or float32"
    )
