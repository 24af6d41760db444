"""From what was seen of a model to a network: the layers that count, in their YAML form, and all that is in the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from workloads.capture.observer import LOSS_PARTS, SeenGraph, SeenLayer
from workloads.errors import InputError
from workloads.kinds.table import KINDS
from workloads.network import INPUT, Network

FLATTENED = "flatten"


@dataclass(frozen=True, eq=False)
class GraphForm:
    """A network's layers as plain data, and what was seen of each; notices: sentences on what was left out."""

    layers: list[dict[str, Any]]
    seen: Mapping[str, SeenLayer]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphEnds:
    """Where a graph ends: losses with their weights, or, where no loss is known, the layers whose outputs are read."""

    losses: Mapping[str, float] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The layers at the ends."""
        return (*self.losses, *self.outputs)


def find_ends(graph: SeenGraph, shares: Mapping[str, float] | None) -> GraphEnds:
    """Find where a graph ends; shares: the weight of each layer in the loss's value, None where they are unknown."""
    if shares and all(graph.layers[name].is_loss and graph.layers[name].reason is None for name in shares):
        has_weights = all("weight" in KINDS[graph.layers[name].kind].model_fields for name in shares)
        if (len(shares) == 1 or has_weights) and min(shares.values()) > 0:
            return GraphEnds(losses=dict(shares))
    outputs: dict[str, None] = {}
    for name in graph.loss_reads:
        while name in graph.layers and graph.layers[name].kind in LOSS_PARTS:
            (name,) = graph.layers[name].inputs
        if name in graph.layers and not graph.layers[name].in_loss:
            outputs[name] = None
    return GraphEnds(outputs=tuple(outputs))


def make_graph_form(graph: SeenGraph, ends: GraphEnds, axes: int, label: str) -> GraphForm:
    """Give the layers that lead to a graph's ends; axes: of the images, two of which are features.

    Raises:
        InputError: names everything that stands for no layer.
    """
    chosen = select_layers(graph, ends.names)
    faults = [f"{place}: a tensor's values are read ({name}); a graph that depends on data is none that can be recorded"
              for place, name in graph.value_reads]  # fmt: skip
    faults += [f"{seen.place}: {fault}" for seen in chosen if (fault := seen.reason or find_misfit(seen)) is not None]
    refuse_faults(faults, label)
    layers: list[dict[str, Any]] = []
    if axes == 2:
        layers.append({"name": FLATTENED, "type": "flatten", "inputs": [INPUT]})
    for seen in chosen:
        inputs = [FLATTENED if name == INPUT and axes == 2 else name for name in seen.inputs]
        layer: dict[str, Any] = {"name": seen.name, "type": seen.kind, "inputs": inputs, **seen.fields}
        if seen.is_loss and ends.losses.get(seen.name, 1.0) != 1 and "weight" in KINDS[seen.kind].model_fields:
            layer["weight"] = ends.losses[seen.name]
        layers.append(layer)
    notices = () if ends.losses else ("the loss is none that is known; its passes are left out",)
    return GraphForm(layers, {seen.name: seen for seen in chosen}, notices)


def find_misfit(seen: SeenLayer) -> str | None:
    """Say why a layer's kind does not take its fields, if so."""
    try:
        KINDS[seen.kind].model_validate({"name": seen.name, "type": seen.kind, **seen.fields})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return f"the layer kind '{seen.kind}' does not take {field} = {first['input']!r}"
    return None


def select_layers(graph: SeenGraph, ends: Iterable[str]) -> list[SeenLayer]:
    """Select the layers that the ends depend on, in the order in which they ran."""
    wanted: set[str] = set()
    waiting = [name for name in ends if name in graph.layers]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += [source for source in graph.layers[name].inputs if source in graph.layers]
    return [seen for name, seen in graph.layers.items() if name in wanted]


def refuse_faults(faults: Sequence[str], label: str) -> None:
    """Refuse a model for all its faults at once; none is told twice.

    Raises:
        InputError: there are any.
    """
    told = list(dict.fromkeys(faults))
    if len(told) == 1:
        raise InputError(f"{label} cannot be recorded: {told[0]}")
    if told:
        raise InputError(f"{label} cannot be recorded, for {len(told)} reasons: " + "; ".join(told))


def compare_shapes(form: GraphForm, network: Network, label: str) -> None:
    """Refuse a network whose layers give out other shapes than the model's.

    Raises:
        InputError: names them.
    """
    faults = []
    for node in network.nodes:
        seen = form.seen.get(node.name)
        if seen is None or seen.shape is None or seen.is_loss:
            continue
        if seen.shape != node.output_shape:
            faults.append(
                f"{seen.place}: {seen.kind} gives out {seen.shape} there, and {node.output_shape} as a layer here"
            )
    refuse_faults(faults, label)


def name_workload(model: Any) -> str:
    """Make a workload's name of a model's class."""
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", type(model).__name__) or "model"
