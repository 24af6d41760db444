"""The values of one parameter: a list, or a range cut into steps or left whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any
from zlib import crc32

import numpy as np
from pydantic import Field, create_model

from sim.sweep.form import cut_document
from workloads.document import YamlDocument
from workloads.errors import InputError
from workloads.layers import StrictModel
from workloads.validation import show_value, validate_document

Value = int | float | str | bool | None
STEP_LIMIT = 100_000


class Scale(StrEnum):
    """How the steps of a range lie."""

    LINEAR = "linear"
    LOG = "log"


# The field is named `from`, which Python's syntax cannot declare.
RangeForm = create_model(
    "RangeForm",
    __base__=StrictModel,
    **{
        "from": (int | float, ...),
        "to": (int | float, ...),
        "steps": (Annotated[int, Field(ge=2, le=STEP_LIMIT)] | None, None),
        "scale": (Scale, Scale.LINEAR),
    },  # type: ignore[call-overload]
)


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers from low to high; whole ones alone where both ends are whole."""

    low: int | float
    high: int | float
    scale: Scale

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers belong to the range."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def at(self, fraction: float) -> int | float:
        """Give the number that lies so far between the ends, 0 to 1."""
        if self.scale is Scale.LOG:
            value = self.low * (self.high / self.low) ** fraction
        else:
            value = self.low + (self.high - self.low) * fraction
        return round(value) if self.is_whole else float(value)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A dotted path and what it takes: values, or where these are None any number of a range."""

    path: str
    values: tuple[Value, ...] | None
    range: Range | None = None

    def draw(self, seed: int, index: int) -> Value:
        """Draw the value of a random sweep's point `index`; a draw depends on seed, path and index alone."""
        uniform = float(np.random.default_rng([seed, crc32(self.path.encode()), index]).random())
        if self.values is not None:
            return self.values[int(uniform * len(self.values))]
        assert self.range is not None
        return self.range.at(uniform)


def read_parameter(document: YamlDocument, path: str) -> Parameter:
    """Read the values of one parameter of a sweep's document.

    Raises:
        InputError: it is neither a list of single values nor a range.
    """
    place = document.origin(("parameters", path))
    given = document.data["parameters"][path]
    if isinstance(given, dict):
        return read_range(document, path)
    if not isinstance(given, list) or not given:
        raise InputError(
            f"{place}: {path} must be a list of at least 1 value or a range {{from, to, steps, scale}}, "
            f"got {show_value(given)}"
        )
    seen: set[tuple[type, Value]] = set()
    for value in given:
        if isinstance(value, list | dict):
            raise InputError(
                f"{place}: a value of {path} must be a number, text, true, false or null, got {show_value(value)}"
            )
        if (type(value), value) in seen:
            raise InputError(f"{place}: {path} has the value {show_value(value)} twice")
        seen.add((type(value), value))
    return Parameter(path, tuple(given))


def count_values(given: Any) -> int:
    """Count the values that a parameter's list or range asks for, whether or not they are allowed."""
    if isinstance(given, list):
        return len(given)
    steps = given.get("steps") if isinstance(given, dict) else None
    return steps if isinstance(steps, int) and steps <= STEP_LIMIT else 0


def require_computable(low: int | float, high: int | float, scale: Scale, subject: str) -> None:
    """Refuse ends between which float64 does not reach.

    Raises:
        InputError: the message begins with `subject`.
    """
    try:
        reach = float(high) / float(low) if scale is Scale.LOG else float(high) - float(low)
    except OverflowError:
        reach = math.inf
    if not math.isfinite(reach):
        raise InputError(
            f"{subject}: a range must lie within float64, got from {show_value(low)} to {show_value(high)}"
        )


def read_range(document: YamlDocument, path: str) -> Parameter:
    """Read a range, and cut it into its steps if it has any.

    Raises:
        InputError: a field is not allowed, or steps of whole numbers fall together.
    """
    place = document.origin(("parameters", path))
    form: Any = validate_document(cut_document(document, ("parameters", path)), RangeForm)
    low, high, steps = getattr(form, "from"), form.to, form.steps
    if not low < high:
        raise InputError(f"{place}: {path}: from must be below to, got from {show_value(low)} to {show_value(high)}")
    if form.scale is Scale.LOG and low <= 0:
        raise InputError(f"{place}: {path}: a range of scale log must start above 0, got from {show_value(low)}")
    require_computable(low, high, form.scale, f"{place}: {path}")
    whole = Range(low, high, form.scale)
    if steps is None:
        return Parameter(path, None, whole)
    values = tuple(whole.at(step / (steps - 1)) for step in range(steps))
    if len(set(values)) < steps:
        raise InputError(
            f"{place}: {path}: {steps} steps from {low} to {high} hold only {len(set(values))} whole numbers"
        )
    if whole.is_whole and form.scale is Scale.LINEAR and not math.isclose((high - low) % (steps - 1), 0):
        raise InputError(
            f"{place}: {path}: {steps} steps from {low} to {high} are not whole numbers apart; "
            f"choose steps so that steps - 1 divides {high - low}, or give a list"
        )
    return Parameter(path, values)
