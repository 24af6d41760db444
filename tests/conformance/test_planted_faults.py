"""A fault in the machine's work is found: one row operation, one tap or one task less fails at the right index."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conformance.planted_faults import CONV, LINEAR, mutate_kernel, positive_operands
from ideal_machine import lower
from recorded_layer import write_recorded_layer

from dataflows.contract.tasks import TaskTable
from dataflows.rows import values as row_values
from dataflows.rows.taps import TapTable, pair_rows, tabulate_taps
from dataflows.sparsetrain.conv_kernels import values as conv_kernels_values
from dataflows.sparsetrain.conv_rows import values as conv_rows_values
from dataflows.storage.compressed_rows import CompressedRows, compress_rows
from reports.cli import main
from sim.architecture import load_architecture
from sim.machine.accelerator import Engine, StepTiming, Surroundings, make_instant_traffic, run_step
from sim.step import work
from sim.step.layer_run import run_layer_step
from sim.step.work import StepOptions, StepRun
from workloads.operands import Operands
from workloads.shapes import ConvShape, Step

MACHINES = ("ideal", "ideal-dense")
SRC, MSRC, OSRC = "add_src_rows", "add_msrc_rows", "add_osrc_rows"
KERNEL = {Step.FORWARD: SRC, Step.GTA: MSRC, Step.GTW: OSRC}
PRODUCT = {
    Step.FORWARD: "sums[q, m] += x * weight[c, r, s, m]",
    Step.GTA: "sums[w, c] += x * weight[m, r, s, c]",
    Step.GTW: "total[index] += x * near[index]",
}
# OSRC runs over taps and channels at once.
OSRC_PLACE = "c, s = index % group_channels, s0 + span + index // group_channels\n"
ROW_OPS = {
    Step.FORWARD: "row_ops += filters",
    Step.GTA: "row_ops += channels",
    Step.GTW: "row_ops += channels",
}


# Where the values of each step are made.
VALUES = {Step.FORWARD: conv_rows_values, Step.GTA: conv_rows_values, Step.GTW: conv_kernels_values}


def run_on(machine: str, operands: Operands, step: Step) -> StepRun:
    """Run one step on one machine, verified."""
    options = StepOptions(verifies=True, keeps_output=True)
    # Where empty rows are none of the operations, these are counted from the rows alone, not by the kernel.
    architecture = load_architecture(machine, ("array.skip_empty_rows=false",) if machine == "ideal" else ())
    (run,) = run_layer_step(operands, step, (architecture,), options)
    return run


def plant(monkeypatch: pytest.MonkeyPatch, step: Step, line: str, replacement: str) -> None:
    """Replace a line of a step's kernel."""
    if line == PRODUCT[Step.GTW]:
        replacement = OSRC_PLACE + replacement
    monkeypatch.setattr(row_values, KERNEL[step], mutate_kernel(KERNEL[step], line, replacement))


def message(operands: Operands, step: Step, bad: list[tuple[int, ...]], missing: list[float]) -> str:
    """Write the sentence for outputs `bad`, in order, that lack the sums `missing`."""
    right = run_on("ideal", operands, step).output
    assert right is not None
    first = right[bad[0]]
    return (
        f"layer 'layer', step {step}: output{list(bad[0])} is {first - missing[0]:.9g}, the reference says "
        f"{first:.9g} ({len(bad)} of {right.size} elements differ)"
    )


# The row operation that is dropped: image, input channel, input row, filter, kernel row; and of its taps the one s.
n, c, h, m, r, s = 1, 3, 4, 4, 2, 0
CONV_PLACES = {
    Step.FORWARD: "(n, c, h, low + m, r) == (1, 3, 4, 4, 2)",
    Step.GTA: "(n, low + c, h, m, r) == (1, 3, 4, 4, 2)",
    Step.GTW: "(n, low + c, h, m, r) == (1, 3, 4, 4, 2)",
}
LOCAL_C = c % CONV.group_in_channels
P_OF_ROW = h + CONV.pad_top - r


