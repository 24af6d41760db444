"""Dataflows by name, ours and those of installed guests."""

from __future__ import annotations

from dataflows.contract.tasks import Dataflow
from workloads.plugins import ExtensionPoint

ENTRY_POINT_GROUP = "sparsetrain.dataflows"
# Ours is an entry point of this package, as a guest's would be.
DATAFLOWS = ExtensionPoint[Dataflow](ENTRY_POINT_GROUP, "dataflow")


def list_dataflows() -> tuple[str, ...]:
    """Name every registered dataflow, sorted."""
    return DATAFLOWS.names()


def load_dataflow(name: str) -> Dataflow:
    """Make the dataflow registered as `name`.

    Raises:
        InputError: nothing is registered under that name, two packages claim it, or its module cannot be loaded.
    """
    return DATAFLOWS.make(name)
