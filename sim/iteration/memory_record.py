"""The memory that an iteration takes in a machine's DRAM, as ``run.json`` holds it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sim.architecture import Architecture
from sim.checks import list_steps
from sim.iteration.request import SimulationRequest
from sim.step.live_tensors import Ordered, measure_activations, measure_parameters
from sim.step.pass_run import find_data_bits, list_machine_iteration
from sim.step.recomputation import repeat_forward
from workloads.form_network import build_rewritten
from workloads.network import Network
from workloads.shapes import Shape
from workloads.updates import find_update_cost
from workloads.workload import Workload

Known = dict[tuple[Shape, int, tuple[Ordered, ...]], int]


def record_memory(request: SimulationRequest) -> dict[str, Any]:
    """Give the memory of an iteration on every machine, None on an ideal one; nothing for a run of some layers."""
    if not request.is_whole:
        return {}
    workload = request.workload
    whole = workload.network
    if workload.form.accumulate is not None:
        whole = build_rewritten(workload.form.model_copy(update={"accumulate": None}), workload.label)
    known: Known = {}
    return {
        machine.name: None if machine.storage is None else describe_memory(workload, machine, whole, known)
        for machine in request.machines
    }


def describe_memory(workload: Workload, machine: Architecture, whole: Network, known: Known) -> dict[str, int]:
    """Give the memory of an iteration on a machine.

    Args:
        whole: The workload's network for all images at once.
        known: What was measured before: a machine and its dense twin execute the same.
    """
    cost, steps = find_update_cost(workload.form.update), partial(list_steps, workload)
    return {
        "activation_bytes": measure_iteration(
            workload, machine, workload.network, known, workload.form.recompute_patterns
        ),
        "whole_activation_bytes": measure_iteration(workload, machine, whole, known),
        "parameter_bytes": measure_parameters(workload.network, machine, cost, steps),
    }


def measure_iteration(
    workload: Workload, machine: Architecture, network: Network, known: Known, patterns: Sequence[str] = ()
) -> int:
    """Give the most bytes that activations and their gradients take at one time.

    Args:
        patterns: Of layers whose outputs are computed again.
    """
    order = list_machine_iteration(network, machine, partial(list_steps, workload))
    executed, bits = tuple(repeat_forward(network, order, patterns).order), find_data_bits(machine)
    key = network.input_shape, bits, executed
    if key not in known:
        known[key] = measure_activations(network, executed, bits)
    return known[key]
