"""Budgets that every point of a sweep has alike: one size follows from the others."""

from __future__ import annotations

from collections.abc import Callable

from sim.architecture import Architecture, merge_field
from sim.sweep.design import find_area_mm2
from sim.sweep.form import Budget, BudgetQuantity
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.validation import validate_document

TOLERANCES = {BudgetQuantity.MULTIPLIERS: 0.0, BudgetQuantity.AREA_MM2: 0.02}
LARGEST = 2**40


def measure_budget(machine: Architecture, quantity: BudgetQuantity, place: str) -> float:
    """Give a machine's multipliers or area.

    Raises:
        InputError: the machine has no area.
    """
    if quantity is BudgetQuantity.MULTIPLIERS:
        return machine.array.describe().multipliers
    area = find_area_mm2(machine)
    if area is None:
        raise InputError(
            f"{place}: '{machine.name}' has no area: it names no technology, or one of its sizes is unlimited"
        )
    return area


def spend_budget(budget: Budget, machine: Architecture, value: float, place: str) -> int | None:
    """Find the largest whole number for the field `budget.by` with which a machine stays within `value`.

    Returns:
        None where even 1 is too much, or where too much would be left unused.

    Raises:
        InputError: the quantity does not grow with the field.
    """
    path = tuple(budget.by.split("."))
    data = machine.model_dump(mode="json")

    def measure(number: int) -> float | None:
        changed = YamlDocument(place, merge_field(data, path, number))
        try:
            return measure_budget(validate_document(changed, Architecture), budget.equal, place)
        except InputError:
            return None

    found = find_largest(lambda number: (size := measure(number)) is not None and size <= value)
    if found is None:
        return None
    tolerance = TOLERANCES[budget.equal] if budget.tolerance is None else budget.tolerance
    size = measure(found)
    assert size is not None
    return found if size >= value * (1 - tolerance) else None


def find_largest(fits: Callable[[int], bool]) -> int | None:
    """Find the largest whole number that fits, where all smaller ones do; None if 1 does not."""
    if not fits(1):
        return None
    low, high = 1, 2
    while high <= LARGEST and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def require_budget_field(budget: Budget, machine: Architecture, place: str) -> None:
    """Refuse a field that is no size, or that does not change the quantity.

    Raises:
        InputError: names the field.
    """
    path = tuple(budget.by.split("."))
    data = machine.model_dump(mode="json")
    sizes = []
    for number in (1, 2):
        made = validate_document(YamlDocument(place, merge_field(data, path, number)), Architecture)
        sizes.append(measure_budget(made, budget.equal, place))
    # An SRAM below the smallest of the grid costs as much as that one, so equal sizes alone prove nothing.
    if sizes[0] > sizes[1] or (budget.equal is BudgetQuantity.MULTIPLIERS and sizes[0] == sizes[1]):
        raise InputError(f"{place}: {budget.equal} does not grow with '{budget.by}'; name a size that it grows with")
