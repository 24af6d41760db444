"""The row operations compute sums of products, of executed tasks alone, and count what they did."""

from __future__ import annotations

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.rows.masked_cycles import list_masked_rows
from dataflows.rows.taps import pair_rows, tabulate_taps
from dataflows.rows.values import convolve_msrc_rows, convolve_src_rows, correlate_osrc_rows
from dataflows.storage.compressed_rows import compress_rows
from workloads.shapes import ConvShape, Step

# One image of one row of three, two filters of two taps: two output columns.
SHAPE = ConvShape(1, 1, 1, 3, 2, 1, 2)
INPUT = np.array([[[[1, 0, 3]]]], dtype=np.float32)
WEIGHT = np.array([[[[1, 2]]], [[[3, 0]]]], dtype=np.float32)
GRADIENT = np.array([[[[1, 0]], [[0, 2]]]], dtype=np.float32)
PAIRS = pair_rows(SHAPE)


def test_src_sums_the_taps_of_input_nonzeros_and_leaves_out_what_was_not_executed() -> None:
    wanted = np.array([[[True, False]]])
    weight = np.ascontiguousarray(WEIGHT.transpose(1, 2, 3, 0))
    taps = tabulate_taps(SHAPE, Step.FORWARD)
    output, row_ops, products = convolve_src_rows(compress_rows(INPUT), weight, wanted, False, PAIRS, taps, 2)
    assert output[0, 0, :, 0].tolist() == [1 * 1 + 0 * 2, 0 * 1 + 3 * 2]
    assert np.isnan(output[0, 0, :, 1]).all()
    assert (row_ops, products) == (1, 2)


def test_msrc_spreads_gradients_where_the_mask_is_set() -> None:
    mask = np.array([[[[True], [False], [True]]]])
    output, row_ops, products = convolve_msrc_rows(
        compress_rows(GRADIENT), np.ascontiguousarray(WEIGHT.transpose(0, 2, 3, 1)), mask,
        np.ones((1, 1, 1), dtype=np.bool_), False, PAIRS, tabulate_taps(SHAPE, Step.GTA),
    )  # fmt: skip
    # Column 0: gradient 1 of the first filter by its first tap; column 2: gradient 2 of the second by its second.
    assert output[0, 0, :, 0].tolist() == [1 * 1, 0, 2 * 0]
    assert (row_ops, products) == (2, 2)


def test_osrc_sums_into_the_taps_of_each_kernel() -> None:
    activation = np.ascontiguousarray(INPUT.transpose(0, 2, 3, 1))
    output, row_ops, products = correlate_osrc_rows(
        compress_rows(GRADIENT), activation, activation != 0, np.ones((2, 1), dtype=np.bool_), PAIRS,
        tabulate_taps(SHAPE, Step.GTW), 2,
    )  # fmt: skip
    assert output[:, 0, :, 0].tolist() == [[1 * 1, 1 * 0], [2 * 0, 2 * 3]]
    assert (row_ops, products) == (2, 2)


def test_masked_rows_count_issues_live_taps_and_issues_without_one() -> None:
    allowed = np.array([[True, False, True]])
    drivers, every = compress_rows(GRADIENT[0]), range(SHAPE.out_width)
    rows = list_masked_rows(drivers, allowed, WEIGHT != 0, PAIRS[0], SHAPE, PEArray(), every)
    # The second filter's gradient meets a masked column with its first tap and a zero weight with its second.
    assert rows[0, :, 0].tolist() == [[1, 1, 0], [1, 0, 1]]
    first = list_masked_rows(drivers, allowed, WEIGHT != 0, PAIRS[0], SHAPE, PEArray(), range(1))
    assert first[0, :, 0].tolist() == [[1, 1, 0], [0, 0, 0]]


def test_dilated_taps_of_a_gradient_are_multiplied_and_counted_where_they_fall() -> None:
    shape = ConvShape(1, 1, 1, 5, 1, 1, 2, dilation=(1, 3))
    gradient, activation = np.array([[[[2, 3]]]], np.float32), np.array([[[[5], [0], [0], [7], [11]]]], np.float32)
    output, row_ops, products = correlate_osrc_rows(
        compress_rows(gradient), activation, activation != 0, np.ones((1, 1), dtype=np.bool_), pair_rows(shape),
        tabulate_taps(shape, Step.GTW), 2,
    )  # fmt: skip
    assert output[0, 0, :, 0].tolist() == [2 * 5 + 3 * 0, 2 * 7 + 3 * 11]
    assert (row_ops, products) == (1, 3)
