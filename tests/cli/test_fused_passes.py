"""Fused passes from the command line: their rows, what is told of them, and machines with and without side by side."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from cli.command import run_command

from sim import simulate
from sim.architecture import load_architecture
from workloads.yaml_file import dump_yaml

BRANCHED = """
name: branched
batch: 2
input: {channels: 2, height: 6, width: 6}
layers:
  - {name: stem, type: conv2d, out_channels: 4, kernel: 3, padding: 1}
  - {name: other, type: conv2d, inputs: [input], out_channels: 4, kernel: 3, padding: 1}
  - {name: early, type: add, inputs: [stem, other]}
  - {name: bn, type: batch_norm}
  - {name: end, type: add, inputs: [bn, stem]}
  - {name: relu, type: relu}
  - {name: pool, type: max_pool, kernel: 2}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 3}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: synthetic, seed: 1, density: {input: 0.5, grad_output: 0.5}}
"""
FUSED = "bn+end+relu+pool+flat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fused")
    (path / "branched.yaml").write_text(BRANCHED)
    apart = load_architecture("sparsetrain", ("ppu.fuse_passes=false", "buffer.keep_on_chip=false", "name=apart"))
    (path / "apart.yaml").write_text(dump_yaml(apart.model_dump(mode="json", exclude_none=True)))
    outcome = run_command(
        path, "simulate", "branched.yaml", "--set", "ppu.fuse_passes=true", "--set", "name=fusing",
        "--set", "buffer.keep_on_chip=false",
        "--baseline", "skipping-off,apart.yaml", "--out", "run",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.stderr
    return path


def test_both_machines_run_the_fused_pass_and_one_without_it_its_parts(folder: Path) -> None:
    frame = pd.read_csv(folder / "run" / "steps.csv")
    rows = frame[frame["kind"] == "fused"]
    assert set(zip(rows["layer"], rows["step"], rows["machine"], strict=True)) == {
        (FUSED, "forward", "fusing"), (FUSED, "forward", "fusing-dense"),
    }  # fmt: skip
    apart = frame[(frame["machine"] == "apart") & (frame["step"] == "forward")]
    assert list(apart["layer"])[-4:] == ["early", "bn", "end", "pool"]
    saved = frame.groupby("machine")["fusion_saved_bytes"].sum()
    moved = (frame["dram_read_bytes"] + frame["dram_write_bytes"]).groupby(frame["machine"]).sum()
    assert saved["apart"] == 0 < saved["fusing"]
    assert moved["apart"] == moved["fusing"] + saved["fusing"]


def test_a_part_is_explained_by_the_pass_that_it_runs_in(folder: Path) -> None:
    outcome = run_command(folder, "explain", "run", "end", columns="200")
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith(f"{FUSED} (fused), forward on fusing: ")
    assert "Fused: bn, end, relu, pool, flat run as one" in outcome.stdout


def test_the_page_tells_what_is_saved(folder: Path) -> None:
    assert run_command(folder, "report", "run", "-o", "page.html").exit_code == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    saved = pd.read_csv(folder / "run" / "steps.csv").query("machine == 'fusing'")["fusion_saved_bytes"].sum()
    assert f"1 pass is fused of several, which saves {saved:,} DRAM bytes" in page


def test_a_run_with_a_sum_of_gradients_is_read_back(folder: Path) -> None:
    frame = pd.read_csv(folder / "run" / "steps.csv")
    assert "gradient_sum" in set(frame["kind"])
    assert run_command(folder, "explain", "run", "stem", "backward").exit_code == 0


def test_a_fused_row_of_layers_that_the_run_does_not_have_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("run.json", "steps.csv", "actions.csv"):
        text = (folder / "run" / name).read_text().replace(FUSED, "bn+gone")
        (tmp_path / name).write_text(text)
    outcome = run_command(tmp_path, "explain", ".", "bn")
    assert outcome.exit_code == 2
    assert (
        "the row of bn+gone forward on fusing: is of the kind fused, and run.json has no such layer" in outcome.stderr
    )


def test_a_wrong_value_is_named(folder: Path) -> None:
    outcome = run_command(folder, "simulate", "branched.yaml", "--set", "ppu.fuse_passes=2")
    assert outcome.exit_code == 2
    assert outcome.stderr == "sparsetrain: --set ppu.fuse_passes=2: ppu.fuse_passes must be true or false, got 2\n"


def test_steps_that_are_chosen_do_not_change_which_passes_are_one(folder: Path) -> None:
    machine = ("ppu.fuse_passes=true",)
    whole = simulate(folder / "branched.yaml", overrides=machine)
    part = simulate(folder / "branched.yaml", overrides=machine, steps=["forward"])
    expected = [(row.layer, row.cycles) for row in whole.steps if row.step in ("forward", "loss")]
    assert [(row.layer, row.cycles) for row in part.steps][2:] == expected[2:]
