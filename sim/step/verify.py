"""Verification of a layer step: what the machine computed beside the numpy reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from workloads.errors import InputError
from workloads.operands import Operands
from workloads.reference import (
    bound_forward,
    bound_gta,
    bound_gtw,
    require_float32,
    run_forward,
    run_gta,
    run_gtw,
    sum_length,
)
from workloads.shapes import LinearShape, MatmulShape, Step

# Half the distance from 1 to the next float32: the largest relative error of one rounding.
FLOAT32_UNIT = 2.0**-24
# Half the smallest subnormal float32: the largest error of rounding a product that underflows.
FLOAT32_UNDERFLOW = 2.0**-150
# Every integer below this magnitude is a float32, so sums of integers that stay below it are exact in any order.
FLOAT32_EXACT = 2.0**24
FLOAT32_LARGEST = float(np.finfo(np.float32).max)
# A fully connected step is compared in parts of about so many weights.
PART_ELEMENTS = 2**20


class Verdict(StrEnum):
    """How a step's output compares with the reference."""

    EXACT = "exact"
    WITHIN_TOLERANCE = "tolerance"
    FAILED = "failed"
    NOT_VERIFIED = "none"


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of comparing one step's output.

    Attributes:
        max_abs_error: Largest difference and largest difference allowed at any element; None if not verified.
        tolerance: Largest difference and largest difference allowed at any element; None if not verified.
        message: What is wrong, with the first bad index, where the verdict is FAILED.
    """

    verdict: Verdict
    max_abs_error: float | None = None
    tolerance: float | None = None
    message: str = ""


NOT_VERIFIED = Verification(Verdict.NOT_VERIFIED)


def verify_step(
    operands: Operands, step: Step, output: NDArray[np.float32], product_error: float = 0.0
) -> Verification:
    """Compare a step's output with the reference in float64, element by element.

    Integers whose sums stay below 2^24 must be equal. Otherwise an element may differ by the rounding bound of a
    float32 sum of n products in any order, g = n u / (1 - n u) times the sum of their magnitudes, u = 2^-24, n the
    longest sum plus bias and conversion; the sum of magnitudes is bounded by Cauchy-Schwarz.

    A product that underflows errs by up to v = 2^-150 besides, whatever its magnitude: fl(xy) = xy (1 + d) + e with
    |d| <= u, |e| <= v. A sum does not: where it is subnormal it is a multiple of the smallest subnormal, and exact. The
    sums that follow a product enlarge e as they do xy, so that k products add k v (1 + g). An element without a product
    but those with zero has neither part.

    Products of int16 that are rounded to the accumulator's unit err by up to half of it each, their sums not at all.

    Args:
        product_error: That half, 0 where products are not rounded to a unit.

    Raises:
        InputError: the reference, or a sum on the way to it, exceeds float32.
    """
    if isinstance(operands.shape, LinearShape) and operands.shape.tokens:
        operands, output = view_rows(operands, operands.shape), output.reshape(-1, output.shape[-1])
    found = [compare_part(part, step, output, product_error) for part in cut_parts(operands, step)]
    is_exact = all(one.is_exact for one in found)
    largest, allowed = max(one.largest for one in found), max(one.allowed for one in found)
    bad = [one for one in found if one.bad]
    if not bad:
        return Verification(Verdict.EXACT if is_exact else Verdict.WITHIN_TOLERANCE, largest, allowed)
    count = sum(one.bad for one in bad)
    message = (
        f"layer {operands.layer!r}, step {step}: output{list(bad[0].index)} is {output[bad[0].index]:.9g}, "
        f"the reference says {bad[0].expected:.9g} ({count} of {output.size} elements differ)"
    )
    return Verification(Verdict.FAILED, largest, allowed, message)


def view_rows(operands: Operands, shape: LinearShape) -> Operands:
    """Give the operands of a fully connected layer on tokens as those of one with an image for each token."""
    rows = shape.by_row()
    return dataclasses.replace(
        operands,
        shape=rows,
        input=operands.input.reshape(rows.input_shape),
        grad_output=operands.grad_output.reshape(rows.output_shape),
        mask=None if operands.mask is None else operands.mask.reshape(rows.input_shape),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A part of a step: its operands, and where its outputs lie in the step's output."""

    operands: Operands
    place: tuple[slice, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Compared:
    """How a part's outputs compare: bad counts those that differ, index and expected tell the first of them."""

    is_exact: bool
    largest: float
    allowed: float
    bad: int
    index: tuple[int, ...]
    expected: float


def cut_parts(operands: Operands, step: Step) -> Iterator[Part]:
    """Cut a fully connected step along its outputs, so that no copy of all its weights is made; others stay whole."""
    shape = operands.shape
    if not isinstance(shape, LinearShape):
        yield Part(operands, ())
        return
    outputs, depth = shape.out_features, shape.in_features
    if step is Step.GTA:
        outputs, depth = depth, outputs
    run = max(1, PART_ELEMENTS // depth)
    for start in range(0, outputs, run):
        span = slice(start, min(outputs, start + run))
        if step is Step.GTA:
            part = dataclasses.replace(
                operands,
                shape=dataclasses.replace(shape, in_features=span.stop - start),
                input=operands.input[:, span],
                weight=operands.weight[:, span],
                mask=None if operands.mask is None else operands.mask[:, span],
            )
        else:
            part = dataclasses.replace(
                operands,
                shape=dataclasses.replace(shape, out_features=span.stop - start),
                weight=operands.weight[span],
                bias=None if operands.bias is None else operands.bias[span],
                grad_output=operands.grad_output[:, span],
            )
        yield Part(part, (span,) if step is Step.GTW else (slice(None), span))


def compare_part(part: Part, step: Step, output: NDArray[np.float32], product_error: float = 0.0) -> Compared:
    """Compare a part of a step's output with the reference."""
    operands = part.operands
    precise = dataclasses.replace(
        operands,
        input=operands.input.astype(np.float64),
        weight=operands.weight.astype(np.float64),
        grad_output=operands.grad_output.astype(np.float64),
        bias=None if operands.bias is None else operands.bias.astype(np.float64),
    )
    run = {Step.FORWARD: run_forward, Step.GTA: run_gta, Step.GTW: run_gtw}[step]
    bound = {Step.FORWARD: bound_forward, Step.GTA: bound_gta, Step.GTW: bound_gtw}[step](operands)
    expected = np.asarray(run(precise), dtype=np.float64)
    is_exact = holds_integers(operands, step) and float(np.max(bound, initial=0.0)) < FLOAT32_EXACT
    is_exact = is_exact and product_error == 0
    terms = sum_length(operands.shape, step) + 2
    slack = terms * FLOAT32_UNIT / (1 - terms * FLOAT32_UNIT)
    underflow = (terms - 2) * FLOAT32_UNDERFLOW * (1 + slack)
    if isinstance(operands.shape, MatmulShape):
        product_error *= abs(operands.shape.scale)
    underflow += (terms - 2) * product_error * (1 + slack)
    tolerance = np.zeros_like(bound) if is_exact else np.where(bound > 0, bound * slack + underflow, 0.0)
    require_float32(operands, step, expected, part.place)
    require_sums(part, step, output, bound)
    with np.errstate(invalid="ignore"):
        error = np.abs(output[part.place] - expected)
    bad = ~(error <= tolerance)
    largest = float(np.max(error, initial=0.0))
    allowed = float(np.max(tolerance, initial=0.0))
    if not bad.any():
        return Compared(is_exact, largest, allowed, 0, (), 0.0)
    largest = float(np.max(np.where(np.isnan(error), np.inf, error)))
    within = tuple(int(place) for place in np.unravel_index(int(np.argmax(bad)), bad.shape))
    starts = [span.start or 0 for span in part.place] + [0] * (len(within) - len(part.place))
    index = tuple(start + place for start, place in zip(starts, within, strict=True))
    return Compared(is_exact, largest, allowed, int(bad.sum()), index, float(expected[within]))


def require_sums(part: Part, step: Step, output: NDArray[np.float32], bound: NDArray[np.float64]) -> None:
    """Refuse sums that left float32 on their way to a reference within it.

    Args:
        bound: Of the sums of magnitudes.

    Raises:
        InputError: an output is not finite, and its products may add up to more than float32 holds.
    """
    is_bad = ~np.isfinite(output[part.place]) & (bound > FLOAT32_LARGEST)
    if is_bad.any():
        raise InputError(
            f"the sums of layer '{part.operands.layer}', step {step}, exceed float32 before they cancel: magnitudes "
            f"add up to as much as {float(np.max(bound)):.4g}; the operands are too large, or the network they are "
            "from has diverged"
        )


def holds_integers(operands: Operands, step: Step) -> bool:
    """Tell whether every operand of a step is a whole number."""
    used = {
        Step.FORWARD: (operands.input, operands.weight, operands.bias),
        Step.GTA: (operands.grad_output, operands.weight),
        Step.GTW: (operands.input, operands.grad_output),
    }[step]
    if isinstance(operands.shape, MatmulShape) and not operands.shape.scale.is_integer():
        return False
    return all(np.array_equal(tensor, np.rint(tensor)) for tensor in used if tensor is not None)
