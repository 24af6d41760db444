"""Energy, area and leakage of a machine: counts of actions times their prices, plus leakage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.dram_prices import DRAM_COMMANDS
from sim.machine_parts import SWITCHES
from sim.technology_sram import SramFigures, warn_of_slow_sram

COMPONENT_OF_ACTION = {
    "multiplies": "multiplier",
    "accumulates": "accumulator",
    "accumulator_updates": "accumulator",
    "operand_store_reads": "operand_store",
    "operand_store_writes": "operand_store",
    "taps_examined": "index_logic",
    "rows_examined": "sequencer",
    "ppu_elements": "ppu",
    "pruned_elements": "pruning",
    "buffer_reads": "buffer",
    "buffer_writes": "buffer",
    "noc_bytes": "noc",
    "dram_read_bits": "dram",
    "dram_write_bits": "dram",
}


DYNAMIC_COMPONENTS = tuple(dict.fromkeys(COMPONENT_OF_ACTION.values()))


COMPONENTS = (*DYNAMIC_COMPONENTS, "leakage")


# Of the actions that a dataflow declares and prices itself.
DATAFLOW_COMPONENT = "dataflow"


# Actions that a dataflow declares and the technology table prices.
DECLARED_ACTIONS = ("accumulator_updates", "operand_store_reads", "taps_examined", "rows_examined")

# Names that no dataflow's own action may have.
MACHINE_ACTIONS = (*COMPONENT_OF_ACTION, *DRAM_COMMANDS)


@dataclass(frozen=True, slots=True)
class ActionCounts:
    """How often each action was done.

    operand_store_reads and operand_store_writes are of words of data_bits; buffer_reads and buffer_writes are accesses
    of a bank's full width; ppu_elements are those of the PPUs and of the elementwise passes. An accumulator update is a
    read and a write of a partial sum.

    Attributes:
        own: Of the actions that the dataflow prices itself and of DRAM with banks, by name.
    """

    multiplies: int = 0
    accumulates: int = 0
    accumulator_updates: int = 0
    operand_store_reads: int = 0
    operand_store_writes: int = 0
    taps_examined: int = 0
    rows_examined: int = 0
    ppu_elements: int = 0
    pruned_elements: int = 0
    buffer_reads: int = 0
    buffer_writes: int = 0
    noc_bytes: int = 0
    dram_read_bits: int = 0
    dram_write_bits: int = 0
    own: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for action in (*COMPONENT_OF_ACTION, *self.own):
            if self.count(action) < 0:
                raise ValueError(f"{action} must not be negative, got {self.count(action)}")

    def __add__(self, other: ActionCounts) -> ActionCounts:
        own = {name: self.count(name) + other.count(name) for name in dict.fromkeys((*self.own, *other.own))}
        return ActionCounts(
            **{name: getattr(self, name) + getattr(other, name) for name in COMPONENT_OF_ACTION}, own=own
        )

    def count(self, action: str) -> int:
        """Tell how often an action was done; one of a dataflow that is not there was not."""
        if action in COMPONENT_OF_ACTION:
            return int(getattr(self, action))
        return self.own.get(action, 0)


@dataclass(frozen=True, slots=True)
class ActionPrice:
    """What one action costs."""

    component: str
    action: str
    pj_per_action: float
    source: str


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What the units of a component take up: `units` times the area and leakage of one."""

    component: str
    units: int
    unit_area_mm2: float
    unit_leakage_mw: float
    area_source: str
    leakage_source: str

    @property
    def area_mm2(self) -> float:
        """Area of all units."""
        return self.units * self.unit_area_mm2

    @property
    def leakage_mw(self) -> float:
        """Leakage power of all units."""
        return self.units * self.unit_leakage_mw


@dataclass(frozen=True)
class MachinePrices:
    """The prices of one machine at one technology, and the SRAM arrays they come from.

    Attributes:
        accumulator_bank: None where accumulators are registers.
    """

    technology: str
    actions: tuple[ActionPrice, ...]
    units: tuple[UnitPrice, ...]
    buffer_bank: SramFigures
    operand_store_half: SramFigures
    accumulator_bank: SramFigures | None = None

    def area_mm2(self) -> dict[str, float]:
        """Return the area of each on-chip component."""
        return {unit.component: unit.area_mm2 for unit in self.units}

    def leakage_mw(self) -> dict[str, float]:
        """Return the leakage power of each on-chip component."""
        return {unit.component: unit.leakage_mw for unit in self.units}

    def total_area_mm2(self) -> float:
        """Return the sum of the components' areas."""
        return math.fsum(self.area_mm2().values())

    def total_leakage_mw(self) -> float:
        """Return the sum of the components' leakage powers."""
        return math.fsum(self.leakage_mw().values())

    def unit_table(self) -> list[dict[str, Any]]:
        """Return units, area and leakage of each component as plain data, with sources."""
        return [
            {
                "component": unit.component,
                "units": unit.units,
                "unit_area_mm2": unit.unit_area_mm2,
                "area_mm2": unit.area_mm2,
                "area_source": unit.area_source,
                "unit_leakage_mw": unit.unit_leakage_mw,
                "leakage_mw": unit.leakage_mw,
                "leakage_source": unit.leakage_source,
            }
            for unit in self.units
        ]


