"""Cycles of every preset network at 32 pixels are those of cycles_32px.csv, which make_golden_32px.py writes."""

from __future__ import annotations

import csv
from fnmatch import fnmatchcase

import pytest
from golden.make_golden_32px import GOLDEN, HEADER, LAYERS, PIXELS, load_network, write_golden

from workloads.presets import preset_names

# A third of the time would go to ResNet-152, whose blocks are ResNet-50's, repeated: some of the 36 of its third stage.
# All of them are compared by making the file anew.
THINNED = {"resnet152": "layer3.3*"}


@pytest.mark.parametrize("network", PIXELS)
def test_a_preset_at_32_pixels_takes_the_cycles_that_it_took(network: str) -> None:
    layers = THINNED.get(network) or LAYERS.get(network, "*")
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    expected = [line for line in lines if line.startswith(f"{network},")]
    if network in THINNED:
        worked = {node.name for node in load_network(network).network.compute_nodes() if fnmatchcase(node.name, layers)}
        expected = [line for line in expected if line.split(",")[2] in worked]
    assert expected
    assert write_golden(network, layers).splitlines() == expected


def test_the_golden_file_holds_every_step_of_every_preset_on_every_machine() -> None:
    with GOLDEN.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == HEADER
    assert list(dict.fromkeys(row[0] for row in rows)) == list(preset_names())
    for name in preset_names():
        nodes = load_network(name).network.compute_nodes()
        chosen = [node.name for node in nodes if fnmatchcase(node.name, LAYERS.get(name, "*"))]
        steps = {(layer, step) for layer in chosen for step in ("forward", "gta", "gtw")}
        filled = {(row[2], row[3]) for row in rows if row[0] == name and all(row[4:])}
        assert filled == steps
        assert {row[1] for row in rows if row[0] == name} == {str(PIXELS[name])}
