"""With nothing to wait for, the machine with memory is the ideal one, cycle for cycle."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest
from drawn_cases import thin
from random_layers import ALL_STEPS, draw_case

from dataflows.contract.memory import MemoryShare
from dataflows.contract.problem import StepProblem
from dataflows.sparsetrain.dataflow import RowConvolution
from sim.architecture import Architecture, load_architecture
from sim.machine.accelerator import Surroundings, run_step
from sim.run import simulate
from workloads.workload import Workload, load_workload

SEED = 74
LAYERS = 100
NETWORKS = ("lenet5", "alexnet_cifar")
UNLIMITED = (
    "buffer.capacity_bytes=null", "buffer.ports=null", "buffer.bytes_per_port_cycle=null",
    "buffer.operand_store_bytes=null", "buffer.prefetch_next_task=false", "dram.bytes_per_cycle=null",
    "dram.latency_cycles=0", "ppu.elements_per_cycle=null", "array.accumulators=256",
)  # fmt: skip
SPEEDS = Surroundings()
MEMORY = MemoryShare(capacity_bytes=None, operand_store_bytes=None)
COMPARED = ("cycles", "busy_cycles", "idle_cycles", "pe_imbalance_cycles", "overhead_cycles", "row_ops", "tasks")


def load_network(name: str, source: str) -> Workload:
    """Load a preset network with a batch of 1: with the images it names, or with synthetic integers."""
    loaded = load_workload(name, batch=1)
    if source == "host":
        return loaded
    synthetic = {
        "source": "synthetic", "seed": 1, "integers": True, "density": {"input": 0.5, "grad_output": 0.3},
    }  # fmt: skip
    form = loaded.form.model_validate({**loaded.form.model_dump(), "operands": synthetic})
    return dataclasses.replace(loaded, form=form)


def is_dense(machine: str) -> bool:
    """Tell a dense machine by its name, behind which the fields may stand that were overridden."""
    return machine.partition("[")[0].endswith("dense") or machine.endswith("-dense")


@cache
def list_rows(name: str, source: str, machine: Architecture) -> dict[tuple[str, str, str], tuple[int, ...]]:
    """Run a network on a machine and its dense baseline; give what is compared of each layer's rows, and the passes."""
    result = simulate(load_network(name, source), machine, verify=False)
    return {
        (step.layer, step.step, "dense" if is_dense(step.machine) else "sparse"): tuple(
            int(getattr(step, column)) for column in COMPARED
        )
        for step in result.steps
        if step.tasks
    } | {
        ("passes", "dense" if is_dense(machine) else "sparse", ""): (
            sum(step.cycles for step in result.steps if step.machine == machine and not step.tasks),
        )
        for machine in {step.machine for step in result.steps}
    }


@pytest.mark.parametrize("source", ["host", "synthetic"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_preset_network_takes_the_ideal_machines_cycles(name: str, source: str) -> None:
    unlimited = list_rows(name, source, load_architecture("sparsetrain", UNLIMITED))
    assert unlimited == list_rows(name, source, load_architecture("ideal"))
    assert unlimited["passes", "sparse", ""] == (0,)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_dense_preset_does_too(name: str) -> None:
    unlimited = list_rows(name, "synthetic", load_architecture("dense", UNLIMITED))
    assert unlimited == list_rows(name, "synthetic", load_architecture("ideal-dense"))


@pytest.mark.parametrize("limit", ["buffer.ports=1", "dram.latency_cycles=1", "ppu.elements_per_cycle=1"])
def test_one_limit_is_enough_to_be_slower(limit: str) -> None:
    given = [text for text in UNLIMITED if text.partition("=")[0] != limit.partition("=")[0]]
    if limit.startswith("buffer.ports"):
        given = [text for text in given if "bytes_per_port_cycle" not in text]
    limited = list_rows("lenet5", "synthetic", load_architecture("sparsetrain", (*given, limit)))
    ideal = list_rows("lenet5", "synthetic", load_architecture("ideal"))
    key = ("conv2", "forward", "sparse")
    assert limited[key][0] > ideal[key][0]


@pytest.mark.parametrize("index", thin(range(LAYERS)))
def test_random_layers_take_the_ideal_machines_cycles(index: int) -> None:
    operands, array = draw_case(SEED, index)
    for step in ALL_STEPS:
        ideal_table = RowConvolution().lower(StepProblem(operands, step, array))
        table = RowConvolution().lower(StepProblem(operands, step, array, MEMORY))
        ideal, timing = (run_step(one, array.groups, SPEEDS) for one in (ideal_table, table))
        assert table.traffic is not None
        assert table.traffic.tile_first.tolist() == [0, len(table)]
        assert timing.cycles == ideal.cycles
        # A task of no cycles passes a port here, so its group is free behind the next deal: groups may swap tasks.
        assert timing.spent.sum(axis=0).tolist() == ideal.spent.sum(axis=0).tolist()
        assert timing.executed.all()
