"""Runs as the reports read them: a run's directory, and nothing beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sim.dram_prices import DRAM_COMMANDS
from sim.energy import DATAFLOW_COMPONENT
from sim.results.notebook import make_compact_html
from sim.results.record_checks import check_actions, check_record, check_steps
from sim.results.record_form import RecordForm
from sim.results.record_reading import read_record
from sim.results.result_tables import read_table
from sim.results.rows import SCOPES, StepActions, StepResult
from sim.results.run_directory import ACTIONS_FILE, RUN_FILE, STEPS_FILE
from sim.results.stored_file import name_file
from workloads.errors import InputError
from workloads.row_kinds import COMPUTE_KINDS as COMPUTE_KINDS
from workloads.updates import ACCUMULATE

WORD_COLUMNS = ("layer", "kind", "step", "machine", "verdict", "operands")
SCOPE_WORDS = {"convolutions": "convolutions", "network": "whole network"}
WHAT_IS_A_RUN = "a run is the directory that 'sparsetrain simulate' wrote"


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        record: ``run.json``, form: the same as a model.
        frame: ``steps.csv``, its text.
        steps_csv: ``steps.csv``, its text.
    """

    path: Path
    record: dict[str, Any]
    form: RecordForm
    frame: pd.DataFrame
    steps_csv: str

    @property
    def machines(self) -> list[str]:
        """Names of the machines, the simulated one first, then its baselines."""
        names: list[str] = list(self.record["totals"]["machines"])
        return names

    @property
    def machine(self) -> str:
        """Name of the simulated machine."""
        return self.machines[0]

    @property
    def workload(self) -> str:
        """Name of the workload."""
        return str(self.record["workload"]["name"])

    @property
    def title(self) -> str:
        """What was run on what."""
        return f"{self.workload} on {self.machine}"

    @property
    def clock_mhz(self) -> float:
        """Clock of the simulated machine."""
        return float(self.record["architecture"]["clock_mhz"])

    def totals(self, machine: str, scope: str = "network") -> dict[str, Any]:
        """Give a machine's totals over the convolutions or the whole network."""
        assert scope in SCOPES
        totals: dict[str, Any] = self.record["totals"]["machines"][machine][scope]
        return totals

    def ratios(self, baseline: str) -> dict[str, dict[str, float | None]]:
        """Give how many times the simulated machine's cycles and energy a baseline needs, for both scopes."""
        ratios: dict[str, dict[str, float | None]] = self.record["totals"]["ratios"][baseline]
        return ratios

    def rows(self, machine: str) -> pd.DataFrame:
        """Give one machine's rows."""
        return self.frame[self.frame["machine"] == machine]

    def layers(self) -> list[str]:
        """Name the convolution and fully connected layers, in order."""
        return list(dict.fromkeys(self.frame.loc[self.frame["kind"].isin(COMPUTE_KINDS), "layer"]))

    @property
    def traced_cycles(self) -> int:
        """Cycles of the simulated machine that a trace shows: one microbatch, without sums over several and updates."""
        totals = self.totals(self.machine)
        sums: int = totals["cycles_by_step"].get(ACCUMULATE, 0)
        return (int(totals["cycles"]) - sums) // int(self.record["workload"].get("accumulate", 1))

    @property
    def has_energy(self) -> bool:
        """Whether every machine's actions have prices."""
        return bool(self.frame["energy_pj"].notna().all())

    def __repr__(self) -> str:
        return f"<Run {self.title}, {self.record['verdict']}, {len(self.frame)} rows, in {self.path}>"

    def _repr_html_(self) -> str:
        return make_compact_html(self.frame, self.title)


def load_run(path: str | Path) -> Run:
    """Read a run's directory; every field and every row is checked here, and nowhere else.

    Raises:
        InputError: it is no run, was written in another form, a file of it cannot be read or holds what no run is
            written with, or its files are not of one run.
    """
    directory = Path(path)
    if directory.name == RUN_FILE and directory.is_file():
        directory = directory.parent
    if not directory.is_dir():
        raise InputError(f"{name_file(Path(path))}: is not a directory; {WHAT_IS_A_RUN}")
    for name in (RUN_FILE, STEPS_FILE):
        if not (directory / name).exists():
            raise InputError(f"{name_file(Path(path))}: holds no {name}; {WHAT_IS_A_RUN}")
    record, form = read_record(directory / RUN_FILE)
    frame, text = read_table(directory / STEPS_FILE, StepResult)
    check_steps(directory / STEPS_FILE, frame, form)
    check_record(directory / RUN_FILE, record, form, frame)
    return Run(directory, record, form, frame, text)


def find_architecture(run: Run, machine: str) -> dict[str, Any] | None:
    """Give the resolved architecture of a machine by its name; None where the record does not hold it."""
    found = [run.record["architecture"]]
    for field in ("baseline", "further_baselines"):
        others = run.record.get(field) or []
        found += others if isinstance(others, list) else [others]
    for architecture in found:
        if architecture.get("name") == machine:
            return dict(architecture)
    return None


def find_bandwidth(run: Run, machine: str) -> float | None:
    """Give the most bytes a cycle of all DRAM channels of a machine; None where they have no limit."""
    if (banked := run.record.get("dram", {}).get(machine)) is not None:
        peak: float = banked["bytes_per_cycle"]
        return int(peak) if peak.is_integer() else round(peak, 3)
    dram = (find_architecture(run, machine) or run.record["architecture"]).get("dram") or {}
    bytes_per_cycle: int | None = dram.get("bytes_per_cycle")
    # A run of an earlier version had one.
    return None if bytes_per_cycle is None else bytes_per_cycle * int(dram.get("channels", 1))


def read_actions(run: Run) -> pd.DataFrame:
    """Read how often each step did each action.

    Raises:
        InputError: the run was written without that file, or it does not belong to the run.
    """
    path = run.path / ACTIONS_FILE
    if not path.exists():
        raise InputError(f"{name_file(run.path)}: holds no {ACTIONS_FILE}; simulate it again with this version")
    lines = [line for machine in run.form.machines.values() if machine is not None for line in machine.energy]
    further = [line for line in lines if line.component == DATAFLOW_COMPONENT or line.action in DRAM_COMMANDS]
    own = dict.fromkeys(line.action for line in further)
    actions, _ = read_table(path, StepActions, tuple(own))
    check_actions(path, actions, run.form, run.frame)
    return actions
