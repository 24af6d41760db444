"""Dataflows by name, ours and those of installed guests."""

from __future__ import annotations

from collections.abc import Mapping

from dataflows.contract.options import Option, make_options
from dataflows.contract.tasks import Dataflow
from workloads.errors import InputError
from workloads.plugins import ExtensionPoint

ENTRY_POINT_GROUP = "sparsetrain.dataflows"
# Ours is an entry point of this package, as a guest's would be.
DATAFLOWS = ExtensionPoint[Dataflow](ENTRY_POINT_GROUP, "dataflow")


def list_dataflows() -> tuple[str, ...]:
    """Name every registered dataflow, sorted."""
    return DATAFLOWS.names()


def load_dataflow(name: str, options: Mapping[str, Option] | None = None) -> Dataflow:
    """Make the dataflow registered as `name`, with its options where its class declares `Options`.

    Raises:
        InputError: nothing is registered under that name, two packages claim it, or its module cannot be loaded; an
            option is given that it has not, or a value that is not allowed.
    """
    return DATAFLOWS.make(name, lambda made: list_arguments(name, made, options or {}))


def list_arguments(name: str, made: type[Dataflow], options: Mapping[str, Option]) -> tuple[object, ...]:
    """Give what a dataflow's class takes: its options, where it declares some.

    Raises:
        InputError: as `load_dataflow`.
    """
    declared = getattr(made, "Options", None)
    if declared is not None:
        return (make_options(name, declared, options),)
    refuse_options(name, options)
    return ()


def refuse_options(name: str, options: Mapping[str, Option]) -> None:
    """Refuse options of a dataflow that has none.

    Raises:
        InputError: names them.
    """
    if options:
        raise InputError(f"dataflow_options: the dataflow '{name}' has no options, got {', '.join(options)}")
