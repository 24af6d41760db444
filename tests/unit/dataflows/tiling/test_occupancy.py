"""The bits of occupied rows are rounded up once for each tensor that a tile moves."""

from __future__ import annotations

from dataflows.contract.array import PEArray
from dataflows.tiling.occupancy import pair_bits, size_bits


def test_bits_are_rounded_up_once_a_tensor() -> None:
    array = PEArray(skip_empty_rows=True)
    assert [size_bits(array, rows) for rows in ([0], [1], [8], [9], [8, 9])] == [0, 1, 1, 2, 3]


def test_a_machine_that_works_empty_rows_moves_none() -> None:
    assert size_bits(PEArray(), [9]) == size_bits(PEArray(skip_zeros=False, skip_empty_rows=True), [9]) == 0


def test_each_tile_has_its_own() -> None:
    loaded, written = pair_bits([3, 1], [0, 2])
    assert (loaded.tolist(), written.tolist()) == ([3, 1], [0, 2])
