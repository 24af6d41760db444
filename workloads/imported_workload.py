"""An imported network held against the workload that it says it is."""

from __future__ import annotations

from pathlib import Path

from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.host import parameter_shapes
from workloads.importers.importer import ImportedNetwork
from workloads.workload import Workload, make_workload


def make_imported(found: ImportedNetwork, label: str) -> Workload:
    """Make the workload of an imported network.

    Args:
        label: The file, as messages name it.

    Raises:
        InputError: its data are no workload, or its weights not those of the workload's network.
    """
    workload = make_workload(YamlDocument(label, dict(found.data)), Path())
    if found.weights:
        shapes = parameter_shapes(workload.network)
        given = {name: array.shape for name, array in found.weights.items()}
        wrong = next((name for name in (*shapes, *given) if given.get(name) != shapes.get(name)), None)
        if wrong is not None:
            raise InputError(
                f"{label}: the parameter '{wrong}' has the shape {given.get(wrong, 'none')}, "
                f"the network needs {shapes.get(wrong, 'none')}"
            )
    return workload
