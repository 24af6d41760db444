"""Numbers as they are stored: rounded to half precision, bfloat16, or 16-bit integers with a scale for each tensor."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import Float32Array

# The largest finite values: (2 - 2^-10) 2^15 in IEEE 754 binary16, (2 - 2^-7) 2^127 in bfloat16.
FP16_LARGEST = 65504.0
BF16_LARGEST = float(np.array(0x7F7F0000, dtype=np.uint32).view(np.float32))
# Both signs alike, so that every value has its negative.
INT16_LARGEST = 32767
# An integer times this power of two is a float32, however small.
LEAST_EXPONENT = -149


class ValueFormat(StrEnum):
    """How the elements of a tensor are stored; `float32` leaves values as they are."""

    FLOAT32 = "float32"
    FP16 = "fp16"
    BF16 = "bf16"
    INT16 = "int16"


def round_values(values: NDArray[Any], form: ValueFormat) -> Float32Array:
    """Give the values that are stored of a tensor: the nearest of the format, of two the one with the even last bit.

    What lies beyond the format's largest finite value becomes that value. fp16 has subnormals down to 2^-24. int16 has
    one exponent for the tensor (`find_exponent`). Numbers that are none stay so.
    """
    given = np.asarray(values, dtype=np.float32)
    if form is ValueFormat.FP16:
        return np.clip(given, -FP16_LARGEST, FP16_LARGEST).astype(np.float16).astype(np.float32)
    if form is ValueFormat.BF16:
        return round_to_bf16(given)
    if form is ValueFormat.INT16:
        exponent = find_exponent(given)
        whole = np.clip(np.rint(np.ldexp(given, -exponent)), -INT16_LARGEST, INT16_LARGEST)
        return np.asarray(np.ldexp(whole, exponent), dtype=np.float32)
    return given


def round_to_bf16(values: Float32Array) -> Float32Array:
    """Round to the upper half of a float32."""
    clipped = np.clip(values, -BF16_LARGEST, BF16_LARGEST).astype(np.float32, copy=False)
    bits = np.ascontiguousarray(clipped).view(np.uint32)
    # Half of the last bit that stays, less one where it is even: a tie then does not carry.
    upper = (bits + (np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1)))) & np.uint32(0xFFFF0000)
    rounded: Float32Array = np.where(np.isnan(clipped), clipped, upper.view(np.float32)).reshape(values.shape)
    return rounded


def find_exponent(values: NDArray[Any]) -> int:
    """Give the exponent of an int16 tensor: the least e, from -149 up, so that no magnitude exceeds 32767 x 2^e.

    Rounding does not change it, so that it follows from the stored values as well. 0 for a tensor without a nonzero.
    """
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest == 0 or not np.isfinite(largest):
        return 0
    exponent = int(np.frexp(largest)[1]) - 15
    if largest > np.ldexp(float(INT16_LARGEST), exponent):
        exponent += 1
    return max(LEAST_EXPONENT, exponent)


def count_saturated(values: NDArray[Any], form: ValueFormat) -> int:
    """Count the elements beyond the format, which plain rounding would take to infinity; int16's scale leaves none."""
    if form is ValueFormat.FP16:
        # Half a step above the largest value a tie goes to the even neighbour, which is infinity.
        return int(np.count_nonzero(np.abs(values) >= FP16_LARGEST + 16))
    if form is ValueFormat.BF16:
        return int(np.count_nonzero(np.abs(values) >= np.float32(BF16_LARGEST + 2.0**119)))
    return 0
