"""Whether the files of a run belong together: totals follow from rows, energies from prices, verdicts from verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sim.dram_prices import DRAM_COMMANDS
from sim.energy import COMPONENT_OF_ACTION, COMPONENTS, DATAFLOW_COMPONENT
from sim.results.energy_intervals import make_energy_intervals
from sim.results.record_form import MachineForm, RecordForm
from sim.results.rows import ENERGY_COLUMNS, SCOPES, StepResult, describe_columns
from sim.results.stored_file import name_file
from sim.results.totals import make_totals
from workloads.document import FieldPath, field_words
from workloads.errors import InputError
from workloads.form_network import build_rewritten
from workloads.fusion import FUSED, JOINT
from workloads.passes import GRADIENT_PRUNING, GRADIENT_SUM, PassStep
from workloads.row_kinds import COMPUTE_KINDS
from workloads.updates import ACCUMULATE, UPDATE
from workloads.validation import show_value
from workloads.value_formats import ValueFormat

# steps.csv has nine digits of a number, run.json all of them.
ROUNDING = 1e-7
DENSITIES = ("input_density", "weight_density", "grad_output_density", "mask_density")
ROUNDED = ("vanished_elements", "saturated_elements", "float32_max_error", "float32_relative_error")
STATES = ("busy_cycles", "wait_operands_cycles", "wait_dram_cycles", "wait_ppu_cycles", "idle_cycles")


def check_steps(path: Path, frame: pd.DataFrame, form: RecordForm) -> None:
    """Compare the rows of ``steps.csv`` with one another and with the inputs of the run.

    Raises:
        InputError: names the row and what does not fit.
    """
    machines = {machine.name: machine for machine in form.contenders()}
    layers = form.workload.layers
    if form.workload.rewrites:
        layers = [node.layer for node in build_rewritten(form.workload, name_file(path)).nodes]
    kinds = {layer.name: layer.type for layer in layers}
    row: Any
    for row in frame.itertuples(index=False):
        machine = machines.get(row.machine)
        words: str | None
        if machine is None:
            words = f"is of a machine that run.json does not name; it names {', '.join(machines)}"
        elif (told := name_row_kind(row, kinds)) != row.kind:
            words = f"is of the kind {row.kind}, and run.json has {told}"
        elif machine.values is ValueFormat.FLOAT32 and not all(math.isnan(getattr(row, name)) for name in ROUNDED):
            words = "tells what rounding changed, but the machine stores float32"
        else:
            words = find_fault(
                row, machine.array.groups, is_sampled=form.sampling is not None,
                has_own=has_own_actions(form.machines.get(row.machine)),
            )  # fmt: skip
        if words:
            raise InputError(f"{name_file(path)}: the row of {row.layer} {row.step} on {row.machine}: {words}")


def name_row_kind(row: Any, kinds: Mapping[str, str]) -> str:
    """Name the kind that a row of ``steps.csv`` should have by the kinds of the layers: a fused pass names several."""
    names = row.layer.split(JOINT)
    if any(name not in kinds for name in names):
        return "no such layer"
    if len(names) > 1:
        return FUSED
    if row.step in (UPDATE, ACCUMULATE):
        return str(row.step)
    is_gradient_pass = row.kind in (GRADIENT_SUM, GRADIENT_PRUNING) and row.step == PassStep.BACKWARD
    return str(row.kind) if is_gradient_pass else kinds[row.layer]


def has_own_actions(machine: MachineForm | None) -> bool:
    """Tell whether a machine's dataflow has actions with prices of its own, which have no column of energy."""
    return machine is not None and any(line.component == DATAFLOW_COMPONENT for line in machine.energy)


