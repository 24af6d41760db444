"""Small memories: banks with a port for reads and one for writes, below the grid of SRAM figures and in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from unit.sim.technology_tables import SRAM_FACTOR, preset_data, write_table

from sim.technology import Technology, load_technology
from sim.technology_listing import format_technology
from sim.technology_small_memory import shrink_array
from sim.technology_sram import SramFigures
from workloads.errors import InputError

# CACTI, 22 nm hp, 1 and 2 KiB at 32 bits: a read, a write (pJ), leakage (mW), area (mm2).
READ_1K, WRITE_1K, LEAKAGE_1K, AREA_1K = 0.287058, 0.434142, 0.0913329, 0.000820885
READ_2K, WRITE_2K = 0.499244, 0.53741
PERIPHERY, PORTS, SRAM_AREA = 0.3, 1.17, 0.17 / 0.21


@pytest.mark.parametrize("words", [17, 32, 128])
def test_a_bank_below_the_grid_is_the_line_through_its_two_smallest_arrays(at_14nm: Technology, words: int) -> None:
    share = words * 4 / 1024
    figures = at_14nm.small_memory_figures(words, 32, "hp")
    read_pj = READ_1K - (READ_2K - READ_1K) * (1 - share)
    write_pj = WRITE_1K - (WRITE_2K - WRITE_1K) * (1 - share)
    held = PERIPHERY + (1 - PERIPHERY) * share
    found = (figures.read_pj, figures.write_pj, figures.leakage_mw, figures.area_mm2)
    expected = (
        read_pj * SRAM_FACTOR, write_pj * SRAM_FACTOR, PORTS * LEAKAGE_1K * held, PORTS * AREA_1K * SRAM_AREA * held
    )  # fmt: skip
    # The factors are applied in another order.
    assert found == pytest.approx(expected, rel=1e-12)
    assert figures.capacity_bytes == words * 4


def test_a_bank_of_the_grid_is_its_array_with_a_second_port(at_14nm: Technology) -> None:
    single, dual = at_14nm.sram_figures(2048, 32, "hp"), at_14nm.small_memory_figures(512, 32, "hp")
    assert (dual.read_pj, dual.write_pj) == (single.read_pj, single.write_pj)
    assert (dual.area_mm2, dual.leakage_mw) == (single.area_mm2 * PORTS, single.leakage_mw * PORTS)


@pytest.mark.parametrize("name", ["14nm", "45nm"])
@pytest.mark.parametrize("cell", ["hp", "lstp"])
def test_fewer_words_never_cost_more_and_never_nothing(name: str, cell: str) -> None:
    technology = load_technology(name)
    banks = [technology.small_memory_figures(words, 32, cell) for words in (1, 16, 17, 64, 255, 256, 257, 512, 4096)]
    for quantity in ("read_pj", "write_pj", "area_mm2", "leakage_mw"):
        costs = [getattr(bank, quantity) for bank in banks]
        assert costs == sorted(costs)
        assert costs[0] > 0


def make_array(capacity_bytes: float, read_pj: float) -> SramFigures:
    return SramFigures(read_pj, 1.0, 1.0, 1.0, 1.0, 1.0, capacity_bytes, 32, "hp", "a test", ())


def test_a_grid_that_grows_faster_than_its_capacity_gives_no_negative_energy() -> None:
    shrunk = shrink_array(make_array(1024, 1.0), make_array(2048, 5.0), 256, PERIPHERY)
    assert shrunk.read_pj == 256 / 1024


def test_a_grid_of_one_capacity_keeps_the_energy_of_its_array() -> None:
    only = make_array(1024, 1.0)
    assert shrink_array(only, only, 256, PERIPHERY).read_pj == 1.0
    half = shrink_array(replace(only, area_mm2=2.0), only, 512, PERIPHERY)
    assert half.area_mm2 == 2.0 * (PERIPHERY + (1 - PERIPHERY) / 2)


def test_the_rule_stands_beside_two_other_sources_of_energy_within_a_factor_of_two(at_14nm: Technology) -> None:
    ratios = {}
    for name, other in at_14nm.table.small_memories.others.items():
        figures = at_14nm.small_memory_figures(other.words, other.bits, "hp")
        if other.quantity == "access":
            ratios[name] = other.value * at_14nm.factor(other.scale) / ((figures.read_pj + figures.write_pj) / 2)
    assert len({name.split("_")[0] for name in ratios}) == 3
    # A file of registers of 64 bytes is no macro: it is cheaper, as the smallest files are.
    assert all(0.5 < ratio < 2 for name, ratio in ratios.items() if name != "interstellar_64_bytes")


def test_the_listing_shows_what_another_source_says_and_what_the_rule_gives() -> None:
    rows = {row.entry: row for row in format_technology("14nm")}
    row = rows["small_memories.others.eyeriss_512_bytes"]
    assert (row.value, row.unit, row.node) == ("0.1143; rule 0.1221", "pJ", "45nm")
    assert row.scaling == (
        "256 x 16 bits, access; used by no machine; the rule is of hp cells; 0.83 pJ x0.1377, energy of 45HP at 0.9 V "
        "to 14HP at 0.8 V; derived: 1x of 0.78 + 0.05 pJ, the 16-bit multiply and add of Horowitz at 45 nm"
    )
    assert rows["small_memories.second_port"].value == "1.17"


def test_a_table_without_the_rule_is_refused(tmp_path: Path) -> None:
    data = preset_data("45nm")
    del data["small_memories"]
    with pytest.raises(InputError, match="small_memories"):
        load_technology(write_table(tmp_path, data))
