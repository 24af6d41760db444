"""The prices of a machine: what each action costs and each unit takes up, by a technology table."""

from __future__ import annotations

from dataflows.contract.actions import Action, Composition
from sim.dram_presets import load_dram
from sim.dram_prices import price_commands
from sim.energy import (
    COMPONENT_OF_ACTION,
    DATAFLOW_COMPONENT,
    DECLARED_ACTIONS,
    MACHINE_ACTIONS,
    ActionPrice,
    MachinePrices,
    UnitPrice,
)
from sim.machine_parts import MachineParts
from sim.technology import Assumption, Cost, Quantity, Technology
from sim.technology_form import Term
from sim.technology_sram import SramFigures
from workloads.errors import InputError

SQUARE_MM_PER_SQUARE_UM = 1e-6
MW_PER_UW = 1e-3
# The entry of an assumption that is not of a technology table.
DRAM_CURRENTS = "dram.currents"


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
    words = parts.accumulator_bank_words
    sums = technology.small_memory_figures(words, parts.acc_bits, parts.cell) if words else None
    if sums is not None:
        arrays["accumulator"] = sums
    units = tuple(_price_unit(name, count, parts, technology, arrays) for name, count in parts.units().items())
    actions = tuple(
        _price_action(action, component, parts, technology, arrays)
        for action, component in COMPONENT_OF_ACTION.items()
        if parts.has(component)
    )
    own = _price_commands(parts, technology) + tuple(
        _price_own(action, parts, technology) for action in list_own(declared)
    )
    return MachinePrices(technology.name, actions + own, units, bank, half, accumulator_bank=sums)


def _price_commands(parts: MachineParts, technology: Technology) -> tuple[ActionPrice, ...]:
    if not parts.dram_timing:
        return ()
    prices, variation = price_commands(load_dram(parts.dram_timing)), technology.varied.get(DRAM_CURRENTS, 1.0)
    return tuple(ActionPrice("dram", price.action, variation * price.pj, price.source) for price in prices)


def list_assumptions(parts: MachineParts, technology: Technology) -> tuple[Assumption, ...]:
    """List the entries with a range of a machine's prices: those of the table, and the currents of DRAM with banks."""
    found = technology.list_assumptions()
    if parts.dram_timing and (span := load_dram(parts.dram_timing).range) is not None:
        found += (Assumption(DRAM_CURRENTS, span.low, span.high, span.why),)
    return found


def _price_action(
    action: str, component: str, parts: MachineParts, technology: Technology, arrays: dict[str, SramFigures]
) -> ActionPrice:
    if action in ("operand_store_writes", "buffer_writes"):
        return ActionPrice(component, action, arrays[component].write_pj, _sram_source(arrays[component]))
    if action in ("operand_store_reads", "buffer_reads"):
        return ActionPrice(component, action, arrays[component].read_pj, _sram_source(arrays[component]))
    if component == "dram" and parts.dram_timing:
        cost = Cost(0.0, f"{parts.dram_timing}: no energy by the bit beside that of the commands")
    elif component == "dram":
        cost = technology.dram_cost(parts.dram_kind)
    elif action == "accumulator_updates":
        cost = _price_update(parts, technology, arrays.get(component))
    else:
        cost = technology.component_cost(component, "energy", parts.number_format, parts.sizes())
    return ActionPrice(component, action, cost.value, cost.source)


def _price_update(parts: MachineParts, technology: Technology, bank: SramFigures | None) -> Cost:
    """Price a read and a write of a partial sum, in a bank of memory or, where there is none, in registers."""
    if bank is None:
        return technology.component_cost("accumulator_registers", "energy", parts.number_format, parts.sizes())
    words = f"a read of {bank.read_pj:.6g} and a write of {bank.write_pj:.6g} pJ"
    return Cost(bank.read_pj + bank.write_pj, f"{_sram_source(bank)}; {words}")


def list_own(declared: tuple[Action, ...]) -> tuple[Action, ...]:
    """Give the actions that a dataflow prices itself.

    Raises:
        InputError: an action has no price, or a name that is taken.
    """
    names = [action.name for action in declared]
    for action in declared:
        if action.price is None and action.name not in DECLARED_ACTIONS:
            raise InputError(
                f"the dataflow's action '{action.name}' has no price; without one are "
                f"{', '.join(DECLARED_ACTIONS[:-1])} and {DECLARED_ACTIONS[-1]}"
            )
        if names.count(action.name) > 1 or (action.price is not None and action.name in MACHINE_ACTIONS):
            raise InputError(
                f"the dataflow's action '{action.name}' is there twice, or is one of the machine's: "
                f"{', '.join(MACHINE_ACTIONS)}"
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
    if component == "accumulator":
        return _price_accumulators(count, parts, technology, arrays.get(component))
    if component in arrays:
        figures = arrays[component]
        source = _sram_source(figures)
        return UnitPrice(component, count, figures.area_mm2, figures.leakage_mw, source, source)
    return _price_composed(component, component, count, parts, technology)


def _price_composed(name: str, component: str, count: int, parts: MachineParts, technology: Technology) -> UnitPrice:
    """Price units called `name` that are composed as a component of the table is."""
    quantities: tuple[Quantity, Quantity] = ("area", "leakage")
    area, leakage = (
        technology.component_cost(component, quantity, parts.number_format, parts.sizes()) for quantity in quantities
    )
    return UnitPrice(
        component=name,
        units=count,
        unit_area_mm2=area.value * SQUARE_MM_PER_SQUARE_UM,
        unit_leakage_mw=leakage.value * MW_PER_UW,
        area_source=f"{area.source}; in um2",
        leakage_source=f"{leakage.source}; in uW",
    )


def _price_accumulators(count: int, parts: MachineParts, technology: Technology, bank: SramFigures | None) -> UnitPrice:
    """Price the adders and the partial sums of PEs."""
    adders = _price_composed("accumulator", "accumulator", count, parts, technology)
    if bank is None:
        sums = _price_composed("accumulator", "accumulator_registers", count, parts, technology)
        area, leakage = sums.unit_area_mm2, sums.unit_leakage_mw
        area_source, leakage_source = sums.area_source, sums.leakage_source
    else:
        banks = parts.multipliers_per_pe
        area, leakage = banks * bank.area_mm2, banks * bank.leakage_mw
        area_source = f"{banks} x {bank.area_mm2:.6g} mm2: {_sram_source(bank)}"
        leakage_source = f"{banks} x {bank.leakage_mw:.6g} mW: {_sram_source(bank)}"
    return UnitPrice(
        component="accumulator",
        units=count,
        unit_area_mm2=adders.unit_area_mm2 + area,
        unit_leakage_mw=adders.unit_leakage_mw + leakage,
        area_source=f"{adders.area_source}; partial sums: {area_source}",
        leakage_source=f"{adders.leakage_source}; partial sums: {leakage_source}",
    )


def _sram_source(figures: SramFigures) -> str:
    return "; ".join((figures.source, *figures.notes))
