from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from sim.energy import (
    COMPONENT_OF_ACTION,
    COMPONENTS,
    DYNAMIC_COMPONENTS,
    ActionCounts,
    MachinePrices,
    compute_energy,
    list_clock_warnings,
)
from sim.machine_parts import REGISTER_WORDS, MachineParts
from sim.machine_pricing import price_machine
from sim.technology import PRESET_DIRECTORY, Technology, load_technology
from workloads.errors import InputError
from workloads.yaml_file import dump_yaml, load_yaml

KIBIBYTE = 1024
PARTS = MachineParts(
    groups=2,
    pes_per_group=3,
    multipliers_per_pe=4,
    accumulators=8,
    operand_store_bytes=2 * KIBIBYTE,
    buffer_bytes=4 * 16 * KIBIBYTE,
    ports=4,
    bytes_per_port_cycle=16,
    ppu_elements_per_cycle=5,
    data_bits=16,
    acc_bits=32,
    cell="hp",
    dram_kind="lpddr4",
    number_format="fp16",
    skip_zeros=True,
    skip_empty_rows=True,
)
# The counts are distinct, so that no two can be swapped unseen.
COUNTS = ActionCounts(
    multiplies=101,
    accumulates=102,
    accumulator_updates=71,
    operand_store_reads=203,
    operand_store_writes=57,
    taps_examined=301,
    rows_examined=97,
    ppu_elements=41,
    pruned_elements=29,
    buffer_reads=17,
    buffer_writes=13,
    noc_bytes=480,
    dram_read_bits=4096,
    dram_write_bits=1024,
)
CYCLES = 1000
CLOCK_MHZ = 800.0
# CACTI, 45 nm hp: 1 KiB at 16 bits (half an operand store) and 16 KiB at 128 bits (a bank).
STORE_ROW = next(
    line
    for line in (PRESET_DIRECTORY / "cacti_sram.csv").read_text(encoding="utf-8").splitlines()
    if line.startswith("45,hp,1,16,")
).split(",")
STORE_READ_PJ, STORE_WRITE_PJ, STORE_LEAKAGE_MW, STORE_AREA_MM2 = (float(word) for word in STORE_ROW[4:8])
BANK_READ_PJ, BANK_WRITE_PJ, BANK_LEAKAGE_MW, BANK_AREA_MM2 = 9.10741, 18.9755, 9.07943, 0.0507019

REGISTER_PJ, COMPARATOR_PJ, COUNTER_PJ, INT16_ADD_PJ = 0.009, 0.03, 0.25, 0.05
FP16_MULTIPLY_PJ, FP32_ADD_PJ = 1.1, 0.9


@pytest.fixture(scope="module")
def technology() -> Technology:
    return load_technology("45nm")


@pytest.fixture(scope="module")
def prices(technology: Technology) -> MachinePrices:
    return price_machine(PARTS, technology)


EXPECTED_PJ = {
    "multiplier": 101 * FP16_MULTIPLY_PJ,
    "accumulator": 102 * FP32_ADD_PJ + 71 * 2 * 32 * REGISTER_PJ,
    "operand_store": 203 * STORE_READ_PJ + 57 * STORE_WRITE_PJ,
    "index_logic": 301 * (INT16_ADD_PJ + COMPARATOR_PJ + 17 * REGISTER_PJ + 4 / 32 * COUNTER_PJ),
    "sequencer": 97 * (2 * REGISTER_PJ + 2 / 16 * INT16_ADD_PJ + 16 / 32 * COUNTER_PJ),
    "ppu": 41 * (FP16_MULTIPLY_PJ + FP32_ADD_PJ + COMPARATOR_PJ + (2 * 32 + 16) * REGISTER_PJ + 16 / 32 * COUNTER_PJ),
    "pruning": 29 * (COMPARATOR_PJ + 32 * REGISTER_PJ + 3 / 16 * INT16_ADD_PJ),
    "buffer": 17 * BANK_READ_PJ + 13 * BANK_WRITE_PJ,
    "noc": 480 * 7 * 8 * (REGISTER_PJ + INT16_ADD_PJ / 16),
    "dram": (4096 + 1024) * 8,
}


@pytest.mark.parametrize("component", DYNAMIC_COMPONENTS)
def test_each_part_of_a_tiny_layer_is_as_computed_by_hand(prices: MachinePrices, component: str) -> None:
    energy = compute_energy(COUNTS, CYCLES, CLOCK_MHZ, prices)
    # The sums round in another order.
    assert energy.component_pj()[component] == pytest.approx(EXPECTED_PJ[component], rel=1e-12)


