"""Dataflows by name, ours and those of installed guests."""

from __future__ import annotations

from importlib.metadata import entry_points

from dataflows.contract.tasks import Dataflow
from workloads.errors import InputError

ENTRY_POINT_GROUP = "sparsetrain.dataflows"


def list_dataflows() -> tuple[str, ...]:
    """Name every registered dataflow, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


def load_dataflow(name: str) -> Dataflow:
    """Make the dataflow registered as `name`.

    Raises:
        InputError: nothing is registered under that name, two packages claim it, or its module cannot be loaded.
    """
    points = {point.value: point for point in entry_points(group=ENTRY_POINT_GROUP, name=name)}
    if not points:
        raise InputError(f"unknown dataflow {name!r}; registered are {', '.join(list_dataflows())}")
    if len(points) > 1:
        raise InputError(f"the dataflow name {name!r} is claimed by {' and '.join(sorted(points))}; uninstall one")
    (point,) = points.values()
    try:
        dataflow: Dataflow = point.load()()
    except Exception as error:
        raise InputError(f"the dataflow {name!r} ({point.value}) cannot be loaded: {error}") from error
    return dataflow
