"""Write the cycles of every preset network at 32 pixels to cycles_32px.csv.

PYTHONPATH=tests python tests/golden/make_golden_32px.py does it.
AlexNet's last maximum pooling needs 63 pixels and Inception-v3's last reduction 75; these two have the least size that
works, which the file tells. Of networks of a fixed number of tokens a block is there, at its own size. A row is a
layer's step, or an elementwise pass, with its cycles on each machine.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

from golden.make_golden import OPERANDS, load_machine

from sim.run import simulate
from workloads.presets import find_preset, preset_names
from workloads.workload import Workload, make_workload
from workloads.yaml_file import load_yaml

GOLDEN = Path(__file__).parent / "cycles_32px.csv"
PIXELS = dict.fromkeys(preset_names(), 32) | {
    "alexnet": 63, "inception_v3": 75, "vit_tiny": 224, "transcnn_tiny": 256, "hat_net_tiny": 224,
}  # fmt: skip
# The tokens of these have a fixed number, so that a block of each stands for the network, at its own size.
LAYERS = {"vit_tiny": "blocks.1.*", "transcnn_tiny": "stage3.1.*", "hat_net_tiny": "stage4.1.*"}
MACHINES = (
    "ideal-v1", "ideal-v1-dense", "sparsetrain-v1", "sparsetrain-v1-dense",
    "ideal", "ideal-dense", "sparsetrain", "sparsetrain-dense",
)  # fmt: skip
HEADER = ("network", "pixels", "layer", "step", *MACHINES)


def load_network(name: str) -> Workload:
    """Load a preset with one image of its size in PIXELS and synthetic integer operands."""
    path = find_preset(name)
    document = load_yaml(path)
    size = {"height": PIXELS[name], "width": PIXELS[name]}
    data = {**document.data, "batch": 1, "input": {**document.data["input"], **size}, "operands": OPERANDS}
    return make_workload(dataclasses.replace(document, data=data), path.parent)


def write_golden(network: str, layers: str = "*") -> str:
    """Write the rows of one network as CSV without a header; passes are among them where all layers are wanted."""
    first, *others = (load_machine(name) for name in ("sparsetrain", "sparsetrain-v1", "ideal", "ideal-v1"))
    baselines = [one for machine in (first, *others) for one in (machine, machine.without_skipping())][1:]
    result = simulate(load_network(network), first, baseline=baselines, layers=layers, verify=False)
    cycles: dict[tuple[str, str], dict[str, int]] = {}
    for step in result.steps:
        cycles.setdefault((step.layer, step.step), {})[step.machine] = step.cycles
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for (layer, step_name), row in cycles.items():
        # A machine without memory has no elementwise passes.
        rows.writerow([network, PIXELS[network], layer, step_name, *(row.get(machine, "") for machine in MACHINES)])
    return text.getvalue()


if __name__ == "__main__":
    body = "".join(write_golden(network, LAYERS.get(network, "*")) for network in PIXELS)
    GOLDEN.write_text(f"{','.join(HEADER)}\n{body}", encoding="utf-8")
