"""Scaling of energy, delay and area between technology nodes (Stillmaker and Baas, Integration 58, 2017, pp. 74-81)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from workloads.errors import InputError
from workloads.layers import StrictModel
from workloads.words import list_words

Text = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0)]
UNSCALED = "unscaled"


class Range(StrictModel):
    """Between which factors of itself a figure may lie, and why these."""

    low: Annotated[float, Field(gt=0, le=1)]
    high: Annotated[float, Field(ge=1, le=1000)]
    why: Text


class Ranged(StrictModel):
    """What may be assumed, and then has a range; what is published may have one, where sources disagree."""

    assumed: bool = False
    range: Range | None = None

    @model_validator(mode="after")
    def require_range(self) -> Self:
        """Refuse what is assumed without saying between which factors.

        Raises:
            ValueError: there is no range.
        """
        if self.assumed and self.range is None:
            raise ValueError("is assumed, and so needs a range: {low: factor up to 1, high: factor from 1, why: words}")
        return self


class ScalingRow(StrictModel):
    """Polynomials of one node in its supply voltage V, highest power first: delay of degree 3, energy of degree 2."""

    delay: Annotated[list[float], Field(min_length=4, max_length=4)]
    energy: Annotated[list[float], Field(min_length=3, max_length=3)]


class ScalingCoefficients(StrictModel):
    """The published coefficients: a row for each node and process flavour, and areas relative to 45 nm."""

    source: Text
    rows: dict[str, ScalingRow]
    area_from_45nm: dict[str, Positive]


class EnergyRule(Ranged):
    """Multiply a dynamic energy by E_to(V_to) / E_from(V_from)."""

    kind: Literal["energy"]
    from_row: Text
    from_volts: Positive
    to_row: Text
    to_volts: Positive
    note: Text | None = None


class AreaRule(Ranged):
    """Multiply an area, or what goes with it, by the ratio of two nodes' relative areas."""

    kind: Literal["area"]
    from_node: Text
    to_node: Text
    note: Text | None = None


ScalingRule = Annotated[EnergyRule | AreaRule, Field(discriminator="kind")]


def energy_factor(coefficients: ScalingCoefficients, rule: EnergyRule) -> float:
    """Return the factor of a rule, such as 0.138 for 45HP at 0.9 V to 14HP at 0.8 V.

    Raises:
        InputError: a row is not there, or its polynomial is not positive at the voltage.
    """
    return _ratio(find_row(coefficients, rule.to_row).energy, find_row(coefficients, rule.from_row).energy, rule)


def delay_factor(coefficients: ScalingCoefficients, rule: EnergyRule) -> float:
    """Return the factor of a delay over the same rows and voltages.

    Raises:
        InputError: a row is not there, or its polynomial is not positive at the voltage.
    """
    return _ratio(find_row(coefficients, rule.to_row).delay, find_row(coefficients, rule.from_row).delay, rule)


def _ratio(to_polynomial: list[float], from_polynomial: list[float], rule: EnergyRule) -> float:
    target = evaluate_polynomial(to_polynomial, rule.to_volts)
    origin = evaluate_polynomial(from_polynomial, rule.from_volts)
    for value, row, volts in ((target, rule.to_row, rule.to_volts), (origin, rule.from_row, rule.from_volts)):
        if value <= 0:
            raise InputError(
                f"the polynomial of row '{row}' is not positive at {volts:g} V, which is outside its range"
            )
    return target / origin


def area_factor(coefficients: ScalingCoefficients, rule: AreaRule) -> float:
    """Return the ratio of the relative areas, such as 0.17 / 0.21 for 20nm to 14nm."""
    return find_area(coefficients, rule.to_node) / find_area(coefficients, rule.from_node)


def rule_factor(coefficients: ScalingCoefficients, rule: EnergyRule | AreaRule) -> float:
    """Return the factor that a rule multiplies by."""
    return energy_factor(coefficients, rule) if isinstance(rule, EnergyRule) else area_factor(coefficients, rule)


def describe_rule(coefficients: ScalingCoefficients, rule: EnergyRule | AreaRule) -> str:
    """Return the rule in words, such as ``x0.1379, energy of 45HP at 0.9 V to 14HP at 0.8 V``."""
    if isinstance(rule, EnergyRule):
        words = f"energy of {rule.from_row} at {rule.from_volts:g} V to {rule.to_row} at {rule.to_volts:g} V"
    else:
        words = f"area of {rule.from_node} to {rule.to_node}"
    assumed = "assumed: " if rule.assumed else ""
    note = f" ({assumed}{rule.note})" if rule.note else " (assumed)" if rule.assumed else ""
    return f"x{rule_factor(coefficients, rule):.4g}, {words}{note}"


def evaluate_polynomial(coefficients: list[float], volts: float) -> float:
    """Return the polynomial's value by Horner's rule, highest power first."""
    value = 0.0
    for coefficient in coefficients:
        value = value * volts + coefficient
    return value


def find_row(coefficients: ScalingCoefficients, name: str) -> ScalingRow:
    """Return the row of a node.

    Raises:
        InputError: there is no such row.
    """
    if name not in coefficients.rows:
        raise InputError(f"the scaling coefficients have no row '{name}'; there are {list_words(coefficients.rows)}")
    return coefficients.rows[name]


def find_area(coefficients: ScalingCoefficients, node: str) -> float:
    """Return a node's area relative to 45 nm.

    Raises:
        InputError: there is no such node.
    """
    if node not in coefficients.area_from_45nm:
        nodes = ", ".join(coefficients.area_from_45nm)
        raise InputError(f"the scaling coefficients have no area of '{node}'; there are {nodes}")
    return coefficients.area_from_45nm[node]
