"""One point of a sweep, resolved: the workload and the machines that its settings make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.architecture import SURROUNDINGS, Architecture, merge_field, read_architecture
from sim.iteration.policies import SKIPPING_OFF, make_baseline, parse_policy
from sim.machine_energy import describe_parts, price_parts
from sim.sweep.form import NO_BASELINE, SweepForm
from sim.sweep.values import Value
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.operand_choice import choose_operands
from workloads.schema import WorkloadForm
from workloads.validation import did_you_mean, show_value, validate_document
from workloads.workload import Workload, load_workload, make_workload

Settings = Mapping[str, Value]
ARCHITECTURE_ROOTS = tuple(name for name in Architecture.model_fields if name != "name")
WORKLOAD_ROOTS = tuple(name for name in WorkloadForm.model_fields if name not in ("name", "description", "layers"))
# A point that differs from the one before in these alone has the same tasks and the same traffic.
TIMING_ONLY = (
    "clock_mhz",
    "technology",
    "buffer.ports",
    "buffer.bytes_per_port_cycle",
    "buffer.prefetch_next_task",
    "buffer.cell",
    "dram.",
    "ppu.",
    "storage.number_format",
)


@dataclass(frozen=True)
class Point:
    """A place in the space: a workload as the sweep names it, and the values of the swept paths."""

    workload: str
    settings: Settings

    def describe(self) -> str:
        """Say the point in words, for error messages."""
        values = ", ".join(f"{path} = {show_value(value)}" for path, value in self.settings.items())
        return f"{self.workload}: {values}" if values else self.workload


@dataclass(frozen=True, eq=False)
class Design:
    """A resolved point; the baseline is a policy of `sim.iteration.policies` by name, another machine, or None."""

    point: Point
    workload: Workload
    machine: Architecture
    baseline: str | Architecture | None


def is_workload_path(path: str) -> bool:
    """Tell whether a dotted path is the workload's and not the architecture's."""
    return path.partition(".")[0] in WORKLOAD_ROOTS


def require_root(path: str, place: str) -> None:
    """Refuse a path that begins with a field of neither architecture nor workload.

    Raises:
        InputError: names the fields that a path may begin with.
    """
    roots = (*ARCHITECTURE_ROOTS, *WORKLOAD_ROOTS)
    root = path.partition(".")[0]
    if root not in roots or not all(path.split(".")):
        near = did_you_mean(root, roots) if root not in roots else ""
        raise InputError(f"{place}: the path '{path}' begins with no field of an architecture or a workload{near} "
                         f"(the fields are {', '.join(roots)})")  # fmt: skip


def rank_path(path: str) -> int:
    """Rank a path by how much changes with it: workload, tasks and traffic, timing alone."""
    if is_workload_path(path):
        return 0
    return 2 if path.startswith(TIMING_ONLY) else 1


class Designer:
    """Makes designs from points; what points have in common is read once."""

    def __init__(self, form: SweepForm, document: YamlDocument, folder: Path) -> None:
        """Read the workloads and the base architecture.

        Raises:
            InputError: one of them cannot be used.
        """
        self._form, self._document = form, document
        self._bases = {
            name: load_named_workload(name, folder, document.origin(("workloads", index)))
            for index, name in enumerate(form.workloads)
        }
        if form.operands is not None:
            place = document.origin(("operands",))
            self._bases = {name: exchange_operands(base, form.operands, place) for name, base in self._bases.items()}
        self._architecture = locate_architecture(form.architecture, folder)
        self._base_machine = validate_document(self._architecture, Architecture)
        self._baseline = self._load_baseline(form.baseline, folder)
        self._workloads: dict[tuple[str, str], Workload] = {}

    @property
    def base_machine(self) -> Architecture:
        """The base architecture."""
        return self._base_machine

    @property
    def workload_names(self) -> tuple[str, ...]:
        """The workloads, as the sweep names them."""
        return tuple(self._bases)

    def make(self, point: Point, label: str) -> Design:
        """Resolve a point.

        Raises:
            InputError: the settings make no valid workload or machine; the message begins with `label`.
        """
        mine = {path: value for path, value in point.settings.items() if not is_workload_path(path)}
        data = self._architecture.data
        for path, value in mine.items():
            data = merge_field(data, tuple(path.split(".")), value)
        machine = validate_document(YamlDocument(label, data), Architecture)
        workload = self._make_workload(point, label)
        return Design(point, workload, machine, self._baseline)

    def _make_workload(self, point: Point, label: str) -> Workload:
        mine = {path: value for path, value in point.settings.items() if is_workload_path(path)}
        base = self._bases[point.workload]
        if not mine:
            return base
        key = (point.workload, json.dumps(mine, sort_keys=True))
        if key not in self._workloads:
            data = list_fields(base)
            for path, value in mine.items():
                data = merge_field(data, tuple(path.split(".")), value)
            made = make_workload(YamlDocument(label, data), base.base_directory)
            self._workloads = {**dict(list(self._workloads.items())[-63:]), key: made}
        return self._workloads[key]

    def _load_baseline(self, name: str, folder: Path) -> str | Architecture | None:
        if name == NO_BASELINE:
            return None
        place = self._document.origin(("baseline",))
        try:
            if name == SKIPPING_OFF or parse_policy(name) is not None:
                make_baseline(name, self._base_machine)
                return name
            baseline = validate_document(locate_architecture(name, folder), Architecture)
        except InputError as error:
            raise InputError(f"{place}: {error}") from None
        if baseline.name == self._base_machine.name:
            raise InputError(f"{place}: the machine and its baseline are both named '{baseline.name}'; "
                             "the results could not be told apart")  # fmt: skip
        return baseline


def load_named_workload(name: str, folder: Path, place: str) -> Workload:
    """Load a workload from a file beside the sweep, or a preset.

    Raises:
        InputError: there is none, or it cannot be used; the message begins with the sweep's line.
    """
    beside = folder / name
    is_file = beside.is_file() or Path(name).suffix in (".yaml", ".yml")
    try:
        workload = load_workload(beside) if is_file else load_workload(name)
        workload.operand_source()
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    return workload


def exchange_operands(workload: Workload, operands: str, place: str) -> Workload:
    """Give a workload with other operands, which its document names, so that points may change them.

    Raises:
        InputError: there are none of that name, or the workload cannot have them; the message begins with the place.
    """
    try:
        workload = choose_operands(workload, operands=operands)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    source, document = workload.form.operands, workload.document
    assert source is not None
    data = {**list_fields(workload), "operands": source.model_dump(mode="json", exclude_none=True)}
    return make_workload(YamlDocument(document.label, data, document.lines), workload.base_directory)


def list_fields(workload: Workload) -> dict[str, Any]:
    """Give the fields of a workload's document, in which no layer uses a block any more."""
    return {name: value for name, value in workload.document.data.items() if name != "blocks"}


