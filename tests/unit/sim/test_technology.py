"""Technology tables: their figures, rules of scaling and compositions, and tables that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from unit.sim.technology_tables import KIBIBYTE, SRAM_FACTOR, energy_14hp_at_0_8_volts, preset_data, write_table

from sim.technology import PRESET_DIRECTORY, Technology, list_technologies, load_technology
from sim.technology_form import list_scales
from sim.technology_listing import format_technology
from sim.technology_scaling import UNSCALED, EnergyRule, delay_factor, energy_factor
from workloads.errors import InputError

SIZES = {"acc_bits": 32, "data_bits": 16, "accumulators": 4, "multipliers_per_pe": 2, "port_bits": 128}


def energy_45hp_at_0_9_volts() -> float:
    return 1.018 * 0.9**2 - 0.3107 * 0.9 + 0.1539


LOGIC_FACTOR = energy_14hp_at_0_8_volts() / energy_45hp_at_0_9_volts()


def test_the_two_tables_are_listed() -> None:
    assert list_technologies() == ("14nm", "45nm")


@pytest.mark.parametrize(("to_row", "factor"), [("14HP", 0.138), ("16HP", 0.172)])
def test_energy_scales_by_the_worked_factors(at_14nm: Technology, to_row: str, factor: float) -> None:
    assert at_14nm.table.coefficients is not None
    rule = EnergyRule(kind="energy", from_row="45HP", from_volts=0.9, to_row=to_row, to_volts=0.8)
    # The published check gives three digits.
    assert round(energy_factor(at_14nm.table.coefficients, rule), 3) == factor


def test_delay_scales_by_the_worked_factor(at_14nm: Technology) -> None:
    assert at_14nm.table.coefficients is not None
    rule = EnergyRule(kind="energy", from_row="45HP", from_volts=0.9, to_row="14HP", to_volts=0.8)
    assert round(delay_factor(at_14nm.table.coefficients, rule), 3) == 0.358


def test_the_rules_of_14nm_are_the_published_polynomials(at_14nm: Technology) -> None:
    # Horner's rule and powers round differently in the last digits.
    assert at_14nm.factor("logic_energy") == pytest.approx(LOGIC_FACTOR, rel=1e-12)
    assert at_14nm.factor("sram_energy") == pytest.approx(SRAM_FACTOR, rel=1e-12)
    assert round(SRAM_FACTOR, 2) == 0.63
    assert at_14nm.factor("logic_area") == 0.17
    assert at_14nm.factor("sram_area") == 0.17 / 0.21
    assert at_14nm.factor(UNSCALED) == 1.0


def test_a_part_of_14nm_is_the_45nm_figure_times_the_rule(at_14nm: Technology) -> None:
    assert at_14nm.part_cost("fp16_multiplier", "energy", "a test").value == 1.1 * at_14nm.factor("logic_energy")
    assert at_14nm.part_cost("register_bit", "area", "a test").value == 5.98 * 0.17
    assert at_14nm.part_cost("register_bit", "leakage", "a test").value == 0.07395312 * 0.17


def test_45nm_holds_the_published_figures_unscaled(at_45nm: Technology) -> None:
    published = {
        "int16_adder": 0.05,
        "int32_adder": 0.1,
        "fp16_adder": 0.4,
        "fp32_adder": 0.9,
        "int16_multiplier": 0.78,
        "int32_multiplier": 3.1,
        "fp16_multiplier": 1.1,
        "fp32_multiplier": 3.7,
        "register_bit": 0.009,
        "comparator_32bit": 0.03,
        "counter_32bit": 0.25,
    }
    assert set(at_45nm.table.parts) == set(published)
    for part, energy_pj in published.items():
        assert at_45nm.part_cost(part, "energy", "a test").value == energy_pj


def test_both_tables_start_from_the_same_figures() -> None:
    tables = [preset_data("14nm"), preset_data("45nm")]
    for table in tables:
        for part in table["parts"].values():
            for figure in part.values():
                del figure["scale"]
    assert tables[0]["parts"] == tables[1]["parts"]
    for section in ("number_formats", "components", "dram"):
        assert tables[0][section] == tables[1][section]


def test_16_bit_figures_follow_the_rule_of_width(at_45nm: Technology) -> None:
    for quantity in ("area", "leakage"):
        for wide, half, power in (
            ("int32_adder", "int16_adder", 1),
            ("fp32_adder", "fp16_adder", 1),
            ("int32_multiplier", "int16_multiplier", 2),
            ("fp32_multiplier", "fp16_multiplier", 2),
        ):
            expected = getattr(at_45nm.table.parts[wide], quantity).value * (16 / 32) ** power
            figure = getattr(at_45nm.table.parts[half], quantity)
            # Seven digits are written in the tables.
            assert figure.value == pytest.approx(expected, rel=1e-6)
            assert figure.derived is not None


@pytest.mark.parametrize("name", list_technologies())
def test_every_entry_has_source_node_and_scaling(name: str) -> None:
    data = preset_data(name)
    figures = [figure for part in data["parts"].values() for figure in part.values()] + [*data["dram"].values()]
    assert len(figures) == 11 * 3 + len(data["dram"])
    for figure in figures:
        assert figure["source"]
        assert figure["node"]
        assert figure["unit"]
        assert figure["scale"] == UNSCALED or figure["scale"] in data["rules"]
    for cell in data["sram"]["cells"].values():
        assert cell["source"]
        assert cell["node_nm"]
        for quantity in ("energy", "area", "leakage", "timing"):
            assert cell[quantity] == UNSCALED or cell[quantity] in data["rules"]
    for component in data["components"].values():
        assert component["derived"]
        assert component["per_action"]
        assert component["per_unit"]
    for row in format_technology(name):
        assert all((row.entry, row.value, row.unit, row.node, row.source, row.scaling))


def test_every_rule_of_14nm_names_its_rows_and_voltages_or_nodes(at_14nm: Technology) -> None:
    words = {name: at_14nm.describe_scale(name) for name in at_14nm.table.rules}
    assert words["logic_energy"] == "x0.1377, energy of 45HP at 0.9 V to 14HP at 0.8 V"
    assert words["sram_area"] == "x0.8095, area of 20nm to 14nm (22 nm is taken as 20 nm)"
    assert "assumed" in words["logic_leakage"]
    assert set(list_scales(at_14nm.table)) == {UNSCALED, *at_14nm.table.rules}


def test_a_listing_shows_the_figure_at_the_node_and_where_it_comes_from() -> None:
    rows = {row.entry: row for row in format_technology("14nm")}
    row = rows["parts.fp16_multiplier.energy"]
    assert row.value == f"{1.1 * LOGIC_FACTOR:.4g}"
    assert (row.unit, row.node, row.source) == ("pJ", "45nm", "Horowitz, ISSCC 2014, 45 nm at 0.9 V")
    assert row.scaling == "1.1 pJ x0.1377, energy of 45HP at 0.9 V to 14HP at 0.8 V"
    assert rows["components.accumulator_registers.energy"].value == (
        "2 x acc_bits x register_bit (one read and one write)"
    )
    assert rows["dram.lpddr4"].value == "8"
    sections = {entry.split(".")[0] for entry in rows}
    assert sections == {"parts", "number_formats", "components", "sram", "small_memories", "dram", "rules"}


def test_compositions_are_sums_of_parts(at_45nm: Technology) -> None:
    energy_pj = {
        ("multiplier", "fp16"): 1.1,
        ("multiplier", "int16"): 0.78,
        ("accumulator", "fp16"): 0.9,
        ("accumulator", "int16"): 0.1,
        ("accumulator_registers", "int16"): 2 * 32 * 0.009,
        ("sequencer", "int16"): 2 * 0.009 + 0.05 * 2 / 16 + 0.25 * 16 / 32,
        ("index_logic", "fp16"): 0.05 + 0.03 + 17 * 0.009 + 0.25 * 4 / 32,
        ("ppu", "int16"): 0.78 + 0.1 + 0.03 + (2 * 32 + 16) * 0.009 + 0.25 * 16 / 32,
        ("pruning", "fp16"): 0.03 + 32 * 0.009 + 0.05 * 3 / 16,
        ("noc", "fp16"): 7 * 8 * (0.009 + 0.05 / 16),
    }
    for (component, number_format), expected in energy_pj.items():
        cost = at_45nm.component_cost(component, "energy", number_format, SIZES)
        # The sums round in another order.
        assert cost.value == pytest.approx(expected, rel=1e-12)
    area = at_45nm.component_cost("accumulator", "area", "int16", SIZES)
    assert area.value == pytest.approx(2 * 278, rel=1e-12)
    area = at_45nm.component_cost("accumulator_registers", "area", "int16", SIZES)
    assert area.value == pytest.approx(4 * 32 * 5.98, rel=1e-12)
    leakage = at_45nm.component_cost("noc", "leakage", "int16", SIZES)
    assert leakage.value == pytest.approx(2 * 128 * (0.07395312 + 1.2 / 16), rel=1e-12)


def test_a_composition_says_what_it_is_made_of(at_45nm: Technology) -> None:
    cost = at_45nm.component_cost("pruning", "energy", "fp16", SIZES)
    assert cost.source == (
        "45nm: 1 x comparator_32bit 0.03 + 32 x register_bit 0.009 + 0.1875 x int16_adder 0.05; assumed composition: "
        "one compare with the threshold; one random number: 32-bit linear feedback shift register, "
        "its three XOR gates taken as bits of an adder"
    )


def test_dram_energies_are_the_tables(at_14nm: Technology) -> None:
    for kind, pj_per_bit in (("lpddr4", 8), ("ddr3", 70), ("hbm2", 6.25), ("hbm2_streaming_core", 2.2)):
        assert at_14nm.dram_cost(kind).value == pj_per_bit


def test_a_missing_figure_names_table_and_entry(tmp_path: Path) -> None:
    data = preset_data("45nm")
    del data["parts"]["counter_32bit"]["leakage"]
    technology = load_technology(write_table(tmp_path, data))
    with pytest.raises(InputError) as caught:
        technology.component_cost("index_logic", "leakage", "fp16", SIZES)
    assert str(caught.value) == (
        f"{tmp_path / 'own.yaml'}: the technology table '45nm' has no entry 'parts.counter_32bit.leakage', "
        "needed by components.index_logic"
    )


def test_a_missing_component_names_table_and_entry(tmp_path: Path) -> None:
    data = preset_data("45nm")
    del data["components"]["noc"]
    technology = load_technology(write_table(tmp_path, data))
    with pytest.raises(InputError) as caught:
        technology.component_cost("noc", "energy", "fp16", SIZES)
    assert str(caught.value) == (
        f"{tmp_path / 'own.yaml'}: the technology table '45nm' has no entry 'components.noc', "
        "needed by the energy of a machine"
    )


def test_an_unknown_kind_of_dram_cell_or_number_format_names_what_is_there(at_45nm: Technology) -> None:
    start = f"{PRESET_DIRECTORY / '45nm.yaml'}: the technology table '45nm' has no entry"
    with pytest.raises(InputError) as caught:
        at_45nm.dram_cost("ddr9")
    assert str(caught.value) == (
        f"{start} 'dram.ddr9', needed by the architecture; there are {', '.join(at_45nm.table.dram)}"
    )
    with pytest.raises(InputError) as caught:
        at_45nm.sram_figures(KIBIBYTE, 16, "lop")
    assert str(caught.value) == f"{start} 'sram.cells.lop', needed by the architecture; there are hp, lstp"
    with pytest.raises(InputError) as caught:
        at_45nm.component_cost("multiplier", "energy", "bf16", SIZES)
    assert str(caught.value) == (
        f"{start} 'number_formats.bf16', needed by components.multiplier; there are fp16, int16"
    )


def test_an_unknown_technology_names_those_there_are() -> None:
    with pytest.raises(InputError) as caught:
        load_technology("7nm")
    assert str(caught.value) == "there is no technology '7nm'; there are 14nm, 45nm, or give the path of a .yaml file"


def test_a_rule_that_is_not_there_is_refused_when_the_table_is_loaded(tmp_path: Path) -> None:
    data = preset_data("14nm")
    data["parts"]["int16_adder"]["energy"]["scale"] = "logic"
    with pytest.raises(InputError) as caught:
        load_technology(write_table(tmp_path, data))
    rules = (
        "unscaled, logic_energy, logic_area, logic_leakage, sram_energy, sram_area, sram_energy_lstp, "
        "energy_from_28nm, area_from_28nm"
    )
    assert str(caught.value) == (
        f"{tmp_path / 'own.yaml'}: the technology table '14nm' has no entry 'rules.logic', needed by a figure's scale; "
        f"there are {rules}"
    )


def test_a_rule_with_an_unknown_row_is_refused_when_the_table_is_loaded(tmp_path: Path) -> None:
    data = preset_data("14nm")
    data["rules"]["logic_energy"]["to_row"] = "5HP"
    with pytest.raises(InputError) as caught:
        load_technology(write_table(tmp_path, data))
    assert str(caught.value) == (
        f"{tmp_path / 'own.yaml'}: rules.logic_energy: the scaling coefficients have no row '5HP'; "
        "there are 65, 45HP, 45LP, 32HP, 20HP, 16HP, 14HP, 10HP, 7HP"
    )


def test_a_term_with_an_unknown_size_is_refused(tmp_path: Path) -> None:
    data = preset_data("45nm")
    data["components"]["noc"]["per_unit"][0]["times"] = [2, "wire_bits"]
    technology = load_technology(write_table(tmp_path, data))
    with pytest.raises(InputError) as caught:
        technology.component_cost("noc", "area", "fp16", SIZES)
    assert str(caught.value) == (
        f"{tmp_path / 'own.yaml'}: components.noc multiplies 'register_bit' by the unknown size 'wire_bits'; "
        "the sizes are acc_bits, data_bits, accumulators, multipliers_per_pe, port_bits"
    )


def test_a_table_without_a_source_is_refused(tmp_path: Path) -> None:
    data = preset_data("45nm")
    del data["dram"]["lpddr4"]["source"]
    with pytest.raises(InputError, match=r"dram\.lpddr4.*source"):
        load_technology(write_table(tmp_path, data))
