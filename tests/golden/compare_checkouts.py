"""Compare the result files of two checkouts, byte for byte: python tests/golden/compare_checkouts.py BEFORE AFTER.

Each checkout makes the same runs by its own command line, in a process of its own: every preset at 32 pixels on the
machine and its dense baseline, an ablation, sampled runs, recorded and profile operands, an ideal machine, and a sweep.
steps.csv, actions.csv, run.json and the sweep's table must be equal; what differs is named, and the exit code is 1.
`--only WORD` keeps the runs whose names hold WORD. The runs use the Python that runs this script.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

SYNTHETIC = {
    "source": "synthetic", "seed": 1, "integers": True, "density": {"input": 0.5, "weight": 1.0, "grad_output": 0.3},
}  # fmt: skip
# The least sizes that the last poolings of these two take.
PIXELS = {"alexnet": 63, "inception_v3": 75}
HOST_PRESETS = ("lenet5", "resnet20")
RESULT_FILES = ("steps.csv", "actions.csv", "run.json")
# Digests of the package's own files, which differ between any two checkouts.
OF_THE_SOURCE = ("key", "model_version")
SWEEP = {
    "name": "small", "workloads": ["lenet5-host.yaml"], "baseline": "skipping-off",
    "parameters": {"array.groups": [14, 56], "dram.bytes_per_cycle": [8, 32]},
}  # fmt: skip
RUN_ALL = """
import json, sys
from click.testing import CliRunner
from reports.cli import main
for arguments in json.load(open(sys.argv[1])):
    done = CliRunner().invoke(main, arguments)
    if done.exit_code:
        sys.exit(f"{' '.join(arguments)}: exit code {done.exit_code}: {done.output}{done.exception!r}")
    print(".", end="", flush=True, file=sys.stderr)
"""


def write_workloads(checkout: Path, folder: Path) -> list[str]:
    """Write every preset with small images and synthetic operands into a folder, and some with the host's and random
    weights; give the presets' names."""
    names = []
    for path in sorted((checkout / "workloads/presets").glob("*.yaml")):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        pixels = PIXELS.get(path.stem, 32)
        data |= {"batch": 1, "input": {**data["input"], "height": pixels, "width": pixels}, "operands": SYNTHETIC}
        (folder / path.name).write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
        names.append(path.stem)
    for name in HOST_PRESETS:
        data = yaml.safe_load((checkout / f"workloads/presets/{name}.yaml").read_text(encoding="utf-8"))
        # Without this field weights are random, also where checkouts ship other trained ones, or know none.
        data["operands"].pop("weights", None)
        (folder / f"{name}-host.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return names


def list_runs(presets: list[str]) -> dict[str, list[str]]:
    """List the runs by name: what `sparsetrain simulate` is given."""
    runs = {f"{name}-32px": [f"{name}.yaml"] for name in presets}
    runs["ideal"] = ["resnet20.yaml", "--arch", "ideal"]
    runs["ablation"] = ["lenet5-host.yaml", "--baseline", "skipping-off,natural,mask,pruning@0.9"]
    runs["ablation-residual"] = [
        "resnet20-host.yaml",
        "--batch",
        "1",
        "--baseline",
        "skipping-off,natural,mask,pruning@0.9",
    ]
    runs["profile"] = ["resnet34", "--operands", "profile", "--no-verify", "--layers", "layer1*"]
    runs["sampled"] = ["alexnet_cifar", "--batch", "16", "--operands", "synthetic", "--sample", "0.2"]
    runs["sampled-auto"] = ["resnet20", "--batch", "32", "--operands", "synthetic", "--sample", "auto"]
    runs["sampled-ideal"] = ["lenet5-host.yaml", "--batch", "16", "--arch", "ideal", "--sample", "0.3"]
    runs["skip-weights"] = ["lenet5.yaml", "--set", "array.skip_weights=true", "--set", "array.multipliers_per_pe=2"]
    runs["simpy"] = ["lenet5.yaml", "--engine", "simpy"]
    return runs


def run_checkout(checkout: Path, folder: Path, only: str) -> None:
    """Make all runs of a checkout in a folder, one sub-folder each."""
    presets = write_workloads(checkout, folder)
    commands = [
        ["simulate", *arguments, "--out", f"runs/{name}"]
        for name, arguments in list_runs(presets).items()
        if only in name
    ]
    if only in "sweep":
        (folder / "small.yaml").write_text(yaml.safe_dump(SWEEP, sort_keys=False), encoding="utf-8")
        commands.append(["sweep", "small.yaml", "--store", "small.sqlite"])
        commands.append(["results", "small.sqlite", "--csv", "runs/sweep.csv"])
    (folder / "runs").mkdir()
    (folder / "commands.json").write_text(json.dumps(commands), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    subprocess.run([sys.executable, "-c", RUN_ALL, "commands.json"], cwd=folder, env=environment, check=True)
    print(file=sys.stderr)


def list_differences(before: Path, after: Path) -> list[str]:
    """Name the result files that differ between two folders of runs, or that one of them lacks."""
    files = {
        path.relative_to(folder)
        for folder in (before, after)
        for path in folder.rglob("*")
        if path.name in RESULT_FILES or path.suffix == ".csv"
    }
    return [str(file) for file in sorted(files) if read(before / file) != read(after / file)]


def read(path: Path) -> bytes | None:
    """Give a file's bytes, None where there is none; a sweep's without what follows from the source of the model."""
    if not path.exists():
        return None
    if path.name != "sweep.csv":
        return path.read_bytes()
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{name: cell for name, cell in row.items() if name not in OF_THE_SOURCE} for row in csv.DictReader(file)]
    return json.dumps(rows).encode()


def main() -> None:
    """Compare two checkouts as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="Keep the runs in this folder, which must not exist.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        for name, checkout in (("before", given.before), ("after", given.after)):
            (folder / name).mkdir(parents=True)
            run_checkout(checkout.resolve(), folder / name, given.only)
        differing = list_differences(folder / "before" / "runs", folder / "after" / "runs")
        compared = len(list((folder / "before" / "runs").rglob("*.*")))
    if not compared:
        sys.exit("nothing was compared")
    print(f"{compared} files, {len(differing)} differ", *differing, sep="\n")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
