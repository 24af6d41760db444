"""Topology files of real networks import as one workload each, with the network's multiplications, and simulate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from unit.workloads.importers.topology_tables import (
    MOBILENET,
    MOBILENET_MACS,
    VGG11,
    VGG11_MACS,
    list_rows,
    square_rows,
    write_convolutions,
    write_products,
    write_sparse,
)

from sim import simulate
from workloads.presets import preset_names
from workloads.workload import Workload, load_workload

FORMS = {"conv": write_convolutions, "sparse": write_sparse, "gemm": write_products}
DEPTHWISE = ("efficientnet_b0", "mobilenet_v2", "shufflenet_v2")
# Their tokens and products of activations are no rows of a table of layers.
TOKENS = ("convnext_tiny", "hat_net_tiny", "transcnn_tiny", "vit_tiny")
# Nor are transposed convolutions.
TRANSPOSED = ("unet_small",)


def count_macs(workload: Workload) -> int:
    """Count the multiplications of an image, padding among them."""
    network = workload.network
    return sum(network.layer_shape(node.name).nominal_macs for node in network.compute_nodes()) // network.batch


def simulate_end(workload: Workload) -> None:
    """Simulate a layer near the end, where images are small: whole networks of this size would take minutes."""
    name = workload.network.compute_nodes()[-2].name
    result = simulate(workload, "ideal", baseline="none", verify=False, layers=name, sample=0.01)
    assert {step.layer for step in result.steps} == {name}


# Of depthwise convolutions a product for each channel would be thousands of layers.
FILES = [
    (preset, form)
    for preset in preset_names()
    for form in FORMS
    if preset not in (*TOKENS, *TRANSPOSED) and (form != "gemm" or preset not in DEPTHWISE)
]


@pytest.mark.parametrize(("preset", "form"), FILES)
def test_the_layers_of_a_preset_are_a_workload(preset: str, form: str, tmp_path: Path) -> None:
    original = load_workload(preset)
    rows = list_rows(original.network)
    path = tmp_path / f"{preset}_{form}.csv"
    path.write_text(FORMS[form](rows))
    workload = load_workload(path)
    assert len(workload.network.compute_nodes()) == len(original.network.compute_nodes())
    assert count_macs(workload) == count_macs(original)
    simulate_end(workload)


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_topology_is_simulated(form: str, tmp_path: Path) -> None:
    path = tmp_path / "lenet5.csv"
    path.write_text(FORMS[form](list_rows(load_workload("lenet5").network)))
    assert simulate(path, "sparsetrain").is_correct


@pytest.mark.parametrize(
    ("table", "macs"), [(MOBILENET, MOBILENET_MACS), (VGG11, VGG11_MACS)], ids=["mobilenet", "vgg11"]
)
def test_a_published_table_is_a_workload(
    table: Sequence[tuple[str, int, int, int, int, int]], macs: int, tmp_path: Path
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(write_convolutions(square_rows(table)))
    workload = load_workload(path)
    assert count_macs(workload) == macs
    simulate_end(workload)