def find_fault(row: Any, groups: int, *, is_sampled: bool, has_own: bool) -> str | None:
    """Say which law a row breaks; None where it keeps them. What is estimated keeps sums only nearly.

    Args:
        has_own: energy_pj may be more than its columns, by the actions that the dataflow prices itself.
    """
    if row.verified != (row.verdict in ("exact", "tolerance")):
        return f"verified is {row.verified}, but verdict is {row.verdict}"
    if row.verified and (math.isnan(row.max_abs_error) or math.isnan(row.tolerance)):
        return f"verdict is {row.verdict}, but max_abs_error or tolerance is empty"
    if row.verdict == "tolerance" and not row.max_abs_error <= row.tolerance * (1 + ROUNDING):
        return f"verdict is tolerance, but max_abs_error is {row.max_abs_error:g} and tolerance {row.tolerance:g}"
    if row.verdict == "exact" and row.max_abs_error != 0:
        return f"verdict is exact, but max_abs_error is {row.max_abs_error:g}"
    energies = [getattr(row, name) for name in (*ENERGY_COLUMNS, "energy_ci95_pj")]
    if any(map(math.isnan, energies)) and not all(map(math.isnan, energies)):
        return "some energies are there and some are empty"
    parts = math.fsum(getattr(row, f"{name}_pj") for name in COMPONENTS)
    is_part = has_own and parts < row.energy_pj
    if not (math.isnan(parts) or is_part or math.isclose(parts, row.energy_pj, rel_tol=ROUNDING)):
        return f"energy_pj is {row.energy_pj:g}, but its parts sum to {parts:g}"
    if is_sampled:
        return None
    if row.cycles_ci95 != 0 or row.sampled_fraction != 1 or row.energy_ci95_pj > 0:
        return "is an estimate, but run.json names no sample"
    if any(math.isnan(getattr(row, name)) == (row.kind in COMPUTE_KINDS) for name in DENSITIES):
        return "layers have densities and elementwise passes have none, this row is otherwise"
    spent = sum(getattr(row, name) for name in STATES)
    if spent != row.cycles * groups:
        return f"the groups' states sum to {spent:,} cycles, but {groups} groups have {row.cycles * groups:,}"
    if not row.effectual_macs <= row.dense_macs <= row.nominal_macs:
        return (
            f"effectual_macs, dense_macs and nominal_macs are {row.effectual_macs:,}, {row.dense_macs:,} and "
            f"{row.nominal_macs:,}; none may exceed the next"
        )
    return None


def check_record(path: Path, record: Mapping[str, Any], form: RecordForm, frame: pd.DataFrame) -> None:
    """Compare ``run.json`` with the rows of ``steps.csv``.

    Raises:
        InputError: names the field, what it holds, and what follows from the rows.
    """
    check_inputs(path, record, form)
    names = [machine.name for machine in form.contenders()]
    for field, given in (
        ("policies", list(form.policies)), ("machines", list(form.machines)),
        ("totals.machines", list(form.totals.machines)),
        *([("memory", list(form.memory))] if form.layers == "*" else []),
        *([] if form.sampling is None else [("sampling.machines", list(form.sampling.machines))]),
    ):  # fmt: skip
        if given != names:
            raise InputError(
                f"{name_file(path)}: {field} is of the machines {show_value(given)}, the run is of {show_value(names)}"
            )
    columns = [name for name, _, _ in describe_columns()]
    rows = (blank_to_none(row) for row in frame.itertuples(index=False, name=None))
    steps = [StepResult(**dict(zip(columns, row, strict=True))) for row in rows]
    refuse_difference(path, ("totals",), record["totals"], make_totals(steps))
    banked = {one.name: told for one in form.contenders() if (told := one.describe_dram()) is not None}
    if form.dram != banked:
        raise InputError(f"{name_file(path)}: dram is {show_value(form.dram)}, the machines have {show_value(banked)}")
    if (form.options.sample is None) != (form.sampling is None):
        words = f"{name_file(path)}: options.sample is {show_value(form.options.sample)}"
        raise InputError(f"{words}, but sampling {'names none' if form.sampling is None else 'names one'}")
    if form.sampling is not None and list(form.sampling.ratios) != names[1:]:
        raise InputError(f"{name_file(path)}: sampling.ratios must be of the machines {show_value(names[1:])}")
    for name, machine in form.machines.items():
        network = record["totals"]["machines"][name]["network"]
        has_technology = next(one.technology for one in form.contenders() if one.name == name) is not None
        if (machine is None) != (network["energy_pj"] is None) or (machine is not None and not has_technology):
            raise InputError(
                f"{name_file(path)}: machines.{name} has prices, but no technology or no energies, or the reverse"
            )
        if machine is not None:
            check_prices(path, name, machine, network)
            check_assumptions(path, name, machine)
    intervals = make_energy_intervals(record["totals"], record["machines"])
    refuse_difference(path, ("energy_intervals",), record["energy_intervals"], intervals)
    verdict = (
        "failed" if "failed" in set(frame["verdict"]) else "verified" if frame["verified"].any() else "not verified"
    )
    if (form.verdict, bool(form.failures)) != (verdict, verdict == "failed"):
        raise InputError(
            f"{name_file(path)}: verdict is {form.verdict} with {len(form.failures)} failures, but by the rows it is "
            f"{verdict}"
        )


