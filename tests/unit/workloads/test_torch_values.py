"""Convolutions whose geometry was once refused give torch's values, which stand here, without torch."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workloads.kinds.conv2d import Conv2d
from workloads.reference import conv_forward, conv_gta, conv_gtw

# Of output, gradient to the input and gradient to the weight: the second element, the middle one, the last but one, and
# the sum of magnitudes, as torch 2.13 computes them (pad, conv2d, backward) in float64; all are whole numbers.
Values = tuple[list[int], list[int], list[int]]
CASES: dict[str, tuple[tuple[int, ...], dict[str, Any], Values]] = {
    "padded at the bottom and the right": (
        (1, 3, 8, 8),
        {"out_channels": 4, "kernel": 3, "stride": 2, "padding": [0, 0, 1, 1]},
        ([4, -3, -8, 382], [4, 2, -2, 297], [-8, 0, -3, 804]),
    ),
    "padded as SAME": (
        (1, 3, 8, 8),
        {"out_channels": 4, "kernel": 3, "stride": 2, "padding": "same"},
        ([4, -3, -8, 382], [4, 2, -2, 297], [-8, 0, -3, 804]),
    ),
    "rows of 416": (
        (1, 3, 416, 416),
        {"out_channels": 16, "kernel": 3, "stride": 1, "padding": 1},
        ([-14, 7, 17, 42108459], [3, 4, 1, 1379045], [-3, -12, 14, 4000]),
    ),
    "a kernel of 41 x 11": (
        (1, 1, 700, 161),
        {"out_channels": 32, "kernel": [41, 11], "stride": 2, "padding": 0},
        ([-5, 16, -14, 7891802], [2, 6, 0, 178888], [12, 6, -18, 124800]),
    ),
    "two that read the input": (
        (1, 3, 8, 8),
        {"out_channels": 4, "kernel": 3, "stride": 1, "padding": 1},
        ([-5, -5, 0, 1482], [0, 3, -1, 464], [-3, -6, 14, 844]),
    ),
    "one behind them": (
        (1, 4, 8, 8),
        {"out_channels": 2, "kernel": 1, "stride": 1, "padding": 0},
        ([8, 0, 19, 724], [0, 2, 0, 320], [5, -8, 9, 52]),
    ),
}


def draw(shape: tuple[int, ...], cycle: int) -> NDArray[np.float64]:
    """Count up to a number again and again, from below zero on."""
    return (np.arange(prod(shape)) % cycle - cycle // 2).reshape(shape).astype(np.float64)


def show(tensor: NDArray[np.float64]) -> list[int]:
    flat = tensor.reshape(-1)
    return [*map(int, flat[[1, flat.size // 2, -2]]), int(np.abs(flat).sum())]


@pytest.mark.parametrize(("input_shape", "fields", "expected"), CASES.values(), ids=CASES)
def test_the_three_steps_have_the_values_of_torch(
    input_shape: tuple[int, ...], fields: dict[str, Any], expected: Values
) -> None:
    shape = Conv2d(name="c", type="conv2d", **fields).infer_geometry(input_shape)
    input, weight, grad_output = draw(shape.input_shape, 9), draw(shape.weight_shape, 5), draw(shape.output_shape, 4)
    steps = (
        conv_forward(input, weight, shape), conv_gta(grad_output, weight, shape), conv_gtw(input, grad_output, shape),
    )  # fmt: skip
    assert tuple(show(step) for step in steps) == expected