@pytest.mark.parametrize("action", COMPONENT_OF_ACTION)
def test_an_action_moves_its_own_component_alone(prices: MachinePrices, action: str) -> None:
    parts = compute_energy(ActionCounts(**{action: 7}), 0, CLOCK_MHZ, prices).component_pj()
    assert [component for component, pj in parts.items() if pj] == [COMPONENT_OF_ACTION[action]]


def test_int16_has_its_own_multiply_and_accumulate(technology: Technology) -> None:
    prices = price_machine(replace(PARTS, number_format="int16"), technology)
    parts = compute_energy(COUNTS, CYCLES, CLOCK_MHZ, prices).component_pj()
    assert parts["multiplier"] == pytest.approx(101 * 0.78, rel=1e-12)
    assert parts["accumulator"] == pytest.approx(102 * 0.1 + 71 * 2 * 32 * REGISTER_PJ, rel=1e-12)


def test_the_total_is_the_sum_of_its_parts(prices: MachinePrices) -> None:
    energy = compute_energy(COUNTS, CYCLES, CLOCK_MHZ, prices)
    parts = energy.component_pj()
    assert tuple(parts) == COMPONENTS
    assert energy.total_pj == math.fsum(parts.values())
    assert energy.dynamic_pj == math.fsum(parts[name] for name in DYNAMIC_COMPONENTS)
    assert energy.leakage_pj == parts["leakage"]
    # Two sums, each rounded once, against one.
    assert energy.total_pj == pytest.approx(energy.dynamic_pj + energy.leakage_pj, rel=1e-15)


def test_every_total_can_be_recomputed_from_the_table(prices: MachinePrices) -> None:
    energy = compute_energy(COUNTS, CYCLES, CLOCK_MHZ, prices)
    table = energy.energy_table()
    for row in table:
        assert row["pj"] == row["count"] * row["pj_per_action"]
        assert row["source"].startswith(("45nm: ", *(f"{unit.units} x " for unit in prices.units)))
    for component, pj in energy.component_pj().items():
        assert pj == math.fsum(row["pj"] for row in table if row["component"] == component)
    counted = {row["action"]: row["count"] for row in table if row["component"] != "leakage"}
    assert counted == {action: getattr(COUNTS, action) for action in COMPONENT_OF_ACTION}


def test_leakage_is_power_times_time(prices: MachinePrices) -> None:
    energy = compute_energy(COUNTS, CYCLES, CLOCK_MHZ, prices)
    time_ns = CYCLES * 1000 / CLOCK_MHZ
    # mW times ns is pJ; the factors round in another order.
    assert energy.leakage_pj == pytest.approx(prices.total_leakage_mw() * time_ns, rel=1e-12)
    twice = compute_energy(COUNTS, 2 * CYCLES, CLOCK_MHZ, prices)
    assert twice.leakage_pj == 2 * energy.leakage_pj
    assert twice.dynamic_pj == energy.dynamic_pj
    assert compute_energy(COUNTS, CYCLES, CLOCK_MHZ / 2, prices).leakage_pj == 2 * energy.leakage_pj


def test_area_and_leakage_are_units_times_their_parts(prices: MachinePrices) -> None:
    adder_um2, register_um2, comparator_um2, counter_um2, int16_adder_um2 = 4361.094, 5.98, 71, 495, 139
    multiplier_um2 = 2241.77825
    ppu_um2 = multiplier_um2 + adder_um2 + comparator_um2 + (2 * 32 + 16) * register_um2 + counter_um2 / 2
    expected_um2 = {
        "multiplier": 2 * 3 * 4 * multiplier_um2,
        "accumulator": 2 * 3 * (4 * adder_um2 + 8 * 32 * register_um2),
        "index_logic": 2 * 3 * 4 * (int16_adder_um2 + comparator_um2 + 17 * register_um2 + counter_um2 / 8),
        "sequencer": 2 * (2 * 16 * register_um2 + 2 * int16_adder_um2 + counter_um2 / 2),
        "ppu": 2 * 5 * ppu_um2,
        "pruning": 2 * 5 * (comparator_um2 + 32 * register_um2 + 3 / 16 * int16_adder_um2),
        "noc": 2 * 2 * 128 * (register_um2 + int16_adder_um2 / 16),
    }
    expected_mm2 = {name: um2 * 1e-6 for name, um2 in expected_um2.items()}
    expected_mm2 |= {"operand_store": 2 * 2 * STORE_AREA_MM2, "buffer": 4 * BANK_AREA_MM2}
    assert prices.area_mm2() == pytest.approx(expected_mm2, rel=1e-12)
    assert prices.total_area_mm2() == math.fsum(prices.area_mm2().values())
    leakage_mw = prices.leakage_mw()
    assert leakage_mw["buffer"] == 4 * BANK_LEAKAGE_MW
    assert leakage_mw["operand_store"] == 2 * 2 * STORE_LEAKAGE_MW
    assert leakage_mw["multiplier"] == pytest.approx(2 * 3 * 4 * 29.9603e-3, rel=1e-12)
    assert prices.total_leakage_mw() == math.fsum(leakage_mw.values())