def check_inputs(path: Path, record: Mapping[str, Any], form: RecordForm) -> None:
    """Refuse inputs that leave a field to its default: a later version may have another one.

    Raises:
        InputError: names the input.
    """
    further = [machine.model_dump(mode="json") for machine in form.further_baselines]
    for field, whole in (
        ("workload", form.workload.model_dump(mode="json", exclude_none=True, exclude={"blocks"})),
        ("architecture", form.architecture.model_dump(mode="json")),
        ("baseline", None if form.baseline is None else form.baseline.model_dump(mode="json")),
        ("further_baselines", further),
    ):
        if record[field] != whole:
            raise InputError(f"{name_file(path)}: {field} must have every field, those with their defaults too")


def check_prices(path: Path, name: str, machine: MachineForm, network: Mapping[str, Any]) -> None:
    """Compare a machine's table of prices with its totals, and its area and leakage with those of its units."""
    expected = {
        **{f"the {part} lines of energy": network[f"{part}_pj"] for part in COMPONENTS},
        "area_mm2": math.fsum(unit.area_mm2 for unit in machine.units),
        "leakage_mw": math.fsum(unit.leakage_mw for unit in machine.units),
    }
    given = {
        **{
            f"the {part} lines of energy": math.fsum(
                line.count * line.pj_per_action for line in machine.energy if line.component == part
            )
            for part in COMPONENTS
        },
        "area_mm2": machine.area_mm2,
        "leakage_mw": machine.leakage_mw,
    }
    if has_own_actions(machine):
        given["the lines of energy"] = math.fsum(line.count * line.pj_per_action for line in machine.energy)
        expected["the lines of energy"] = network["energy_pj"]
    for line in machine.energy:
        component = "dram" if line.action in DRAM_COMMANDS else DATAFLOW_COMPONENT
        if line.component not in ("leakage", COMPONENT_OF_ACTION.get(line.action, component)):
            raise InputError(
                f"{name_file(path)}: machines.{name}: has the action {show_value(line.action)} of the component "
                f"{show_value(line.component)}; no machine has"
            )
        given[f"pj of {line.action}"], expected[f"pj of {line.action}"] = line.pj, line.count * line.pj_per_action
    for unit in machine.units:
        if unit.component not in COMPONENTS:
            raise InputError(
                f"{name_file(path)}: machines.{name}: has units of {show_value(unit.component)}; the components are "
                f"{', '.join(COMPONENTS)}"
            )
        for figure in ("area_mm2", "leakage_mw"):
            given[f"{figure} of {unit.component}"] = getattr(unit, figure)
            expected[f"{figure} of {unit.component}"] = unit.units * getattr(unit, f"unit_{figure}")
    for words, value in expected.items():
        if not is_close(given[words], value):
            raise InputError(
                f"{name_file(path)}: machines.{name}: {words} come to {given[words]:g}, but {value:g} is expected"
            )


