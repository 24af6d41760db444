"""What a run depended on, as its record holds it, and how the inputs of several runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.architecture import Architecture
from workloads.workload import Workload

MACHINE_FIELDS = ("architecture", "baseline", "further_baselines")
OPTION_FIELDS = ("steps", "layers", "options")
INPUT_FIELDS = ("workload", *MACHINE_FIELDS, *OPTION_FIELDS)
SHOWN_CHARACTERS = 60


class Missing:
    """Stands for a field that an input does not have."""

    def __repr__(self) -> str:
        return "-"


MISSING = Missing()


@dataclass(frozen=True)
class InputDifference:
    """A field whose values are not the same in all runs, by its dotted path; MISSING where a run has none."""

    field: str
    values: tuple[Any, ...]

    def words(self) -> tuple[str, ...]:
        """Write the values, each in at most 60 characters."""
        return tuple(write_value(value) for value in self.values)


def describe_inputs(
    workload: Workload, machines: Sequence[Architecture], selection: Mapping[str, Any]
) -> dict[str, Any]:
    """Give everything that a run depends on, as its record holds it: each with every default filled in."""
    resolved = [machine.model_dump(mode="json") for machine in machines]
    return {
        "workload": workload.resolved(),
        "architecture": resolved[0],
        "baseline": resolved[1] if len(resolved) > 1 else None,
        "further_baselines": resolved[2:],
        **selection,
    }


def list_differences(records: Sequence[Mapping[str, Any]], *, versions: bool = True) -> list[InputDifference]:
    """List what differs between the inputs of records: machine, workload, options, and the model's version.

    What a baseline has from the machine that it was made from is told once, of the machine.
    """
    plain = [json.loads(json.dumps({name: record.get(name) for name in INPUT_FIELDS})) for record in records]
    found = list(compare([one["architecture"] for one in plain], "architecture"))
    if len(found) > 1:
        # The name of an overridden machine only repeats what is listed behind it.
        found = [one for one in found if one.field != "architecture.name"]
    found += compare_baselines(plain, {one.field.partition(".")[2]: one.values for one in found})
    found += compare([arrange_workload(one["workload"]) for one in plain], "workload")
    found += compare([{name: one[name] for name in OPTION_FIELDS} for one in plain], "")
    if versions:
        found += compare([{"version": record.get("version")} for record in records], "")
    return found


def arrange_workload(workload: Mapping[str, Any]) -> dict[str, Any]:
    """Give a workload's fields with its layers by their names; its description changes nothing and is left out."""
    layers = {str(layer["name"]): layer for layer in workload["layers"]}
    return {**{name: value for name, value in workload.items() if name != "description"}, "layers": layers}


def compare_baselines(
    plain: Sequence[Mapping[str, Any]], known: Mapping[str, tuple[Any, ...]]
) -> Iterator[InputDifference]:
    """List how baselines differ, apart from what is known of the machines themselves."""
    listed = [[one["baseline"], *(one["further_baselines"] or [])] if one["baseline"] else [] for one in plain]
    names = tuple(
        ", ".join(name_relative(other["name"], one["architecture"]["name"]) for other in others) or "none"
        for one, others in zip(plain, listed, strict=True)
    )
    if len(set(names)) > 1:
        yield InputDifference("baseline", names)
    if len({len(others) for others in listed}) > 1:
        return
    for place, machines in enumerate(zip(*listed, strict=True)):
        label = "baseline" if not place else f"further_baselines[{place - 1}]"
        for one in compare(machines, label):
            field = one.field.removeprefix(f"{label}.")
            if field != "name" and known.get(field) != one.values:
                yield one


def name_relative(name: str, machine: str) -> str:
    """Name a baseline; one that was made from the machine by what makes it another."""
    return f"(machine){name.removeprefix(machine)}" if name.startswith(f"{machine}-") else name


def compare(values: Sequence[Any], path: str) -> Iterator[InputDifference]:
    """List the fields below a path that are not the same everywhere; where one side has no fields, that is one line."""
    if all(isinstance(value, Mapping) for value in values):
        for name in dict.fromkeys(name for value in values for name in value):
            yield from compare([value.get(name, MISSING) for value in values], f"{path}.{name}" if path else name)
    elif any(value != values[0] for value in values):
        yield InputDifference(path, tuple(values))


def write_value(value: Any) -> str:
    """Write a value of an input as YAML would, shortened."""
    if isinstance(value, str | Missing):
        text = str(value)
    elif isinstance(value, Mapping):
        text = str(value.get("type") or f"{len(value)} fields")
    else:
        text = json.dumps(value).replace('"', "")
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


def tell_difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """Say in a few words how the inputs of two runs differ, whatever the version; None where they are equal."""
    found = list_differences([there, here], versions=False)
    if not found:
        return None
    old, new = found[0].words()
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{found[0].field} is {old} there, {new} here{more}"
