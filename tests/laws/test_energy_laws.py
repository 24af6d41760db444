"""Energy: the sum of its parts, counts times the table, on real runs and on a layer small enough to count by hand."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli.command import SMALL

from sim.architecture import Architecture, load_architecture
from sim.energy import COMPONENT_OF_ACTION, COMPONENTS, ActionCounts
from sim.machine_energy import find_prices
from sim.run import simulate
from sim.step.layer_run import run_layer_step
from sim.step.work import StepOptions, StepRun
from sim.technology import load_technology
from workloads.operands import GradientFinish, Operands
from workloads.pruning import PruningKey
from workloads.shapes import ConvShape, LinearShape, Step

# steps.csv holds nine digits of a number; sums in float64 are far closer.
ROUNDING = 1e-8
# The machine without what skips, fuses or keeps: its actions are counted by hand.
SPARSE = load_architecture("sparsetrain-v1")
DENSE = SPARSE.without_skipping()


@pytest.fixture(scope="module", params=["small", "lenet5"])
def outputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Any]:
    """Give the rows of steps.csv and the data of run.json of a run on both machines."""
    folder = tmp_path_factory.mktemp("energy")
    (folder / "small.yaml").write_text(SMALL)
    workload = folder / "small.yaml" if request.param == "small" else "lenet5"
    simulate(workload, "sparsetrain", batch=1, verify=False, out=folder / "run")
    return pd.read_csv(folder / "run" / "steps.csv"), json.loads((folder / "run" / "run.json").read_text())


def test_every_rows_total_is_the_sum_of_its_parts(outputs: tuple[pd.DataFrame, Any]) -> None:
    rows, _ = outputs
    parts = rows[[f"{name}_pj" for name in COMPONENTS]].sum(axis=1)
    np.testing.assert_allclose(rows["energy_pj"], parts, rtol=ROUNDING)
    np.testing.assert_allclose(rows["dynamic_pj"], parts - rows["leakage_pj"], rtol=ROUNDING)
    assert (rows["leakage_pj"] > 0).all()


def test_a_runs_totals_are_the_sums_of_its_rows(outputs: tuple[pd.DataFrame, Any]) -> None:
    rows, record = outputs
    for machine, scopes in record["totals"]["machines"].items():
        mine = rows[rows["machine"] == machine]
        chosen = {"network": mine, "convolutions": mine[mine["kind"] == "conv2d"]}
        for scope, totals in scopes.items():
            for name in ("energy_pj", "dynamic_pj", "leakage_pj", "dram_pj", "cycles", "dram_read_bytes"):
                assert totals[name] == pytest.approx(chosen[scope][name].sum(), rel=ROUNDING)


def test_every_component_is_its_counts_times_the_table(outputs: tuple[pd.DataFrame, Any]) -> None:
    rows, record = outputs
    for name, machine in record["machines"].items():
        mine = rows[rows["machine"] == name]
        for line in machine["energy"]:
            assert line["pj"] == pytest.approx(line["count"] * line["pj_per_action"], rel=ROUNDING)
            assert line["source"]
        for component in COMPONENTS:
            lines = [line["pj"] for line in machine["energy"] if line["component"] == component]
            assert mine[f"{component}_pj"].sum() == pytest.approx(math.fsum(lines), rel=ROUNDING)


def test_the_counts_are_those_of_the_rows(outputs: tuple[pd.DataFrame, Any]) -> None:
    rows, record = outputs
    for name, machine in record["machines"].items():
        mine = rows[rows["machine"] == name]
        counts = {line["action"]: line["count"] for line in machine["energy"] if line["component"] != "leakage"}
        multiplies = mine["dense_macs" if name.endswith("dense") else "effectual_macs"].sum()
        assert counts["multiplies"] == counts["accumulates"] == counts["accumulator_updates"] == multiplies
        assert counts["operand_store_reads"] == 2 * multiplies
        assert counts["dram_read_bits"] == 8 * mine["dram_read_bytes"].sum()
        assert counts["dram_write_bits"] == 8 * mine["dram_write_bytes"].sum()
        assert counts["noc_bytes"] == mine["buffer_read_bytes"].sum() + mine["buffer_write_bytes"].sum()


def test_leakage_is_the_power_of_all_units_over_the_runs_cycles(outputs: tuple[pd.DataFrame, Any]) -> None:
    rows, record = outputs
    for name, machine in record["machines"].items():
        power_mw = math.fsum(unit["units"] * unit["unit_leakage_mw"] for unit in machine["units"])
        assert machine["leakage_mw"] == pytest.approx(power_mw, rel=ROUNDING)
        time_ns = rows[rows["machine"] == name]["cycles"].sum() * 1000 / record["architecture"]["clock_mhz"]
        assert rows[rows["machine"] == name]["leakage_pj"].sum() == pytest.approx(power_mw * time_ns, rel=ROUNDING)


def test_the_dense_machine_has_no_index_logic_and_no_pruning_unit(outputs: tuple[pd.DataFrame, Any]) -> None:
    rows, record = outputs
    sparse_only = {"index_logic", "pruning"}
    for name, machine in record["machines"].items():
        units = {unit["component"] for unit in machine["units"]}
        assert sparse_only & units == (set() if name.endswith("dense") else sparse_only)
    dense = rows[rows["machine"].str.endswith("dense")]
    assert (dense["index_logic_pj"] == 0).all()
    assert (dense["pruning_pj"] == 0).all()


# One 1x1 filter of weight 2 on one channel of 2 x 2: three nonzero inputs, two nonzero gradients.
INPUT = np.array([[[[1, 0], [3, 4]]]], dtype=np.float32)
GRAD_OUTPUT = np.array([[[[5, 0], [0, 6]]]], dtype=np.float32)
TINY = Operands(
    "tiny", ConvShape(1, 1, 2, 2, 1, 1, 1), INPUT, np.full((1, 1, 1, 1), 2, np.float32), None, GRAD_OUTPUT,
    INPUT != 0, tuple(Step),
)  # fmt: skip
# Rows of two 16-bit words are smallest raw: 4 bytes against 5 or more. A weight takes 2 bytes, a mask row 1.
ROW_BYTES, WEIGHT_BYTES, MASK_BYTES, KERNEL_BYTES = 4, 2, 1, 4
ROW_WORDS, WEIGHT_WORDS, MASK_WORDS = 2, 1, 1
# Every burst, row, load and write-back here is at most 16 bytes: one access of a bank each.
EXPECTED = {
    # Two tasks of one row operation each, on nonzeros (1) and (3, 4).
    ("sparse", Step.FORWARD): ActionCounts(
        multiplies=3, accumulates=3, accumulator_updates=3,
        operand_store_reads=2 * 3, operand_store_writes=2 * (ROW_WORDS + WEIGHT_WORDS),
        taps_examined=3, ppu_elements=2 * 2, buffer_reads=2 + 1, buffer_writes=2 + 1,
        noc_bytes=2 * (ROW_BYTES + WEIGHT_BYTES) + 2 * ROW_BYTES, dram_read_bits=8 * (2 * ROW_BYTES + WEIGHT_BYTES),
        dram_write_bits=8 * 2 * ROW_BYTES,
    ),
    ("dense", Step.FORWARD): ActionCounts(
        multiplies=4, accumulates=4, accumulator_updates=4,
        operand_store_reads=2 * 4, operand_store_writes=2 * (ROW_WORDS + WEIGHT_WORDS),
        ppu_elements=2 * 2, buffer_reads=2 + 1, buffer_writes=2 + 1,
        noc_bytes=2 * (ROW_BYTES + WEIGHT_BYTES) + 2 * ROW_BYTES, dram_read_bits=8 * (2 * ROW_BYTES + WEIGHT_BYTES),
        dram_write_bits=8 * 2 * ROW_BYTES,
    ),
    # Two tasks on nonzeros (5) and (6), both where the mask is set; a mask row with each task's burst.
    ("sparse", Step.GTA): ActionCounts(
        multiplies=2, accumulates=2, accumulator_updates=2,
        operand_store_reads=2 * 2,
        operand_store_writes=2 * (ROW_WORDS + WEIGHT_WORDS + MASK_WORDS), taps_examined=2, ppu_elements=2 * 2,
        buffer_reads=2 + 1, buffer_writes=2 + 1, noc_bytes=2 * (ROW_BYTES + WEIGHT_BYTES + MASK_BYTES) + 2 * ROW_BYTES,
        dram_read_bits=8 * (2 * (ROW_BYTES + MASK_BYTES) + WEIGHT_BYTES), dram_write_bits=8 * 2 * ROW_BYTES,
    ),
    # The dense machine's PPU reads the mask rows, one access each.
    ("dense", Step.GTA): ActionCounts(
        multiplies=4, accumulates=4, accumulator_updates=4,
        operand_store_reads=2 * 4, operand_store_writes=2 * (ROW_WORDS + WEIGHT_WORDS),
        ppu_elements=2 * 2, buffer_reads=2 + 2 + 1, buffer_writes=2 + 1,
        noc_bytes=2 * (ROW_BYTES + WEIGHT_BYTES + MASK_BYTES) + 2 * ROW_BYTES,
        dram_read_bits=8 * (2 * (ROW_BYTES + MASK_BYTES) + WEIGHT_BYTES), dram_write_bits=8 * 2 * ROW_BYTES,
    ),
    # One task, one burst of four rows; its kernel is one word of 32 bits.
    ("sparse", Step.GTW): ActionCounts(
        multiplies=2, accumulates=2, accumulator_updates=2,
        operand_store_reads=2 * 2, operand_store_writes=4 * ROW_WORDS, taps_examined=2,
        ppu_elements=1, buffer_reads=1 + 1, buffer_writes=1 + 1, noc_bytes=4 * ROW_BYTES + KERNEL_BYTES,
        dram_read_bits=8 * 4 * ROW_BYTES, dram_write_bits=8 * KERNEL_BYTES,
    ),
    ("dense", Step.GTW): ActionCounts(
        multiplies=4, accumulates=4, accumulator_updates=4,
        operand_store_reads=2 * 4, operand_store_writes=4 * ROW_WORDS, ppu_elements=1,
        buffer_reads=1 + 1, buffer_writes=1 + 1, noc_bytes=4 * ROW_BYTES + KERNEL_BYTES,
        dram_read_bits=8 * 4 * ROW_BYTES, dram_write_bits=8 * KERNEL_BYTES,
    ),
}  # fmt: skip


def run_tiny(machine: Architecture, step: Step) -> StepRun:
    """Run a step of the tiny layer."""
    (run,) = run_layer_step(TINY, step, (machine,), StepOptions(verifies=True, keeps_output=False))
    assert run.message == ""
    return run


@pytest.mark.parametrize(("name", "step"), EXPECTED)
def test_the_actions_of_a_tiny_layer_are_as_counted_by_hand(name: str, step: Step) -> None:
    assert run_tiny(SPARSE if name == "sparse" else DENSE, step).counts == EXPECTED[name, step]


@pytest.mark.parametrize(("name", "step"), EXPECTED)
def test_the_energy_of_a_tiny_layer_is_its_counts_times_the_prices(name: str, step: Step) -> None:
    machine = SPARSE if name == "sparse" else DENSE
    prices = find_prices(machine)
    assert prices is not None
    result = run_tiny(machine, step).result
    price = {one.action: one.pj_per_action for one in prices.actions}
    counts = dataclasses.asdict(EXPECTED[name, step])
    for component in dict.fromkeys(COMPONENT_OF_ACTION.values()):
        actions = [action for action, part in COMPONENT_OF_ACTION.items() if part == component and counts[action]]
        expected = sum(counts[action] * price[action] for action in actions)
        assert getattr(result, f"{component}_pj") == pytest.approx(expected, rel=ROUNDING)
    leakage = prices.total_leakage_mw() * result.cycles * 1000 / machine.clock_mhz
    assert result.leakage_pj == pytest.approx(leakage, rel=ROUNDING)


@pytest.mark.parametrize("step", [Step.GTA, Step.GTW])
def test_a_task_whose_results_must_be_zero_writes_them_without_an_action(step: Step) -> None:
    # Three tasks of three inputs in gta (the mask leaves one in the first), three for each filter in gtw (one is idle).
    mask, gradient = np.zeros((1, 9), np.bool_), np.array([[2, 0, 5]], np.float32)
    mask[0, 1] = True
    operands = Operands(
        "fc", LinearShape(1, 9, 3), np.ones((1, 9), np.float32), np.ones((3, 9), np.float32), None, gradient, mask,
        tuple(Step), finish=GradientFinish(tau=1.0, key=PruningKey(1, "relu", 0)),
    )  # fmt: skip
    (run,) = run_layer_step(operands, step, (SPARSE,), StepOptions(verifies=True, keeps_output=True))
    assert (run.result.verdict, run.message) == ("exact", "")
    assert run.result.tasks == {Step.GTA: 3, Step.GTW: 3 * 3}[step]
    assert run.counts is not None
    assert run.output is not None
    if step is Step.GTA:
        assert np.array_equal(run.output, 7.0 * mask)
        assert (run.counts.ppu_elements, run.counts.pruned_elements) == (3, 3)
        assert run.result.buffer_write_bytes == 3 * 2
    else:
        assert np.array_equal(run.output, np.repeat(gradient.T, 9, axis=1))
        assert (run.counts.ppu_elements, run.counts.pruned_elements) == (2 * 9, 0)
        assert run.result.buffer_write_bytes == 2 * 9 * 4
        assert run.result.dram_write_bytes == 3 * 9 * 4


def test_the_time_of_a_tiny_layer_is_as_counted_by_hand() -> None:
    latency, load, fetch, header, elements, write = 100, 1, 1, 1, 2, 1
    # The second task has two nonzeros to issue and ends the tile; then its two rows are written back.
    expected = latency + load + fetch + (header + 2) + elements + write + latency + 1
    assert run_tiny(SPARSE, Step.FORWARD).result.cycles == expected


@pytest.mark.parametrize("access", ["buffer_reads", "buffer_writes"])
def test_doubling_the_buffer_moves_the_energy_per_access_as_the_grid_says(access: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    technology = load_technology("14nm")
    figures, lines = [], []
    for capacity in (395264, 2 * 395264):
        result = simulate(tmp_path / "small.yaml", "sparsetrain", overrides=(f"buffer.capacity_bytes={capacity}",),
                          baseline=None, verify=False)  # fmt: skip
        bank = technology.sram_figures(capacity / 32, 8 * 16, "hp")
        figures.append(bank.read_pj if access == "buffer_reads" else bank.write_pj)
        energy = result.record["machines"][result.machines[0].name]["energy"]
        lines.append(next(line for line in energy if line["action"] == access))
    assert lines[0]["count"] == lines[1]["count"] > 0
    assert figures[1] > figures[0]
    assert [line["pj"] for line in lines] == [line["count"] * pj for line, pj in zip(lines, figures, strict=True)]


def test_half_the_buffer_of_16_kib_banks_costs_what_the_grid_holds_for_them() -> None:
    machine = load_architecture("sparsetrain", ("technology=45nm", f"buffer.capacity_bytes={32 * 16 * 1024}"))
    prices = find_prices(machine)
    assert prices is not None
    price = {one.action: one.pj_per_action for one in prices.actions}
    # CACTI, 45 nm hp, 16 KiB at 128 bits.
    assert (price["buffer_reads"], price["buffer_writes"]) == (9.10741, 18.9755)


def test_a_machine_that_skips_empty_rows_pays_its_sequencers_for_each_row_operation_examined(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    changes = ("array.skip_empty_rows=true",)
    simulate(tmp_path / "small.yaml", "sparsetrain", overrides=changes, verify=False, out=tmp_path / "run")
    record, rows = json.loads((tmp_path / "run" / "run.json").read_text()), pd.read_csv(tmp_path / "run" / "steps.csv")
    sparse, dense = record["machines"].values()
    (line,) = (line for line in sparse["energy"] if line["action"] == "rows_examined")
    actions = pd.read_csv(tmp_path / "run" / "actions.csv")
    assert line["count"] == actions["rows_examined"].sum() > 0
    assert rows["sequencer_pj"].sum() == pytest.approx(line["count"] * line["pj_per_action"], rel=ROUNDING)
    units = [{unit["component"]: unit["units"] for unit in machine["units"]} for machine in (sparse, dense)]
    assert units[0]["sequencer"] == record["architecture"]["array"]["groups"]
    assert "sequencer" not in units[1]
