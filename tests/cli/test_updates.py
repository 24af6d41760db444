"""The weight update from the command line: rows and totals of its own, and everything else as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from cli.command import SMALL, run_command

from sim import simulate
from sim.scaling.share import ShareSource, list_rows, make_shares
from workloads.workload import load_workload


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("updates")
    (path / "small.yaml").write_text(SMALL)
    (path / "adam.yaml").write_text(f"{SMALL}update: adam\n")
    for out, *more in (["plain"], ["updated", "--update", "sgd_momentum"]):
        outcome = run_command(path, "simulate", "small.yaml", *more, "--out", out)
        assert outcome.exit_code == 0, outcome.stderr
        (path / f"{out}.txt").write_text(outcome.stdout)
    return path


def test_all_other_rows_and_totals_are_those_of_a_run_without_it(folder: Path) -> None:
    plain, updated = (pd.read_csv(folder / name / "steps.csv") for name in ("plain", "updated"))
    rows = updated["kind"] == "update"
    pd.testing.assert_frame_equal(updated[~rows].reset_index(drop=True), plain, check_dtype=False)
    assert list(updated.loc[rows, "layer"]) == ["conv1", "conv2", "fc"] * 2
    before, record = (json.loads((folder / name / "run.json").read_text()) for name in ("plain", "updated"))
    assert before["machines"] == record["machines"]
    for part in ("machines", "ratios"):
        for machine, totals in before["totals"][part].items():
            assert {name: record["totals"][part][machine][name] for name in totals} == totals


def test_the_totals_with_it_are_those_without_and_its_rows(folder: Path) -> None:
    frame = pd.read_csv(folder / "updated" / "steps.csv")
    totals = json.loads((folder / "updated" / "run.json").read_text())["totals"]
    for machine, scopes in totals["machines"].items():
        rows = frame[(frame["machine"] == machine) & (frame["kind"] == "update")]
        whole, network = scopes["network_with_update"], scopes["network"]
        assert whole["cycles"] == network["cycles"] + rows["cycles"].sum()
        assert whole["cycles_by_step"]["update"] == rows["cycles"].sum()
        assert "update" not in network["cycles_by_step"]
        assert whole["energy_pj"] == pytest.approx(network["energy_pj"] + rows["energy_pj"].sum(), rel=1e-7)
    (ratios,) = totals["ratios"].values()
    first, other = (scopes["network_with_update"]["cycles"] for scopes in totals["machines"].values())
    assert ratios["network_with_update"]["speedup"] == other / first


def test_gradients_have_the_bytes_that_gtw_wrote(folder: Path) -> None:
    frame = pd.read_csv(folder / "updated" / "steps.csv").query("machine == 'sparsetrain'").set_index(["step", "layer"])
    network = load_workload(folder / "small.yaml").network
    for layer in ("conv1", "conv2", "fc"):
        weights = network.layer_shape(layer).weight_shape
        # Words of 16 bits, sums of 32: a bias has one for each output channel.
        biased = weights[0] * (2 + 4 + 4)
        written = frame.loc[("gtw", layer), "dram_write_bytes"]
        assert frame.loc[("update", layer), "dram_read_bytes"] == written // 2 + 2 * written + biased


def test_table_sentence_and_page_tell_it_beside_the_headline(folder: Path) -> None:
    record = json.loads((folder / "updated" / "run.json").read_text())
    scopes = record["totals"]["machines"]["sparsetrain"]
    without, whole = (scopes[name]["cycles"] for name in ("network", "network_with_update"))
    text = (folder / "updated.txt").read_text()
    assert f"Weight update (sgd_momentum): {whole - without:,} cycles that no total above has" in text
    assert any(line.split()[:3] == ["with", "update", f"{whole:,}"] for line in text.splitlines())
    assert "update" not in (folder / "plain.txt").read_text()
    assert run_command(folder, "report", "updated", "-o", "page.html").exit_code == 0
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "What does the weight update (sgd_momentum) add?" in page
    assert f"<dt>Cycles of the iteration</dt><dd>{without:,}" in page


def test_it_is_explained_and_left_out_of_several_chips(folder: Path) -> None:
    outcome = run_command(folder, "explain", "updated", "conv1", "update", columns="200")
    assert outcome.exit_code == 0, outcome.stderr
    assert "which have no update" in outcome.stdout
    shares = [
        make_shares(ShareSource(name, json.loads((folder / name / "run.json").read_text()),
                                list_rows(pd.read_csv(folder / name / "steps.csv"))))
        for name in ("plain", "updated")
    ]  # fmt: skip
    assert shares[0] == shares[1]


def test_the_workload_says_it_and_the_option_overrules(folder: Path) -> None:
    adam = simulate(folder / "adam.yaml", baseline=None, verify=False)
    assert adam.record["workload"]["update"] == "adam"
    momentum = simulate(folder / "adam.yaml", baseline=None, verify=False, update="sgd_momentum", engine="simpy")
    stored = pd.read_csv(folder / "updated" / "steps.csv").query("machine == 'sparsetrain'")
    assert list(momentum.frame["cycles"]) == list(stored["cycles"])
    off = simulate(folder / "adam.yaml", baseline=None, verify=False, update="none")
    assert "update" not in off.record["workload"]
    assert "network_with_update" not in off.totals["machines"]["sparsetrain"]


def test_a_run_without_gtw_or_of_some_layers_has_none(folder: Path) -> None:
    for options in ({"steps": ("forward", "gta")}, {"layers": "conv*"}):
        result = simulate(folder / "adam.yaml", baseline=None, verify=False, **options)
        assert "update" not in set(result.frame["kind"])


def test_a_sample_has_it_exactly(folder: Path) -> None:
    rows = simulate(folder / "adam.yaml", baseline=None, sample=0.5).frame.query("kind == 'update'")
    whole = simulate(folder / "adam.yaml", baseline=None, verify=False).frame.query("kind == 'update'")
    pd.testing.assert_frame_equal(rows, whole)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("update: momentum", "update must be one of 'none', 'sgd', 'sgd_momentum', 'adam', 'adamw', got 'momentum'"),
        ("update: true", "update must be one of 'none', 'sgd', 'sgd_momentum', 'adam', 'adamw', got true"),
    ],
)
def test_an_unknown_update_is_named_with_its_line(folder: Path, text: str, words: str) -> None:
    (folder / "bad.yaml").write_text(f"{SMALL}{text}\n")
    outcome = run_command(folder, "validate", "bad.yaml")
    assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: bad.yaml, line 11: {words}\n")


def test_an_unknown_option_names_the_updates_and_folders_tell_it(folder: Path) -> None:
    outcome = run_command(folder, "simulate", "small.yaml", "--update", "sgdm")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "unknown update 'sgdm'; the updates are none, sgd, sgd_momentum, adam, adamw" in outcome.stderr
    outcome = run_command(folder, "simulate", "adam.yaml", "--update", "none", "--no-verify")
    assert outcome.exit_code == 0
    assert (folder / "out" / "small-sparsetrain-update=none-verify=no" / "steps.csv").exists()
