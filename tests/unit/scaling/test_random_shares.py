"""The shares of random networks: all cycles of the run are placed, and every parameter's gradients are sent once."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import pytest
from random_graphs import make_random_network

from sim import simulate
from sim.scaling.share import ShareSource, list_rows, make_shares
from workloads.document import YamlDocument
from workloads.host import parameter_shapes
from workloads.network import Network
from workloads.workload import Workload, make_workload

BYTES = 2


def make_graph(network: Network) -> Workload:
    batch, channels, height, width = network.input_shape
    layers: list[dict[str, Any]] = []
    for node in network.nodes:
        fields = node.layer.model_dump(mode="json", exclude_none=True)
        layers.append({**fields, **({} if node.layer.traits.is_source else {"inputs": list(node.inputs)})})
    data = {
        "name": "random", "batch": batch, "input": {"channels": channels, "height": height, "width": width},
        "layers": layers, "operands": {"source": "synthetic", "seed": 1},
    }  # fmt: skip
    return make_workload(YamlDocument("random", data), Path())


@pytest.mark.parametrize("fuses", ["true", "false"])
def test_all_rows_of_a_random_network_are_placed_and_all_gradients_are_sent_once(fuses: str) -> None:
    for seed in range(12):
        workload = make_graph(make_random_network(seed))
        result = simulate(workload, overrides=(f"ppu.fuse_passes={fuses}",), verify=False)
        parameters = parameter_shapes(workload.network)
        for share in make_shares(ShareSource("random", result.record, list_rows(result.frame))):
            assert share.cycles == result.totals["machines"][share.machine]["network"]["cycles"]
            assert share.gradient_bytes == BYTES * sum(prod(shape) for shape in parameters.values())
            steps = [phase.step for phase in share.phases]
            assert "forward" not in steps[steps.index("gtw") :]
