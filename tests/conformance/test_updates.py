"""Updates of parameters and sums of their gradients are those of the definition, for every kind of layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conformance.elementwise_runs import describe_layers, describe_machine, draw_machine
from conformance.test_elementwise import BETWEEN, make_network
from drawn_cases import thin
from oracle import updates
from oracle.elementwise import PassResult
from random_graphs import make_random_network

from sim.architecture import Architecture, override_architecture
from sim.step.update_run import run_accumulations, run_updates
from workloads.network import Network
from workloads.shapes import Step
from workloads.updates import UpdateMethod, find_update_cost

METHODS = [method.value for method in UpdateMethod if method is not UpdateMethod.NONE]


def draw(seed: int, *, skips: bool) -> Architecture:
    """Draw a machine, whose words need not be whole bytes."""
    machine = draw_machine(seed, fuses=False, skips=skips)
    width = np.random.default_rng([seed, 31]).choice([32, 27, 44])
    return override_architecture(machine, None, (f"storage.acc_bits={width}", f"storage.data_bits={9 + seed % 8}"))


def compare_updates(network: Network, machine: Architecture, method: str) -> list[PassResult]:
    assert machine.storage is not None
    layers = list(describe_layers(network))
    expected = updates.run_updates(layers, describe_machine(machine), machine.storage.acc_bits, method)
    cost = find_update_cost(UpdateMethod(method))
    assert cost is not None
    found = run_updates(network, machine, cost, lambda _: tuple(Step))
    found += run_accumulations(network, machine, lambda _: tuple(Step))
    expected += updates.run_accumulations(layers, describe_machine(machine), machine.storage.acc_bits)
    for (row, counts), told in zip(found, expected, strict=True):
        assert counts is not None
        assert counts.buffer_reads == counts.buffer_writes
        assert (8 * row.dram_read_bytes, 8 * row.dram_write_bytes) == (counts.dram_read_bits, counts.dram_write_bits)
        assert counts.noc_bytes == row.dram_read_bytes + row.dram_write_bytes
        assert row.busy_cycles + row.wait_dram_cycles + row.idle_cycles == row.cycles * machine.array.groups
        one = PassResult(
            row.layer, row.kind, row.step, counts.ppu_elements, row.dram_read_bytes, row.dram_write_bytes, 0,
            row.cycles, counts.buffer_reads,
        )  # fmt: skip
        assert one == told
    return expected


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", BETWEEN)
def test_the_updates_of_every_kind_are_those_of_the_definition(kind: str, method: str) -> None:
    network: Any = make_network(BETWEEN[kind])
    for seed in range(4):
        rows = compare_updates(network, draw(seed, skips=bool(seed % 2)), method)
        assert len(rows) >= 4


@pytest.mark.parametrize("seed", thin(range(60)))
def test_the_updates_of_a_random_graph_are_those_of_the_definition(seed: int) -> None:
    network = make_random_network(seed)
    for method in METHODS:
        compare_updates(network, draw(seed, skips=True), method)
