"""Which steps are estimated again, and which of two estimates stays."""

from __future__ import annotations

import dataclasses
import math

import pytest

from sim.iteration.estimation import CAUTION, choose_narrower, find_bounds
from sim.results.rows import StepResult
from sim.sampling.intervals import Spread
from sim.sampling.options import AIM, SampleOptions
from sim.step.stored_tensors import StoredBytes
from sim.step.work import StepRun


def make_run(layer: str, machine: str, cycles: int, variance: float) -> StepRun:
    spread = Spread(variance, math.inf)
    values = dict.fromkeys((item.name for item in dataclasses.fields(StepResult)), 0) | {
        "layer": layer, "step": "forward", "machine": machine, "cycles": cycles, "cycles_ci95": spread.half_width,
    }  # fmt: skip
    result = StepResult(**values)  # type: ignore[arg-type]
    return StepRun(result, "", None, StoredBytes(), None, spreads=(spread, Spread()))


def test_wide_steps_are_held_to_their_share_of_the_cycles_found() -> None:
    runs = [[make_run("a", "m", 900, 400.0)], [make_run("b", "m", 100, 0.0)]]
    assert find_bounds(runs) == {("a", "forward"): CAUTION * AIM * (1000 / 900) ** 0.5}


def test_a_step_without_cycles_has_no_bound() -> None:
    runs = [[make_run("a", "m", 1000, 400.0)], [make_run("none", "m", 0, 4.0)]]
    assert find_bounds(runs) == {("a", "forward"): CAUTION * AIM}


def test_a_narrower_estimate_is_never_replaced() -> None:
    first = [make_run("a", "m", 100, 1.0), make_run("a", "n", 200, 9.0)]
    second = [make_run("a", "m", 101, 4.0), make_run("a", "n", 201, 4.0)]
    assert [run.result.cycles for run in choose_narrower(first, second)] == [100, 201]


@pytest.mark.parametrize(("second", "expected"), [(0.5, 2 * AIM), (AIM, AIM)])
def test_a_second_bound_never_loosens_the_first(second: float, expected: float) -> None:
    options = SampleOptions(None, seed=1, nominal_macs=400, bounds={("a", "forward"): second})
    assert options.bound("a", "forward", step_macs=100, has_all=False) == expected
