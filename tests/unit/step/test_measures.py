"""How a row of the results follows from what a step was measured to do."""

from __future__ import annotations

import dataclasses

import pytest

from sim.architecture import load_architecture
from sim.energy import ActionCounts
from sim.results.rows import StepActions, StepResult, list_columns
from sim.sampling.intervals import Spread
from sim.step.measures import StepMeasures, fill
from sim.step.verify import Verdict, Verification

IDENTITY = {"layer": "conv1", "kind": "conv2d", "step": "forward"}


@pytest.mark.parametrize("record", [StepResult, StepActions])
def test_every_field_of_a_file_has_one_column(record: type) -> None:
    names = [item.name for item in list_columns(record)]
    assert sorted(names) == sorted(item.name for item in dataclasses.fields(record))


def test_derived_columns_follow_from_the_measured_ones_and_the_machine() -> None:
    machine = load_architecture("sparsetrain")
    array = machine.array.describe()
    cycles, busy_cycles, pe_cycles, multiplications = 100, 40, 90, 1000
    row = fill(
        StepMeasures(
            **IDENTITY, cycles=cycles, busy_cycles=busy_cycles, pe_cycles=pe_cycles, multiplications=multiplications,
            actions=ActionCounts(multiplies=multiplications), check=Verification(Verdict.EXACT, 0.0, 0.0),
            cycles_spread=Spread(4.0), energy_spread=Spread(9.0),
        ),
        machine,
    )  # fmt: skip
    assert (row.machine, row.verified, row.verdict, row.operands) == (machine.name, True, "exact", "")
    assert row.bound_cycles == -(-multiplications // array.multipliers)
    assert row.pe_imbalance_cycles == busy_cycles * array.pes_per_group - pe_cycles
    assert row.pe_utilization == multiplications / (cycles * array.multipliers)
    assert (row.cycles_ci95, row.energy_ci95_pj) == (Spread(4.0).half_width, Spread(9.0).half_width)
    assert row.energy_pj is not None


def test_what_a_step_does_not_have_is_absent_from_its_row() -> None:
    row = fill(StepMeasures(**IDENTITY, cycles=0), load_architecture("ideal"))
    assert (row.tasks, row.pe_utilization, row.cycles_ci95, row.sampled_fraction) == (0, 0.0, 0.0, 1.0)
    assert (row.energy_pj, row.energy_ci95_pj, row.input_density, row.max_abs_error) == (None, None, None, None)
    assert (row.verified, row.verdict) == (False, "none")
