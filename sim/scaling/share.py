"""One chip's share of an iteration as a finished run tells it: its steps and passes in their order, and gradients."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from sim.architecture import Architecture
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.fusion import JOINT
from workloads.network import Network, Node
from workloads.passes import GRADIENT_PRUNING, GRADIENT_SUM
from workloads.shapes import Step
from workloads.updates import UPDATE
from workloads.workload import make_workload

# Gradients are sent as the machine stores values; an ideal machine stores none, and computes in float32.
IDEAL_BITS = 32
HALVES = ("forward", "loss")
BACKWARD, BACKWARD_STEPS = len(HALVES), (GRADIENT_SUM, "backward", "gtw", GRADIENT_PRUNING, "gta")
GRADIENT_PASSES = (GRADIENT_SUM, GRADIENT_PRUNING)
# What sorts a row by its execution: half, layer and step.
Place = tuple[int, int, int]
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
            order, of each layer its pass, or GTW and then GTA.
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
        InputError: the run is of some layers or steps only, of microbatches or of activations computed again, or
            nothing is masked.
    """
    if gradients not in GRADIENTS:
        raise InputError(f"gradients must be {' or '.join(GRADIENTS)}, got {gradients!r}")
    record = source.record
    if record["layers"] != "*" or list(record["steps"]) != list(Step):
        raise InputError(
            f"{source.label}: is a run of some layers or steps; an iteration on several chips needs one of all, "
            "without --layers and --steps"
        )
    if record["workload"].get("accumulate") is not None:
        raise InputError(
            f"{source.label}: is of {record['workload']['accumulate']} microbatches (accumulate); an iteration on "
            "several chips needs a run of whole batches"
        )
    if record["workload"].get("recompute") is not None:
        raise InputError(
            f"{source.label}: computes activations again (recompute); an iteration on several chips needs a run that "
            "stores them"
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
    # The update follows the last reduction, and is not in an iteration on several chips.
    rows = [row for row in source.rows if row["machine"] == machine.name and row["step"] != UPDATE]
    bits = IDEAL_BITS if machine.storage is None else machine.storage.data_bits
    numbers = {node.name: number for number, node in enumerate(network.nodes)}
    placed = {_find_place(row, numbers): row for row in rows}
    if len(placed) < len(rows):
        raise InputError(f"{source.label}: two rows of '{machine.name}' have one place in an iteration")
    completing = _find_completing(network, placed)
    sizes: dict[Place, int] = {}
    for node in network.nodes:
        # Where passes take no time, their gradients are there as soon as those behind them.
        place = completing.get(node.name, (BACKWARD, -numbers[node.name], 1))
        if (size := _size_gradients(node, placed.get(place), bits, is_masked=is_masked)) > 0:
            sizes[place] = sizes.get(place, 0) + size
    phases = []
    for place in sorted({*placed, *sizes}):
        row = placed.get(place)
        if row is None:
            node = network.nodes[-place[1]]
            phases.append(SharePhase(node.name, node.layer.type, "backward", 0, sizes[place]))
        else:
            phases.append(
                SharePhase(row["layer"], row["kind"], row["step"], int(row["cycles"]), sizes.get(place, 0))
            )  # fmt: skip
    workload = source.record["workload"]
    return IterationShare(machine.name, workload["name"], network.batch, machine.clock_mhz, tuple(phases))


def _find_completing(network: Network, placed: Mapping[Place, Mapping[str, Any]]) -> dict[str, Place]:
    """Find for each layer the row that completes the gradients of its parameters: its GTW, or its backward pass."""
    found: dict[str, Place] = {}
    for place in sorted(placed):
        row = placed[place]
        for name in row["layer"].split(JOINT):
            is_computed = network.node(name).layer.traits.is_computed
            if row["step"] == ("gtw" if is_computed else "backward") and row["kind"] not in GRADIENT_PASSES:
                found[name] = place
    return found


def _find_place(row: Mapping[str, Any], numbers: Mapping[str, int]) -> Place:
    """Give the place of a row; a fused pass has that of its first member.

    Args:
        numbers: Of layers in the network's order.
    """
    number = numbers[row["layer"].split(JOINT)[0]]
    if row["step"] in HALVES:
        return HALVES.index(row["step"]), number, 0
    step = row["kind"] if row["kind"] in GRADIENT_PASSES else row["step"]
    return BACKWARD, -number, BACKWARD_STEPS.index(step)


def _size_gradients(node: Node, complete: Mapping[str, Any] | None, bits: int, *, is_masked: bool) -> int:
    """Give the bytes of the gradients of a layer's parameters; a layer without a GTW is not trained.

    Args:
        complete: The row that completes them.
    """
    is_computed = node.layer.traits.is_computed
    if not node.layer.traits.has_parameters or (is_computed and complete is None):
        return 0
    parameters = node.layer.list_parameters(node.input_shapes[0])
    elements = {name: prod(parameter.shape) for name, parameter in parameters.items()}
    if is_masked and complete is not None and is_computed:
        elements["weight"] = round(elements["weight"] * float(complete["weight_density"]))
    return sum(-(-count * bits // 8) for count in elements.values())


def list_rows(frame: Any) -> tuple[Mapping[str, Any], ...]:
    """Give the rows of a table of steps by the names of their columns."""
    columns = ["layer", "kind", "step", "machine", "cycles", "weight_density"]
    rows: Iterable[Mapping[str, Any]] = frame[columns].to_dict("records")
    return tuple(rows)
