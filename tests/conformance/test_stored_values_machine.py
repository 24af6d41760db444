"""The full machine writes what plain loops and one rounding give, in cut reductions and on both machines."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from conformance.test_stored_values import KINDS, draw_case, give_tensors, mask_result
from drawn_cases import exhaustive
from oracle.stored_values import sum_floats, sum_integers

from dataflows.contract.arithmetic import find_shift
from dataflows.contract.errors import UnmappableLayerError
from dataflows.sparsetrain.conv_rows import values as conv_rows_values
from dataflows.storage.written import finish_gradient
from sim.architecture import Architecture, load_architecture, override_architecture
from sim.machine.accelerator import Engine
from sim.step import values
from sim.step.layer_run import run_layer_step
from sim.step.work import StepOptions, StepRun
from workloads.operands import GradientFinish, Operands
from workloads.pruning import PruningKey
from workloads.reference import sum_length
from workloads.rounding import round_operands
from workloads.shapes import LinearShape, Step
from workloads.value_formats import ValueFormat, find_exponent, round_values

CASES = 10
TOLD_OF_ROUNDING = (
    "vanished_elements", "saturated_elements", "float32_max_error", "float32_relative_error", "max_abs_error",
    "tolerance", "verdict",
)  # fmt: skip
FORMATS = (ValueFormat.FP16, ValueFormat.BF16, ValueFormat.INT16)


def make_machine(form: ValueFormat, capacity_bytes: int, *, skips: bool, loss_scale: int = 1) -> Architecture:
    """Make a machine of a small buffer; none of its networks fits whole."""
    arithmetic = "int16" if form is ValueFormat.INT16 else "fp16"
    overrides = (
        f"buffer.capacity_bytes={capacity_bytes}", "array.groups=3", f"storage.number_format={arithmetic}",
        f"storage.values={form}", f"storage.loss_scale={loss_scale}",
        f"array.skip_empty_rows={'true' if capacity_bytes % 3 else 'false'}",
    )  # fmt: skip
    machine = load_architecture("sparsetrain", overrides)
    return machine if skips else machine.without_skipping()


def run_cut(
    operands: Operands, step: Step, form: ValueFormat, *, skips: bool, loss_scale: int = 1
) -> tuple[StepRun, str]:
    """Run a step on the smallest buffer that holds a tiling of it; also give the tiling's words."""
    tilings: list[str] = []

    for capacity in (96, 128, 192, 257, 510, 1024, 4096, 65535):
        machine = make_machine(form, capacity, skips=skips, loss_scale=loss_scale)
        options = StepOptions(keeps_output=True)
        lower = options.work.lower

        def note(*given: Any, lower: Any = lower) -> Any:
            table = lower(*given)
            tilings.append(table.traffic.tiling)
            return table

        options.work.lower = note  # type: ignore[method-assign]
        try:
            (run,) = run_layer_step(operands, step, (machine,), options)
        except UnmappableLayerError:
            continue
        return run, tilings[-1]
    raise AssertionError("nothing fits")


def read_runs(tiling: str) -> tuple[int, ...]:
    """Read the runs of the reduction off a tiling's words."""
    return tuple(int(size) for size in tiling.rpartition("|")[2].split("x"))


def expect(operands: Operands, step: Step, form: ValueFormat, runs: tuple[int, ...]) -> Any:
    """Give what plain loops write of a step that nothing else is done to."""
    result = expect_sums(operands, step, form, runs)
    return round_values(result, form) if operands.writes_data(step) else result


def expect_sums(operands: Operands, step: Step, form: ValueFormat, runs: tuple[int, ...]) -> Any:
    """Give what plain loops sum, under the mask."""
    tensors = give_tensors(operands)
    if form is ValueFormat.INT16:
        exponents = {name: find_exponent(tensor) for name, tensor in tensors.items()}
        shift = find_shift(sum_length(operands.shape, step), 32)
        result = sum_integers(operands.shape, step, tensors, exponents, shift, 32)
    else:
        result = sum_floats(operands.shape, step, tensors, runs)
    return mask_result(operands, step, result)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("place", range(CASES))
def test_what_a_machine_writes_is_what_loops_over_the_definition_write(
    kind: str, form: ValueFormat, place: int
) -> None:
    operands, _, rng = draw_case(kind, form, 1000 + place)
    for step in Step:
        run, tiling = run_cut(operands, step, form, skips=bool(rng.random() < 0.5))
        assert run.message == ""
        assert np.array_equal(run.output, expect(operands, step, form, read_runs(tiling))), (step, tiling)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("place", range(CASES))
def test_a_gradient_is_summed_masked_and_pruned_in_float32_and_rounded_last(form: ValueFormat, place: int) -> None:
    drawn, _, rng = draw_case(KINDS[place % 2], form, 2000 + place)
    assert drawn.rounding is not None
    given, shape = drawn.rounding.given, drawn.shape.input_shape
    mask = None if given.mask is None or place % 3 else given.mask
    finish = GradientFinish(mask, float(np.float32(rng.random())), PruningKey(place, "layer", 1))
    given = dataclasses.replace(
        given, finish=finish, mask=given.mask if mask is None else None,
        summed=tuple(rng.normal(size=shape).astype(np.float32) for _ in range(place % 3)),
    )  # fmt: skip
    scale = 1 if form is ValueFormat.INT16 else 4
    operands = round_operands(given, form, scale)
    run, tiling = run_cut(operands, Step.GTA, form, skips=place % 2 == 0, loss_scale=scale)
    sums = expect_sums(operands, Step.GTA, form, read_runs(tiling))
    assert run.message == ""
    assert np.array_equal(run.output, round_values(finish_gradient(sums, operands), form))


