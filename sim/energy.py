"""Energy, area and leakage of a machine: counts of actions times the prices of a technology table, plus leakage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dataflows.contract.actions import Action, Composition
from sim.machine_parts import SPARSE_COMPONENTS, MachineParts
from sim.technology import Cost, Quantity, Technology, Term
from sim.technology_sram import SramFigures, warn_of_slow_sram
from workloads.errors import InputError

COMPONENT_OF_ACTION = {
    "multiplies": "multiplier",
    "accumulates": "accumulator",
    "operand_store_reads": "operand_store",
    "operand_store_writes": "operand_store",
    "taps_examined": "index_logic",
    "rows_examined": "index_logic",
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
DECLARED_ACTIONS = ("operand_store_reads", "taps_examined", "rows_examined")


SQUARE_MM_PER_SQUARE_UM = 1e-6


MW_PER_UW = 1e-3


@dataclass(frozen=True, slots=True)
class ActionCounts:
    """How often each action was done.

    operand_store_reads and operand_store_writes are of words of data_bits; buffer_reads and buffer_writes are accesses
    of a bank's full width; ppu_elements are those of the PPUs and of the elementwise passes.

    Attributes:
        own: Of the actions that the dataflow prices itself, by name.
    """

    multiplies: int = 0
    accumulates: int = 0
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
    """The prices of one machine at one technology, and the SRAM arrays they come from."""

    technology: str
    actions: tuple[ActionPrice, ...]
    units: tuple[UnitPrice, ...]
    buffer_bank: SramFigures
    operand_store_half: SramFigures

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


def price_machine(parts: MachineParts, technology: Technology, declared: tuple[Action, ...] = ()) -> MachinePrices:
    """Return what each action costs and each component takes up in a machine.

    Args:
        declared: Actions of its dataflow.

    Raises:
        InputError: the technology table lacks an entry that the machine needs, or its SRAM grid ends below a bank; an
            action of the dataflow has no price, or the name of another one.
    """
    bank = technology.sram_figures(parts.buffer_bytes / parts.ports, 8 * parts.bytes_per_port_cycle, parts.cell)
    half = technology.sram_figures(parts.operand_store_bytes / 2, parts.data_bits, parts.cell)
    arrays = {"buffer": bank, "operand_store": half}
    units = tuple(_price_unit(name, count, parts, technology, arrays) for name, count in parts.units().items())
    actions = tuple(
        _price_action(action, component, parts, technology, arrays)
        for action, component in COMPONENT_OF_ACTION.items()
        if parts.skip_zeros or component not in SPARSE_COMPONENTS
    )
    own = tuple(_price_own(action, parts, technology) for action in list_own(declared))
    return MachinePrices(technology.name, actions + own, units, buffer_bank=bank, operand_store_half=half)


def _price_action(
    action: str, component: str, parts: MachineParts, technology: Technology, arrays: dict[str, SramFigures]
) -> ActionPrice:
    if component in arrays:
        figures = arrays[component]
        access_pj = figures.write_pj if action.endswith("_writes") else figures.read_pj
        return ActionPrice(component, action, access_pj, _sram_source(figures))
    if component == "dram":
        cost = technology.dram_cost(parts.dram_kind)
    else:
        cost = technology.component_cost(component, "energy", parts.number_format, parts.sizes())
    return ActionPrice(component, action, cost.value, cost.source)


def list_own(declared: tuple[Action, ...]) -> tuple[Action, ...]:
    """Give the actions that a dataflow prices itself.

    Raises:
        InputError: an action has no price, or a name that is taken.
    """
    names = [action.name for action in declared]
    for action in declared:
        if action.price is None and action.name not in DECLARED_ACTIONS:
            raise InputError(
                f"the dataflow's action '{action.name}' has no price; without one are {', '.join(DECLARED_ACTIONS)}"
            )
        if names.count(action.name) > 1 or (action.price is not None and action.name in COMPONENT_OF_ACTION):
            raise InputError(
                f"the dataflow's action '{action.name}' is there twice, or is one of the machine's: "
                f"{', '.join(COMPONENT_OF_ACTION)}"
            )
        if action.name.endswith("_cycles") or action.name in ("layer", "step", "machine"):
            raise InputError(
                f"the dataflow's action '{action.name}' must have another name: leakage counts cycles, and layer, step "
                "and machine are columns"
            )
    return tuple(action for action in declared if action.price is not None)


def _price_own(action: Action, parts: MachineParts, technology: Technology) -> ActionPrice:
    price = action.price
    assert price is not None
    if isinstance(price, Composition):
        terms = [Term(part=one.part, times=list(one.times)) for one in price.parts]
        needed_by = f"the dataflow's action {action.name}"
        cost = technology.sum_terms(terms, "energy", parts.number_format, parts.sizes(), needed_by)
        kind = "assumed composition" if price.assumed else "composition"
        cost = Cost(cost.value, f"{cost.source}; {kind} of the dataflow: {price.derived}")
    else:
        cost = Cost(price.pj, f"the dataflow's figure: {price.source}" + "; assumed" * price.assumed)
    return ActionPrice(DATAFLOW_COMPONENT, action.name, cost.value, cost.source)


def _price_unit(
    component: str, count: int, parts: MachineParts, technology: Technology, arrays: dict[str, SramFigures]
) -> UnitPrice:
    if component in arrays:
        figures = arrays[component]
        source = _sram_source(figures)
        return UnitPrice(component, count, figures.area_mm2, figures.leakage_mw, source, source)
    quantities: tuple[Quantity, Quantity] = ("area", "leakage")
    area, leakage = (
        technology.component_cost(component, quantity, parts.number_format, parts.sizes()) for quantity in quantities
    )
    return UnitPrice(
        component=component,
        units=count,
        unit_area_mm2=area.value * SQUARE_MM_PER_SQUARE_UM,
        unit_leakage_mw=leakage.value * MW_PER_UW,
        area_source=f"{area.source}; in um2",
        leakage_source=f"{leakage.source}; in uW",
    )


def _sram_source(figures: SramFigures) -> str:
    return "; ".join((figures.source, *figures.notes))


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
    for action in COMPONENT_OF_ACTION:
        if action not in priced and getattr(counts, action):
            raise ValueError(
                f"{action} is {getattr(counts, action)}, but a machine with skip_zeros off has no such unit"
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
    arrays = (("a bank of the buffer", prices.buffer_bank), ("half an operand store", prices.operand_store_half))
    warnings = (warn_of_slow_sram(figures, clock_mhz, name) for name, figures in arrays)
    return tuple(warning for warning in warnings if warning is not None)
