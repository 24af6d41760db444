"""The command on machines with memory: what does not fit, what is too fast, what has no price."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from cli.command import run_command, write_small

from dataflows.sparsetrain.dataflow import RowConvolution
from sim.energy import COMPONENTS
from sim.step import work
from sim.technology import PRESET_DIRECTORY


def test_too_small_a_buffer_names_the_layer_the_bytes_needed_and_the_bytes_there(tmp_path: Path) -> None:
    write_small(tmp_path)
    outcome = run_command(tmp_path, "simulate", "small.yaml", "--set", "buffer.capacity_bytes=64", "--out", "results")
    # The smallest tile of conv1's forward step, cut to single channels: three partial rows of five 32-bit words, and
    # twice three input rows (a pointer, five bits, at most five 16-bit words) beside three filters' kernel rows.
    partial_rows = 3 * 5 * 4
    kernel_rows = 3 * 3 * 3 * 2
    input_rows = 3 * (2 + -(-(5 + 5 * 16) // 8))
    assert outcome.stderr.startswith(
        "sparsetrain: layer 'conv1', step forward: no tiling fits the global buffer; the smallest needs "
    )
    assert outcome.stderr.endswith(" bytes, buffer.capacity_bytes = 64\n")
    needed = int(outcome.stderr.rpartition(" bytes, ")[0].rpartition(" ")[2])
    assert partial_rows + 2 * kernel_rows < needed <= partial_rows + 2 * (kernel_rows + input_rows)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.files == ("small.yaml",)


def test_the_bytes_needed_are_enough_and_one_less_is_not(tmp_path: Path) -> None:
    write_small(tmp_path)

    def run(capacity: int) -> tuple[int, str]:
        arguments = ("--set", f"buffer.capacity_bytes={capacity}", "--layers", "conv1", "--steps", "forward")
        outcome = run_command(tmp_path, "simulate", "small.yaml", *arguments, "--baseline", "none", "--no-verify")
        return outcome.exit_code, outcome.stderr

    needed = int(run(64)[1].rpartition(" bytes, ")[0].rpartition(" ")[2])
    assert run(needed) == (0, "")
    assert run(needed - 1)[0] == 2


def test_a_clock_too_fast_for_the_buffer_is_a_warning_that_names_both(tmp_path: Path) -> None:
    write_small(tmp_path)
    outcome = run_command(tmp_path, "simulate", "small.yaml", "--set", "clock_mhz=20000", "--out", "results")
    assert outcome.exit_code == 0
    record = json.loads((tmp_path / "results" / "run.json").read_text())
    warnings = record["machines"]["sparsetrain[clock_mhz=20000]"]["warnings"]
    assert any(
        warning.startswith("a clock of 20000 MHz gives 0.05 ns a cycle, but a bank of the buffer (12.06 KiB, 128 bits")
        for warning in warnings
    )
    for warning in warnings:
        assert f"Warning: {warning}.\n" in outcome.stdout
    calm = run_command(tmp_path, "simulate", "small.yaml", "--out", "calm")
    assert "Warning" not in calm.stdout


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("buffer: {}", "buffer given without dram and ppu and storage"),
        ("dram: {}\nppu: {}", "dram and ppu given without buffer and storage"),
        ("buffer: {}\ndram: {}\nstorage: {}", "buffer and dram and storage given without ppu"),
    ],
)
def test_an_architecture_with_a_part_of_its_surroundings_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text(f"name: mine\n{text}\n")
    outcome = run_command(tmp_path, "validate", "machine.yaml")
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("sparsetrain: machine.yaml")
    assert outcome.stderr.endswith(
        f"{sentence}; a machine has all of buffer, dram, ppu, storage, or none and is then ideal\n"
    )
    assert outcome.stderr.count("\n") == 1


def test_an_ideal_machine_has_no_technology(tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text("name: mine\ntechnology: 14nm\n")
    outcome = run_command(tmp_path, "validate", "machine.yaml")
    assert outcome.exit_code == 2
    assert outcome.stderr.endswith(
        "technology is given, but an ideal machine (no buffer, dram, ppu, storage) has no energy\n"
    )


@pytest.mark.parametrize(
    "limit",
    ["buffer.capacity_bytes", "buffer.ports", "buffer.bytes_per_port_cycle", "buffer.operand_store_bytes",
     "ppu.elements_per_cycle", "technology"],
)  # fmt: skip
def test_a_machine_with_an_unlimited_size_has_no_energy_and_its_columns_are_empty(limit: str, tmp_path: Path) -> None:
    write_small(tmp_path)
    outcome = run_command(
        tmp_path, "simulate", "small.yaml", "--set", f"{limit}=null", "--no-verify", "--baseline", "none",
        "--out", "results",
    )  # fmt: skip
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    rows = pd.read_csv(tmp_path / "results" / "steps.csv")
    columns = ["energy_pj", "dynamic_pj", *(f"{name}_pj" for name in COMPONENTS)]
    assert rows[columns].isna().all(axis=None)
    assert (rows["cycles"] > 0).all()
    record = json.loads((tmp_path / "results" / "run.json").read_text())
    machine = f"sparsetrain[{limit}=null]"
    assert record["machines"] == {machine: None}
    assert record["totals"]["machines"][machine]["network"]["energy_pj"] is None


class MemorylessDataflow(RowConvolution):
    """Tells no traffic."""

    def lower(self, problem):  # type: ignore[no-untyped-def]
        """Cut a step into tasks alone."""
        return super().lower(problem.without_memory())


def test_a_dataflow_without_traffic_on_a_full_machine_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small(tmp_path)
    monkeypatch.setattr(work, "load_dataflow", lambda *_: MemorylessDataflow())
    outcome = run_command(tmp_path, "simulate", "small.yaml", "--out", "results")
    assert outcome.stderr == (
        "sparsetrain: the dataflow 'sparsetrain' tells no memory traffic, so 'sparsetrain' cannot time its memory; "
        "use an ideal architecture (one without buffer, dram, ppu and storage)\n"
    )
    assert (outcome.exit_code, outcome.stdout, outcome.files) == (2, "", ("small.yaml",))
    assert run_command(tmp_path, "simulate", "small.yaml", "--arch", "ideal").exit_code == 0


@pytest.mark.parametrize("name", ["14nm", "45nm"])
def test_a_technology_is_printed_with_its_sources(name: str, tmp_path: Path) -> None:
    outcome = run_command(tmp_path, "technology", name)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    for word in ("entry", "value", "unit", "node", "source", "scaling", "CACTI", "dram.lpddr4", "sram.cells.hp"):
        assert word in outcome.stdout
    assert ("Stillmaker" in outcome.stdout) is (name == "14nm")


def test_a_technology_in_a_file_is_printed_as_the_preset_is(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text((PRESET_DIRECTORY / "45nm.yaml").read_text(encoding="utf-8"))
    assert run_command(tmp_path, "technology", "mine.yaml").stdout == run_command(tmp_path, "technology", "45nm").stdout


def test_an_unknown_technology_is_refused_by_name(tmp_path: Path) -> None:
    write_small(tmp_path)
    sentence = "there is no technology '7nm'; there are 14nm, 45nm, or give the path of a .yaml file\n"
    for arguments in (["technology", "7nm"], ["simulate", "small.yaml", "--set", "technology=7nm", "--out", "results"]):
        outcome = run_command(tmp_path, *arguments)
        assert outcome.stderr == f"sparsetrain: {sentence}"
        assert (outcome.exit_code, outcome.stdout, outcome.files) == (2, "", ("small.yaml",))