@exhaustive
@pytest.mark.parametrize("kind", KINDS)
def test_some_of_these_reductions_are_cut_so_that_the_order_shows(kind: str) -> None:
    shown = 0
    for form in (ValueFormat.FP16, ValueFormat.BF16):
        for place in range(CASES):
            operands, _, _ = draw_case(kind, form, 1000 + place)
            for step in Step:
                _, tiling = run_cut(operands, step, form, skips=True)
                tensors = give_tensors(operands)
                whole = sum_floats(operands.shape, step, tensors)
                shown += not np.array_equal(whole, sum_floats(operands.shape, step, tensors, read_runs(tiling)))
    assert shown > 1


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("step", Step)
def test_both_engines_and_both_machines_agree_on_rounded_operands(form: ValueFormat, step: Step) -> None:
    operands, _, _ = draw_case("conv", form, 7)
    sparse, dense = (make_machine(form, 65535, skips=skips) for skips in (True, False))
    compiled = run_layer_step(operands, step, (sparse, dense), StepOptions(keeps_output=True))
    simpy = run_layer_step(operands, step, (sparse, dense), StepOptions(keeps_output=True, engine=Engine.SIMPY))
    assert [dataclasses.replace(run.result, events=0) for run in compiled] == [
        dataclasses.replace(run.result, events=0) for run in simpy
    ]
    assert np.array_equal(compiled[0].output, compiled[1].output)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", range(6))
def test_what_rounding_makes_zero_is_a_zero_to_cycles_bytes_and_counts(kind: str, place: int) -> None:
    operands, _, rng = draw_case(kind, ValueFormat.FP16, place)
    assert operands.rounding is not None
    given = dataclasses.replace(operands.rounding.given, relu_follows=bool(rng.random() < 0.5))
    rounded = round_operands(given, ValueFormat.FP16)
    machine = make_machine(ValueFormat.FP16, 65535, skips=True)
    single = override_architecture(machine, None, ("storage.values=float32",))
    for step in Step:
        (half,) = run_layer_step(rounded, step, (machine,), StepOptions())
        (plain,) = run_layer_step(dataclasses.replace(rounded, rounding=None), step, (single,), StepOptions())
        assert half.message == plain.message == ""
        told = {name: getattr(plain.result, name) for name in TOLD_OF_ROUNDING}
        told["machine"] = single.name
        same = dataclasses.replace(half.result, **told, dram_write_bytes=plain.result.dram_write_bytes)
        # What is written may be smaller: results round to zero too.
        assert half.result.dram_write_bytes <= plain.result.dram_write_bytes
        if half.result.dram_write_bytes == plain.result.dram_write_bytes:
            assert same == plain.result
        assert half.result.input_density == np.count_nonzero(rounded.input) / rounded.input.size


def test_a_rounding_unit_that_errs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # 1.5 + 1.5 x 2^-10 lies in the middle of two halves, of which 1.5 + 2^-9 is the even one.
    first, second = np.array([[1.5]], dtype=np.float32), np.array([[1 + 2.0**-10]], dtype=np.float32)
    operands = Operands("fc", LinearShape(1, 1, 1), first, second, None, first, None, tuple(Step))

    def cut(results: Any, form: ValueFormat) -> Any:
        assert form is ValueFormat.FP16
        return (results.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)

    monkeypatch.setattr(values, "store_rows", cut)
    machine = make_machine(ValueFormat.FP16, 65535, skips=True)
    rounded = round_operands(operands, ValueFormat.FP16)
    (run,) = run_layer_step(rounded, Step.FORWARD, (machine,), StepOptions())
    assert run.result.verdict == "failed"
    assert run.message == (
        "layer 'fc', step forward: written result[0, 0] is 1.50097656, the host's sum, mask, pruning and rounding give "
        "1.50195312 (1 of 1 elements differ)"
    )


def test_a_product_that_is_dropped_is_found_in_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = np.array([[1, 2, 4]], dtype=np.float32), np.ones((1, 3), dtype=np.float32)
    operands = Operands("fc", LinearShape(1, 3, 1), first, second, None, first[:, :1], None, tuple(Step))
    compress = conv_rows_values.compress_rows

    def drop_largest(*args: Any, **kwargs: Any) -> Any:
        rows = compress(*args, **kwargs)
        rows.value[np.argmax(np.abs(rows.value))] = 0
        return rows

    monkeypatch.setattr(conv_rows_values, "compress_rows", drop_largest)
    machine, rounded = make_machine(ValueFormat.INT16, 65535, skips=True), round_operands(operands, ValueFormat.INT16)
    (run,) = run_layer_step(rounded, Step.FORWARD, (machine,), StepOptions())
    assert run.message == (
        "layer 'fc', step forward: output[0, 0] is 3, the reference says 7 (1 of 1 elements differ)"
    )  # fmt: skip


def test_operands_of_another_format_than_the_machines_are_refused() -> None:
    operands, _, _ = draw_case("conv", ValueFormat.BF16, 7)
    machine = make_machine(ValueFormat.FP16, 65535, skips=True)
    with pytest.raises(ValueError, match="stores fp16 with loss_scale 1, but the operands of 'layer' are bf16 with 1"):
        run_layer_step(operands, Step.FORWARD, (machine,), StepOptions())
