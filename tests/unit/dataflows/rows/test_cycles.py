"""Issue cycles of driver elements, and the sums over kernel rows, worked by hand."""

from __future__ import annotations

import dataclasses

import numpy as np

from dataflows.contract.array import PEArray
from dataflows.rows.counts import count_dense_macs, gather_gradients, tally_partners
from dataflows.rows.cycles import (
    count_classes,
    count_partners,
    gather_kernel_rows,
    group_classes,
    issue_cycles,
    multiply_exactly,
    scatter_kernel_rows,
)
from dataflows.rows.taps import tabulate_taps
from workloads.shapes import ConvShape, Step

# Rows of four, kernels of three, no padding: every output row and column meets three.
SHAPE = ConvShape(1, 1, 4, 4, 1, 3, 3)
MULTIPLIERS, FLOOR = 2, 1


def test_an_element_takes_the_issue_stage_for_its_taps_and_at_least_for_the_floor() -> None:
    array = PEArray(multipliers_per_pe=MULTIPLIERS, empty_issue_cycles=FLOOR)
    taps = np.array([0, 1, 2, 3])
    assert issue_cycles(taps, array).tolist() == [FLOOR, 1, 1, 2]
    assert issue_cycles(taps, dataclasses.replace(array, skip_zeros=False)).tolist() == [0, 1, 1, 2]


def test_a_gradient_meets_the_present_columns_under_its_kernel() -> None:
    assert count_partners(np.array([True, False, True, True]), SHAPE).tolist() == [2, 2]


def test_kernel_rows_are_gathered_by_input_row_and_scattered_by_output_row() -> None:
    assert gather_kernel_rows(np.array([[1], [10]]), SHAPE)[:, 0].tolist() == [1, 11, 11, 10]
    assert scatter_kernel_rows(np.array([[1], [10], [100], [1000]]), SHAPE)[:, 0].tolist() == [111, 1110]


def test_positions_that_meet_the_same_taps_are_of_one_class() -> None:
    classes, members = group_classes(tabulate_taps(SHAPE, Step.FORWARD), SHAPE.kernel_width)
    assert sorted(classes.sum(axis=1).tolist()) == [1, 1, 2, 2]
    present = np.array([True, False, True, True])
    counts = count_classes(present, members, len(classes))
    assert counts[members].tolist() == present.astype(int).tolist()


def test_products_of_whole_numbers_are_exact_past_what_float32_holds() -> None:
    large = 2**24 + 1
    assert multiply_exactly(np.array([[large]]), np.array([[1]])).tolist() == [[large]]


def test_multiplications_of_a_dense_step_leave_out_padding() -> None:
    # Each of two output rows meets three kernel rows; each of two columns three kernel columns.
    assert count_dense_macs(SHAPE) == (2 * 3) ** 2
    padded = dataclasses.replace(SHAPE, padding=(1, 1, 1, 1))
    # Four rows of three, but the first and the last meet one row of padding each.
    assert count_dense_macs(padded) == (4 * 3 - 2) ** 2


def test_live_taps_are_counted_where_gradients_meet_wanted_columns() -> None:
    gradients = np.array([[[[True, False], [False, True]]]])
    drivers = gather_gradients(gradients, SHAPE)
    assert drivers[0, 0].tolist() == [[1, 0], [1, 1], [1, 1], [0, 1]]
    wanted = np.ones(SHAPE.input_shape, dtype=np.bool_)
    assert tally_partners(drivers, wanted, SHAPE, PEArray()) == (2 * 3 * 3, 0)
    assert tally_partners(drivers, ~wanted, SHAPE, PEArray()) == (0, 2 * 3)
