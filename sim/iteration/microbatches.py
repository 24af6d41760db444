"""Rows of an iteration of several microbatches: each is what one of them takes, times their number."""

from __future__ import annotations

import dataclasses
from typing import Any

from sim.energy import COMPONENT_OF_ACTION, ActionCounts
from sim.results.rows import StepResult

# What is no count, energy or time: shares, densities, values and verdicts are those of one microbatch.
UNCOUNTED_UNITS = ("", "fraction", "value", "ratio")
COUNTED = tuple(item.name for item in dataclasses.fields(StepResult) if item.metadata["unit"] not in UNCOUNTED_UNITS)


def repeat_result(result: StepResult, times: int) -> StepResult:
    """Give the row of a step or pass that is done so many times, alike each time."""
    counts: dict[str, Any] = {name: getattr(result, name) for name in COUNTED}
    grown: dict[str, Any] = {name: None if count is None else times * count for name, count in counts.items()}
    return dataclasses.replace(result, **grown)


def repeat_actions(counts: ActionCounts | None, times: int) -> ActionCounts | None:
    """Give the actions of a step or pass that is done so many times."""
    if counts is None:
        return None
    own = {name: times * count for name, count in counts.own.items()}
    return ActionCounts(**{name: times * counts.count(name) for name in COMPONENT_OF_ACTION}, own=own)
