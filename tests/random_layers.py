"""Random layers with small-integer operands, over the geometries that the definition allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.array import PEArray
from workloads.operands import Operands
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step

ALL_STEPS = (Step.FORWARD, Step.GTA, Step.GTW)
DENSITIES = (0.0, 0.1, 0.3, 0.5, 0.8, 1.0)
SMALL_INTEGERS = (-3, -2, -1, 1, 2, 3)
LARGEST_KERNEL = 11


def draw_conv_shape(
    rng: np.random.Generator, *, largest_kernel: int = LARGEST_KERNEL, largest_size: int = 12
) -> ConvShape:
    """Draw strides 1-4, padding 0-3, kernels up to `largest_kernel` (non-square), dilation 1-3, groups, batch 1-3.

    One layer in two has equal strides, symmetric padding and no dilation.
    """
    while True:
        R, S = (int(size) for size in rng.integers(1, largest_kernel + 1, 2))
        if rng.random() < 0.5:
            R, S = min(R, 3), min(S, 3)
        H, W = (int(size) for size in rng.integers(1, largest_size + 1, 2))
        top, left = (int(size) for size in rng.integers(0, 4, 2))
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        C, M = (groups * int(size) for size in rng.integers(1, 5, 2))
        batch, U = int(rng.integers(1, 4)), int(rng.integers(1, 5))
        stride, dilation, bottom, right = (U, U), (1, 1), top, left
        if rng.random() < 0.5:
            stride, dilation = (U, int(rng.integers(1, 5))), (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
            bottom, right = (int(size) for size in rng.integers(0, 4, 2))
        fits_height = H + top + bottom > dilation[0] * (R - 1)
        if fits_height and W + left + right > dilation[1] * (S - 1):
            return ConvShape(batch, C, H, W, M, R, S, stride, (top, left, bottom, right), dilation, groups)


def draw_linear_shape(rng: np.random.Generator) -> LinearShape:
    """Draw a fully connected layer of up to 40 features."""
    return LinearShape(int(rng.integers(1, 4)), int(rng.integers(1, 41)), int(rng.integers(1, 41)))


def draw_tensor(rng: np.random.Generator, shape: tuple[int, ...], density: float) -> NDArray[np.float32]:
    """Draw small integers as float32, nonzero with probability `density`; some rows are emptied whole."""
    values = rng.choice(SMALL_INTEGERS, size=shape).astype(np.float32)
    values[rng.random(shape) >= density] = 0
    if 0 < density < 1 and len(shape) > 1:
        values[rng.random(shape[:-1]) < 0.15] = 0
    return values


def draw_operands(rng: np.random.Generator, shape: LayerShape, layer: str = "layer") -> Operands:
    """Draw operands of mixed densities, all-zero and all-dense tensors among them; a mask in two of three layers."""
    densities = [float(rng.choice(DENSITIES)) for _ in range(3)]
    input = draw_tensor(rng, shape.input_shape, densities[0])
    weight = draw_tensor(rng, shape.weight_shape, densities[1])
    grad_output = draw_tensor(rng, shape.output_shape, densities[2])
    masks = (None, input != 0, rng.random(shape.input_shape) < 0.5)
    return Operands(layer, shape, input, weight, None, grad_output, masks[int(rng.integers(3))], ALL_STEPS)


def draw_array(rng: np.random.Generator) -> PEArray:
    """Draw a sparse machine of few or many PE groups whose accumulators hold any row or kernel that is drawn here."""
    return PEArray(
        groups=int(rng.choice([1, 2, 5, 56])),
        pes_per_group=int(rng.integers(1, 5)),
        multipliers_per_pe=int(rng.integers(1, 4)),
        accumulators=int(rng.choice([LARGEST_KERNEL**2, 256])),
        min_tasks_per_group=int(rng.choice([1, 2, 8])),
        row_overhead_cycles=int(rng.integers(0, 3)),
        empty_issue_cycles=int(rng.integers(0, 3)),
        skip_weights=bool(rng.random() < 0.4),
        pack_groups=bool(rng.random() < 0.6),
    )


def draw_case(*place: int) -> tuple[Operands, PEArray]:
    """Draw the layer and the machine of a place, whatever was drawn before; every fifth is fully connected.

    Two of five machines may have too few accumulators for a row or a kernel, never for a row of a kernel.
    """
    rng = np.random.default_rng(place)
    shape: LayerShape = draw_linear_shape(rng) if place[-1] % 5 == 0 else draw_conv_shape(rng)
    operands, array = draw_operands(rng, shape), draw_array(rng)
    if isinstance(shape, ConvShape) and rng.random() < 0.4:
        array = replace(array, accumulators=shape.kernel_width + int(rng.integers(0, 6)))
    return operands, array
