"""Whether a run says that kernels have yet to be compiled."""

from __future__ import annotations

import pytest

import sim.iteration.simulation
from sim.kernels import COMPILING, lacks_compiled
from sim.run import simulate
from workloads.kernel import KERNELS, Kernel


@pytest.mark.parametrize(("compiled", "lacks"), [((), True), (("run_events",), False)])
def test_a_package_lacks_compiled_kernels_until_one_of_them_is(
    compiled: tuple[str, ...], lacks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Kernel, "is_compiled", property(lambda one: one.function.__name__ in compiled))
    assert "sim.machine.compiled.run_events" in KERNELS
    assert lacks_compiled("sim.machine") == lacks


def test_a_package_without_kernels_lacks_none() -> None:
    assert not lacks_compiled("json")


@pytest.mark.parametrize(("must", "notices"), [(True, [COMPILING]), (False, [])])
def test_a_run_says_that_it_compiles_before_it_starts(
    must: bool, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[set[str], str]] = []

    def must_compile(dataflows: set[str], engine: str) -> bool:
        asked.append((dataflows, engine))
        return must

    monkeypatch.setattr(sim.iteration.simulation, "must_compile", must_compile)
    told: list[str] = []
    simulate("lenet5", layers="fc3", steps=["forward"], batch=1, operands="synthetic", on_notice=told.append)
    assert told == notices
    assert asked == [({"sparsetrain"}, "compiled")]
