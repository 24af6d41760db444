"""The form of a technology table: figures with their sources, parts, components as sums of them, memories, rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from sim.technology_scaling import Positive, Range, Ranged, ScalingCoefficients, ScalingRule, Text
from sim.technology_small_memory import MemoryFigure, SmallMemories
from workloads.layers import StrictModel

SRAM_SCALES = ("energy", "area", "leakage", "timing")


class Figure(Ranged):
    """One published number at its own node; `scale` names the rule that brings it to the table's node.

    Attributes:
        derived: How the number follows from published ones, where it is not published itself.
    """

    value: Positive
    node: Text
    source: Text
    scale: Text
    derived: Text | None = None


class EnergyFigure(Figure):
    """Energy of one operation."""

    unit: Literal["pJ"]


class AreaFigure(Figure):
    """Area of one part."""

    unit: Literal["um2"]


class LeakageFigure(Figure):
    """Leakage power of one part."""

    unit: Literal["uW"]


class DramFigure(Figure):
    """Energy of one bit read or written."""

    unit: Literal["pJ/bit"]


class Part(StrictModel):
    """A building block of logic."""

    energy: EnergyFigure | None = None
    area: AreaFigure | None = None
    leakage: LeakageFigure | None = None


class NumberFormat(StrictModel):
    """The parts that stand for `multiplier` and `adder` in a number format."""

    multiplier: Text
    adder: Text


class Term(StrictModel):
    """A part, and how many: the product of numbers and of sizes of the machine, such as ``[2, acc_bits]``."""

    part: Text
    times: Annotated[list[float | str], Field(min_length=1)]
    why: Text | None = None


class Component(Ranged):
    """A unit of the machine as sums of parts: what one action costs, and what one unit holds."""

    action: Text
    unit: Text
    derived: Text
    per_action: Annotated[list[Term], Field(min_length=1)]
    per_unit: Annotated[list[Term], Field(min_length=1)]


class SramCell(StrictModel):
    """The grid rows of one cell type and the rules that bring them to the table's node."""

    node_nm: int
    source: Text
    energy: Text
    area: Text
    leakage: Text
    timing: Text


class SramTable(StrictModel):
    """The grid's file, beside the table or among the presets, and its cell types."""

    grid: Text
    cells: dict[str, SramCell]


class TechnologyTable(StrictModel):
    """A technology file."""

    name: Text
    description: Text
    coefficients: ScalingCoefficients | None = None
    rules: dict[str, ScalingRule]
    parts: dict[str, Part]
    number_formats: dict[str, NumberFormat]
    components: dict[str, Component]
    sram: SramTable
    small_memories: SmallMemories
    dram: dict[str, DramFigure]


def list_scales(table: TechnologyTable) -> tuple[str, ...]:
    """Return every rule that the table's figures name, and every rule it holds, each once."""
    figures: list[Figure | MemoryFigure | None] = [*table.dram.values(), *table.small_memories.others.values()]
    for part in table.parts.values():
        figures += [part.energy, part.area, part.leakage]
    scales = [figure.scale for figure in figures if figure is not None]
    scales += [str(getattr(cell, name)) for cell in table.sram.cells.values() for name in SRAM_SCALES]
    return tuple(dict.fromkeys([*scales, *table.rules]))


def list_ranges(table: TechnologyTable) -> Iterator[tuple[str, Range]]:
    """Yield the entries of a table that have a range, in the table's order."""
    entries: list[tuple[str, Ranged | SmallMemories | None]] = [
        (f"rules.{name}", rule) for name, rule in table.rules.items()
    ]
    for name, part in table.parts.items():
        entries += [(f"parts.{name}.{quantity}", getattr(part, quantity)) for quantity in ("energy", "area", "leakage")]
    entries += [(f"components.{name}", component) for name, component in table.components.items()]
    entries += [("small_memories", table.small_memories)]
    entries += [(f"dram.{name}", figure) for name, figure in table.dram.items()]
    for name, entry in entries:
        if entry is not None and entry.range is not None:
            yield name, entry.range