@dataclass(frozen=True, slots=True)
class EnergyLine:
    """An action's share: pj = count * pj_per_action. Leakage counts cycles."""

    component: str
    action: str
    count: int
    pj_per_action: float
    source: str

    @property
    def pj(self) -> float:
        """Energy of all these actions."""
        return self.count * self.pj_per_action


@dataclass(frozen=True)
class EnergyResult:
    """Energy of a stretch of work; every sum is math.fsum, thus independent of the order of its parts."""

    lines: tuple[EnergyLine, ...]

    def component_pj(self) -> dict[str, float]:
        """Return the energy of each component in the order of COMPONENTS; one that the machine lacks has 0."""
        return {
            component: math.fsum(line.pj for line in self.lines if line.component == component)
            for component in COMPONENTS
        }

    @property
    def dataflow_pj(self) -> float:
        """The energy of the actions that the dataflow prices itself."""
        return math.fsum(line.pj for line in self.lines if line.component == DATAFLOW_COMPONENT)

    @property
    def dynamic_pj(self) -> float:
        """The sum of all components but leakage, the dataflow's own actions among them."""
        parts = self.component_pj()
        return math.fsum((*(parts[component] for component in DYNAMIC_COMPONENTS), self.dataflow_pj))

    @property
    def leakage_pj(self) -> float:
        """Leakage power times time."""
        return self.component_pj()["leakage"]

    @property
    def total_pj(self) -> float:
        """The sum of all components, leakage included."""
        return math.fsum((*self.component_pj().values(), self.dataflow_pj))

    def energy_table(self) -> list[dict[str, Any]]:
        """Return the lines as plain data, from which every total can be recomputed."""
        return [
            {
                "component": line.component,
                "action": line.action,
                "count": line.count,
                "pj_per_action": line.pj_per_action,
                "pj": line.pj,
                "source": line.source,
            }
            for line in self.lines
        ]


def compute_energy(counts: ActionCounts, cycles: int, clock_mhz: float, prices: MachinePrices) -> EnergyResult:
    """Return the energy of counted actions and of the leakage of all units over some cycles.

    Raises:
        ValueError: an action was counted that the machine has no unit for, cycles are negative, or the clock is not
            positive.
    """
    if cycles < 0 or not clock_mhz > 0:
        raise ValueError(
            f"cycles must not be negative and the clock must be positive, got {cycles} and {clock_mhz} MHz"
        )
    priced = {price.action for price in prices.actions}
    for action, component in COMPONENT_OF_ACTION.items():
        if action not in priced and getattr(counts, action):
            raise ValueError(
                f"{action} is {getattr(counts, action)}, but a machine with {SWITCHES[component]} off has no such unit"
            )
    for action in counts.own:
        if action not in priced:
            raise ValueError(f"{action} is {counts.own[action]}, but has no price")
    cycle_ns = 1000 / clock_mhz
    lines = [
        EnergyLine(price.component, price.action, counts.count(price.action), price.pj_per_action, price.source)
        for price in prices.actions
    ]
    for unit in prices.units:
        power = f"{unit.units} x {unit.unit_leakage_mw:.6g} mW x {cycle_ns:.6g} ns a cycle"
        source = f"{power}; {unit.leakage_source}"
        pj_per_cycle = unit.leakage_mw * cycle_ns
        lines.append(EnergyLine("leakage", f"{unit.component}_cycles", cycles, pj_per_cycle, source))
    return EnergyResult(lines=tuple(lines))


def list_clock_warnings(prices: MachinePrices, clock_mhz: float) -> tuple[str, ...]:
    """Return a sentence for each memory that a clock is too fast for."""
    arrays = (
        ("a bank of the buffer", prices.buffer_bank),
        ("half an operand store", prices.operand_store_half),
        ("a bank of the accumulators", prices.accumulator_bank),
    )
    warnings = (warn_of_slow_sram(figures, clock_mhz, name) for name, figures in arrays if figures is not None)
    return tuple(warning for warning in warnings if warning is not None)
