"""The layers of a case as SCALE-Sim takes them, and its runs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case, load_case
from benchmarks.runner import ChildError

from workloads.network import Network
from workloads.shapes import ConvShape

SCRIPT = Path(__file__).parent / "scalesim_run.py"
SCALESIM_CASES = tuple(case for case in CASES if case.name in ("AlexNet", "ResNet-18"))


def list_layers(network: Network) -> list[list[int | str]]:
    """Give name, padded height and width, kernel height and width, channels, filters and strides of every layer.

    Raises:
        ValueError: a layer has groups, which SCALE-Sim's form does not tell.
    """
    rows: list[list[int | str]] = []
    for node in network.compute_nodes():
        shape = network.layer_shape(node.name)
        if not isinstance(shape, ConvShape):
            outputs, inputs = shape.weight_shape
            rows.append([node.name, 1, 1, 1, 1, inputs, outputs, 1, 1])
            continue
        if shape.groups != 1:
            raise ValueError(f"layer {node.name!r} has {shape.groups} groups")
        height, width = shape.in_height + 2 * shape.pad_top, shape.in_width + 2 * shape.pad_left
        sizes = [height, width, shape.kernel_height, shape.kernel_width, shape.in_channels, shape.out_channels]
        rows.append([node.name, *sizes, *shape.stride])
    return rows


def run_scalesim(python: str, case: Case, repetitions: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run the forward layers of a case through SCALE-Sim in a Python that has it.

    Raises:
        ChildError: it failed there.
    """
    network = load_case(case, Path()).network
    runs: list[dict[str, Any]] = []
    for repetition in range(repetitions):
        tell(f"{case.name}: SCALE-Sim, {repetition + 1} of {repetitions}; this takes minutes")
        done = subprocess.run(
            [python, str(SCRIPT)], input=json.dumps(list_layers(network)), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ChildError(f"{case.name}, SCALE-Sim: the process ended with {done.returncode}: {done.stderr[-2000:]}")
        runs.append(json.loads(done.stdout))
    macs = sum(network.layer_shape(node.name).nominal_macs for node in network.compute_nodes())
    return {
        "case": case.name,
        "macs": macs,
        "wall_s": [run["wall_s"] for run in runs],
        "peak_bytes": [run["peak_bytes"] for run in runs],
        "version": runs[0]["version"],
        "array": runs[0]["array"],
    }
