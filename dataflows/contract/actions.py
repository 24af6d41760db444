"""The actions that a dataflow declares beside the machine's own, and what prices each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ACTION_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class PartCount:
    """A part of the technology table, and how many: the product of numbers and of sizes of the machine.

    Attributes:
        part: An entry of the table's `parts`, or `multiplier` or `adder` of the number format.
        times: As a component of the table has them, such as ``(2, "acc_bits")``.
    """

    part: str
    times: tuple[float | str, ...] = (1,)


@dataclass(frozen=True, slots=True)
class Composition:
    """An action priced as a sum of the technology table's parts.

    Attributes:
        derived: Why these, in words.
    """

    parts: tuple[PartCount, ...]
    derived: str
    assumed: bool = False

    def __post_init__(self) -> None:
        if not self.parts or not self.derived.strip():
            raise ValueError("a composition needs at least one part, and words in `derived` that say why these")


@dataclass(frozen=True, slots=True)
class PriceFigure:
    """An action priced by a figure in pJ, taken as it is at every technology.

    Attributes:
        source: Where it stands.
        assumed: The figure is the dataflow's own choice, and the source says why.
    """

    pj: float
    source: str
    assumed: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.pj < float("inf") or not self.source.strip():
            raise ValueError(f"a price needs a finite figure of at least 0 pJ and a source, got {self.pj} pJ")


@dataclass(frozen=True, slots=True)
class Action:
    """An action of a dataflow.

    Attributes:
        price: None leaves it to the machine, which prices reads of operand stores (`operand_store_reads`), reads and
            writes of partial sums (`accumulator_updates`; undeclared, one for each multiplication), the index logic
            (`taps_examined`) and sequencers (`rows_examined`) by its technology table; every other action needs a
            price.
        per_multiplication: How often it is done for each multiplication; None: `StepCounts.actions` says how often.

    Raises:
        ValueError: the name cannot be that of a column.
    """

    name: str
    unit: str
    meaning: str
    price: Composition | PriceFigure | None = None
    per_multiplication: int | None = None

    def __post_init__(self) -> None:
        if ACTION_NAME.fullmatch(self.name) is None:
            raise ValueError(f"an action is named by up to 64 of a-z, 0-9 and _, a letter first, got {self.name!r}")
        if self.per_multiplication is not None and self.per_multiplication < 0:
            raise ValueError(f"{self.name} is done at least 0 times a multiplication, got {self.per_multiplication}")


def list_counted(actions: Sequence[Action]) -> tuple[str, ...]:
    """Name the actions whose counts a dataflow hands over, in the order of their declaration."""
    return tuple(action.name for action in actions if action.per_multiplication is None)


def resolve_counts(actions: Sequence[Action], multiplications: int, counted: Mapping[str, int]) -> dict[str, int]:
    """Tell how often each declared action was done.

    Args:
        counted: Of `StepCounts.actions`.

    Raises:
        ValueError: an action was counted and not declared, or declared and not counted, or the count is negative.
    """
    wanted = list_counted(actions)
    for name in counted:
        if name not in wanted:
            raise ValueError(f"the dataflow counts {name!r}, which it does not declare as an action that is counted")
    for name in wanted:
        if name not in counted:
            raise ValueError(f"the dataflow declares the action {name!r} and does not count it")
        if counted[name] < 0:
            raise ValueError(f"the dataflow counts {counted[name]} of {name!r}; a count must not be negative")
    return {
        action.name: counted[action.name]
        if action.per_multiplication is None
        else action.per_multiplication * multiplications
        for action in actions
    }
