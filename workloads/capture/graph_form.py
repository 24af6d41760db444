"""From what was seen of a model to a network: the layers that count, in their YAML form, and all that is in the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from workloads.capture.observer import LOSS_PARTS
from workloads.capture.seen import SeenGraph, SeenLayer
from workloads.errors import InputError
from workloads.kinds.table import KINDS
from workloads.network import INPUT, Network

# No module has this path, since none has a name that is also the input's.
FLATTENED = "input.flatten"
FEATURE_AXES, SIGNAL_AXES, IMAGE_AXES = 2, 3, 4


@dataclass(frozen=True, eq=False)
class GraphForm:
    """A network's layers as plain data, and what was seen of each.

    Attributes:
        shape: Of its input, batch first.
        notices: Sentences on what was left out.
    """

    layers: list[dict[str, Any]]
    seen: Mapping[str, SeenLayer]
    shape: tuple[int, ...]
    notices: tuple[str, ...] = ()

    def describe(self, name: str) -> dict[str, Any]:
        """Give a workload's YAML form, without operands."""
        sizes = as_image(self.shape)[1:]
        return {
            "name": name,
            "batch": int(self.shape[0]),
            "input": dict(zip(("channels", "height", "width"), sizes, strict=True)),
            "layers": self.layers,
        }


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
    """Find where a graph ends.

    Args:
        shares: The weight of each layer in the loss's value, None where they are unknown.
    """
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


def make_graph_form(graph: SeenGraph, ends: GraphEnds, shape: Sequence[int], label: str) -> GraphForm:
    """Give the layers that lead to a graph's ends.

    What is made of the images before any layer, without a gradient, and stands for no layer itself is the input.

    Args:
        shape: Of the images.

    Raises:
        InputError: names everything that stands for no layer.
    """
    chosen = select_layers(graph, ends.names)
    sources = {name for seen in chosen for name in seen.inputs if name == INPUT or graph.layers[name].prepares}
    faults = [f"{place}: a tensor's values are read ({name}); a graph that depends on data is none that can be recorded"
              for place, name in graph.value_reads]  # fmt: skip
    faults += [f"{seen.place}: {fault}" for seen in chosen if (fault := seen.reason or find_misfit(seen)) is not None]
    source, shape = find_source(graph, sources, tuple(int(size) for size in shape), faults)
    refuse_faults(faults, label)
    is_flat = len(shape) == FEATURE_AXES
    layers: list[dict[str, Any]] = [{"name": FLATTENED, "type": "flatten", "inputs": [INPUT]}] if is_flat else []
    first = FLATTENED if is_flat else INPUT
    for seen in chosen:
        inputs = [first if name == source else name for name in seen.inputs]
        layer: dict[str, Any] = {"name": seen.name, "type": seen.kind, "inputs": inputs, **seen.fields}
        if seen.is_loss and ends.losses.get(seen.name, 1.0) != 1 and "weight" in KINDS[seen.kind].model_fields:
            layer["weight"] = ends.losses[seen.name]
        layers.append(layer)
    notices = () if ends.losses else ("the loss is none that is known; its passes are left out",)
    return GraphForm(layers, {seen.name: seen for seen in chosen}, shape, notices)


def find_source(
    graph: SeenGraph, sources: set[str], images: tuple[int, ...], faults: list[str]
) -> tuple[str, tuple[int, ...]]:
    """Find the one tensor that a network's first layers read, and its shape; what is in the way joins the faults."""
    prepared = sorted(sources - {INPUT})
    if not prepared:
        return INPUT, images
    seen = graph.layers[prepared[0]]
    if len(sources) > 1 or seen.shape is None or len(seen.shape) != len(images) or seen.shape[0] != images[0]:
        faults += [f"{graph.layers[name].place}: {graph.layers[name].reason}" for name in prepared]
        return INPUT, images
    return seen.name, seen.shape


def find_misfit(seen: SeenLayer) -> str | None:
    """Say why a layer's kind does not take its fields, if so."""
    if seen.kind not in KINDS:
        return f"{seen.kind} is known only as a part of a loss"
    try:
        form = {"name": seen.name, "type": seen.kind, "inputs": list(seen.inputs), **seen.fields}
        KINDS[seen.kind].model_validate(form)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return f"the layer kind '{seen.kind}' does not take {field} = {first['input']!r}"
    return None


def select_layers(graph: SeenGraph, ends: Iterable[str]) -> list[SeenLayer]:
    """Select the layers that the ends depend on, in the order in which they ran, but for what prepares the input."""
    wanted: set[str] = set()
    waiting = [name for name in ends if name in graph.layers]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            sources = [source for source in graph.layers[name].inputs if source in graph.layers]
            waiting += [source for source in sources if not graph.layers[source].prepares]
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


def as_image(shape: Sequence[int]) -> tuple[int, ...]:
    """Give the shape of features or signals, batch first, as that of images: one position, or one row."""
    batch, channels, *rest = (int(size) for size in shape)
    return (batch, channels, *[1] * (IMAGE_AXES - FEATURE_AXES - len(rest)), *rest)


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
        is_signal = len(seen.shape) == SIGNAL_AXES and as_image(seen.shape) == node.output_shape
        if seen.shape != node.output_shape and not is_signal:
            faults.append(
                f"{seen.place}: {seen.kind} gives out {seen.shape} there, and {node.output_shape} as a layer here"
            )
    refuse_faults(faults, label)


def name_workload(model: Any) -> str:
    """Make a workload's name of a model's class."""
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", type(model).__name__) or "model"
