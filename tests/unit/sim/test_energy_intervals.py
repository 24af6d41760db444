"""Ranges of assumed figures: what they move in prices, in energies and in ratios, and which tables are refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from unit.sim.technology_tables import preset_data, write_table

from sim.architecture import load_architecture
from sim.energy import ActionCounts
from sim.machine_assumptions import describe_assumptions, find_assumptions
from sim.machine_energy import find_prices
from sim.results.energy_intervals import add_swings, bound_ratio, make_energy_intervals
from sim.technology import Technology, load_technology
from sim.technology_listing import format_technology
from workloads.errors import InputError

NOC = ("14nm", "components.noc")
DRAM = ("14nm", "dram.lpddr4")


def test_every_assumed_entry_has_a_range_and_a_reason(at_14nm: Technology) -> None:
    table = at_14nm.table
    assumed = {f"components.{name}" for name, one in table.components.items() if one.assumed}
    assumed |= {f"rules.{name}" for name, one in table.rules.items() if one.assumed}
    found = {one.entry: one for one in at_14nm.list_assumptions()}
    assert assumed <= set(found)
    assert {"small_memories", "dram.lpddr4"} <= set(found)
    for one in found.values():
        assert one.low <= 1 <= one.high
        assert one.low < one.high
        assert one.why


@pytest.mark.parametrize(
    ("entry", "component", "quantity", "is_moved"),
    [
        ("components.noc", "noc", "energy", True),
        ("components.noc", "noc", "leakage", True),
        ("components.noc", "noc", "area", False),
        ("components.noc", "ppu", "energy", False),
        ("rules.logic_leakage", "ppu", "leakage", True),
        ("rules.logic_leakage", "ppu", "energy", False),
    ],
)
def test_an_entry_moves_what_it_stands_for(
    at_14nm: Technology, entry: str, component: str, quantity: Any, is_moved: bool
) -> None:
    sizes = {"acc_bits": 32, "data_bits": 16, "port_bits": 128}
    nominal = at_14nm.component_cost(component, quantity, "fp16", sizes).value
    varied = at_14nm.vary(entry, 3).component_cost(component, quantity, "fp16", sizes).value
    # The factor is applied to each part, or to their sum.
    assert varied == pytest.approx(nominal * (3 if is_moved else 1), rel=1e-12)


def test_memories_and_dram_move_by_their_own_entries(at_14nm: Technology) -> None:
    bank, varied = (one.small_memory_figures(64, 32, "hp") for one in (at_14nm, at_14nm.vary("small_memories", 2)))
    assert (varied.read_pj, varied.write_pj) == (2 * bank.read_pj, 2 * bank.write_pj)
    assert (varied.area_mm2, varied.leakage_mw) == (bank.area_mm2, bank.leakage_mw)
    assert at_14nm.vary("dram.lpddr4", 0.5).dram_cost("lpddr4").value == 0.5 * 8
    assert at_14nm.vary("dram.hbm2", 0.5).dram_cost("lpddr4").value == 8


def test_only_assumptions_of_what_a_machine_has_are_found() -> None:
    sparse = [one.assumption.entry for one in find_assumptions(load_architecture("sparsetrain"))]
    assert "small_memories" in sparse
    assert "rules.sram_energy_lstp" not in sparse
    registers = load_architecture("sparsetrain", ("array.accumulators=16", "dram.kind=hbm2", "buffer.cell=lstp"))
    found = [one.assumption.entry for one in find_assumptions(registers)]
    assert "rules.sram_energy_lstp" in found
    assert not {"small_memories", "dram.lpddr4"} & set(found)
    dense = [one.assumption.entry for one in find_assumptions(load_architecture("dense"))]
    assert not {"components.index_logic", "components.pruning", "components.sequencer"} & set(dense)
    assert find_assumptions(load_architecture("ideal")) == ()


def test_a_swing_is_the_counts_times_what_prices_change_by() -> None:
    machine = load_architecture("sparsetrain")
    prices = find_prices(machine)
    assert prices is not None
    actions, cycles = ActionCounts(dram_read_bits=1000, dram_write_bits=24, noc_bytes=7), 11
    scopes = {"network": (actions, cycles), "convolutions": (ActionCounts(), 0)}
    found = {one["entry"]: one for one in describe_assumptions(machine, prices, scopes)}
    assert found["dram.lpddr4"]["swings"] == {
        "network": [(1000 + 24) * (4.0 - 8), (1000 + 24) * (14.0 - 8)],
        "convolutions": [0, 0],
    }
    moved = {one["action"]: (one["low_pj"], one["high_pj"]) for one in found["components.noc"]["prices"]}
    pj = {one.action: one.pj_per_action for one in prices.actions}["noc_bytes"]
    leakage_pj = prices.leakage_mw()["noc"] * 1000 / machine.clock_mhz
    assert moved["noc_bytes"] == pytest.approx((0.25 * pj, 2 * pj), rel=1e-12)
    assert moved["noc_cycles"] == pytest.approx((0.25 * leakage_pj, 2 * leakage_pj), rel=1e-12)
    low, high = found["components.noc"]["swings"]["network"]
    # The factors are applied before the differences there.
    assert low == pytest.approx(-0.75 * (7 * pj + 11 * leakage_pj), rel=1e-9)
    assert high == pytest.approx(7 * pj + 11 * leakage_pj, rel=1e-9)


def test_swings_add_up_as_roots_of_squares_below_and_above() -> None:
    assert add_swings(100, [(-3, 6), (-4, 8), (0, 0)]) == [100 - 5, 100 + 10]
    # An end of a ratio's range may lie on either side.
    assert add_swings(100, [(3, -6)]) == [100 - 6, 100 + 3]
    assert add_swings(1, [(-5, 0)]) == [0, 1]
    assert add_swings(7, []) == [7, 7]


def test_a_ratio_moves_with_the_same_assumption_in_both_machines() -> None:
    # All energy of both machines is of one assumed figure: its ratio is sure.
    assert bound_ratio(30, {DRAM: (-15, 15)}, 10, {DRAM: (-5, 5)}) == [3, 3]
    assert bound_ratio(30, {DRAM: (-15, 15)}, 10, {}) == [1.5, 4.5]
    low, high = bound_ratio(30, {DRAM: (-6, 6), NOC: (-3, 3)}, 10, {DRAM: (-5, 5)}) or (0, 0)
    ends = [(30 - 6) / (10 - 5) - 3, (30 + 6) / (10 + 5) - 3]
    assert low == pytest.approx(3 - math.hypot(min(ends), 0.3))
    assert high == pytest.approx(3 + math.hypot(max(ends), 0.3))
    assert bound_ratio(None, {}, 10, {}) is bound_ratio(30, {}, 0, {}) is None


def test_machines_without_prices_have_no_interval() -> None:
    totals = {"machines": {"a": {scope: {"energy_pj": None} for scope in ("convolutions", "network")}}}
    assert make_energy_intervals(totals, {"a": None}) == {
        "machines": {"a": {"convolutions": None, "network": None}}, "ratios": {}
    }  # fmt: skip


def test_an_assumed_entry_without_a_range_is_refused(tmp_path: Path) -> None:
    data = preset_data("45nm")
    del data["components"]["noc"]["range"]
    with pytest.raises(InputError) as caught:
        load_technology(write_table(tmp_path, data))
    assert "components.noc" in str(caught.value)
    assert "is assumed, and so needs a range: {low: factor up to 1, high: factor from 1, why: words}" in str(
        caught.value
    )


@pytest.mark.parametrize(("low", "high"), [(1.5, 2), (0.5, 0.9), (0, 2), (-1, 2)])
def test_a_range_holds_the_figure_itself(tmp_path: Path, low: float, high: float) -> None:
    data = preset_data("45nm")
    data["dram"]["lpddr4"]["range"] = {"low": low, "high": high, "why": "a test"}
    with pytest.raises(InputError, match=r"dram\.lpddr4\.range\.(low|high)"):
        load_technology(write_table(tmp_path, data))


def test_the_listing_tells_ranges_and_why() -> None:
    rows = {row.entry: row for row in format_technology("14nm")}
    assert rows["dram.lpddr4"].scaling.startswith("unscaled; may be x0.5 to x1.75: 13 to 14 pJ/bit in H. Ha")
    words = "assumed, as its parts; may be x0.5 to x2: no source; a composition may miss parts or hold too many"
    assert rows["components.ppu.energy"].scaling == words
    assert "; may be x0.33 to x2: CACTI's 1 KiB leaks" in rows["rules.logic_leakage"].scaling
