"""A technology table as rows to read: every entry at the table's node, with unit, node, source and scaling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sim.technology import Technology, load_technology
from sim.technology_form import (
    SRAM_SCALES,
    AreaFigure,
    Component,
    DramFigure,
    EnergyFigure,
    LeakageFigure,
    Term,
)
from sim.technology_scaling import UNSCALED, Range

SQUARE_UM_PER_SQUARE_MM = 1e6


@dataclass(frozen=True, slots=True)
class TechnologyRow:
    """One entry of a table.

    value: the figure at the table's node to four digits, or the sum of parts that a component is composed of.
    node: the node at which `source` gives the figure.
    scaling: the published figure and the rule that brings it to the table's node, or `unscaled`; then how it was
        derived, and `assumed` where it is this project's choice.
    """

    entry: str
    value: str
    unit: str
    node: str
    source: str
    scaling: str


def format_technology(name_or_path: str | Path, base_directory: Path | None = None) -> list[TechnologyRow]:
    """Return the rows of a technology table, in the order of its file.

    Raises:
        InputError: there is no such table, or it is not valid.
    """
    return list(list_rows(load_technology(name_or_path, base_directory)))


def list_rows(technology: Technology) -> Iterator[TechnologyRow]:
    """Yield a row for each figure, number format, component, cell type and rule."""
    table = technology.table
    for name, part in table.parts.items():
        for quantity, figure in (("energy", part.energy), ("area", part.area), ("leakage", part.leakage)):
            if figure is not None:
                yield _figure_row(technology, f"parts.{name}.{quantity}", figure)
    for name, number_format in table.number_formats.items():
        value = f"multiply {number_format.multiplier}, accumulate {number_format.adder}"
        yield TechnologyRow(f"number_formats.{name}", value, "parts", table.name, "the parts above", "their own")
    for name, component in table.components.items():
        yield _component_row(technology, f"components.{name}.energy", component, component.per_action, component.action)
        yield _component_row(technology, f"components.{name}.area", component, component.per_unit, component.unit)
    for name, cell in table.sram.cells.items():
        scaling = ", ".join(f"{scale} {technology.describe_scale(getattr(cell, scale))}" for scale in SRAM_SCALES)
        value = f"grid {table.sram.grid}"
        yield TechnologyRow(f"sram.cells.{name}", value, "pJ, mW, mm2, ns", f"{cell.node_nm}nm", cell.source, scaling)
    yield from _list_small_memories(technology)
    for name, dram in table.dram.items():
        yield _figure_row(technology, f"dram.{name}", dram)
    for name in table.rules:
        source = table.coefficients.source if table.coefficients else UNSCALED
        words = technology.describe_scale(name)
        words += tell_range(table.rules[name].range)
        yield TechnologyRow(f"rules.{name}", f"{technology.factor(name):.4g}", "factor", table.name, source, words)


def _list_small_memories(technology: Technology) -> Iterator[TechnologyRow]:
    """Yield the rule for small memories, and beside what other sources say what it gives for the first cell type."""
    table, rule = technology.table, technology.table.small_memories
    for name, factor in (("periphery", rule.periphery), ("second_port", rule.second_port)):
        derived = f"; derived: {factor.derived}" if factor.derived else ""
        yield TechnologyRow(
            f"small_memories.{name}", f"{factor.value:.4g}", "factor", table.name, factor.source, UNSCALED + derived
        )
    words = f"the rule{tell_range(rule.range)}"
    yield TechnologyRow("small_memories.range", "1", "factor of an access", table.name, "this project's choice", words)
    cell = next(iter(table.sram.cells))
    for name, other in rule.others.items():
        figures = technology.small_memory_figures(other.words, other.bits, cell)
        given = (figures.read_pj + figures.write_pj) / 2
        if other.quantity == "area":
            given = figures.area_mm2 * SQUARE_UM_PER_SQUARE_MM
        value = other.value * technology.factor(other.scale)
        words = f"{other.words} x {other.bits} bits, {other.quantity}; used by no machine; the rule is of {cell} cells"
        scaling = technology.describe_scale(other.scale)
        if other.scale != UNSCALED:
            scaling = f"{other.value:g} {other.unit} {scaling}"
        derived = f"; derived: {other.derived}" if other.derived else ""
        yield TechnologyRow(
            f"small_memories.others.{name}",
            f"{value:.4g}; rule {given:.4g}",
            other.unit,
            other.node,
            other.source,
            f"{words}; {scaling}{derived}",
        )


def _figure_row(
    technology: Technology, entry: str, figure: EnergyFigure | AreaFigure | LeakageFigure | DramFigure
) -> TechnologyRow:
    scaling = technology.describe_scale(figure.scale)
    if figure.scale != UNSCALED:
        scaling = f"{figure.value:g} {figure.unit} {scaling}"
    if figure.derived:
        scaling += f"; derived: {figure.derived}"
    if figure.assumed:
        scaling += "; assumed"
    scaling += tell_range(figure.range)
    value = f"{technology.figure_cost(figure, entry).value:.4g}"
    return TechnologyRow(entry, value, figure.unit, figure.node, figure.source, scaling)


def _component_row(
    technology: Technology, entry: str, component: Component, terms: list[Term], of: str
) -> TechnologyRow:
    value = " + ".join(_term_words(term) for term in terms)
    assumed = "assumed, " if component.assumed else ""
    source = f"composed of the parts above: {component.derived}"
    return TechnologyRow(
        entry, value, of, technology.name, source, f"{assumed}as its parts{tell_range(component.range)}"
    )


def tell_range(found: Range | None) -> str:
    """Say between which factors a figure may lie, and why."""
    return "" if found is None else f"; may be x{found.low:g} to x{found.high:g}: {found.why}"


def _term_words(term: Term) -> str:
    count = " x ".join(factor if isinstance(factor, str) else f"{factor:g}" for factor in term.times)
    return f"{count} x {term.part}" + (f" ({term.why})" if term.why else "")
