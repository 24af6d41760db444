"""Runs small enough to make a page of them in a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports.run_files import Run, load_run
from sim.iteration.policies import SKIPPING_OFF
from sim.run import simulate
from workloads.workload import load_workload

WORKLOAD = """\
name: small
description: '<script>window.pwned = 1</script><img src=x onerror="window.pwned = 2"> %{x} ${version} </script>'
batch: 2
input: {channels: 3, height: 12, width: 11}
layers:
  - {name: conv1, type: conv2d, out_channels: 6, kernel: 3, padding: 1}
  - {name: relu1, type: relu}
  - {name: pool1, type: max_pool, kernel: 2}
  - {name: conv2, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: relu2, type: relu}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 5}
operands: {source: synthetic, seed: 1, density: {input: 0.5, grad_output: 0.4}, integers: true}
"""


def make_run(
    folder: Path, name: str, arch: str = "sparsetrain", *overrides: str, trace: bool = False,
    baseline: Sequence[str] = (SKIPPING_OFF,),
) -> Run:  # fmt: skip
    """Simulate the small network on a machine and its baselines; `trace` writes `<name>.json.gz` beside it."""
    path = folder / "small.yaml"
    path.write_text(WORKLOAD)
    simulate(
        load_workload(str(path)),
        arch,
        baseline=list(baseline),
        overrides=overrides,
        out=folder / name,
        trace=folder / f"{name}.json.gz" if trace else None,
    )
    return load_run(folder / name)
