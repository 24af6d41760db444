"""Machines whose groups share reads: what runs say and count, what samples make of it, and who is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest

from dataflows import registry
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import TaskTable
from dataflows.sparsetrain.dataflow import RowConvolution
from reports.tables import describe_run
from sim import simulate
from sim.architecture import load_architecture
from sim.iteration.run_result import RunResult
from sim.results.rows import StepResult
from workloads.errors import InputError

CHOSEN = {"operands": "synthetic", "batch": 2, "baseline": "none", "layers": "conv2"}
SHARED = ("buffer.multicast=8",)


@pytest.fixture(scope="module")
def runs() -> tuple[RunResult, RunResult]:
    """A layer on the machine without and with shared reads."""
    return simulate("lenet5", **CHOSEN), simulate("lenet5", **CHOSEN, overrides=SHARED)


def pair_steps(runs: tuple[RunResult, RunResult]) -> Iterator[tuple[StepResult, StepResult]]:
    return zip(runs[0].steps, runs[1].steps, strict=True)


def test_shared_reads_are_verified_and_pass_the_buffer_once(runs: tuple[RunResult, RunResult]) -> None:
    assert runs[1].is_correct
    for apart, shared in pair_steps(runs):
        assert shared.buffer_read_bytes < apart.buffer_read_bytes, apart.step
        assert shared.ports_busy_cycles < apart.ports_busy_cycles
        assert (shared.dram_read_bytes, shared.buffer_write_bytes) == (apart.dram_read_bytes, apart.buffer_write_bytes)
        assert (shared.effectual_macs, shared.row_ops) == (apart.effectual_macs, apart.row_ops)


def test_the_network_delivers_as_much_as_before_and_only_the_buffer_saves(runs: tuple[RunResult, RunResult]) -> None:
    for apart, shared in pair_steps(runs):
        assert shared.noc_pj == pytest.approx(apart.noc_pj)
        assert shared.buffer_pj is not None
        assert apart.buffer_pj is not None
        assert shared.buffer_pj < apart.buffer_pj


def test_a_run_says_whether_reads_are_shared(runs: tuple[RunResult, RunResult]) -> None:
    apart, shared = (" ".join(describe_run(run)) for run in runs)
    assert "groups do not share reads: there is no multicast)" in apart
    assert "up to 8 equal requests for driver rows share a read of the buffer)" in shared


@pytest.mark.parametrize("step", ["forward", "gta", "gtw"])
def test_a_sample_of_everything_is_the_run(step: str) -> None:
    chosen = {**CHOSEN, "steps": (step,), "overrides": (*SHARED, "buffer.capacity_bytes=12000")}
    whole, sampled = (simulate("lenet5", **chosen, **more) for more in ({"verify": False}, {"sample": 1.0}))
    for one, other in pair_steps((whole, sampled)):
        assert one.tiles > 1
        for name in ("cycles", "ports_busy_cycles", "buffer_read_bytes", "wait_operands_cycles", "noc_pj", "buffer_pj"):
            assert getattr(one, name) == pytest.approx(getattr(other, name)), name


class Silent(RowConvolution):
    """Tells no driver rows."""

    def lower(self, problem: StepProblem) -> TaskTable:
        table = super().lower(problem)
        assert table.traffic is not None
        return dataclasses.replace(table, traffic=dataclasses.replace(table.traffic, driver_bytes=None))


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_dataflow_that_does_not_tell_its_driver_rows_is_refused(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "load_dataflow", lambda *_: Silent())
    monkeypatch.setattr("sim.step.work.load_dataflow", lambda *_: Silent())
    with pytest.raises(InputError) as caught:
        simulate("lenet5", **CHOSEN, overrides=SHARED, engine=engine)
    assert str(caught.value).endswith(
        "buffer.multicast is 8, but the dataflow does not tell the driver rows of its bursts "
        "(driver_bytes and driver_rows of its traffic); set buffer.multicast to 1"
    )


def test_an_ideal_machine_shares_nothing_and_a_number_below_1_is_refused() -> None:
    assert load_architecture("ideal").describe_surroundings().multicast == 1
    with pytest.raises(InputError, match=r"^--set buffer\.multicast=0: buffer\.multicast"):
        load_architecture("sparsetrain", ("buffer.multicast=0",))


def test_the_more_may_share_an_access_the_less_is_read(runs: tuple[RunResult, RunResult]) -> None:
    read = [
        sum(step.buffer_read_bytes for step in simulate("lenet5", **CHOSEN, overrides=(f"buffer.multicast={m}",)).steps)
        for m in (2, 56)
    ]
    shared, apart = (sum(step.buffer_read_bytes for step in run.steps) for run in reversed(runs))
    assert np.all(np.diff([read[1], shared, read[0], apart]) >= 0)
