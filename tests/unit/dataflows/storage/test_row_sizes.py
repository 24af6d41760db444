"""Stored sizes of rows against the formulas of the definition, in exact integers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.storage.row_sizes import (
    POINTER_BYTES,
    choose_format,
    count_index_bits,
    size_piece,
    size_raw,
    size_rows,
    tabulate_code,
)

WIDTHS = (1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 55, 224)
NONZEROS = {width: sorted({0, 1, width // 2, width}) for width in WIDTHS}
CASES = [(width, nonzeros) for width in WIDTHS for nonzeros in NONZEROS[width]]


def size_one(width: int, nonzeros: int, form: RowFormat, data_bits: int) -> int:
    """Give the stored bytes of one row."""
    return int(size_rows(np.array([nonzeros]), width, form, data_bits)[0])


@pytest.mark.parametrize("data_bits", [8, 12, 16, 32])
@pytest.mark.parametrize(("width", "nonzeros"), CASES)
def test_each_format_has_its_formula_rounded_up_to_a_byte(width: int, nonzeros: int, data_bits: int) -> None:
    raw = width * data_bits
    bitmask = width + nonzeros * data_bits
    # These widths are far below 2^48, so that float64's logarithm decides right.
    offset = math.ceil(math.log2(width + 1)) + nonzeros * (data_bits + max(1, math.ceil(math.log2(width))))
    assert size_one(width, nonzeros, RowFormat.RAW, data_bits) == math.ceil(raw / 8)
    assert size_one(width, nonzeros, RowFormat.BITMASK, data_bits) == math.ceil(bitmask / 8) + POINTER_BYTES
    assert size_one(width, nonzeros, RowFormat.OFFSET, data_bits) == math.ceil(offset / 8) + POINTER_BYTES


@pytest.mark.parametrize("form", RowFormat)
def test_kernels_size_every_piece_of_a_row_as_numpy_does(form: RowFormat) -> None:
    width, data_bits = 9, 12
    code = tabulate_code(width, form, data_bits)
    for piece in range(1, width + 1):
        for nonzeros in range(piece + 1):
            assert size_piece(nonzeros, piece, code) == size_one(piece, nonzeros, form, data_bits)


def test_a_pointer_is_two_bytes() -> None:
    assert POINTER_BYTES == 2


@pytest.mark.parametrize("values", [1, 2, 3, 4, 5, 255, 256, 257, 2**30, 2**30 + 1])
def test_index_bits_tell_so_many_values_apart(values: int) -> None:
    assert int(count_index_bits(values)) == (values - 1).bit_length()


@pytest.mark.parametrize(("elements", "bits"), [(1, 1), (3, 16), (5, 12), (8, 1), (9, 1)])
def test_a_raw_row_is_rounded_up_to_a_byte(elements: int, bits: int) -> None:
    assert size_raw(elements, bits) == math.ceil(elements * bits / 8)


@pytest.mark.parametrize("form", RowFormat)
def test_a_format_that_is_asked_for_is_taken_whatever_it_costs(form: RowFormat) -> None:
    for nonzeros in (0, 32):
        assert choose_format(np.full(4, nonzeros), 32, MemoryShare(sparse_format=form)) is form


@pytest.mark.parametrize(
    ("width", "nonzeros", "form"),
    [(32, [32] * 4, RowFormat.RAW), (32, [12] * 4, RowFormat.BITMASK), (32, [1] * 4, RowFormat.OFFSET)],
)
def test_auto_takes_the_smallest(width: int, nonzeros: list[int], form: RowFormat) -> None:
    rows = np.array(nonzeros)
    sizes = {one: int(size_rows(rows, width, one, 16).sum()) for one in RowFormat}
    assert choose_format(rows, width, MemoryShare()) is form
    assert sizes[form] < min(size for one, size in sizes.items() if one is not form)


def find_tie(first: RowFormat, second: RowFormat) -> tuple[int, int]:
    """Find a width and a number of nonzeros for which two formats are equally small and the third is not smaller."""
    for width in range(1, 64):
        for nonzeros in range(width + 1):
            sizes = {form: size_one(width, nonzeros, form, 16) for form in RowFormat}
            if sizes[first] == sizes[second] == min(sizes.values()):
                return width, nonzeros
    raise AssertionError(f"{first} and {second} never tie")


@pytest.mark.parametrize(
    ("first", "second"),
    [(RowFormat.RAW, RowFormat.BITMASK), (RowFormat.BITMASK, RowFormat.OFFSET)],
)
def test_on_a_tie_raw_comes_before_bitmask_and_bitmask_before_offset(first: RowFormat, second: RowFormat) -> None:
    width, nonzeros = find_tie(first, second)
    assert choose_format(np.array([nonzeros]), width, MemoryShare()) is first


def test_auto_compares_the_whole_tensor_not_row_by_row() -> None:
    # One full row is smallest raw, three empty ones compressed: together the compressed tensor is smaller.
    rows = np.array([32, 0, 0, 0])
    assert choose_format(rows[:1], 32, MemoryShare()) is RowFormat.RAW
    assert choose_format(rows, 32, MemoryShare()) is not RowFormat.RAW
