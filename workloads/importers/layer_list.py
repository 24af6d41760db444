"""Workloads that are lists of unconnected layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from workloads.errors import InputError
from workloads.importers.importer import ImportedNetwork, ImportRequest
from workloads.importers.names import LayerNames, name_workload

LAYER_LIMIT = 4096
# Assumed, as by `--operands synthetic`: half of the activations and of the gradients.
DENSITY = {"input": 0.5, "grad_output": 0.5, "weight": 1.0}


@dataclass(frozen=True)
class ListedLayer:
    """A layer as a list has it.

    Attributes:
        name: As it stands there.
        data: Its fields but the name.
        density: Of the tensors of which it is known.
        batch: The images in its batch, where the list says so.
    """

    name: str
    data: Mapping[str, Any]
    place: str
    density: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    batch: int | None = None


def make_list(request: ImportRequest, layers: Sequence[ListedLayer]) -> ImportedNetwork:
    """Make a workload of layers, with synthetic operands.

    Raises:
        InputError: they are too many, or have different batches.
    """
    if len(layers) > LAYER_LIMIT:
        raise InputError(
            f"{layers[LAYER_LIMIT].place}: is the {LAYER_LIMIT + 1}th layer; {LAYER_LIMIT} at most are read"
        )
    batch = layers[0].batch
    other = next((layer for layer in layers if layer.batch != batch), None)
    if other is not None:
        raise InputError(
            f"{other.place}: the batch is {other.batch or 1}, before it was {batch or 1}; it must be one for all layers"
        )
    names = LayerNames()
    listed = [{"name": names.take(layer.name), **layer.data} for layer in layers]
    densities = [{**DENSITY, **layer.density} for layer in layers]
    common = max(densities, key=densities.count)
    others = {entry["name"]: density for entry, density in zip(listed, densities, strict=True) if density != common}
    operands: dict[str, Any] = {"source": "synthetic", "seed": 1, "density": common}
    if others:
        operands["layer_density"] = others
    return ImportedNetwork({
        "name": name_workload(request.path.stem),
        "description": describe(request, len(listed)),
        "batch": batch or request.batch or 1,
        "layers": listed,
        "operands": operands,
    }, notes=("the densities of inputs and output gradients are assumed: half of them are zero",))  # fmt: skip


def describe(request: ImportRequest, count: int) -> str:
    """Say of what file a workload is a list of layers."""
    return f"{'a layer' if count == 1 else f'{count} unconnected layers'} of {request.path.name}"
