"""One chip's share of an iteration as a finished run tells it: its steps and passes in their order, and gradients."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from sim.architecture import Architecture
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.host import parameter_shapes
from workloads.network import Network, Node
from workloads.shapes import Step
from workloads.words import list_words
from workloads.workload import make_workload

# Gradients are sent as the machine stores values; an ideal machine stores none, and computes in float32.
IDEAL_BITS = 32
BACKWARD_STEPS = ("gradient_sum", "backward", "gta", "gtw")
GRADIENTS = ("dense", "masked")


@dataclass(frozen=True, slots=True)
class SharePhase:
    """A step or pass of one layer, and the bytes of parameter gradients that are complete when it ends."""

    layer: str
    kind: str
    step: str
    cycles: int
    gradient_bytes: int = 0


@dataclass(frozen=True)
class IterationShare:
    """What one chip does in an iteration on its share of the batch.

    Attributes:
        phases: In the order of their execution: forward passes and steps, losses, then backward against the network's
            order, of each layer its pass, or GTA and then GTW.
    """

    machine: str
    workload: str
    batch: int
    clock_mhz: float
    phases: tuple[SharePhase, ...]

    @property
    def cycles(self) -> int:
        """Of the iteration on one chip."""
        return sum(phase.cycles for phase in self.phases)

    @property
    def gradient_bytes(self) -> int:
        """Of all parameters."""
        return sum(phase.gradient_bytes for phase in self.phases)


@dataclass(frozen=True)
class ShareSource:
    """A finished run, as `run.json` and `steps.csv` hold it.

    Attributes:
        label: The run, as messages name it.
        rows: Of all machines, by the names of their columns.
    """

    label: str
    record: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]

    def find_machines(self) -> dict[str, Architecture]:
        """Find the machines of the run, the simulated one first."""
        further = self.record["further_baselines"]
        found = [self.record["architecture"], self.record["baseline"], *(further or [])]
        return {one["name"]: Architecture.model_validate_json(json.dumps(one)) for one in found if one is not None}

    def make_network(self) -> Network:
        """Make the network of the run's workload."""
        return make_workload(YamlDocument(self.label, dict(self.record["workload"])), Path()).network


def make_shares(source: ShareSource, gradients: str = "dense") -> list[IterationShare]:
    """Give the share of each machine of a run.

    Args:
        gradients: `dense`, or `masked`: machines that skip zeros send the gradients of weights that live alone, where
            the workload masks weights. All chips have the same mask, so that no places are sent.

    Raises:
        InputError: the run is of some layers or steps only, or nothing is masked.
    """
    if gradients not in GRADIENTS:
        raise InputError(f"gradients must be {' or '.join(GRADIENTS)}, got {gradients!r}")
    record = source.record
    if record["layers"] != "*" or list(record["steps"]) != list(Step):
        raise InputError(
            f"{source.label}: is a run of some layers or steps; an iteration on several chips needs one of all, "
            "without --layers and --steps"
        )
    if gradients == "masked" and record["workload"].get("sparsify") is None:
        raise InputError(
            f"{source.label}: gradients masked: no weight of '{record['workload']['name']}' is masked (sparsify), so "
            "that no gradient is left out"
        )
    network = source.make_network()
    return [
        _make_share(source, network, machine, is_masked=gradients == "masked" and machine.array.skip_zeros)
        for machine in source.find_machines().values()
    ]


def _make_share(source: ShareSource, network: Network, machine: Architecture, *, is_masked: bool) -> IterationShare:
    own = [row for row in source.rows if row["machine"] == machine.name]
    rows = {(row["layer"], _name_step(row)): row for row in own}
    bits = IDEAL_BITS if machine.storage is None else machine.storage.data_bits
    sizes = {node.name: _size_gradients(network, node, rows, bits, is_masked) for node in network.nodes}
    phases = [*_list_forward(network, rows), *_list_backward(network, rows, sizes)]
    if sum(phase.cycles for phase in phases) != sum(int(row["cycles"]) for row in own):
        placed = {(phase.layer, phase.step) for phase in phases}
        lost = [f"{layer} {step}" for layer, step in rows if (layer, step) not in placed]
        raise InputError(
            f"{source.label}: steps that have no place in an iteration on several chips, or stand there twice: "
            f"{list_words(lost) or 'unknown'}"
        )
    workload = source.record["workload"]
    return IterationShare(machine.name, workload["name"], network.batch, machine.clock_mhz, tuple(phases))


def _list_forward(network: Network, rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[SharePhase]:
    for step in ("forward", "loss"):
        for node in network.nodes:
            if (row := rows.get((node.name, step))) is not None:
                yield SharePhase(node.name, row["kind"], step, int(row["cycles"]))


def _list_backward(
    network: Network, rows: Mapping[tuple[str, str], Mapping[str, Any]], sizes: Mapping[str, int]
) -> Iterator[SharePhase]:
    for node in reversed(network.nodes):
        found = [(step, row) for step in BACKWARD_STEPS if (row := rows.get((node.name, step))) is not None]
        made = [SharePhase(node.name, row["kind"], step, int(row["cycles"])) for step, row in found]
        if sizes[node.name]:
            # Where passes take no time, their gradients are there as soon as those behind them.
            last = made.pop() if made else SharePhase(node.name, node.layer.type, "backward", 0)
            made.append(SharePhase(last.layer, last.kind, last.step, last.cycles, sizes[node.name]))
        yield from made


def _size_gradients(
    network: Network, node: Node, rows: Mapping[tuple[str, str], Mapping[str, Any]], bits: int, is_masked: bool
) -> int:
    """Give the bytes of the gradients of a layer's parameters; a layer without a GTW is not trained."""
    is_computed = node.layer.traits.is_computed
    gtw = rows.get((node.name, "gtw"))
    if not node.layer.traits.has_parameters or (is_computed and gtw is None):
        return 0
    start = f"{node.name}/"
    shapes = {name: shape for name, shape in parameter_shapes(network).items() if name.rpartition("/")[0] == node.name}
    elements = {name.removeprefix(start): prod(shape) for name, shape in shapes.items()}
    if is_masked and gtw is not None and "weight" in elements:
        elements["weight"] = round(elements["weight"] * float(gtw["weight_density"]))
    return sum(-(-count * bits // 8) for count in elements.values())


def _name_step(row: Mapping[str, Any]) -> str:
    """Name a row's place in an iteration; the sum of gradients stands before its layer's own pass."""
    return "gradient_sum" if row["kind"] == "gradient_sum" else str(row["step"])


def list_rows(frame: Any) -> tuple[Mapping[str, Any], ...]:
    """Give the rows of a table of steps by the names of their columns."""
    columns = ["layer", "kind", "step", "machine", "cycles", "weight_density"]
    rows: Iterable[Mapping[str, Any]] = frame[columns].to_dict("records")
    return tuple(rows)
