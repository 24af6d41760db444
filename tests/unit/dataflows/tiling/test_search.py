"""The search takes the fewest tiles that fit at next to the least DRAM bytes, then the least bytes, then long runs."""

from __future__ import annotations

import numpy as np
import pytest

from dataflows.tiling.kernels_search import KernelsTables, StreamedRows, measure_kernels_tile, search_kernels
from dataflows.tiling.rows_search import RowsTables, StripBytes, measure_rows_tile, search_rows
from dataflows.tiling.search import UNLIMITED, allow_bytes, find_best, is_better
from dataflows.tiling.spans import RowSpans

# Two images of one driver row in one channel, one result row and one block of one output.
IMAGES, DRIVER, WEIGHT, RESULT = 2, 10, 3, 4


def tabulate() -> RowsTables:
    drivers = np.zeros((1, IMAGES + 1, 2, 2), dtype=np.int64)
    drivers[0, :, 1, 1] = DRIVER * np.arange(IMAGES + 1)
    zero, ends = np.array([0]), np.array([0, 1])
    spans = RowSpans(zero, np.array([1]), np.zeros((1, 1), dtype=np.int64))
    strips = StripBytes(
        np.ones((2, 2), np.int64), np.zeros((2, 2), np.int64), 0 * ends, RESULT * ends, 2 * RESULT * ends
    )
    none = np.zeros((1, 1, 1), np.int64)
    return RowsTables(drivers, spans, np.array([[0], [1]]), ends, zero, zero, ends, none, strips, WEIGHT, 0)


def need(images: int) -> int:
    """Two output tiles and two operand tiles of so many images."""
    return 2 * images * RESULT + 2 * (images * DRIVER + WEIGHT)


@pytest.mark.parametrize(("capacity", "images"), [(need(2), 2), (need(2) - 1, 1), (need(1), 1)])
def test_a_tile_holds_as_many_images_as_fit(capacity: int, images: int) -> None:
    sizes, needed, moved = search_rows(tabulate(), capacity)
    assert sizes.tolist() == [images, 1, 1, 1, 1]
    assert needed == need(images)
    # Written bytes are none here, and kernels are read once a tile.
    assert moved == IMAGES * DRIVER + IMAGES // images * WEIGHT


def test_where_nothing_fits_no_run_length_is_found() -> None:
    found = search_rows(tabulate(), need(1) - 1)
    assert not found.sizes.any()
    assert found.moved_bytes == UNLIMITED


def test_a_tile_is_measured_with_its_drivers_and_weights() -> None:
    assert measure_rows_tile(np.array([2, 1, 1, 1, 1]), *tabulate().parts(), WEIGHT) == IMAGES * DRIVER + WEIGHT


def test_tiles_come_before_bytes_and_bytes_before_longer_runs() -> None:
    short, long = np.array([1, 2]), np.array([2, 1])
    assert is_better(1, 10, short, 2, 9, long)
    assert is_better(1, 9, short, 1, 10, long)
    assert is_better(1, 10, long, 1, 10, short)
    assert not is_better(1, 10, long, 1, 10, long)


@pytest.mark.parametrize(
    ("least", "written", "most"), [(32, 0, 33), (31, 0, 31), (31, 1, 32), (0, 64, 2), (64, 64, 68)]
)
def test_a_tiling_may_have_a_part_in_32_more_bytes_than_the_least(least: int, written: int, most: int) -> None:
    assert allow_bytes(least, written) == most
    for amount in range(most + 2):
        assert (32 * (amount + written) <= 33 * (least + written)) == (amount <= most)


def test_the_least_bytes_are_found_first_and_then_the_best_of_next_to_as_few() -> None:
    asked = []

    def attempt(most: int) -> tuple[int, int]:
        asked.append(most)
        return (640, 7) if most == UNLIMITED else (650, 5)

    sizes = np.array([4])
    assert find_best(sizes, attempt, 320) == (sizes, 5, 650 + 320)
    assert asked == [UNLIMITED, 640 + 30]
    assert find_best(sizes, lambda most: (most, most)) == (sizes, UNLIMITED, UNLIMITED)


def stream(amounts: list[list[int]]) -> StreamedRows:
    """Tabulate one image of one row, bytes ``(units, values)``."""
    sums = np.zeros((1, len(amounts), 2, 2, len(amounts[0]) + 1), dtype=np.int64)
    sums[0, :, 1, 1, 1:] = np.cumsum(amounts, axis=1)
    return StreamedRows(sums, np.array([[0]]), np.array([[1]]), np.zeros((1, 1, 1), np.int64))


# Three filters in two groups (the first two in one), each group with two blocks of one channel.
FILTERS, BLOCKS, KERNEL = [[5, 6, 7]], [[10, 20], [40, 80]], 3
KERNELS = KernelsTables(
    stream(FILTERS), stream(BLOCKS), np.array([0, 0, 1]), np.array([[0, 0], [0, 0]]), np.arange(4), np.arange(3),
    np.array([0, KERNEL]), 6 * KERNEL,
)  # fmt: skip


def test_a_tile_of_kernels_is_measured_with_its_filters_and_the_blocks_of_their_groups() -> None:
    def measure(*sizes: int) -> int:
        return int(measure_kernels_tile(np.array([*sizes, 1, 1, 1]), *KERNELS.parts()))

    assert measure(3, 2) == sum(FILTERS[0]) + sum(map(sum, BLOCKS))
    assert measure(2, 1) == FILTERS[0][2] + BLOCKS[1][1]
    assert measure(1, 2) == FILTERS[0][2] + sum(BLOCKS[1])


def test_kernels_are_tiled_with_the_least_bytes_that_fit() -> None:
    whole = 2 * 6 * KERNEL + 2 * (18 + 150)
    assert search_kernels(KERNELS, whole)[0].tolist() == [3, 2, 1, 1, 1]
    # Filters of one group at a time load no block twice; the second group alone is the largest.
    assert search_kernels(KERNELS, whole - 1)[0].tolist() == [2, 2, 1, 1, 1]
    assert search_kernels(KERNELS, whole - 1)[1] == 2 * 4 * KERNEL + 2 * (7 + 120)
    assert not search_kernels(KERNELS, 2 * KERNEL + 2 * (7 + 80) - 1)[0].any()
