"""A dataflow in a package of its own, installed by pip, runs verified by its name."""

from __future__ import annotations

import ast
import csv
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recorded_layer import write_recorded_layer

from dataflows.contract.check import check_dataflow
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, Step

PACKAGE = Path(__file__).parent / "package"
GUEST = "whole-image"
CONV = ConvShape(batch=3, in_channels=4, in_height=5, in_width=6, out_channels=6, kernel_height=3, kernel_width=2,
                 stride=(2, 2), padding=(1, 1, 1, 1), groups=2)  # fmt: skip
LINEAR = LinearShape(batch=2, in_features=7, out_features=4)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a copy of the guest's sources into a folder of its own, without network."""
    folder = tmp_path_factory.mktemp("guest")
    sources, target = folder / "sources", folder / "installed"
    sources.mkdir()
    for path in PACKAGE.iterdir():
        if path.is_file():
            (sources / path.name).write_bytes(path.read_bytes())
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(sources)],
        check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )  # fmt: skip
    return target


def run_with_guest(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process that sees the installed guest."""
    paths = [str(installed), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [sys.executable, "-c", "from reports.cli import main; main()", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


def draw_operands(shape: ConvShape | LinearShape) -> Operands:
    """Draw small integers, half of them zero, and a mask."""
    rng = np.random.default_rng([51, len(shape.input_shape)])
    input, weight, grad_output = (
        (rng.integers(-3, 4, size) * (rng.random(size) < 0.5)).astype(np.float32)
        for size in (shape.input_shape, shape.weight_shape, shape.output_shape)
    )
    return Operands("layer", shape, input, weight, None, grad_output, input != 0, tuple(Step))


def count_task_macs(operands: Operands) -> dict[str, list[int]]:
    """Count the live multiplications of every task of the guest by plain loops over the nonzeros."""
    shape = operands.shape
    if not isinstance(shape, ConvShape):
        present, flows = (np.count_nonzero(tensor, axis=1) for tensor in (operands.input, operands.grad_output))
        both = (present * flows).tolist()
        return {"forward": (present * shape.out_features).tolist(), "gta": both, "gtw": [sum(both)]}
    forward, both = [0] * shape.batch, [0] * shape.batch
    for n, m, p, q in np.ndindex(shape.output_shape):
        group = m // shape.group_out_channels
        for c, r, s in np.ndindex(shape.weight_shape[1:]):
            h, w = p * shape.stride_height + r - shape.pad_top, q * shape.stride_width + s - shape.pad_left
            if 0 <= h < shape.in_height and 0 <= w < shape.in_width:
                is_present = bool(operands.input[n, group * shape.group_in_channels + c, h, w])
                forward[n] += is_present
                both[n] += is_present and bool(operands.grad_output[n, m, p, q])
    return {"forward": forward, "gta": both, "gtw": [sum(both)]}


@pytest.mark.parametrize("shape", [CONV, LINEAR], ids=["conv2d", "linear"])
def test_a_guest_with_its_own_tasks_runs_verified_by_name(
    shape: ConvShape | LinearShape, installed: Path, tmp_path: Path
) -> None:
    operands = draw_operands(shape)
    write_recorded_layer(tmp_path, operands)
    overrides = [
        "--arch",
        "ideal",
        "--set",
        f"dataflow={GUEST}",
        "--set",
        "array.groups=2",
        "--set",
        "array.multipliers_per_pe=2",
    ]
    done = run_with_guest(installed, tmp_path, "simulate", "net.yaml", *overrides, "--out", "run")
    assert done.returncode == 0
    assert [words.partition(",")[0] for words in done.stderr.splitlines()][-1:] == ["sparsetrain: the gta of 'layer'"]
    assert "\x1b" not in done.stderr
    assert "Verdict: verified; all 6 outputs are the reference's, 6 of them exactly" in done.stdout

    with (tmp_path / "run" / "steps.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["machine"] == "ideal"]
    expected = count_task_macs(operands)
    for row in rows:
        tasks = expected[row["step"]]
        task_cycles = [1 + -(-macs // 2) for macs in tasks]
        free_at = [0, 0]
        for cycles in task_cycles:
            free_at[free_at.index(min(free_at))] += cycles
        assert int(row["tasks"]) == len(tasks)
        assert int(row["effectual_macs"]) == sum(tasks)
        assert int(row["cycles"]) == max(free_at)
        assert int(row["busy_cycles"]) == sum(task_cycles)


def test_a_guest_is_listed_beside_the_built_in_dataflow(installed: Path, tmp_path: Path) -> None:
    done = run_with_guest(installed, tmp_path, "list")
    assert "Dataflows:\n  sparsetrain\n  whole-image\n" in done.stdout


def test_without_the_package_its_name_is_unknown(tmp_path: Path) -> None:
    write_recorded_layer(tmp_path, draw_operands(LINEAR))
    done = run_with_guest(tmp_path, tmp_path, "simulate", "net.yaml", "--arch", "ideal", "--set", f"dataflow={GUEST}")
    assert done.stderr == f"sparsetrain: unknown dataflow '{GUEST}'; registered are sparsetrain\n"
    assert done.returncode == 2


def test_the_guest_imports_only_dataflows_and_workloads_of_the_project() -> None:
    tree = ast.parse((PACKAGE / "whole_image_dataflow.py").read_text())
    modules = {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    modules |= {
        name.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert modules & {"workloads", "dataflows", "sim", "reports"} == {"workloads", "dataflows"}


def test_the_guest_keeps_every_law_with_and_without_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PACKAGE)
    guest = importlib.import_module("whole_image_dataflow")
    assert check_dataflow(guest.WholeImage()) == []
    assert check_dataflow(guest.WholeImage(guest.Choices(setup_cycles=5))) == []


def test_a_guest_has_an_option_memory_and_an_action_with_a_price(installed: Path, tmp_path: Path) -> None:
    operands = draw_operands(CONV)
    write_recorded_layer(tmp_path, operands)
    chosen = ["--set", f"dataflow={GUEST}"]
    for name, settings in (("plain", []), ("slow", ["--set", "dataflow_options.setup_cycles=5"])):
        done = run_with_guest(installed, tmp_path, "simulate", "net.yaml", *chosen, *settings, "--out", name)
        assert done.returncode == 0, done.stderr
    plain, slow = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("plain", "slow"))
    assert slow["architecture"]["dataflow_options"] == {"setup_cycles": 5}
    for record in (plain, slow):
        machine = record["architecture"]["name"]
        (line,) = (line for line in record["machines"][machine]["energy"] if line["component"] == "dataflow")
        network = record["totals"]["machines"][machine]["network"]
        assert (line["action"], line["count"]) == ("pairs_examined", network["dense_macs"])
        assert line["pj"] == line["count"] * line["pj_per_action"] > 0
        assert network["energy_pj"] == pytest.approx(
            sum(part["pj"] for part in record["machines"][machine]["energy"]), rel=1e-12
        )
    with (tmp_path / "plain" / "actions.csv").open(newline="") as file:
        assert next(csv.reader(file))[-1] == "pairs_examined"
    done = run_with_guest(installed, tmp_path, "simulate", "net.yaml", *chosen, "--set", "dataflow_options.setup=5")
    assert "dataflow_options.setup: the dataflow 'whole-image' has no such option" in done.stderr
    done = run_with_guest(installed, tmp_path, "explain", "plain", "layer")
    assert "pairs_examined" in done.stdout
