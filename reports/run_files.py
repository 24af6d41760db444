"""Runs as the reports read them: a run's directory, and nothing beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sim.notebook import make_compact_html
from sim.results import SCOPES, describe_columns
from sim.run_directory import ACTIONS_FILE, RUN_FILE, STEPS_FILE
from sim.version import MODEL_VERSION, SCHEMA_VERSION
from workloads.errors import InputError

WORD_COLUMNS = ("layer", "kind", "step", "machine", "verdict", "operands")
FLAG_COLUMNS = ("verified",)
COMPUTE_KINDS = ("conv2d", "linear")
SCOPE_WORDS = {"convolutions": "convolutions", "network": "whole network"}
RECORD_FIELDS = ("version", "workload", "architecture", "seed", "operand_source", "totals", "machines", "verdict")


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run. frame: the rows of ``steps.csv``; steps_csv: that file's text; record: ``run.json``."""

    path: Path
    record: dict[str, Any]
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
    def has_energy(self) -> bool:
        """Whether every machine's actions have prices."""
        return bool(self.frame["energy_pj"].notna().all())

    def __repr__(self) -> str:
        return f"<Run {self.title}, {self.record['verdict']}, {len(self.frame)} rows, in {self.path}>"

    def _repr_html_(self) -> str:
        return make_compact_html(self.frame, self.title)


def load_run(path: str | Path) -> Run:
    """Read a run's directory.

    Raises:
        InputError: it is no run, was written in another form, or a file of it cannot be read.
    """
    directory = Path(path)
    if directory.name == RUN_FILE and directory.is_file():
        directory = directory.parent
    if not directory.is_dir():
        raise InputError(f"{path}: is not a directory; a run is the directory that 'sparsetrain simulate' wrote")
    for name in (RUN_FILE, STEPS_FILE):
        if not (directory / name).is_file():
            raise InputError(f"{path}: holds no {name}; a run is the directory that 'sparsetrain simulate' wrote")
    record = read_record(directory / RUN_FILE)
    text = read_text(directory / STEPS_FILE)
    frame = read_steps(directory / STEPS_FILE)
    if set(frame["machine"]) != set(record["totals"]["machines"]):
        raise InputError(f"{directory}: {RUN_FILE} and {STEPS_FILE} name different machines; they are not of one run")
    return Run(directory, record, frame, text)


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        InputError: it is no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text ({error.reason} at byte {error.start})") from None


def read_record(path: Path) -> dict[str, Any]:
    """Read ``run.json``.

    Raises:
        InputError: it is no JSON, or not of the form that this version reads.
    """
    try:
        record = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: is not JSON ({error.msg})") from None
    if not isinstance(record, dict) or "schema_version" not in record:
        raise InputError(f"{path}: has no field 'schema_version'")
    if record["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{path}: was written by version {record.get('version', 'unknown')} in form {record['schema_version']!r}; "
            f"this is version {MODEL_VERSION} and reads form {SCHEMA_VERSION}; simulate it again with this version"
        )
    missing = [name for name in RECORD_FIELDS if name not in record]
    if missing:
        raise InputError(f"{path}: has no field '{missing[0]}'")
    return record


def read_steps(path: Path) -> pd.DataFrame:
    """Read ``steps.csv``; a layer may have a name that looks like a number or a missing value.

    Raises:
        InputError: it is no table, lacks a column, or has a cell that is not of its column's kind.
    """
    names = [name for name, _, _ in describe_columns()]
    numbers = [name for name in names if name not in (*WORD_COLUMNS, *FLAG_COLUMNS)]
    try:
        cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: is not a table ({' '.join(str(error).split())})") from None
    missing = [name for name in names if name not in cells.columns]
    if missing:
        raise InputError(f"{path}: has no column '{missing[0]}'")
    if cells.empty:
        raise InputError(f"{path}: has no rows")
    columns: dict[str, Any] = {name: cells[name] for name in WORD_COLUMNS}
    columns |= {name: cells[name] == "True" for name in FLAG_COLUMNS}
    for name in numbers:
        try:
            columns[name] = pd.to_numeric(cells[name].mask(cells[name] == ""))
        except ValueError as error:
            raise InputError(f"{path}: column '{name}': {error}") from None
    return pd.DataFrame(columns)[names]


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


def read_actions(run: Run) -> pd.DataFrame:
    """Read how often each step did each action.

    Raises:
        InputError: the run was written without that file.
    """
    path = run.path / ACTIONS_FILE
    if not path.is_file():
        raise InputError(f"{run.path}: holds no {ACTIONS_FILE}; simulate it again with this version")
    words = dict.fromkeys(("layer", "step", "machine"), str)
    return pd.read_csv(path, dtype=words, keep_default_na=False)
