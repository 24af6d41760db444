"""Results do not depend on who computes them: processes, threads, engine, or whether values were computed."""

from __future__ import annotations

from typing import Any

import pytest

import sim.iteration.workers
from sim.run import RunResult, simulate

VALUES = ["verified", "verdict", "max_abs_error", "tolerance"]


def run(**options: Any) -> RunResult:
    """Run a network with branches, batch norm and pruned gradients on the full machine and its dense baseline."""
    return simulate("resnet20", baseline=["skipping-off", "pruning@0.9"], layers="layer2.*", **options)


@pytest.fixture(scope="module")
def plain() -> RunResult:
    return run()


@pytest.mark.parametrize("threads", [1, 5])
def test_the_number_of_threads_moves_no_result(threads: int, plain: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim.iteration.workers, "THREADS", threads)
    assert run().frame.equals(plain.frame)


def test_the_number_of_processes_moves_no_result(plain: RunResult) -> None:
    assert run(jobs=2).frame.equals(plain.frame)


def test_computing_values_moves_no_other_result(plain: RunResult) -> None:
    found = run(verify=False).frame
    assert not found["verified"].any()
    assert plain.frame["verified"].all()
    assert found.drop(columns=VALUES).equals(plain.frame.drop(columns=VALUES))
