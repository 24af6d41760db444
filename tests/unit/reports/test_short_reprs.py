"""What an interpreter shows of public records fits a screen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from compiled_kernels import compile_kernels

from reports.run_files import load_run
from sim.run import RunResult, simulate
from sim.sweep.space import load_space
from workloads.opening import open_operands
from workloads.workload import load_workload


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reprs")


@pytest.fixture(scope="module")
def result(folder: Path) -> RunResult:
    compile_kernels()
    return simulate("lenet5", "sparsetrain", layers="conv2", out=folder / "run")


def test_a_result_shows_workload_machines_verdict_and_totals(result: RunResult, folder: Path) -> None:
    totals = result.totals["machines"]["sparsetrain"]["network"]
    ratios = result.totals["ratios"]["sparsetrain-dense"]["network"]
    words = (
        f"{totals['cycles']:,} cycles, {totals['energy_pj'] / 1e6:,.2f} uJ, speed-up {ratios['speedup']:.2f}x, "
        f"energy ratio {ratios['energy_ratio']:.2f}x"
    )
    assert repr(result).splitlines() == [
        "<RunResult: lenet5 on sparsetrain, beside sparsetrain-dense",
        "  verified: 6 outputs",
        f"  convolutions: {words}",
        f"  whole network: {words}",
        f"  6 rows in .frame, totals in .totals; in {folder / 'run'}>",
    ]


def test_a_result_that_failed_says_so(result: RunResult) -> None:
    failed = dataclasses.replace(result, failures=("conv2 differs",), directory=None)
    assert repr(failed).splitlines()[1] == "  FAILED: 1 of 6 outputs differ from the reference (.failures)"


def test_no_public_record_fills_more_than_a_few_lines(result: RunResult, folder: Path) -> None:
    workload = load_workload("resnet152")
    stream = open_operands(load_workload("lenet5"))
    shown = [
        result, result.steps[0], result.machines[0], workload, workload.network, workload.document, stream,
        next(stream.layers), load_run(folder / "run"), load_space("lenet5_array"),
    ]  # fmt: skip
    assert [type(one).__name__ for one in shown if len(repr(one)) > 800 or repr(one).count("\n") > 8] == []
    assert repr(result.steps[0]).startswith("<StepResult conv2 forward on sparsetrain: ")
