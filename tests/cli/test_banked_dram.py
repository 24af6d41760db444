"""The command on machines whose DRAM has banks: what is refused, and what the results say."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from cli.command import run_command, write_small

from sim.dram_presets import list_drams
from sim.dram_prices import DRAM_COMMANDS

LPDDR4 = "dram={model: banked, timing: lpddr4-2400}"
NAME = "sparsetrain[dram.model=banked,dram.timing=lpddr4-2400]"
KINDS = "ddr4-2400, ddr4-3200, hbm2, lpddr4-2400"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("banked")
    outcome = run_command(folder, "simulate", write_small(folder), "--set", LPDDR4, "--out", "run")
    assert outcome.exit_code == 0
    (folder / "stdout").write_text(outcome.stdout)
    return folder


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (
            "dram.model=banked",
            "dram: bytes_per_cycle and latency_cycles and kind given beside the model banked, whose timing and energy "
            "are those of its timing; leave them away, as in dram: {model: banked, timing: lpddr4-2400}",
        ),
        (
            "dram={model: banked, timing: hbm2, latency_cycles: 3}",
            "dram: latency_cycles given beside the model banked, whose timing and energy are those of its timing; "
            "leave them away, as in dram: {model: banked, timing: lpddr4-2400}",
        ),
        ("dram={model: banked}", f"dram: timing of the model banked must be one of {KINDS}, got nothing"),
        (
            "dram={model: banked, timing: ddr9}",
            f"dram: timing of the model banked must be one of {KINDS}, got 'ddr9'",
        ),
        (
            "dram={model: banked, timing: hbm2, channels: 257}",
            "dram: channels of the model banked must be 1 to 256, got 257",
        ),
        ("dram.timing=hbm2", "dram: timing is of the model banked, and the model is constant; leave it away"),
    ],
)
def test_fields_of_the_other_model_are_refused_in_a_sentence(tmp_path: Path, setting: str, sentence: str) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--set", setting)
    assert (outcome.exit_code, outcome.stderr) == (2, f"sparsetrain: --set {setting}: {sentence}\n")


def test_a_sample_is_refused_by_name(tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "simulate", write_small(tmp_path), "--set", LPDDR4, "--sample", "0.5")
    assert outcome.exit_code == 2
    assert outcome.stderr == (
        f"sparsetrain: '{NAME}' cannot be sampled: with dram.model banked the state of the banks goes on from tile to "
        "tile, so a step does not follow from some of its tiles; leave the sample away, or use dram.model constant\n"
    )


def test_record_run_and_explanation_state_the_ratio_of_the_clocks(folder: Path) -> None:
    record = json.loads((folder / "run" / "run.json").read_text())
    assert list(record["dram"]) == [NAME, f"{NAME}-dense"]
    told = record["dram"][NAME]
    assert (told["dram_mhz"], told["machine_mhz"]) == (1200, 800)
    assert (told["dram_clocks"], told["machine_cycles"], told["bytes_per_cycle"]) == (3, 2, 24.0)
    assert "DRAMsim3" in told["source"]
    sentence = (
        "DRAM: 1 channel of lpddr4-2400 with banks, at 1,200 MHz: 3 clocks in 2 cycles of the machine; at most 24 "
        "bytes a cycle.\n"
    )
    assert sentence in (folder / "stdout").read_text()
    outcome = run_command(folder, "explain", "run", "conv1", "forward")
    assert outcome.exit_code == 0
    assert sentence in outcome.stdout
    assert "of which came to an open row" in outcome.stdout


def test_a_record_whose_clocks_were_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for file in (folder / "run").iterdir():
        (tmp_path / "run" / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "run" / "run.json"
    path.write_text(path.read_text().replace('"dram_mhz": 1200', '"dram_mhz": 1201', 1))
    outcome = run_command(tmp_path, "explain", "run", "conv1", "forward")
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("sparsetrain: run/run.json: ")


def test_commands_are_counted_for_each_step_and_their_energy_is_that_of_dram(folder: Path) -> None:
    steps, actions = (pd.read_csv(folder / "run" / name) for name in ("steps.csv", "actions.csv"))
    assert list(actions.columns[-len(DRAM_COMMANDS) :]) == list(DRAM_COMMANDS)
    record = json.loads((folder / "run" / "run.json").read_text())
    lines = record["machines"][NAME]["energy"]
    prices = {line["action"]: line["pj_per_action"] for line in lines if line["component"] == "dram"}
    assert set(prices) == {"dram_read_bits", "dram_write_bits", *DRAM_COMMANDS}
    assert prices["dram_read_bits"] == prices["dram_write_bits"] == 0
    mine = steps.merge(actions, on=["layer", "step", "machine"]).query("machine == @NAME")
    assert len(mine) > 3
    expected = sum(mine[name] * prices[name] for name in DRAM_COMMANDS)
    # Printed with nine digits.
    assert mine["dram_pj"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-8)
    # Each burst of 128 bytes is moved whole, and no more of them than each run of bytes touches.
    moved = 128 * (mine["dram_read_bursts"] + mine["dram_write_bursts"])
    assert (moved >= mine["dram_read_bytes"] + mine["dram_write_bytes"]).all()
    # Two ranks over all clocks.
    clocks = 2 * -(-mine["cycles"] * 1200 // 800)
    assert (mine["dram_active_clocks"] + mine["dram_idle_clocks"] == clocks).all()
    # A burst takes the data bus for 8 clocks, of which there are three in two cycles.
    busy = -(-(mine["dram_read_bursts"] + mine["dram_write_bursts"]) * 8 * 2 // 3)
    assert (mine["dram_busy_cycles"] == busy).all()


@pytest.mark.parametrize("timing", list_drams())
def test_every_kind_of_dram_gives_the_same_run_on_both_engines(tmp_path: Path, timing: str) -> None:
    options = ("--set", f"dram={{model: banked, timing: {timing}, channels: 2}}", "--no-verify", "--baseline", "none")
    tables = []
    for engine in ("simpy", "compiled"):
        outcome = run_command(
            tmp_path, "simulate", write_small(tmp_path), *options, "--engine", engine, "--out", engine
        )
        assert outcome.exit_code == 0
        tables.append([(tmp_path / engine / name).read_text() for name in ("steps.csv", "actions.csv")])
    assert tables[0] == tables[1]


def test_a_run_is_traced_and_gets_a_page(tmp_path: Path) -> None:
    options = ("--set", LPDDR4, "--no-verify", "--trace", "trace.json.gz", "--out", "run")
    assert run_command(tmp_path, "simulate", write_small(tmp_path), *options).exit_code == 0
    assert run_command(tmp_path, "report", "run", "--output", "page.html").exit_code == 0
    assert "The roof: 168 multipliers and 24 DRAM bytes a cycle." in (tmp_path / "page.html").read_text()


def test_the_currents_of_a_data_sheet_give_energies_an_interval(folder: Path) -> None:
    record = json.loads((folder / "run" / "run.json").read_text())
    machine = record["machines"][NAME]
    (assumption,) = (one for one in machine["assumptions"] if one["entry"] == "dram.currents")
    moved = {price["action"]: price for price in assumption["prices"]}
    assert set(moved) == set(DRAM_COMMANDS)
    for line in machine["energy"]:
        if line["action"] in moved:
            price = moved[line["action"]]
            ends = assumption["low"] * line["pj_per_action"], assumption["high"] * line["pj_per_action"]
            assert (price["low_pj"], price["high_pj"]) == pytest.approx(ends, rel=1e-12)
