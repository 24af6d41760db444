"""How PEs multiply and add the values of a step: what a dataflow's `execute` computes in."""

from __future__ import annotations

from dataclasses import dataclass

from workloads.operands import Operands
from workloads.reference import sum_length
from workloads.shapes import Step
from workloads.value_formats import INT16_LARGEST, ValueFormat, find_exponent


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """The arithmetic of PEs: float32 products and sums, or those of 16-bit integers.

    Attributes:
        integer_unit: None in float32. With integers, the power of two that accumulators count in: each product, which
            is exact, is rounded to a multiple of it, of two the even one, and added; no sum overflows.
        product_error: By how much rounding changes a product at most.
        reduction_runs: Run lengths of the reduction's indices where values are summed part by part, as the tiling cuts
            them: each part is summed from 0, and the PPU adds it in float32 to the parts before. Empty where the cut
            plays no part in values.
    """

    integer_unit: float | None = None
    product_error: float = 0.0
    reduction_runs: tuple[int, ...] = ()


FLOAT32_SUMS = Arithmetic()


def choose_arithmetic(
    operands: Operands, step: Step, acc_bits: int, reduction_runs: tuple[int, ...] = ()
) -> Arithmetic:
    """Give the arithmetic for operands as they are stored: integers for int16, and else float32."""
    if operands.form is ValueFormat.INT16:
        shift = find_shift(sum_length(operands.shape, step), acc_bits)
        unit = 2.0 ** (sum(find_exponents(operands, step)) + shift)
        return Arithmetic(unit, unit / 2 if shift else 0.0)
    return FLOAT32_SUMS if operands.form is ValueFormat.FLOAT32 else Arithmetic(reduction_runs=reduction_runs)


def find_exponents(operands: Operands, step: Step) -> tuple[int, int]:
    """Give the exponents of the two tensors whose elements a step multiplies."""
    tensors = {
        Step.FORWARD: (operands.input, operands.weight),
        Step.GTA: (operands.grad_output, operands.weight),
        Step.GTW: (operands.grad_output, operands.input),
    }[step]
    return find_exponent(tensors[0]), find_exponent(tensors[1])


def find_shift(products: int, acc_bits: int) -> int:
    """Give by how many bits a product of two int16 is shifted down: the least so that no sum of them overflows.

    Args:
        products: In the longest sum.
    """
    largest, shift = 2 ** (acc_bits - 1) - 1, 0
    while products * round_shifted(INT16_LARGEST**2, shift) > largest:
        shift += 1
    return shift


def round_shifted(value: int, shift: int) -> int:
    """Shift a whole number down, rounded to the nearest, of two the even one."""
    if shift == 0:
        return value
    whole, rest = divmod(value, 1 << shift)
    half = 1 << (shift - 1)
    return whole + (rest > half or (rest == half and whole % 2 == 1))
