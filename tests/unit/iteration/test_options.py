"""The options of a run: what Python gives becomes one request, and what is unknown is refused."""

from __future__ import annotations

import pytest

from sim.iteration.options import RunOptions, make_request
from sim.iteration.request import SimulationRequest
from sim.run import simulate
from workloads.shapes import Step
from workloads.workload import load_workload


def request(**options: object) -> SimulationRequest:
    return make_request("lenet5", "sparsetrain", options)  # type: ignore[arg-type]


def test_without_options_everything_is_simulated_and_verified_beside_the_machine_that_skips_nothing() -> None:
    plain = request()
    assert plain.steps == tuple(Step)
    assert plain.is_whole
    assert plain.is_verified
    assert [machine.name for machine in plain.machines] == ["sparsetrain", "sparsetrain-dense"]


def test_every_option_has_a_place_in_the_request() -> None:
    chosen = request(
        baseline=None, steps=["gtw"], layers="conv*", batch=2, seed=5, verify=False, jobs=2, engine="simpy",
        memory_limit="1GiB", out="there", overwrite=True,
    )  # fmt: skip
    assert len(chosen.contenders) == 1
    assert chosen.steps == (Step.GTW,)
    assert not chosen.is_whole
    assert (chosen.workload.form.batch, chosen.workload.operand_source().seed) == (2, 5)
    assert (chosen.verifies, chosen.jobs, chosen.engine, chosen.memory_limit) == (False, 2, "simpy", "1GiB")
    assert (chosen.outputs.directory, chosen.outputs.overwrite) == ("there", True)


def test_a_loaded_workload_takes_another_batch_and_seed_as_a_name_does() -> None:
    options = RunOptions(batch=3, seed=7)
    loaded = make_request(load_workload("lenet5"), "sparsetrain", options).workload
    named = make_request("lenet5", "sparsetrain", options).workload
    assert loaded.form == named.form
    assert loaded.network == named.network
    assert loaded.network.input_shape[0] == 3


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"simulate\(\) has no option 'verfy'; the options are baseline, overrides, "):
        simulate("lenet5", verfy=False)  # type: ignore[call-arg]