def test_the_table_of_units_multiplies_out(prices: MachinePrices) -> None:
    for row in prices.unit_table():
        assert row["area_mm2"] == row["units"] * row["unit_area_mm2"]
        assert row["leakage_mw"] == row["units"] * row["unit_leakage_mw"]
        assert row["area_source"].startswith("45nm: ")
        assert row["leakage_source"].startswith("45nm: ")


def test_the_dense_machine_has_no_index_logic_and_no_pruning(technology: Technology) -> None:
    sparse = price_machine(PARTS, technology)
    dense = price_machine(replace(PARTS, skip_zeros=False), technology)
    assert set(sparse.area_mm2()) - set(dense.area_mm2()) == {"index_logic", "sequencer", "pruning"}
    assert set(sparse.leakage_mw()) - set(dense.leakage_mw()) == {"index_logic", "sequencer", "pruning"}
    counts = replace(COUNTS, taps_examined=0, rows_examined=0, pruned_elements=0)
    parts = compute_energy(counts, CYCLES, CLOCK_MHZ, dense).component_pj()
    assert (parts["index_logic"], parts["pruning"]) == (0.0, 0.0)
    assert parts["multiplier"] == compute_energy(counts, CYCLES, CLOCK_MHZ, sparse).component_pj()["multiplier"]


@pytest.mark.parametrize("action", ["taps_examined", "pruned_elements"])
def test_the_dense_machine_refuses_counts_of_units_it_lacks(technology: Technology, action: str) -> None:
    dense = price_machine(replace(PARTS, skip_zeros=False), technology)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole message is asserted
        compute_energy(ActionCounts(**{action: 3}), CYCLES, CLOCK_MHZ, dense)
    assert str(caught.value) == f"{action} is 3, but a machine with skip_zeros off has no such unit"


def test_a_machine_that_executes_empty_rows_has_no_sequencer(technology: Technology) -> None:
    prices = price_machine(replace(PARTS, skip_empty_rows=False), technology)
    assert set(price_machine(PARTS, technology).area_mm2()) - set(prices.area_mm2()) == {"sequencer"}
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole message is asserted
        compute_energy(ActionCounts(rows_examined=3), CYCLES, CLOCK_MHZ, prices)
    assert str(caught.value) == "rows_examined is 3, but a machine with skip_empty_rows off has no such unit"


def test_doubling_the_buffer_moves_its_energy_as_the_grid_says(technology: Technology) -> None:
    counts = ActionCounts(buffer_reads=17, buffer_writes=13)
    doubled = price_machine(replace(PARTS, buffer_bytes=2 * PARTS.buffer_bytes), technology)
    # CACTI, 45 nm hp, 32 KiB at 128 bits.
    assert compute_energy(counts, 0, CLOCK_MHZ, doubled).total_pj == math.fsum((17 * 17.1757, 13 * 22.2644))
    assert doubled.area_mm2()["buffer"] == 4 * 0.097594
    more_banks = price_machine(replace(PARTS, buffer_bytes=2 * PARTS.buffer_bytes, ports=8), technology)
    assert compute_energy(counts, 0, CLOCK_MHZ, more_banks).total_pj == math.fsum(
        (17 * BANK_READ_PJ, 13 * BANK_WRITE_PJ)
    )


