"""One record says what a run is asked for, whoever asks."""

from __future__ import annotations

import pytest

from sim import simulate
from sim.iteration.policies import choose_contenders
from sim.iteration.request import SimulationRequest, choose_layers, parse_jobs, parse_request_sample
from sim.iteration.simulation import run_request
from workloads.errors import InputError
from workloads.shapes import Step
from workloads.workload import load_workload


def ask(pattern: str, sample: str | float | None = None) -> SimulationRequest:
    workload = load_workload("lenet5", batch=1)
    return SimulationRequest(
        workload=workload,
        contenders=choose_contenders("ideal", None, ()),
        steps=(Step.FORWARD,),
        layers=pattern,
        chosen=choose_layers(workload, pattern),
        sample=parse_request_sample(sample),
    )


def test_a_request_finds_what_python_finds() -> None:
    asked = run_request(ask("fc3"))
    called = simulate("lenet5", "ideal", batch=1, baseline=None, steps=["forward"], layers="fc3")
    assert asked.steps == called.steps
    assert asked.record == called.record


def test_the_inputs_of_a_record_are_the_request() -> None:
    request = ask("fc3")
    inputs = request.describe()
    record = run_request(request).record
    assert {name: record[name] for name in inputs} == inputs


@pytest.mark.parametrize(("pattern", "recorded"), [("fc*", "fc*"), ("[cf]*", "*")])
def test_a_pattern_that_matches_all_layers_is_recorded_as_all(pattern: str, recorded: str) -> None:
    assert ask(pattern).describe()["layers"] == recorded


@pytest.mark.parametrize(
    ("sample", "recorded", "fraction"), [(None, None, None), ("auto", "auto", None), ("0.5", 0.5, 0.5), (1, 1.0, 1.0)]
)
def test_a_sample_is_recorded_as_it_is_understood(
    sample: str | float | None, recorded: str | float | None, fraction: float | None
) -> None:
    request = ask("fc3", sample)
    assert (request.sample, request.fraction, request.is_verified) == (recorded, fraction, sample is None)


def test_no_worker_process_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        parse_jobs(0)
    assert str(caught.value) == "jobs must be at least 1, got 0"
