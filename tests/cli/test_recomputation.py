"""Activations that are computed again: rows as of the first time, and the memory that they save."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cli.command import run_command

from reports.run_files import load_run
from sim import simulate
from workloads.recomputation import RECOMPUTE

DEEP = """\
name: deep
batch: 4
input: {channels: 3, height: 8, width: 8}
layers:
  - {name: conv1, type: conv2d, out_channels: 8, kernel: 3, padding: 1, bias: false}
  - {name: bn1, type: batch_norm}
  - {name: relu1, type: relu}
  - {name: conv2, type: conv2d, out_channels: 8, kernel: 3, padding: 1, bias: false}
  - {name: bn2, type: batch_norm}
  - {name: relu2, type: relu}
  - {name: conv3, type: conv2d, out_channels: 8, kernel: 3, padding: 1}
  - {name: relu3, type: relu}
  - {name: pool, type: global_avg_pool}
  - {name: flat, type: flatten}
  - {name: fc, type: linear, out_features: 3}
  - {name: loss, type: softmax_cross_entropy}
operands: {source: synthetic, seed: 1, density: {input: 0.5, grad_output: 0.4}}
"""
AGAIN = ["conv1", "bn1", "bn2"]
# On two machines, four layers with three steps each.
COMPARED = "all 24 outputs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recomputation")
    (path / "stored.yaml").write_text(DEEP)
    (path / "again.yaml").write_text(f'{DEEP}recompute: [conv1, "bn?"]\n')
    (path / "halves.yaml").write_text(f'{DEEP}recompute: [conv1, "bn?"]\naccumulate: 2\n')
    for name in ("stored", "again"):
        outcome = run_command(path, "simulate", f"{name}.yaml", "--out", name)
        assert outcome.exit_code == 0, outcome.stderr
        (path / f"{name}.txt").write_text(outcome.stdout)
    return path


def test_rows_repeat_the_forward_steps_and_passes_and_all_others_are_as_they_were(folder: Path) -> None:
    stored, again = (pd.read_csv(folder / name / "steps.csv") for name in ("stored", "again"))
    repeated = again[again["step"] == RECOMPUTE]
    pd.testing.assert_frame_equal(again.drop(repeated.index).reset_index(drop=True), stored)
    for machine, rows in repeated.groupby("machine"):
        first = stored[(stored["machine"] == machine) & (stored["step"] == "forward")].set_index("layer")
        assert sorted(rows["layer"]) == sorted(AGAIN)
        expected = first.loc[list(rows["layer"])].reset_index().drop(columns="step")[list(rows.columns.drop("step"))]
        pd.testing.assert_frame_equal(rows.drop(columns="step").reset_index(drop=True), expected)


def test_totals_have_what_is_repeated(folder: Path) -> None:
    records: list[dict[str, Any]] = [
        json.loads((folder / name / "run.json").read_text()) for name in ("stored", "again")
    ]
    before, after = (record["totals"]["machines"]["sparsetrain"] for record in records)
    frame = pd.read_csv(folder / "again" / "steps.csv").query("machine == 'sparsetrain' and step == 'recompute'")
    for scope, rows in (("network", frame), ("convolutions", frame[frame["kind"] == "conv2d"])):
        assert after[scope]["cycles"] == before[scope]["cycles"] + rows["cycles"].sum()
        assert after[scope]["cycles_by_step"][RECOMPUTE] == rows["cycles"].sum()
        assert after[scope]["energy_pj"] == pytest.approx(
            before[scope]["energy_pj"] + rows["energy_pj"].sum(), rel=1e-7
        )


def test_the_memory_that_is_saved_is_told_beside_the_cycles(folder: Path) -> None:
    stored, again = (json.loads((folder / name / "run.json").read_text())["memory"] for name in ("stored", "again"))
    for machine, found in again.items():
        assert found["activation_bytes"] < found["whole_activation_bytes"] == stored[machine]["activation_bytes"]
        assert stored[machine]["whole_activation_bytes"] == stored[machine]["activation_bytes"]
    frame = pd.read_csv(folder / "again" / "steps.csv").query("machine == 'sparsetrain' and step == 'recompute'")
    text = (folder / "again.txt").read_text().replace("\n", " ")
    words = "Recomputation (conv1, bn?): forward steps and passes that are repeated for the backward half take "
    assert f"{words}{frame['cycles'].sum():,} cycles" in text
    assert COMPARED in text
    assert COMPARED in (folder / "stored.txt").read_text().replace("\n", " ")
    assert "Recomputation" not in (folder / "stored.txt").read_text()


def test_page_and_explanation_tell_it(folder: Path) -> None:
    assert run_command(folder, "report", "again", "-o", "page.html").exit_code == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "Recomputation (conv1, bn?): forward steps and passes" in page
    assert "24 of 24 outputs compared" in page
    outcome = run_command(folder, "explain", "again", "conv1", "recompute", columns="200")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.startswith("conv1 (conv2d), recompute on sparsetrain: ")


def test_microbatches_repeat_their_own(folder: Path) -> None:
    halves = simulate(folder / "halves.yaml", baseline=None, verify=False)
    again = halves.frame[halves.frame["step"] == RECOMPUTE].set_index("layer")
    forward = halves.frame[halves.frame["step"] == "forward"].set_index("layer")
    assert sorted(again.index) == sorted(AGAIN)
    assert list(again["cycles"]) == list(forward.loc[again.index, "cycles"])
    assert halves.record["memory"]["sparsetrain"]["activation_bytes"] < (
        halves.record["memory"]["sparsetrain"]["whole_activation_bytes"] // 2
    )


def test_an_estimate_that_is_repeated_is_off_by_the_same(folder: Path) -> None:
    text = DEEP.replace("batch: 4", "batch: 64").replace("height: 8, width: 8", "height: 16, width: 16")
    (folder / "large.yaml").write_text(text)
    # Both machines have no other steps of conv1 than forward, so that the interval is that of one estimate twice.
    (folder / "large_again.yaml").write_text(f"{text}recompute: [conv1, bn1]\n")
    found = [
        simulate(folder / f"{name}.yaml", baseline=None, sample=0.1, overrides=["buffer.capacity_bytes=16384"])
        for name in ("large", "large_again")
    ]
    (row,) = [row for row in found[1].steps if (row.layer, row.step) == ("conv1", RECOMPUTE)]
    (first,) = [row for row in found[1].steps if (row.layer, row.step) == ("conv1", "forward")]
    assert row.cycles_ci95 == first.cycles_ci95 > 0
    widths = [next(iter(result.record["sampling"]["machines"].values())) for result in found]
    assert widths[1]["network"]["cycles_ci95"] > widths[0]["network"]["cycles_ci95"]


def test_a_run_of_some_steps_or_layers_repeats_nothing(folder: Path) -> None:
    for options in ({"steps": ("forward", "gta")}, {"layers": "conv*"}):
        frame = simulate(folder / "again.yaml", baseline=None, verify=False, **options).frame
        assert RECOMPUTE not in set(frame["step"])


def test_an_ideal_machine_repeats_its_steps_alone(folder: Path) -> None:
    result = simulate(folder / "again.yaml", "ideal", baseline=None, verify=False)
    assert list(result.frame.query("step == 'recompute'")["layer"]) == ["conv1"]
    assert result.record["memory"] == {"ideal": None}


def test_several_chips_refuse_it_and_patterns_without_a_layer_are_named(folder: Path) -> None:
    outcome = run_command(folder, "scale", "again", "-o", "page.html")
    assert outcome.exit_code == 2
    assert "again: computes activations again (recompute); an iteration on several chips needs a run" in outcome.stderr
    (folder / "bad.yaml").write_text(f"{DEEP}recompute: [bn1, norm]\n")
    outcome = run_command(folder, "validate", "bad.yaml")
    layers = "conv1, bn1, relu1, conv2, bn2, relu2, conv3, relu3, pool, flat, fc, loss"
    words = f"bad.yaml, line 18: recompute: no layer matches 'norm'; the layers are {layers}"
    assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: {words}\n")


def test_a_trace_shows_one_microbatch_with_what_is_repeated_in_it(folder: Path) -> None:
    (folder / "all.yaml").write_text(f'{DEEP}recompute: [conv1, "bn?"]\naccumulate: 2\nupdate: adam\n')
    outcome = run_command(folder, "simulate", "all.yaml", "--no-verify", "--out", "all", "--trace", "all.json.gz")
    assert outcome.exit_code == 0, outcome.stderr
    frame = pd.read_csv(folder / "all" / "steps.csv").query("machine == 'sparsetrain'")
    rows = frame[~frame["step"].isin(["accumulate", "update"])]
    assert load_run(folder / "all").traced_cycles == rows["cycles"].sum() // 2
    outcome = run_command(folder, "report", "all", "--trace", "all.json.gz", "-o", "traced.html")
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    # Of the other run it is none.
    assert run_command(folder, "report", "again", "--trace", "all.json.gz", "-o", "traced.html").exit_code == 2
