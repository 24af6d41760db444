"""Strips of rows and runs of kernel rows, against the inequalities that define them."""

from __future__ import annotations

import numpy as np
import pytest
from random_layers import draw_conv_shape

from dataflows.contract.array import PEArray
from dataflows.rows.strips import cut_kernel, cut_strips, tabulate_strip
from dataflows.rows.taps import tabulate_taps
from workloads.shapes import ConvShape, Step

SHAPES = [draw_conv_shape(np.random.default_rng([63, index])) for index in range(40)]


@pytest.mark.parametrize(("width", "words", "lengths"), [(416, 256, [208, 208]), (10, 4, [4, 4, 2]), (7, 7, [7])])
def test_a_row_is_cut_into_the_fewest_strips_of_one_length(width: int, words: int, lengths: list[int]) -> None:
    strips = cut_strips(ConvShape(1, 1, 1, width, 1, 1, 1), Step.GTA, PEArray(accumulators=words))
    assert [len(strip.columns) for strip in strips] == lengths
    assert strips[0].is_whole is (len(lengths) == 1)


@pytest.mark.parametrize(
    ("height", "width", "words", "lengths"),
    [(41, 11, 256, [21, 20]), (7, 3, 9, [3, 3, 1]), (5, 5, 5, [1] * 5), (3, 3, 9, [3]), (2, 5, 4, [1, 1])],
)
def test_a_kernel_is_cut_into_the_fewest_runs_of_rows(height: int, width: int, words: int, lengths: list[int]) -> None:
    shape = ConvShape(1, 1, height, width, 1, height, width)
    assert [len(run) for run in cut_kernel(shape, PEArray(accumulators=words))] == lengths


@pytest.mark.parametrize("step", [Step.FORWARD, Step.GTA])
@pytest.mark.parametrize("words", [1, 2, 5])
def test_a_window_reaches_from_the_first_tap_of_its_columns_to_the_last(step: Step, words: int) -> None:
    for shape in SHAPES:
        U, left, reach = shape.stride_width, shape.pad_left, (shape.kernel_width - 1) * shape.dilation_width
        for strip in cut_strips(shape, step, PEArray(accumulators=words)):
            a, b = strip.columns[0], strip.columns[-1]
            if strip.is_whole:
                continue
            if step is Step.FORWARD:
                window = [w for w in range(shape.in_width) if a * U - left <= w <= b * U - left + reach]
            else:
                window = [q for q in range(shape.out_width) if q * U - left <= b and q * U - left + reach >= a]
            assert list(strip.window) == window


@pytest.mark.parametrize("step", [Step.FORWARD, Step.GTA])
def test_every_tap_falls_into_one_strip_and_its_driver_element_into_the_window(step: Step) -> None:
    for shape in SHAPES:
        found = []
        for strip in cut_strips(shape, step, PEArray(accumulators=3)):
            taps = tabulate_strip(shape, step, strip)
            places = np.repeat(np.arange(len(taps.counts)), taps.counts)
            assert set(places.tolist()) <= set(strip.window)
            found += list(zip(places.tolist(), (taps.partner + strip.columns.start).tolist(), strict=True))
        taps = tabulate_taps(shape, step)
        places = np.repeat(np.arange(len(taps.counts)), taps.counts)
        assert sorted(found) == sorted(zip(places.tolist(), taps.partner.tolist(), strict=True))


def test_flags_outside_a_strip_and_outside_its_window_are_cleared() -> None:
    first, second = cut_strips(ConvShape(1, 1, 1, 4, 1, 1, 2), Step.GTA, PEArray(accumulators=2))
    flags = np.ones((1, 4), dtype=np.bool_)
    assert second.limit(flags).tolist() == [[False, False, True, True]]
    # Column 2 is met by q = 1 and 2 alone; columns 0 and 1 by 0 and 1.
    assert first.limit_drivers(flags[:, :3]).tolist() == [[True, True, False]]
    assert second.limit_drivers(flags[:, :3]).tolist() == [[False, True, True]]
