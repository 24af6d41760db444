"""Write the cycles of preset networks on the preset machines to cycles.csv: python tests/golden/make_golden.py."""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path

from sim.architecture import Architecture, load_architecture
from sim.run import simulate
from workloads.workload import Workload, load_workload

GOLDEN = Path(__file__).parent / "cycles.csv"
NETWORKS = {"lenet5": 4, "alexnet_cifar": 1}
MACHINES = {
    "ideal-v1": ("ideal", ("array.skip_empty_rows=false", "array.min_tasks_per_group=8", "name=ideal-v1")),
    "sparsetrain-v1": ("sparsetrain-v1", ()),
    "ideal": ("ideal", ()),
    "sparsetrain": ("sparsetrain", ()),
}
OPERANDS = {
    "source": "synthetic", "seed": 1, "integers": True, "density": {"input": 0.5, "weight": 1.0, "grad_output": 0.3},
}  # fmt: skip
COLUMNS = ("layer", "step", "machine", "cycles", "tiles", "dram_read_bytes", "dram_write_bytes")


def load_network(name: str, batch: int) -> Workload:
    """Load a preset network with synthetic integer operands in place of its images."""
    loaded = load_workload(name, batch=batch)
    form = loaded.form.model_validate({**loaded.form.model_dump(), "operands": OPERANDS})
    return dataclasses.replace(loaded, form=form)


def load_machine(name: str) -> Architecture:
    """Load a machine of the golden file: a preset, or one without what later versions added."""
    preset, overrides = MACHINES[name]
    return load_architecture(preset, overrides)


def write_golden(network: str) -> str:
    """Write the rows of one network, on every machine and its dense baseline, as CSV without a header."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for machine in MACHINES:
        result = simulate(load_network(network, NETWORKS[network]), load_machine(machine), verify=False)
        for step in result.steps:
            rows.writerow([network, NETWORKS[network], *(getattr(step, name) for name in COLUMNS)])
    return text.getvalue()


def make_golden() -> str:
    """Write the whole file."""
    header = ",".join(("network", "batch", *COLUMNS))
    return "\n".join([header, "".join(write_golden(network) for network in NETWORKS)])


if __name__ == "__main__":
    GOLDEN.write_text(make_golden(), encoding="utf-8")
