"""Workloads from files of any form: YAML as it is, everything else by the importer that knows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from workloads.document import YamlDocument
from workloads.importers.importer import ImportedNetwork, ImportRequest
from workloads.importers.table import find_importer, require_importer
from workloads.yaml_file import load_yaml


def import_network(path: Path, *, batch: int | None = None) -> ImportedNetwork:
    """Import a network from a file of another program; the importer is chosen by its content.

    Args:
        batch: The images in the batch, instead of those that the file says.

    Raises:
        InputError: no importer knows the file, or it cannot be used.
    """
    found = require_importer(path).read(ImportRequest(path, str(path), batch))
    return found if batch is None else replace(found, data={**found.data, "batch": batch})


def load_document(path: Path | str, *, batch: int | None = None) -> YamlDocument:
    """Read a YAML file, or import a file of another form; operands of the host then take their weights from it.

    Args:
        batch: The images in the batch, for a file that leaves it open.

    Raises:
        InputError: it cannot be read, or is of no known form.
    """
    file = Path(path)
    importer = find_importer(file, str(path))
    if importer is None:
        return load_yaml(path)
    found = importer.read(ImportRequest(file, str(path), batch))
    return YamlDocument(str(path), name_weights(found, file.name))


def name_weights(found: ImportedNetwork, weights: str) -> dict[str, Any]:
    """Give an imported workload's data with the file that its weights are in, where its operands are the host's."""
    operands = found.data.get("operands")
    if not found.weights or operands is None or operands["source"] != "host":
        return found.data
    return {**found.data, "operands": {**operands, "weights": weights}}
