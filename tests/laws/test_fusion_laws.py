"""Passes that run as one do the same work with less traffic, never in more time or with more energy."""

from __future__ import annotations

import pytest
from conformance.elementwise_runs import draw_machine
from random_graphs import make_random_network

from sim.architecture import Architecture
from sim.results.rows import StepResult
from sim.step.pass_run import run_passes
from sim.step.stored_tensors import StoredBytes
from workloads.network import Network
from workloads.shapes import Step
from workloads.workload import load_workload


def run(network: Network, machine: Architecture) -> tuple[list[StepResult], int]:
    stored = {node.name: StoredBytes() for node in network.compute_nodes()}
    found = run_passes(network, machine, stored, tuple(Step))
    elements = sum(counts.ppu_elements for _, counts in found if counts is not None)
    return [row for row, _ in found], elements


def check_laws(network: Network, seed: int) -> None:
    for skips in (True, False):
        apart, apart_elements = run(network, draw_machine(seed, fuses=False, skips=skips))
        fused, fused_elements = run(network, draw_machine(seed, fuses=True, skips=skips))
        assert apart_elements == fused_elements
        moved, left = (sum(row.dram_read_bytes + row.dram_write_bytes for row in rows) for rows in (apart, fused))
        assert moved == left + sum(row.fusion_saved_bytes for row in fused)
        assert sum(row.cycles for row in fused) <= sum(row.cycles for row in apart)
        assert sum(row.energy_pj or 0 for row in fused) <= sum(row.energy_pj or 0 for row in apart) * (1 + 1e-12)
        names = [(row.layer, row.step) for row in fused if row.kind == "fused"]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("seed", range(40))
def test_a_random_graph_keeps_the_laws_of_fusion(seed: int) -> None:
    check_laws(make_random_network(seed), seed)


@pytest.mark.parametrize(
    "name", ["resnet18", "mobilenet_v2", "densenet121", "vit_tiny", "googlenet", "convnext_tiny", "yolo_tiny"]
)
def test_a_preset_keeps_the_laws_of_fusion(name: str) -> None:
    check_laws(load_workload(name).network, 1)
