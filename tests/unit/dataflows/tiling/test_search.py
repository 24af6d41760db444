"""The search takes the least DRAM bytes that fit, then the fewest tiles, then the longest runs."""

from __future__ import annotations

import numpy as np
import pytest

from dataflows.tiling.search import RowBytes, RowsTables, is_better, measure_rows_tile, search_rows

# Two images of one driver row in one channel, one result row and one block of one output.
IMAGES, DRIVER, WEIGHT, RESULT = 2, 10, 3, 4
ROW_BYTES = RowBytes(weight=WEIGHT, mask=0, whole=RESULT, partial=2 * RESULT)


def tabulate() -> RowsTables:
    drivers = np.zeros((1, IMAGES + 1, 2, 2), dtype=np.int64)
    drivers[0, :, 1, 1] = DRIVER * np.arange(IMAGES + 1)
    zero, ends = np.array([0]), np.array([0, 1])
    return RowsTables(drivers, zero, np.array([1]), np.array([[0], [1]]), zero, ends, np.zeros((1, 1, 1), np.int64))


def need(images: int) -> int:
    """Two output tiles and two operand tiles of so many images."""
    return 2 * images * RESULT + 2 * (images * DRIVER + WEIGHT)


@pytest.mark.parametrize(("capacity", "images"), [(need(2), 2), (need(2) - 1, 1), (need(1), 1)])
def test_a_tile_holds_as_many_images_as_fit(capacity: int, images: int) -> None:
    sizes, needed = search_rows(tabulate(), ROW_BYTES, capacity)
    assert sizes.tolist() == [images, 1, 1, 1]
    assert needed == need(images)


def test_where_nothing_fits_no_run_length_is_found() -> None:
    sizes, _ = search_rows(tabulate(), ROW_BYTES, need(1) - 1)
    assert not sizes.any()


def test_a_tile_is_measured_with_its_drivers_and_weights() -> None:
    assert measure_rows_tile(np.array([2, 1, 1, 1]), *tabulate().parts(), WEIGHT, 0) == IMAGES * DRIVER + WEIGHT


def test_bytes_come_before_tiles_and_tiles_before_longer_runs() -> None:
    short, long = np.array([1, 2]), np.array([2, 1])
    assert is_better(9, 5, short, 10, 1, long)
    assert is_better(10, 1, short, 10, 2, long)
    assert is_better(10, 1, long, 10, 1, short)
    assert not is_better(10, 1, long, 10, 1, long)
