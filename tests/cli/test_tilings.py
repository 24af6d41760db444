"""`--tiling FILE`: chosen steps are cut as it says, and what cannot be pinned ends in one sentence."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from cli.command import Outcome, run_command, write_small

from reports.run_files import load_run
from sim import load_architecture, simulate
from sim.pinned_tiling import PinnedTiling
from workloads.shapes import Step

CONV1 = "tilings:\n  - {layer: conv1, step: forward, tiling: 1x3x2|1}\n"
OTHER = "  - {layer: conv1, step: forward, tiling: 2x6x1|2, machine: sparsetrain-dense}\n"


def run_small(folder: Path, pins: str, *options: str, out: str = "run") -> Outcome:
    (folder / "pins.yaml").write_text(pins)
    return run_command(folder, "simulate", write_small(folder), "--tiling", "pins.yaml", "--out", out, *options)


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "steps.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def find_tilings(folder: Path) -> dict[tuple[str, str, str], str]:
    return {(row["layer"], row["step"], row["machine"]): row["tiling"] for row in read_rows(folder)}


def test_a_tiling_is_pinned_on_all_machines_unless_one_has_another(tmp_path: Path) -> None:
    assert run_small(tmp_path, CONV1 + OTHER).exit_code == 0
    found = find_tilings(tmp_path / "run")
    assert found["conv1", "forward", "sparsetrain"] == "1x3x2|1"
    assert found["conv1", "forward", "sparsetrain-dense"] == "2x6x1|2"
    rows = {(row["layer"], row["step"], row["machine"]): row for row in read_rows(tmp_path / "run")}
    # Two images, two runs of rows, one of blocks, three parts of the reduction.
    assert rows["conv1", "forward", "sparsetrain"]["tiles"] == str(2 * 2 * 1 * 3)
    assert all(row["verdict"] == "exact" for row in rows.values())


@pytest.mark.parametrize("options", [["--engine", "simpy"], ["--jobs", "2"], ["--sample", "1.0"]])
def test_engines_processes_and_samples_take_the_same_tilings(options: list[str], tmp_path: Path) -> None:
    assert run_small(tmp_path, CONV1 + OTHER).exit_code == 0
    assert run_small(tmp_path, CONV1 + OTHER, *options, out="other").exit_code == 0
    first, second = (read_rows(tmp_path / name) for name in ("run", "other"))
    for one, other in zip(first, second, strict=True):
        assert [one[name] for name in ("layer", "step", "tiling", "cycles", "dram_read_bytes")] == [
            other[name] for name in ("layer", "step", "tiling", "cycles", "dram_read_bytes")
        ]


def test_what_explain_prints_pins_what_was_found(tmp_path: Path) -> None:
    named, small = ("--set", "name=mine"), ("--set", "buffer.capacity_bytes=900")
    assert run_command(tmp_path, "simulate", write_small(tmp_path), *named, *small, "--out", "small").exit_code == 0
    lines = ["tilings:"]
    for machine in ("mine", "mine-dense"):
        for layer in ("conv1", "conv2", "fc"):
            told = run_command(tmp_path, "explain", "small", layer, "--machine", machine).stdout
            lines += [line for line in told.splitlines() if line.startswith(("  - layer: ", "    "))]
    assert len(lines) == 1 + 2 * 3 * 3 * 4
    assert run_command(tmp_path, "simulate", "small.yaml", *named, "--out", "large").exit_code == 0
    assert run_small(tmp_path, "\n".join(lines), *named, out="pinned").exit_code == 0
    small_ones, large_ones, pinned = (find_tilings(tmp_path / name) for name in ("small", "large", "pinned"))
    assert pinned == small_ones != large_ones


def test_the_record_of_a_run_keeps_its_tilings_and_python_takes_them(tmp_path: Path) -> None:
    assert run_small(tmp_path, CONV1 + OTHER).exit_code == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    kept = record["options"]["tilings"]
    assert kept == [
        {"layer": "conv1", "step": "forward", "tiling": "1x3x2|1"},
        {"layer": "conv1", "step": "forward", "tiling": "2x6x1|2", "machine": "sparsetrain-dense"},
    ]
    assert load_run(tmp_path / "run").record["options"]["tilings"] == kept
    (tmp_path / "kept.json").write_text(json.dumps({"tilings": kept}))
    given = kept, tmp_path / "kept.json", [PinnedTiling(layer="conv1", step=Step.FORWARD, tiling="1x3x2|1"), kept[1]]
    expected = [row["cycles"] for row in read_rows(tmp_path / "run")]
    for tiling in given:
        result = simulate(tmp_path / "small.yaml", tiling=tiling, verify=False)
        assert [str(step.cycles) for step in result.steps] == expected


def test_another_tiling_is_another_run_with_a_folder_of_its_own(tmp_path: Path) -> None:
    assert run_small(tmp_path, CONV1).exit_code == 0
    outcome = run_small(tmp_path, CONV1 + OTHER)
    assert outcome.exit_code == 2
    assert "holds another run (options.tilings is " in outcome.stderr
    (tmp_path / "pins.yaml").write_text(CONV1)
    found = run_command(tmp_path, "simulate", "small.yaml", "--tiling", "pins.yaml", "--no-verify")
    assert found.exit_code == 0
    assert any(name.startswith("out/small-sparsetrain-tiling=") for name in found.files)


FORM = "[0-9]+(x[0-9]+)*"
LENGTHS = "the tiling must have run lengths from 1 to those of one tile, which are 2x6x2|3"
IDEAL = "ideal, where one tile holds a layer; leave it away, or choose a machine with a buffer"
ALONE = OTHER.replace("  -", "tilings: [").replace("}\n", "}]\n")
REFUSED = [
    ("tilings: []\n", [],
     "pins.yaml, line 1: tilings must be a list of at least 1 entry and at most 100000 entries"),
    ("tiling: []\n", [], "pins.yaml, line 1: unknown field 'tiling'; did you mean 'tilings'?"),
    (CONV1.replace("conv1", "conv9"), [],
     "pins.yaml, line 2: tilings[0]: 'conv9' is no layer with steps (they are conv1, conv2, fc)"),
    (CONV1.replace("conv1", "relu1"), [],
     "pins.yaml, line 2: tilings[0]: 'relu1' is no layer with steps (they are conv1, conv2, fc)"),
    (CONV1.replace("forward", "gtx"), [],
     "pins.yaml, line 2: tilings[0]: step must be one of 'forward', 'gta', 'gtw', got 'gtx'; did you mean 'gta'?"),
    (CONV1 + "  - {layer: conv1, step: forward, tiling: 1x1x1|1}\n", [],
     "pins.yaml, line 3: tilings[1]: layer 'conv1', step forward has a tiling already"),
    (CONV1.replace("1x3x2|1", "1x3|1"), [], f"layer 'conv1', step forward: {LENGTHS}, got 1x3|1"),
    (CONV1.replace("1x3x2|1", "1x3x3|1"), [], f"layer 'conv1', step forward: {LENGTHS}, got 1x3x3|1"),
    (CONV1.replace("1x3x2|1", "1x3x2|0"), [], f"layer 'conv1', step forward: {LENGTHS}, got 1x3x2|0"),
    (CONV1.replace("1x3x2|1", "1x3x2"), [],
     f"pins.yaml, line 2: tilings[0]: tiling must be text of the form {FORM}\\|{FORM} of at most 100 characters"),
    (CONV1, ["--set", "buffer.capacity_bytes=300"],
     "layer 'conv1', step forward: the tiling 1x3x2|1 needs 480 bytes of the global buffer, "
     "buffer.capacity_bytes = 300"),
    (CONV1, ["--arch", "ideal"],
     f"pins.yaml, line 2: tilings[0]: has a tiling, but 'ideal', 'ideal-dense' are {IDEAL}"),
    (CONV1 + OTHER.replace("sparsetrain-dense", "ideal"), ["--baseline", "ideal"],
     f"pins.yaml, line 3: tilings[1]: has a tiling, but 'ideal' is {IDEAL}"),
    (ALONE, ["--baseline", "none"],
     "pins.yaml, line 1: tilings[0]: the run has no machine 'sparsetrain-dense'; it has sparsetrain"),
]  # fmt: skip


@pytest.mark.parametrize(("pins", "options", "sentence"), REFUSED)
def test_what_cannot_be_pinned_is_one_sentence(pins: str, options: list[str], sentence: str, tmp_path: Path) -> None:
    outcome = run_small(tmp_path, pins, *options)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith(f"sparsetrain: {sentence}")
    assert outcome.stderr.count("\n") == 1
    assert outcome.files == ("pins.yaml", "small.yaml")


def test_a_step_that_training_does_not_have_cannot_be_pinned(tmp_path: Path) -> None:
    (tmp_path / "pins.yaml").write_text(CONV1.replace("forward", "gta"))
    outcome = run_command(tmp_path, "simulate", "lenet5", "--tiling", "pins.yaml")
    assert outcome.stderr == (
        "sparsetrain: pins.yaml, line 2: tilings[0]: layer 'conv1' has no step gta; it has forward, gtw\n"
    )


def test_an_ideal_baseline_is_left_as_it_is(tmp_path: Path) -> None:
    assert load_architecture("ideal").is_ideal
    assert run_small(tmp_path, CONV1, "--baseline", "ideal").exit_code == 0
    found = find_tilings(tmp_path / "run")
    assert found["conv1", "forward", "sparsetrain"] == "1x3x2|1"
    assert found["conv1", "forward", "ideal"] == "none"
