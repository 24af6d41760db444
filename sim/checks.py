"""What can be said of a run before it: whether its machines have prices and dataflows, and its layers fit them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dataflows.contract.tasks import CheckedDataflow
from dataflows.registry import load_dataflow
from sim.architecture import Architecture
from sim.machine_energy import find_prices
from workloads.shapes import Step
from workloads.workload import Workload


def check_machine(machine: Architecture) -> None:
    """Load what a machine names.

    Raises:
        InputError: its technology or its dataflow is unknown, broken, or lacks what the machine needs.
    """
    find_prices(machine)
    load_dataflow(machine.dataflow, machine.dataflow_options)


def check_layers(workload: Workload, machines: Iterable[Architecture], layers: Iterable[str],
                 steps: Sequence[Step] = tuple(Step)) -> None:  # fmt: skip
    """Refuse layers that do not fit a machine, whatever their operands.

    Raises:
        UnmappableLayerError: names layer and step, what is needed and what is there.
    """
    chosen = list(layers)
    for machine in machines:
        dataflow = load_dataflow(machine.dataflow, machine.dataflow_options)
        if isinstance(dataflow, CheckedDataflow):
            for name in chosen:
                for step in list_steps(workload, name):
                    if step in steps:
                        shape = workload.network.layer_shape(name)
                        dataflow.check_shape(name, shape, step, machine.array.describe(), machine.describe_memory())


def list_steps(workload: Workload, layer: str) -> tuple[Step, ...]:
    """List the steps of a layer that the workload has operands for; all where it says nothing of operands."""
    source = workload.form.operands
    return tuple(Step) if source is None else source.list_steps(workload.network, layer)
