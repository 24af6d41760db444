"""Iterations of several microbatches: each row is so many times that of one, and sums of gradients stand beside."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from cli.command import SMALL, run_command

from sim import simulate
from sim.iteration.microbatches import COUNTED
from workloads.errors import InputError
from workloads.training.opening import require_training
from workloads.workload import load_workload

PARTS, IMAGES = 3, 2
CUT = SMALL.replace("batch: 2\n", f"batch: {PARTS * IMAGES}\naccumulate: {PARTS}\nupdate: sgd\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("microbatches")
    (path / "one.yaml").write_text(f"{SMALL}update: sgd\n")
    (path / "cut.yaml").write_text(CUT)
    for name in ("one", "cut"):
        outcome = run_command(path, "simulate", f"{name}.yaml", "--out", name)
        assert outcome.exit_code == 0, outcome.stderr
        (path / f"{name}.txt").write_text(outcome.stdout)
    return path


def read(folder: Path, name: str, file: str = "steps.csv") -> pd.DataFrame:
    return pd.read_csv(folder / name / file)


def test_counts_times_and_energies_of_a_row_are_those_of_a_microbatch_times_their_number(folder: Path) -> None:
    one, cut = read(folder, "one"), read(folder, "cut")
    one = one[one["step"] != "update"].reset_index(drop=True)
    rows = cut[~cut["step"].isin(["update", "accumulate"])].reset_index(drop=True)
    for name in one.columns:
        times = PARTS if name in COUNTED else 1
        expected = one[name] * times if times > 1 else one[name]
        pd.testing.assert_series_equal(rows[name], expected, check_dtype=False, rtol=1e-8)
    assert {"cycles", "energy_pj", "tiles", "dram_read_bytes", "cycles_ci95", "vanished_elements"} < set(COUNTED)
    assert not {"input_density", "verdict", "tolerance", "pe_utilization", "float32_max_error"} & set(COUNTED)


def test_each_gradient_but_that_of_the_first_microbatch_is_added_to_the_sum(folder: Path) -> None:
    frame = read(folder, "cut").query("machine == 'sparsetrain'").set_index(["step", "layer"])
    network = load_workload(folder / "cut.yaml").network
    for layer in ("conv1", "conv2", "fc"):
        row, bias = frame.loc[("accumulate", layer)], 4 * network.layer_shape(layer).weight_shape[0]
        gradient = frame.loc[("gtw", layer), "dram_write_bytes"] // PARTS + bias
        assert row["dram_read_bytes"] == (PARTS - 1) * gradient
        assert row["dram_write_bytes"] == 0
        assert row["cycles"] == (PARTS - 1) * (100 + -(-gradient // 32))
    actions = read(folder, "cut", "actions.csv").query("machine == 'sparsetrain' and step == 'accumulate'")
    weights = 4 * 3 * 9 + 4 + 4 * 2 * 6 + 4 + 3 * network.layer_shape("fc").in_features + 3
    assert actions["ppu_elements"].sum() == (PARTS - 1) * weights


def test_the_update_is_made_once(folder: Path) -> None:
    one, cut = (read(folder, name).query("step == 'update'").reset_index(drop=True) for name in ("one", "cut"))
    pd.testing.assert_frame_equal(one, cut, check_dtype=False)


def test_cycles_stand_beside_the_memory_that_is_saved(folder: Path) -> None:
    record = json.loads((folder / "cut" / "run.json").read_text())
    memory, before = (json.loads((folder / name / "run.json").read_text())["memory"] for name in ("cut", "one"))
    for machine, found in memory.items():
        assert found["activation_bytes"] == before[machine]["activation_bytes"]
        assert found["whole_activation_bytes"] == PARTS * found["activation_bytes"]
        assert found["parameter_bytes"] == before[machine]["parameter_bytes"]
    text = (folder / "cut.txt").read_text().replace("\n", " ")
    words = f"Microbatches: {PARTS} of {IMAGES} images (accumulate); one is executed and counts {PARTS} times."
    assert words in text
    assert "Memory: activations and their gradients take at most" in text
    assert f"{record['totals']['machines']['sparsetrain']['network']['cycles']:,} cycles" in text
    assert "Microbatches" not in (folder / "one.txt").read_text()
    assert run_command(folder, "report", "cut", "-o", "page.html").exit_code == 0
    assert words in (folder / "page.html").read_text(encoding="utf-8")


def test_a_sample_is_as_unsure_of_each_microbatch(folder: Path) -> None:
    text = SMALL.replace("batch: 2\n", "batch: 96\n").replace("height: 6, width: 5", "height: 20, width: 20")
    (folder / "large.yaml").write_text(text)
    (folder / "large_cut.yaml").write_text(text.replace("batch: 96\n", "batch: 192\naccumulate: 2\n"))
    one, cut = (
        simulate(folder / f"{name}.yaml", baseline=None, sample=0.1, overrides=["buffer.capacity_bytes=8192"])
        for name in ("large", "large_cut")
    )
    widths = []
    for result in (one, cut):
        (found,) = result.record["sampling"]["machines"].values()
        widths.append(found["network"]["cycles_ci95"])
    assert widths[1] == pytest.approx(2 * widths[0])
    assert widths[0] > 0


def test_several_chips_and_trainings_refuse_them_by_name(folder: Path) -> None:
    outcome = run_command(folder, "scale", "cut", "-o", "page.html")
    assert outcome.exit_code == 2
    assert (
        "cut: is of 3 microbatches (accumulate); an iteration on several chips needs a run of whole" in outcome.stderr
    )
    (folder / "trained.yaml").write_text(
        f"{CUT}training: {{epochs: 1, optimiser: {{method: sgd, learning_rate: 0.1}}}}\n"
    )
    with pytest.raises(
        InputError, match="accumulate cuts the batch of simulated iterations, and a training takes whole"
    ):
        require_training(load_workload(folder / "trained.yaml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4", "accumulate: a batch of 6 is not cut into 4 equal microbatches; accumulate must divide batch"),
        ("0", "accumulate must be a whole number from 1 to 16777216, got 0"),
        ("two", "accumulate must be a whole number from 1 to 16777216, got 'two'"),
    ],
)
def test_a_number_that_does_not_divide_the_batch_is_refused(folder: Path, text: str, words: str) -> None:
    (folder / "bad.yaml").write_text(CUT.replace(f"accumulate: {PARTS}", f"accumulate: {text}"))
    outcome = run_command(folder, "validate", "bad.yaml")
    assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: bad.yaml, line 3: {words}\n")


def test_a_batch_of_the_command_is_cut_too(folder: Path) -> None:
    assert load_workload(folder / "cut.yaml", batch=12).network.batch == 12 // PARTS
    outcome = run_command(folder, "simulate", "cut.yaml", "--batch", "7")
    assert (outcome.exit_code, "a batch of 7 is not cut into 3" in outcome.stderr) == (2, True)


def test_one_microbatch_is_none(folder: Path) -> None:
    (folder / "single.yaml").write_text(f"{SMALL}accumulate: 1\n")
    assert load_workload(folder / "single.yaml").form.accumulate is None
