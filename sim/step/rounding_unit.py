"""The PPU's last stage where values are not stored in float32: it rounds what is written.

It shares no code with `workloads.value_formats`, which rounds operands and what the host computes.
"""

from __future__ import annotations

import numpy as np

from workloads.arrays import Float32Array
from workloads.value_formats import ValueFormat

# Bits of a float32's significand that bfloat16, and normal numbers of half precision, do not have.
BF16_DROPPED, FP16_DROPPED = 16, 13
# The least normal number of half precision; added to smaller ones, one half leaves multiples of 2^-24.
FP16_NORMAL, FP16_ALIGNER = np.float32(2.0**-14), np.float32(0.5)
FP16_TOP, BF16_TOP = np.float32(0x7FF * 2.0**5), np.float32(0xFF * 2.0**120)
INT16_TOP = 0x7FFF


def store_rows(results: Float32Array, form: ValueFormat) -> Float32Array:
    """Give what is stored of a step's results; the scale of an int16 tensor follows from its largest result."""
    if form is ValueFormat.FLOAT32:
        return results
    if form is ValueFormat.INT16:
        return store_integers(results)
    top = FP16_TOP if form is ValueFormat.FP16 else BF16_TOP
    rounded = drop_bits(results, FP16_DROPPED if form is ValueFormat.FP16 else BF16_DROPPED)
    if form is ValueFormat.FP16:
        magnitude = np.abs(results)
        small = np.copysign((magnitude + FP16_ALIGNER) - FP16_ALIGNER, results)
        rounded = np.where(magnitude < FP16_NORMAL, small, rounded)
    stored: Float32Array = np.where(np.abs(rounded) > top, np.copysign(top, rounded), rounded)
    return stored


def drop_bits(results: Float32Array, dropped: int) -> Float32Array:
    """Round the significands of float32 numbers to so many bits less, ties to even; a carry reaches the exponent."""
    words = np.ascontiguousarray(results, dtype=np.float32).view(np.uint32)
    odd = (words >> np.uint32(dropped)) & np.uint32(1)
    carried = words + odd + np.uint32((1 << (dropped - 1)) - 1)
    kept = (carried >> np.uint32(dropped)) << np.uint32(dropped)
    return np.where(np.isfinite(results), kept.view(np.float32).reshape(results.shape), results)


def store_integers(results: Float32Array) -> Float32Array:
    """Round to whole multiples of the least power of two of which the largest result is at most 32767."""
    largest = float(np.max(np.abs(results), initial=0.0))
    unit = 2.0**-149
    while largest > INT16_TOP * unit:
        unit *= 2.0
    words = np.rint(results.astype(np.float64) / unit)
    return np.asarray(np.clip(words, -INT16_TOP, INT16_TOP) * unit, dtype=np.float32)
