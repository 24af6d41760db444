"""Whole runs from recorded integers on the `ideal` preset, by the command line, against the definition."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from conformance.defined import define_step
from numpy.typing import NDArray
from oracle.definition import StepOracle
from random_layers import ALL_STEPS, draw_case
from recorded_layer import override_array, write_recorded_layer

from reports.cli import main
from workloads.operands import Operands
from workloads.reference import run_forward, run_gta, run_gtw
from workloads.shapes import Step

SEED = 21
REFERENCE = {Step.FORWARD: run_forward, Step.GTA: run_gta, Step.GTW: run_gtw}


def draw_biased_case(index: int) -> tuple[Operands, list[str], dict[str, dict[Step, StepOracle]]]:
    """Draw a layer, with bias in every other case, and a machine.

    Returns the operands, the command line's options and what the definition asks for: machine to step to result.
    """
    operands, array = draw_case(SEED, index)
    bias = np.random.default_rng([SEED, index, 1]).integers(-3, 4, operands.shape.weight_shape[0])
    operands = dataclasses.replace(operands, bias=bias.astype(np.float32) if index % 2 else None)
    machines = {"drawn": array, "drawn-dense": dataclasses.replace(array, skip_zeros=False)}
    defined = {
        name: {step: define_step(operands, step, machine) for step in ALL_STEPS} for name, machine in machines.items()
    }
    return operands, override_array(array), defined


def add_bias(output: NDArray[Any], step: Step, operands: Operands) -> NDArray[Any]:
    """Add the bias, which the definition leaves to the post-processing unit."""
    if step is not Step.FORWARD or operands.bias is None:
        return output
    return output + operands.bias.reshape(-1, *(1,) * (output.ndim - 2))


@pytest.mark.parametrize("index", range(20))
def test_a_recorded_run_has_the_cycles_of_the_definition_and_the_values_of_numpy(index: int, tmp_path: Path) -> None:
    operands, options, defined = draw_biased_case(index)
    workload = write_recorded_layer(tmp_path, operands)
    out, saved = tmp_path / "run", tmp_path / "values.npz"
    arguments = ["simulate", str(workload), "--arch", "ideal", *options, "--set", "name=drawn"]
    outcome = CliRunner().invoke(main, [*arguments, "--out", str(out), "--save-outputs", str(saved)])
    # A layer alone is a first layer; what is all zero in it is told too.
    odd = [words for words in outcome.stderr.splitlines() if "is all zero" not in words]
    assert outcome.exit_code == 0
    assert len(odd) == 1
    assert odd[0].startswith("sparsetrain: the gta of 'layer', whose input needs no gradient in training, counts")

    with (out / "steps.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    cycles = {name: [result.cycles for result in steps.values()] for name, steps in defined.items()}
    for machine, expected in cycles.items():
        assert [int(row["cycles"]) for row in rows if row["machine"] == machine] == expected
    assert [row["step"] for row in rows if row["machine"] == "drawn"] == list(ALL_STEPS)
    assert {row["verdict"] for row in rows} == {"exact"}
    assert {row["max_abs_error"] for row in rows} == {row["tolerance"] for row in rows} == {"0"}

    record = json.loads((out / "run.json").read_text())
    assert (record["verdict"], record["failures"]) == ("verified", [])
    for machine, expected in cycles.items():
        assert record["totals"]["machines"][machine]["network"]["cycles"] == sum(expected)

    with np.load(saved) as outputs:
        assert sorted(outputs) == sorted(f"layer/{step}" for step in ALL_STEPS)
        for step in ALL_STEPS:
            assert outputs[f"layer/{step}"].dtype == np.float32
            np.testing.assert_array_equal(outputs[f"layer/{step}"], REFERENCE[step](operands))
            expected_output = add_bias(defined["drawn"][step].output, step, operands)
            np.testing.assert_array_equal(outputs[f"layer/{step}"], expected_output)