def locate_architecture(name: str, folder: Path) -> YamlDocument:
    """Read an architecture from a file beside the sweep, or a preset.

    Raises:
        InputError: there is none.
    """
    is_file = (folder / name).is_file() or Path(name).suffix in (".yaml", ".yml")
    return read_architecture(str(folder / name) if is_file else name)


def flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Give nested data as dotted paths and single values; a list becomes JSON text."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, json.dumps(value) if isinstance(value, list) else value


def list_settings(workload: Workload, machine: Architecture) -> dict[str, Value]:
    """Give every setting of a design that has one value, by its dotted path; layers are left out."""
    architecture = machine.model_dump(mode="json", include=set(ARCHITECTURE_ROOTS))
    sections = {name: value for name, value in architecture.items() if value is not None or name not in SURROUNDINGS}
    form = workload.form.model_dump(mode="json", include=set(WORKLOAD_ROOTS), exclude_none=True)
    return {**dict(flatten(sections)), **dict(flatten(form))}


class DesignValues(dict[str, Any]):
    """The values that constraints may name: every setting, the multipliers, and the area where it is asked for."""

    def __init__(self, design: Design) -> None:
        super().__init__(list_settings(design.workload, design.machine))
        self["multipliers"] = design.machine.array.describe().multipliers
        self._machine = design.machine

    def __missing__(self, name: str) -> Any:
        if name == "area_mm2" and (area := find_area_mm2(self._machine)) is not None:
            return area
        raise KeyError(name)


def find_area_mm2(machine: Architecture) -> float | None:
    """Give a machine's area; None without a technology or with a size that is unlimited.

    Raises:
        InputError: the technology is unknown or lacks what the machine needs.
    """
    parts = describe_parts(machine)
    return (
        None if parts is None or machine.technology is None else price_parts(parts, machine.technology).total_area_mm2()
    )
