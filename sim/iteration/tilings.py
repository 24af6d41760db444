"""Tilings that are pinned for some steps of a run: a strict YAML file, in the lines that `explain` prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataflows.contract.memory import MemoryShare
from sim.architecture import Architecture
from sim.checks import list_steps
from sim.pinned_tiling import PinnedTiling, TilingForm
from sim.step.shares import StepKey
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.shapes import Step
from workloads.validation import did_you_mean, validate_document
from workloads.words import list_words
from workloads.workload import Workload
from workloads.yaml_file import load_yaml

LISTED = 300


@dataclass(frozen=True)
class PinnedTilings:
    """Tilings that are pinned, and the document that names their places in errors."""

    pins: tuple[PinnedTiling, ...] = ()
    document: YamlDocument = field(default_factory=lambda: YamlDocument("tiling", {"tilings": []}))

    def place(self, index: int) -> str:
        """Name one of them in an error."""
        return self.document.place(("tilings", index))

    def describe(self) -> list[dict[str, Any]]:
        """Give them as ``run.json`` holds them."""
        return [pin.model_dump(mode="json", exclude_none=True) for pin in self.pins]


Given = str | Path | Sequence[PinnedTiling | Mapping[str, str]]


def read_tilings(given: Given | None) -> PinnedTilings:
    """Read the tilings of a file, or take those that are given.

    Raises:
        InputError: the file cannot be read, or one is none.
    """
    if given is None:
        return PinnedTilings()
    if isinstance(given, str | Path):
        document = load_yaml(given)
    else:
        listed = [
            one.model_dump(mode="json", exclude_none=True) if isinstance(one, PinnedTiling) else dict(one)
            for one in given
        ]
        document = YamlDocument("tiling", {"tilings": listed})
    return PinnedTilings(tuple(validate_document(document, TilingForm).tilings), document)


def pin_tilings(
    tilings: PinnedTilings, workload: Workload, machines: Sequence[Architecture],
    decided: Mapping[StepKey, MemoryShare] | None = None,
) -> dict[StepKey, MemoryShare]:  # fmt: skip
    """Give what the steps whose tiling is pinned may use of the memory; one of a named machine goes before others.

    Args:
        decided: What steps may use besides, by default all that their machine has.

    Raises:
        InputError: a layer, a step or a machine is unknown, a machine has no tiles, or one step has two tilings.
    """
    seen: set[tuple[str | None, str, Step]] = set()
    shares: dict[StepKey, MemoryShare] = {}
    for index, pin in sorted(enumerate(tilings.pins), key=lambda one: one[1].machine is not None):
        require_step(tilings, index, workload)
        if (pin.machine, pin.layer, pin.step) in seen:
            raise InputError(f"{tilings.place(index)}: layer '{pin.layer}', step {pin.step} has a tiling already")
        seen.add((pin.machine, pin.layer, pin.step))
        for machine in find_machines(tilings, index, machines):
            key = machine.name, pin.layer, pin.step.value
            memory = (decided or {}).get(key) or machine.describe_memory()
            assert memory is not None
            shares[key] = dataclasses.replace(memory, tiling=pin.parse())
    return shares


def require_step(tilings: PinnedTilings, index: int, workload: Workload) -> None:
    """Refuse a tiling of a layer that has no steps, or not this one.

    Raises:
        InputError: names what there is.
    """
    pin, network = tilings.pins[index], workload.network
    names = [node.name for node in network.compute_nodes()]
    if pin.layer not in names:
        near = did_you_mean(pin.layer, names)
        raise InputError(
            f"{tilings.place(index)}: '{pin.layer}' is no layer with steps{near} (they are {list_words(names, LISTED)})"
        )
    steps = list_steps(workload, pin.layer)
    if pin.step not in steps:
        raise InputError(
            f"{tilings.place(index)}: layer '{pin.layer}' has no step {pin.step}; it has {list_words(steps)}"
        )


def find_machines(tilings: PinnedTilings, index: int, machines: Sequence[Architecture]) -> list[Architecture]:
    """Find the machines that a tiling is for.

    Raises:
        InputError: the run has no such machine, or it is ideal.
    """
    name = tilings.pins[index].machine
    named = [machine for machine in machines if name in (None, machine.name)]
    if not named:
        known = list_words(machine.name for machine in machines)
        raise InputError(f"{tilings.place(index)}: the run has no machine '{name}'; it has {known}")
    found = [machine for machine in named if not machine.is_ideal]
    if not found:
        words = list_words(f"'{machine.name}'" for machine in named)
        raise InputError(
            f"{tilings.place(index)}: has a tiling, but {words} {'is' if len(named) == 1 else 'are'} ideal, where one "
            "tile holds a layer; leave it away, or choose a machine with a buffer"
        )
    return found