def check_assumptions(path: Path, name: str, machine: MachineForm) -> None:
    """Compare what assumptions add to the energy of all rows with counts and prices, and to that of some with it.

    Raises:
        InputError: names the assumption and what does not fit.
    """
    lines = {line.action: line for line in machine.energy}
    for one in machine.assumptions:
        place = f"{name_file(path)}: machines.{name}: assumption {show_value(one.entry)}"
        if list(one.swings) != list(SCOPES):
            raise InputError(f"{place} must have swings of {show_value(SCOPES)}, got {show_value(list(one.swings))}")
        unknown = [price.action for price in one.prices if price.action not in lines]
        if unknown:
            raise InputError(f"{place} has the action {show_value(unknown[0])}, of which there is no line of energy")
        ends = (
            [(lines[price.action], price.low_pj) for price in one.prices],
            [(lines[price.action], price.high_pj) for price in one.prices],
        )
        for part, whole, end in zip(one.swings["convolutions"], one.swings["network"], ends, strict=True):
            expected = math.fsum(line.count * (pj - line.pj_per_action) for line, pj in end)
            scale = math.fsum(abs(line.count * line.pj_per_action) for line, _ in end)
            if not math.isclose(whole, expected, rel_tol=ROUNDING, abs_tol=ROUNDING * scale):
                raise InputError(f"{place} adds {whole:g} pJ to the network, but {expected:g} by counts and prices")
            if not (part * whole >= 0 and abs(part) <= abs(whole) + ROUNDING * scale):
                raise InputError(f"{place} adds {part:g} pJ to convolutions, and {whole:g} to the whole network")


def check_actions(path: Path, actions: pd.DataFrame, form: RecordForm, frame: pd.DataFrame) -> None:
    """Compare the rows of ``actions.csv`` with those of ``steps.csv`` and with ``run.json``.

    Raises:
        InputError: a row is missing or belongs to no step, or the counts do not sum to those of run.json.
    """
    keys = ["layer", "step", "machine"]
    priced = [name for name, machine in form.machines.items() if machine is not None]
    expected = set(frame.loc[frame["machine"].isin(priced), keys].itertuples(index=False, name=None))
    found = set(actions[keys].itertuples(index=False, name=None))
    for row, words in (
        (min(expected - found, default=None), "has no row"),
        (min(found - expected, default=None), "has a row"),
    ):
        if row is not None:
            raise InputError(f"{name_file(path)}: {words} of {row[0]} {row[1]} on {row[2]}, in contrast to steps.csv")
    for name in priced:
        machine = form.machines[name]
        assert machine is not None
        mine = (actions["machine"] == name) & (actions["step"] != UPDATE)
        counted = actions.loc[mine].drop(columns=keys).sum()
        for line in machine.energy:
            if line.action in counted and counted[line.action] != line.count:
                raise InputError(
                    f"{name_file(path)}: {line.action} of {name} sum to {counted[line.action]:,}, but run.json has "
                    f"{line.count:,}"
                )


def blank_to_none(row: Sequence[Any]) -> Iterator[Any]:
    """Give a row's cells, None for empty ones, in the declared order."""
    for (name, _, _), cell in zip(describe_columns(), row, strict=True):
        is_empty = isinstance(cell, float) and math.isnan(cell)
        yield None if is_empty else int(cell) if name in COUNTS else cell


COUNTS = frozenset(name for name, kind in StepResult.__annotations__.items() if kind == "int")


def refuse_difference(path: Path, place: FieldPath, given: Any, expected: Any) -> None:
    """Refuse data that are not those which follow from the rows."""
    if isinstance(expected, dict) and isinstance(given, dict):
        if list(given) != list(expected):
            raise InputError(
                f"{name_file(path)}: {field_words(place)} must have the fields {show_value(list(expected))}, "
                f"got {show_value(list(given))}"
            )
        for name, value in expected.items():
            refuse_difference(path, (*place, name), given[name], value)
    elif not (is_close(given, expected) if isinstance(expected, int | float) else given == expected):
        raise InputError(
            f"{name_file(path)}: {field_words(place)} is {show_value(given)}, but by the rows of steps.csv it is "
            f"{show_value(expected)}"
        )


def is_close(given: Any, expected: float) -> bool:
    """Tell whether a whole number is the expected one, or another number so but for rounding."""
    if isinstance(expected, int):
        return type(given) is int and given == expected
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    return is_number and math.isclose(given, expected, rel_tol=ROUNDING, abs_tol=1e-300)
