"""The geometry of row operations against the inequalities that define it."""

from __future__ import annotations

import numpy as np
import pytest
from random_layers import ALL_STEPS, draw_conv_shape

from dataflows.rows.taps import pair_rows, tabulate_taps
from workloads.shapes import ConvShape, Step

SHAPES = [draw_conv_shape(np.random.default_rng([61, index])) for index in range(40)]


@pytest.mark.parametrize("shape", SHAPES)
def test_taps_are_those_with_both_ends_in_range(shape: ConvShape) -> None:
    for step in ALL_STEPS:
        table = tabulate_taps(shape, step)
        positions = shape.in_width if step is Step.FORWARD else shape.out_width
        assert len(table.first) == positions + 1
        for x in range(positions):
            entries = slice(table.first[x], table.first[x + 1])
            found = list(zip(table.tap[entries].tolist(), table.partner[entries].tolist(), strict=True))
            if step is Step.FORWARD:
                expected = [
                    (s, q)
                    for s in range(shape.kernel_width)
                    for q in range(shape.out_width)
                    if q * shape.stride_width + s * shape.dilation_width - shape.pad_left == x
                ]
            else:
                start, apart = x * shape.stride_width - shape.pad_left, shape.dilation_width
                places = [(s, start + s * apart) for s in range(shape.kernel_width)]
                expected = [(s, w) for s, w in places if 0 <= w < shape.in_width]
            assert found == expected
            assert table.counts[x] == len(expected)
            incidence = table.incidence(shape.kernel_width)
            assert np.flatnonzero(incidence[x]).tolist() == [s for s, _ in expected]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_input_row_meets_an_output_row_where_the_kernel_row_lies_on_it(shape: ConvShape) -> None:
    pairs = pair_rows(shape)
    for h in range(shape.in_height):
        for r in range(shape.kernel_height):
            start = h + shape.pad_top - r * shape.dilation_height
            met = [p for p in range(shape.out_height) if p * shape.stride_height == start]
            assert pairs[h, r] == (met[0] if met else -1)
