"""Technology tables: energy, area and leakage of parts, memories and what is composed of them, each with its source."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sim.technology_form import (
    SRAM_SCALES,
    AreaFigure,
    DramFigure,
    EnergyFigure,
    LeakageFigure,
    TechnologyTable,
    Term,
    list_ranges,
    list_scales,
)
from sim.technology_scaling import UNSCALED, ScalingCoefficients, ScalingRule, describe_rule, rule_factor
from sim.technology_small_memory import add_port, shrink_array, size_bank
from sim.technology_sram import SramFigures, SramGrid, load_sram_grid
from workloads.errors import InputError
from workloads.words import list_words
from workloads.yaml_file import load_yaml, validate_document

PRESET_DIRECTORY = Path(__file__).parent / "presets" / "technologies"
Quantity = Literal["energy", "area", "leakage"]


@dataclass(frozen=True, slots=True)
class Cost:
    """A quantity at the table's node (pJ, um2 or uW), and in words how it comes about."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """An entry of a table that may lie between two factors of itself, and why these."""

    entry: str
    low: float
    high: float
    why: str


@dataclass(frozen=True, eq=False)
class Technology:
    """A technology table with its SRAM grid; what it lacks is an error that names table and entry.

    Attributes:
        varied: What entries are multiplied by beyond what the table says, to see what follows from them.
        known_scales: Factor and words of each rule that was asked for.
    """

    table: TechnologyTable
    path: Path
    grid: SramGrid
    varied: Mapping[str, float] = field(default_factory=dict)
    known_scales: dict[str, tuple[float, str]] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The table's name."""
        return self.table.name

    def files(self) -> tuple[Path, ...]:
        """Give the files that decide what this is: the table's, the grid's beside it, there or not, and the shipped."""
        return self.path, self.path.parent / self.table.sram.grid, PRESET_DIRECTORY / self.table.sram.grid

    def list_assumptions(self) -> tuple[Assumption, ...]:
        """List the entries that have a range, in the order of the table."""
        return tuple(Assumption(name, one.low, one.high, one.why) for name, one in list_ranges(self.table))

    def vary(self, entry: str, factor: float) -> Technology:
        """Give the table with one entry multiplied by a factor; of a component its energies and leakage."""
        return replace(self, varied={**self.varied, entry: factor})

    def factor(self, scale: str) -> float:
        """Return what a figure is multiplied by under a rule of this table.

        Raises:
            InputError: there is no such rule, or it needs coefficients that the table lacks or that do not hold there.
        """
        if scale == UNSCALED:
            return 1.0
        return self._scales(scale)[0] * self._variation(f"rules.{scale}")

    def describe_scale(self, scale: str) -> str:
        """Return a rule of this table in words."""
        return UNSCALED if scale == UNSCALED else self._scales(scale)[1]

    def _scales(self, scale: str) -> tuple[float, str]:
        """Return a rule's factor and words, made once for a table and what is varied of it."""
        if scale not in self.known_scales:
            coefficients, rule = self._rule(scale)
            try:
                self.known_scales[scale] = rule_factor(coefficients, rule), describe_rule(coefficients, rule)
            except InputError as error:
                raise InputError(f"{self.path}: rules.{scale}: {error}") from None
        return self.known_scales[scale]

    def part_cost(self, part: str, quantity: Quantity, needed_by: str) -> Cost:
        """Return a part's energy in pJ, area in um2 or leakage in uW, at the table's node.

        Raises:
            InputError: the table lacks the entry.
        """
        entry = self.table.parts.get(part)
        figure = None if entry is None else getattr(entry, quantity)
        if figure is None:
            raise self._missing(f"parts.{part}.{quantity}", needed_by)
        return self.figure_cost(figure, f"parts.{part}.{quantity}")

    def figure_cost(self, figure: EnergyFigure | AreaFigure | LeakageFigure | DramFigure, entry: str) -> Cost:
        """Return a figure, which is this entry of the table, at the table's node."""
        words = f"{figure.value:g} {figure.unit} at {figure.node}, {figure.source}; {self.describe_scale(figure.scale)}"
        derived = f"; derived: {figure.derived}" if figure.derived else ""
        value = figure.value * self.factor(figure.scale) * self._variation(entry)
        return Cost(value, words + derived + ("; assumed" * figure.assumed))

    def component_cost(self, component: str, quantity: Quantity, number_format: str, sizes: Mapping[str, int]) -> Cost:
        """Return what one action of a component takes (energy), or what one unit of it has (area, leakage).

        Args:
            sizes: The machine's sizes that the terms may name.

        Raises:
            InputError: the table lacks the component, a part or the number format, or a term names an unknown size.
        """
        entry = self.table.components.get(component)
        if entry is None:
            raise self._missing(f"components.{component}", "the energy of a machine")
        terms = entry.per_action if quantity == "energy" else entry.per_unit
        cost = self.sum_terms(terms, quantity, number_format, sizes, f"components.{component}")
        kind = "assumed composition" if entry.assumed else "composition"
        variation = 1.0 if quantity == "area" else self._variation(f"components.{component}")
        return Cost(cost.value * variation, f"{cost.source}; {kind}: {entry.derived}")

    def sum_terms(
        self, terms: Sequence[Term], quantity: Quantity, number_format: str, sizes: Mapping[str, int], needed_by: str
    ) -> Cost:
        """Return what parts come to together.

        Raises:
            InputError: as `component_cost`.
        """
        values, words = [], []
        for term in terms:
            part = self._resolve(term.part, number_format, needed_by)
            count = self._multiply(term, sizes, needed_by)
            cost = self.part_cost(part, quantity, needed_by)
            values.append(count * cost.value)
            words.append(f"{count:g} x {part} {cost.value:.6g}")
        return Cost(math.fsum(values), f"{self.name}: {' + '.join(words)}")

    def dram_cost(self, kind: str) -> Cost:
        """Return the energy of one DRAM bit in pJ.

        Raises:
            InputError: the table lacks the kind of DRAM.
        """
        if kind not in self.table.dram:
            raise self._missing(f"dram.{kind}", "the architecture", list(self.table.dram))
        cost = self.figure_cost(self.table.dram[kind], f"dram.{kind}")
        return Cost(cost.value, f"{self.name}: {cost.source}")

    def sram_figures(self, capacity_bytes: float, width_bits: int, cell: str) -> SramFigures:
        """Return the figures of one SRAM bank at the table's node.

        Raises:
            InputError: the table lacks the cell type, or the bank is above the grid.
        """
        if cell not in self.table.sram.cells:
            raise self._missing(f"sram.cells.{cell}", "the architecture", list(self.table.sram.cells))
        entry = self.table.sram.cells[cell]
        point, notes = self.grid.interpolate(entry.node_nm, cell, capacity_bytes, width_bits)
        energy, timing = self.factor(entry.energy), self.factor(entry.timing)
        scaling = ", ".join(f"{name} {self.describe_scale(getattr(entry, name))}" for name in SRAM_SCALES)
        place = f"{entry.node_nm} nm {cell}, {capacity_bytes / 1024:.6g} KiB, {width_bits} bits"
        return SramFigures(
            read_pj=point.read_pj * energy,
            write_pj=point.write_pj * energy,
            leakage_mw=point.leakage_mw * self.factor(entry.leakage),
            area_mm2=point.area_mm2 * self.factor(entry.area),
            access_ns=point.access_ns * timing,
            cycle_ns=point.cycle_ns * timing,
            capacity_bytes=capacity_bytes,
            width_bits=width_bits,
            cell=cell,
            source=f"{self.name}: {place}, interpolated, {entry.source}; {scaling}",
            notes=notes,
        )

    def small_memory_figures(self, words: int, bits: int, cell: str) -> SramFigures:
        """Return the figures of a bank of one read and one write port at the table's node, by the rule for small ones.

        Raises:
            InputError: the table lacks the cell type, or the bank is above the grid.
        """
        rule, capacity_bytes = self.table.small_memories, size_bank(words, bits)
        figures = self.sram_figures(capacity_bytes, bits, cell)
        smallest, next_larger = self.grid.smallest_bytes(self.table.sram.cells[cell].node_nm, cell)
        if capacity_bytes < smallest:
            first, second = (self.sram_figures(capacity, bits, cell) for capacity in (smallest, next_larger))
            figures = shrink_array(first, second, capacity_bytes, rule.periphery.value)
        variation = self._variation("small_memories")
        figures = replace(figures, read_pj=figures.read_pj * variation, write_pj=figures.write_pj * variation)
        return add_port(figures, rule.second_port.value)

    def _variation(self, entry: str) -> float:
        return self.varied.get(entry, 1.0)

    def _rule(self, scale: str) -> tuple[ScalingCoefficients, ScalingRule]:
        if scale not in self.table.rules:
            raise self._missing(f"rules.{scale}", "a figure's scale", [UNSCALED, *self.table.rules])
        if self.table.coefficients is None:
            raise self._missing("coefficients", f"rules.{scale}")
        return self.table.coefficients, self.table.rules[scale]

    def _resolve(self, part: str, number_format: str, needed_by: str) -> str:
        if part not in ("multiplier", "adder"):
            return part
        if number_format not in self.table.number_formats:
            raise self._missing(f"number_formats.{number_format}", needed_by, list(self.table.number_formats))
        return str(getattr(self.table.number_formats[number_format], part))

    def _multiply(self, term: Term, sizes: Mapping[str, int], needed_by: str) -> float:
        for factor in term.times:
            if isinstance(factor, str) and factor not in sizes:
                raise InputError(
                    f"{self.path}: {needed_by} multiplies '{term.part}' by the unknown size '{factor}'; "
                    f"the sizes are {list_words(sizes)}"
                )
        return math.prod(sizes[factor] if isinstance(factor, str) else factor for factor in term.times)

    def _missing(self, entry: str, needed_by: str, known: list[str] | None = None) -> InputError:
        there = f"; there are {list_words(known)}" if known else ""
        return InputError(
            f"{self.path}: the technology table '{self.name}' has no entry '{entry}', needed by {needed_by}{there}"
        )


