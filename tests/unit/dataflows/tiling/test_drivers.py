"""Numbers of driver rows: equal for equal sets in any order, and for equal bytes of them in segments."""

from __future__ import annotations

import numpy as np

from dataflows.tiling.drivers import BYTES, ROWS, add_driver, make_drivers, split_drivers, tell_drivers

SIZES = (3, 4, 5)


def gather(*orders: tuple[int, ...]) -> np.ndarray:
    """Give bursts the driver rows of these numbers."""
    drivers = make_drivers(len(orders), is_told=True)
    for burst, order in enumerate(orders):
        for number in order:
            add_driver(drivers, burst, SIZES[number], number)
    return drivers


def test_a_set_of_rows_has_one_number_in_any_order_and_another_set_another() -> None:
    drivers = gather((0, 1, 2), (2, 0, 1), (1, 2), (0,), (1,), ())
    assert drivers[:, BYTES].tolist() == [12, 12, 9, 3, 4, 0]
    assert drivers[0, ROWS] == drivers[1, ROWS]
    assert len(set(drivers[1:, ROWS].tolist())) == 5


def test_segments_share_out_the_bytes_of_driver_rows_before_all_others() -> None:
    first = make_drivers(3, is_told=True)
    first[0] = gather((0, 1, 2))[0]
    whole = int(first[0, ROWS])
    split_drivers(first, 0, 24, 3)
    assert first[:, BYTES].tolist() == [8, 4, 0]
    assert len({whole, *first[:2, ROWS].tolist()}) == 3
    # The same rows with more others behind them: other segments, unless they hold the same bytes of them.
    second = make_drivers(3, is_told=True)
    second[0] = gather((2, 1, 0))[0]
    split_drivers(second, 0, 16, 2)
    assert second[:2].tolist() == first[:2].tolist()
    third = make_drivers(3, is_told=True)
    third[0] = gather((2, 1, 0))[0]
    split_drivers(third, 0, 36, 3)
    assert (third[0, BYTES], third[0, ROWS]) == (12, whole)


def test_what_is_told_is_never_negative_and_nothing_where_groups_share_no_reads() -> None:
    sizes, rows = tell_drivers(gather(*[(number % 3, (number + 1) % 3) for number in range(6)]))
    assert sizes is not None
    assert rows is not None
    assert sizes.tolist() == [7, 9, 8] * 2
    assert (rows >= 0).all()
    assert tell_drivers(None) == (None, None)
    assert make_drivers(5, is_told=False).shape == (0, 2)