def conv_products(operands: Operands, step: Step) -> dict[tuple[int, ...], list[tuple[int, float]]]:
    """Give, of the row operation that is dropped, each output and its (tap, product)s; outputs in order."""
    products: dict[tuple[int, ...], list[tuple[int, float]]] = {}
    for q in range(CONV.out_width):
        for tap in range(CONV.kernel_width):
            w = q + tap - CONV.pad_left
            if not 0 <= w < CONV.in_width:
                continue
            x, weight = operands.input[n, c, h, w], operands.weight[m, LOCAL_C, r, tap]
            gradient = operands.grad_output[n, m, P_OF_ROW, q]
            place, product = {
                Step.FORWARD: ((n, m, P_OF_ROW, q), x * weight),
                Step.GTA: ((n, c, h, w), gradient * weight),
                Step.GTW: ((m, LOCAL_C, r, tap), gradient * x),
            }[step]
            products.setdefault(place, []).append((tap, float(product)))
    return dict(sorted(products.items()))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("step", Step)
def test_the_unharmed_kernels_in_plain_python_are_verified(
    step: Step, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, step, PRODUCT[step], PRODUCT[step])
    for shape in (CONV, LINEAR):
        run = run_on(machine, positive_operands(shape), step)
        assert (run.result.verdict, run.message) == ("exact", "")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("step", Step)