def list_technologies() -> tuple[str, ...]:
    """Return the names of the tables that come with the project."""
    return tuple(sorted(path.stem for path in PRESET_DIRECTORY.glob("*.yaml")))


def load_technology(name_or_path: str | Path, base_directory: Path | None = None) -> Technology:
    """Return a technology table by its preset's name, or from a .yaml file (relative to `base_directory`).

    Raises:
        InputError: there is no such preset or file, the file is not a valid table, or a rule is not there.
    """
    path = _find_table(name_or_path, base_directory)
    table = validate_document(load_yaml(path), TechnologyTable)
    beside = path.parent / table.sram.grid
    grid = load_sram_grid(beside if beside.exists() else PRESET_DIRECTORY / table.sram.grid)
    technology = Technology(table=table, path=path, grid=grid)
    for scale in list_scales(table):
        technology.factor(scale)
    return technology


def _find_table(name_or_path: str | Path, base_directory: Path | None) -> Path:
    path = (base_directory or Path()) / name_or_path
    if path.suffix in (".yaml", ".yml"):
        return path
    if str(name_or_path) not in list_technologies():
        if path.is_file():
            # What it is, rather than that there is no such preset.
            return path
        raise InputError(
            f"there is no technology '{name_or_path}'; there are {', '.join(list_technologies())}, "
            "or give the path of a .yaml file"
        )
    return PRESET_DIRECTORY / f"{name_or_path}.yaml"