def test_at_14nm_each_part_is_scaled_by_its_rule(prices: MachinePrices) -> None:
    at_14nm = load_technology("14nm")
    scaled = compute_energy(COUNTS, CYCLES, CLOCK_MHZ, price_machine(PARTS, at_14nm)).component_pj()
    published = compute_energy(COUNTS, CYCLES, CLOCK_MHZ, prices).component_pj()
    for component in ("multiplier", "accumulator", "index_logic", "sequencer", "ppu", "pruning", "noc"):
        expected_pj = published[component] * at_14nm.factor("logic_energy")
        # The factor is applied to each part there, to the sum here.
        assert scaled[component] == pytest.approx(expected_pj, rel=1e-12)
    assert scaled["dram"] == published["dram"]
    # CACTI, 22 nm hp, 16 KiB at 128 bits.
    bank_pj = math.fsum((17 * 3.5505, 13 * 3.91419)) * at_14nm.factor("sram_energy")
    assert scaled["buffer"] == pytest.approx(bank_pj, rel=1e-12)


def test_counts_add_up(prices: MachinePrices) -> None:
    doubled = COUNTS + COUNTS
    assert doubled.dram_read_bits == 2 * COUNTS.dram_read_bits
    once, twice = (compute_energy(counts, 0, CLOCK_MHZ, prices).total_pj for counts in (COUNTS, doubled))
    assert twice == 2 * once


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole message is asserted
        ActionCounts(noc_bytes=-1)
    assert str(caught.value) == "noc_bytes must not be negative, got -1"


def test_a_machine_without_ports_is_refused() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole message is asserted
        replace(PARTS, ports=0)
    assert str(caught.value) == "ports must be at least 1, got 0"


def test_a_clock_of_zero_is_refused(prices: MachinePrices) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the whole message is asserted
        compute_energy(COUNTS, CYCLES, 0.0, prices)
    assert str(caught.value) == ("cycles must not be negative and the clock must be positive, got 1000 and 0.0 MHz")


def test_a_missing_entry_stops_the_pricing_and_names_table_and_entry(tmp_path: Path) -> None:
    data = load_yaml(PRESET_DIRECTORY / "45nm.yaml").data
    del data["parts"]["comparator_32bit"]["energy"]
    path = tmp_path / "own.yaml"
    path.write_text(dump_yaml(data), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        price_machine(PARTS, load_technology(path))
    assert str(caught.value) == (
        f"{path}: the technology table '45nm' has no entry 'parts.comparator_32bit.energy', "
        "needed by components.index_logic"
    )


@pytest.mark.parametrize("banks", [1, 2])
def test_more_accumulators_than_registers_are_a_bank_of_memory_for_each_multiplier(
    technology: Technology, banks: int
) -> None:
    words = banks * 256
    prices = price_machine(replace(PARTS, accumulators=words, multipliers_per_pe=banks), technology)
    # CACTI, 45 nm hp, 1 KiB at 32 bits: 256 words of acc_bits; a second port multiplies area and leakage.
    read_pj, write_pj, leakage_mw, area_mm2, ports = 1.16841, 1.75072, 0.574278, 0.00343151, 1.17
    price = {one.action: one.pj_per_action for one in prices.actions}
    assert price["accumulates"] == FP32_ADD_PJ
    assert price["accumulator_updates"] == read_pj + write_pj
    adder_mm2, adder_mw = 4361.094e-6, 53.11069e-3
    (unit,) = (unit for unit in prices.units if unit.component == "accumulator")
    assert unit.units == 2 * 3
    assert unit.unit_area_mm2 == pytest.approx(banks * (adder_mm2 + ports * area_mm2), rel=1e-12)
    assert unit.unit_leakage_mw == pytest.approx(banks * (adder_mw + ports * leakage_mw), rel=1e-12)


def test_accumulators_are_registers_up_to_16_words(technology: Technology) -> None:
    registers = price_machine(replace(PARTS, accumulators=REGISTER_WORDS), technology)
    memory = price_machine(replace(PARTS, accumulators=REGISTER_WORDS + 1), technology)
    assert registers.accumulator_bank is None
    assert memory.accumulator_bank is not None
    price = {one.action: one.pj_per_action for one in registers.actions}
    assert price["accumulator_updates"] == 2 * 32 * REGISTER_PJ


def test_a_fast_clock_warns_of_each_slow_memory(technology: Technology) -> None:
    slow = price_machine(replace(PARTS, cell="lstp"), technology)
    # CACTI, 45 nm lstp: the bank cycles in 1.12712 ns, half a store in 0.627464 ns.
    assert list_clock_warnings(slow, 800) == ()
    assert list_clock_warnings(slow, 1000) == (
        "a clock of 1000 MHz gives 1 ns a cycle, but a bank of the buffer (16 KiB, 128 bits, lstp cells) cycles in "
        "1.127 ns, which allows 887.2 MHz; the cycles count as if it kept up",
    )
    assert len(list_clock_warnings(slow, 2000)) == 2