def test_dropping_one_row_operation_fails_at_its_first_output(
    step: Step, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = positive_operands(CONV)
    products = conv_products(operands, step)
    missing = [sum(product for _, product in terms) for terms in products.values()]
    expected = message(operands, step, list(products), missing)
    plant(monkeypatch, step, PRODUCT[step], f"if not {CONV_PLACES[step]}:\n    {PRODUCT[step]}")
    run = run_on(machine, operands, step)
    assert (run.result.verdict, run.result.verified, run.message) == ("failed", False, expected)
    assert run.result.max_abs_error == max(missing)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("step", Step)
def test_dropping_one_tap_fails_at_the_one_output_it_adds_to(
    step: Step, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = positive_operands(CONV)
    q = 2
    w = q + s - CONV.pad_left
    place = {Step.FORWARD: (n, m, P_OF_ROW, q), Step.GTA: (n, c, h, w), Step.GTW: (m, LOCAL_C, r, s)}[step]
    x, weight = operands.input[n, c, h, w], operands.weight[m, LOCAL_C, r, s]
    gradient = operands.grad_output[n, m, P_OF_ROW, q]
    product = {Step.FORWARD: x * weight, Step.GTA: gradient * weight, Step.GTW: gradient * x}[step]
    expected = message(operands, step, [place], [float(product)])
    plant(
        monkeypatch, step, PRODUCT[step], f"if not ({CONV_PLACES[step]} and (q, s) == ({q}, {s})):\n    {PRODUCT[step]}"
    )
    run = run_on(machine, operands, step)
    assert (run.result.verdict, run.message) == ("failed", expected)
    assert run.result.max_abs_error == product


LINEAR_PLACES = {
    Step.FORWARD: "(n, m) == (1, 3)",
    Step.GTA: "(n, c) == (1, 4)",
    Step.GTW: "(n, m) == (1, 3) and c // 3 == 1",
}


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("step", Step)
def test_dropping_one_row_operation_of_a_fully_connected_layer_fails_at_its_output(
    step: Step, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = positive_operands(LINEAR)
    x, weight, gradient = operands.input, operands.weight, operands.grad_output
    block = range(3, 6)
    bad, missing = {
        Step.FORWARD: ([(1, 3)], [float(x[1] @ weight[3])]),
        Step.GTA: ([(1, 4)], [float(gradient[1] @ weight[:, 4])]),
        Step.GTW: ([(3, i) for i in block], [float(gradient[1, 3] * x[1, i]) for i in block]),
    }[step]
    expected = message(operands, step, list(bad), list(missing))
    plant(monkeypatch, step, PRODUCT[step], f"if not ({LINEAR_PLACES[step]}):\n    {PRODUCT[step]}")
    assert run_on(machine, operands, step).message == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("step", Step)
def test_dropping_one_product_of_a_fully_connected_layer_fails_at_its_output(
    step: Step, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = positive_operands(LINEAR)
    x, weight, gradient = operands.input[1, 4], operands.weight[3, 4], operands.grad_output[1, 3]
    place, product = {
        Step.FORWARD: ((1, 3), x * weight),
        Step.GTA: ((1, 4), gradient * weight),
        Step.GTW: ((3, 4), gradient * x),
    }[step]
    expected = message(operands, step, [place], [float(product)])
    plant(monkeypatch, step, PRODUCT[step], f"if (n, m, c) != (1, 3, 4):\n    {PRODUCT[step]}")
    assert run_on(machine, operands, step).message == expected


@pytest.mark.parametrize("step", Step)
def test_a_row_operation_that_is_dropped_uncounted_is_named_by_index_and_by_count(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = positive_operands(dataclasses.replace(CONV, in_channels=2, out_channels=2))
    counts = run_on("ideal", operands, step).result
    place = {"forward": "(n, c, h, r) == (1, 1, 4, 2)"}.get(step, "(n, group, h, r) == (1, 1, 4, 2)")
    plant(monkeypatch, step, ROW_OPS[step], f"if {place}:\n    continue\n{ROW_OPS[step]}")
    first = {Step.FORWARD: [1, 1, P_OF_ROW, 0], Step.GTA: [1, 1, h, 0], Step.GTW: [1, 0, r, 0]}[step]
    products = CONV.out_width * CONV.kernel_width - 2 * CONV.pad_left
    run = run_on("ideal", operands, step)
    assert run.message.startswith(f"layer 'layer', step {step}: output{first} is ")
    assert run.message.endswith(
        f" elements differ); layer 'layer', step {step}: {counts.row_ops} row operations and "
        f"{counts.effectual_macs} multiplications were timed, {counts.row_ops - 1} and "
        f"{counts.effectual_macs - products} were done"
    )


@pytest.mark.parametrize("step", Step)
def test_dropping_a_row_operation_without_a_nonzero_is_found_by_its_count(
    step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = positive_operands(dataclasses.replace(CONV, in_channels=2, out_channels=2))
    operands.input[1, 1, 4] = 0
    operands.grad_output[1, 1, P_OF_ROW] = 0
    timed = run_on("ideal", operands, step).result
    place = {"forward": "(n, c, h, r) == (1, 1, 4, 2)"}.get(step, "(n, group, h, r) == (1, 1, 4, 2)")
    plant(monkeypatch, step, ROW_OPS[step], f"if {place}:\n    continue\n{ROW_OPS[step]}")
    run = run_on("ideal", operands, step)
    assert run.result.verdict == "failed"
    assert run.message == (
        f"layer 'layer', step {step}: {timed.row_ops} row operations and {timed.effectual_macs} multiplications were "
        f"timed, {timed.row_ops - 1} and {timed.effectual_macs} were done"
    )


def drop_task(forgotten: int) -> Callable[[TaskTable, int, Surroundings, Engine], StepTiming]:
    """Make a machine to which one task never comes."""

    def run_without(table: TaskTable, groups: int, surroundings: Surroundings, engine: Engine) -> StepTiming:
        kept = np.delete(np.arange(len(table)), forgotten)
        rest = dataclasses.replace(table, pe_cycles=table.pe_cycles[kept], indices=table.indices[kept])
        table = dataclasses.replace(table, traffic=make_instant_traffic(rest), dispatch=kept)
        return run_step(table, groups, surroundings, engine)

    return run_without


def first_output(operands: Operands, step: Step, index: tuple[int, ...], pes: int) -> tuple[int, ...]:
    """Give the first output of a task."""
    shape = operands.shape
    if not isinstance(shape, ConvShape):
        return (index[0], index[1] * pes)
    group_width = shape.group_out_channels if step is Step.FORWARD else shape.group_in_channels
    blocks = -(-group_width // pes)
    group, block = divmod(index[-1], blocks)
    if step is Step.GTW:
        return (index[0], block * pes, 0, 0)
    return (index[0], group * group_width + block * pes, index[1], 0)


@pytest.mark.parametrize("shape", [CONV, LINEAR], ids=["conv2d", "linear"])
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("step", Step)
def test_dropping_one_task_fails_at_its_first_output(
    step: Step, machine: str, shape: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = positive_operands(shape)
    architecture = load_architecture(machine)
    right = run_on(machine, operands, step)
    assert right.output is not None
    table = lower(operands, step, architecture.array.describe())
    forgotten = len(table) - 2
    monkeypatch.setattr(work, "run_step", drop_task(forgotten))
    run = run_on(machine, operands, step)
    first = first_output(operands, step, tuple(table.indices[forgotten].tolist()), architecture.array.pes_per_group)
    assert run.message.startswith(
        f"layer 'layer', step {step}: output{list(first)} is nan, the reference says {right.output[first]:.9g} ("
    )
    assert run.result.max_abs_error == np.inf
    assert run.result.tasks == right.result.tasks - 1


def drop_element(tensor: Any, *, keeps_zeros: bool = False) -> CompressedRows:
    """Compress rows but lose the third element of row 2."""
    rows = compress_rows(tensor, keeps_zeros=keeps_zeros)
    lost = int(rows.first[2]) + 2
    first = np.where(np.arange(len(rows.first)) > 2, rows.first - 1, rows.first)
    return CompressedRows(first, np.delete(rows.position, lost), np.delete(rows.value, lost))


def drop_tap(shape: ConvShape, step: Step, _strip: object = None) -> TapTable:
    """Tabulate taps but lose the first one of position 3."""
    taps = tabulate_taps(shape, step)
    lost = int(taps.first[3])
    first = np.where(np.arange(len(taps.first)) > 3, taps.first - 1, taps.first)
    return TapTable(first, np.delete(taps.tap, lost), np.delete(taps.partner, lost))


def drop_pair(shape: ConvShape) -> Any:
    """Pair rows but lose input row 3 with kernel row 1."""
    pairs = pair_rows(shape)
    pairs[3, 1] = -1
    return pairs


# Row 2 of channel 0 of image 0, kernel row 2 first; then column 3 with tap 0; then row 3 with kernel row 1.
PAD = CONV.pad_top
STRUCTURE_FAULTS = [
    ("compress_rows", drop_element, Step.FORWARD, (0, 0, 2 + PAD - 2, 2 + PAD - 2)),
    ("compress_rows", drop_element, Step.GTA, (0, 0, 2 - PAD, 2 - PAD)),
    ("compress_rows", drop_element, Step.GTW, (0, 0, 0, 0)),
    ("tabulate_strip", drop_tap, Step.FORWARD, (0, 0, 0, 3 + PAD)),
    ("tabulate_strip", drop_tap, Step.GTA, (0, 0, 0, 3 - PAD)),
    ("tabulate_taps", drop_tap, Step.GTW, (0, 0, 0, 0)),
    ("pair_rows", drop_pair, Step.FORWARD, (0, 0, 3 + PAD - 1, 0)),
    ("pair_rows", drop_pair, Step.GTA, (0, 0, 3, 0)),
    ("pair_rows", drop_pair, Step.GTW, (0, 0, 1, 0)),
]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("name", "fault", "step", "first"), STRUCTURE_FAULTS)
def test_a_loss_in_the_rows_or_the_geometry_fails_at_the_first_output_that_needs_it(
    name: str, fault: Any, step: Step, first: tuple[int, ...], machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = positive_operands(CONV)
    monkeypatch.setattr(VALUES[step], name, fault)
    run = run_on(machine, operands, step)
    assert run.result.verdict == "failed"
    assert run.message.startswith(f"layer 'layer', step {step}: output{list(first)} is ")


@pytest.mark.parametrize("step", Step)
def test_a_planted_fault_ends_the_command_with_exit_code_1(
    step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operands = positive_operands(CONV)
    workload = write_recorded_layer(tmp_path, operands)
    products = conv_products(operands, step)
    missing = [sum(product for _, product in terms) for terms in products.values()]
    sentence = message(operands, step, list(products), missing)
    plant(monkeypatch, step, PRODUCT[step], f"if not {CONV_PLACES[step]}:\n    {PRODUCT[step]}")
    outcome = CliRunner().invoke(main, ["simulate", str(workload), "--arch", "ideal", "--out", str(tmp_path / "run")])
    failures = [f"{sentence} on {machine}" for machine in MACHINES]
    assert outcome.exit_code == 1
    notice, *told = outcome.stderr.splitlines()
    assert notice.startswith("sparsetrain: the gta of 'layer', whose input needs no gradient in training, counts")
    assert told == [f"sparsetrain: {failure}" for failure in failures]
    assert "Verdict: FAILED; 2 of 6 outputs differ from the reference.\n" in outcome.stdout
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["verdict"], record["failures"]) == ("failed", failures)
