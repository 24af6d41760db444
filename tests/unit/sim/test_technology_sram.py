"""SRAM figures of a technology table: the grid, what lies between its points, and clocks it cannot meet."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from unit.sim.technology_tables import KIBIBYTE, preset_data, write_table

from sim.technology import PRESET_DIRECTORY, Technology, load_technology
from sim.technology_sram import FIGURE_NAMES, load_sram_grid, warn_of_slow_sram
from workloads.errors import InputError


def grid_row(node_nm: int, cell: str, capacity_kib: int, width_bits: int) -> dict[str, float]:
    lines = (PRESET_DIRECTORY / "cacti_sram.csv").read_text(encoding="utf-8").splitlines()
    prefix = f"{node_nm},{cell},{capacity_kib},{width_bits},"
    (line,) = (line for line in lines if line.startswith(prefix))
    return dict(zip(FIGURE_NAMES, (float(word) for word in line.split(",")[4:]), strict=True))


@pytest.mark.parametrize(("capacity_kib", "width_bits"), [(1, 16), (8, 128), (386, 64), (4096, 256)])
@pytest.mark.parametrize("cell", ["hp", "lstp"])
def test_sram_is_exact_on_the_grids_points(
    at_14nm: Technology, at_45nm: Technology, capacity_kib: int, width_bits: int, cell: str
) -> None:
    figures = at_45nm.sram_figures(capacity_kib * KIBIBYTE, width_bits, cell)
    assert {name: getattr(figures, name) for name in FIGURE_NAMES} == grid_row(45, cell, capacity_kib, width_bits)
    row = grid_row(22, cell, capacity_kib, width_bits)
    scaled = at_14nm.sram_figures(capacity_kib * KIBIBYTE, width_bits, cell)
    assert scaled.read_pj == row["read_pj"] * at_14nm.factor("sram_energy")
    assert scaled.write_pj == row["write_pj"] * at_14nm.factor("sram_energy")
    assert scaled.area_mm2 == row["area_mm2"] * (0.17 / 0.21)
    assert (scaled.leakage_mw, scaled.access_ns, scaled.cycle_ns) == (
        row["leakage_mw"],
        row["access_ns"],
        row["cycle_ns"],
    )
    assert scaled.notes == ()


def test_between_points_logarithms_are_bilinear(at_45nm: Technology) -> None:
    figures = at_45nm.sram_figures(12.0625 * KIBIBYTE, 96, "hp")
    across, along = math.log(12.0625 / 8) / math.log(16 / 8), math.log(96 / 64) / math.log(128 / 64)
    for name in FIGURE_NAMES:
        narrow = (1 - across) * math.log(grid_row(45, "hp", 8, 64)[name]) + across * math.log(
            grid_row(45, "hp", 16, 64)[name]
        )
        wide = (1 - across) * math.log(grid_row(45, "hp", 8, 128)[name]) + across * math.log(
            grid_row(45, "hp", 16, 128)[name]
        )
        # Products of powers and sums of logarithms round differently.
        assert getattr(figures, name) == pytest.approx(math.exp((1 - along) * narrow + along * wide), rel=1e-12)


def test_doubling_a_bank_moves_its_energy_as_the_grid_says(at_14nm: Technology) -> None:
    single = at_14nm.sram_figures(16 * KIBIBYTE, 128, "hp")
    double = at_14nm.sram_figures(32 * KIBIBYTE, 128, "hp")
    small, large = grid_row(22, "hp", 16, 128), grid_row(22, "hp", 32, 128)
    # The common factor rounds once on each side.
    assert double.read_pj / single.read_pj == pytest.approx(large["read_pj"] / small["read_pj"], rel=1e-12)
    assert double.write_pj / single.write_pj == pytest.approx(large["write_pj"] / small["write_pj"], rel=1e-12)


def test_below_the_grid_the_smallest_array_stands_and_is_noted(at_45nm: Technology) -> None:
    figures = at_45nm.sram_figures(256, 8, "hp")
    smallest = at_45nm.sram_figures(KIBIBYTE, 16, "hp")
    assert all(getattr(figures, name) == getattr(smallest, name) for name in FIGURE_NAMES)
    assert figures.notes == (
        "256 bytes are below the grid: the figures of 1 KiB stand",
        "8 bits are below the grid: the figures of 16 bits stand",
    )


def test_above_the_grid_is_an_error_that_names_the_range(at_45nm: Technology) -> None:
    start = f"{PRESET_DIRECTORY / 'cacti_sram.csv'}: an SRAM bank of"
    with pytest.raises(InputError) as caught:
        at_45nm.sram_figures(8192 * KIBIBYTE, 128, "hp")
    assert str(caught.value) == (
        f"{start} 8388608 bytes is above the grid, which ends at 4194304; use more or narrower banks"
    )
    with pytest.raises(InputError) as caught:
        at_45nm.sram_figures(16 * KIBIBYTE, 512, "hp")
    assert str(caught.value) == (
        f"{start} 512 bits of width is above the grid, which ends at 256; use more or narrower banks"
    )


def test_a_clock_that_the_memory_cannot_meet_is_a_warning_that_names_both(at_45nm: Technology) -> None:
    figures = at_45nm.sram_figures(386 * KIBIBYTE, 128, "lstp")
    assert warn_of_slow_sram(figures, 800, "the buffer") == (
        "a clock of 800 MHz gives 1.25 ns a cycle, but the buffer (386 KiB, 128 bits, lstp cells) cycles in 3.329 ns, "
        "which allows 300.4 MHz; the cycles count as if it kept up"
    )


def test_a_clock_that_the_memory_just_meets_is_no_warning(at_45nm: Technology) -> None:
    figures = at_45nm.sram_figures(512 * KIBIBYTE, 16, "hp")
    assert warn_of_slow_sram(figures, 1000 / 0.37, "the buffer") is None
    assert figures.cycle_ns == 0.364954
    assert warn_of_slow_sram(figures, 1000 / 0.36, "the buffer") is not None


def test_the_grid_is_whole() -> None:
    grid = load_sram_grid(PRESET_DIRECTORY / "cacti_sram.csv")
    assert set(grid.tables) == {(node, cell) for node in (22, 32, 45, 65) for cell in ("hp", "lstp")}
    assert all(len(table) == 14 * 5 for table in grid.tables.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[:-1], "65 nm lstp lacks 4096 KiB at 256 bits"),
        (lambda lines: [*lines, lines[1]], "line 562: 1 KiB at 16 bits is given twice"),
        (lambda lines: [lines[0].replace("read_pj", "read_nj"), *lines[1:]], "the SRAM grid has no column 'read_pj'"),
        (
            lambda lines: [lines[0], lines[1].replace("0.254045", "-1"), *lines[2:]],
            "line 2: every number must be positive and finite",
        ),
        (
            lambda lines: [lines[0], lines[1].replace("0.254045", "much"), *lines[2:]],
            "line 2: every field but the cell must be a number",
        ),
        (lambda lines: lines[:1], "the SRAM grid is empty"),
    ],
)
def test_a_broken_grid_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    path = tmp_path / "grid.csv"
    lines = (PRESET_DIRECTORY / "cacti_sram.csv").read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(change(lines)) + "\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_sram_grid(path)
    separator = ", " if message.startswith("line") else ": "
    assert str(caught.value) == f"{path}{separator}{message}"


def test_a_grid_beside_a_table_of_ones_own_is_taken(tmp_path: Path) -> None:
    lines = (PRESET_DIRECTORY / "cacti_sram.csv").read_text(encoding="utf-8")
    (tmp_path / "cacti_sram.csv").write_text(lines.replace("45,hp,1,16,", "45,hp,1,16,9"), encoding="utf-8")
    technology = load_technology("own.yaml", write_table(tmp_path, preset_data("45nm")).parent)
    preset = load_technology("45nm")
    own_pj, preset_pj = (table.sram_figures(KIBIBYTE, 16, "hp").read_pj for table in (technology, preset))
    assert own_pj == 90 + preset_pj
