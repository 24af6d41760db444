"""Verification of a layer step: what the machine computed beside the numpy reference."""

from __future__ import annotations

import dataclasses
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from workloads.operands import Operands
from workloads.reference import bound_forward, bound_gta, bound_gtw, run_forward, run_gta, run_gtw, sum_length
from workloads.shapes import Step

# Half the distance from 1 to the next float32: the largest relative error of one rounding.
FLOAT32_UNIT = 2.0**-24
# Every integer below this magnitude is a float32, so sums of integers that stay below it are exact in any order.
FLOAT32_EXACT = 2.0**24


class Verdict(StrEnum):
    """How a step's output compares with the reference."""

    EXACT = "exact"
    WITHIN_TOLERANCE = "tolerance"
    FAILED = "failed"
    NOT_VERIFIED = "none"


@dataclasses.dataclass(frozen=True, slots=True)
class Verification:
    """The outcome of comparing one step's output.

    max_abs_error, tolerance: largest difference and largest difference allowed at any element; None if not verified.
    message: what is wrong, with the first bad index, where the verdict is FAILED.
    """

    verdict: Verdict
    max_abs_error: float | None = None
    tolerance: float | None = None
    message: str = ""


NOT_VERIFIED = Verification(Verdict.NOT_VERIFIED)


def verify_step(operands: Operands, step: Step, output: NDArray[np.float32]) -> Verification:
    """Compare a step's output with the reference in float64, element by element.

    Integers whose sums stay below 2^24 must be equal. Otherwise an element may differ by the rounding bound of a
    float32 sum of n products in any order, n u / (1 - n u) times the sum of their magnitudes, u = 2^-24, n the
    longest sum plus bias and conversion; the sum of magnitudes is bounded by Cauchy-Schwarz.
    """
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
    terms = sum_length(operands.shape, step) + 2
    slack = terms * FLOAT32_UNIT / (1 - terms * FLOAT32_UNIT)
    tolerance = np.zeros_like(bound) if is_exact else bound * slack
    error = np.abs(output - expected)
    bad = ~(error <= tolerance)
    largest = float(np.max(np.where(np.isnan(error), np.inf, error), initial=0.0))
    allowed = float(np.max(tolerance, initial=0.0))
    if not bad.any():
        return Verification(Verdict.EXACT if is_exact else Verdict.WITHIN_TOLERANCE, largest, allowed)
    index = tuple(int(place) for place in np.unravel_index(int(np.argmax(bad)), bad.shape))
    message = (
        f"layer {operands.layer!r}, step {step}: output{list(index)} is {output[index]:.9g}, the reference says "
        f"{expected[index]:.9g} ({int(bad.sum())} of {bad.size} elements differ)"
    )
    return Verification(Verdict.FAILED, largest, allowed, message)


def holds_integers(operands: Operands, step: Step) -> bool:
    """Tell whether every operand of a step is a whole number."""
    used = {
        Step.FORWARD: (operands.input, operands.weight, operands.bias),
        Step.GTA: (operands.grad_output, operands.weight),
        Step.GTW: (operands.input, operands.grad_output),
    }[step]
    return all(np.array_equal(tensor, np.rint(tensor)) for tensor in used if tensor is not None)
