from __future__ import annotations

import subprocess
import sys

import click
import pytest

import sim
import sim.sweep
from reports.simulate_command import simulate
from sim.iteration.policies import SKIPPING_OFF
from workloads.datasets.address import DatasetKind

HEAVY = ("numpy", "pandas", "numba", "simpy", "plotly", "pydantic", "rich")
PAGES = "reports.comparison, reports.run_page, reports.sweep_page, reports.timeline"


def list_loaded(statement: str, names: tuple[str, ...]) -> list[str]:
    """Tell which of some modules a statement loads in a process of its own."""
    code = f"import sys\n{statement}\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_command_line_loads_no_library_before_a_command_needs_it() -> None:
    assert list_loaded("import reports.cli", HEAVY) == []


def test_pages_are_built_without_the_machine() -> None:
    machine = ("numba", "simpy", "joblib", "sim.run", "sim.iteration.simulation", "sim.machine.accelerator")
    assert list_loaded(f"import {PAGES}", machine) == []


def test_the_simulator_is_there_before_what_only_a_run_needs() -> None:
    later = ("numba", "pandas", "pyarrow", "joblib", "plotly", "scipy", "optuna", "distributed")
    assert list_loaded("from sim import simulate", later) == []


def test_a_training_by_numpy_loads_no_torch() -> None:
    assert list_loaded("from workloads.training.hosts.table import load_host; load_host('numpy')", ("torch",)) == []


def test_recordings_load_no_torch_before_a_model_is_recorded() -> None:
    assert list_loaded("from workloads.capture import capture; from sim import simulate", ("torch",)) == []


def test_loading_a_workload_loads_neither_the_compiler_nor_tables_nor_what_reads_other_files() -> None:
    statement = "from workloads.workload import load_workload; load_workload('lenet5')"
    assert list_loaded(statement, ("numba", "pandas", "onnx")) == []


@pytest.mark.parametrize("package", [sim, sim.sweep])
def test_every_public_name_is_there_when_it_is_asked_for(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    assert {getattr(package, name).__name__ for name in names} == set(names) <= set(dir(package))


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError) as caught:
        sim.simulat  # type: ignore[attr-defined]  # noqa: B018
    assert str(caught.value) == "module 'sim' has no attribute 'simulat'"


def test_what_the_options_spell_out_is_what_the_simulator_knows() -> None:
    options = {option.name: option for option in simulate.params if isinstance(option, click.Option)}
    assert f"KIND is {', '.join(DatasetKind)}, or left away." in str(options["data"].help)
    assert options["baselines"].default == (SKIPPING_OFF,)
