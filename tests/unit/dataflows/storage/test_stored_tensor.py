"""A tensor's rows and their pieces are stored in one format, chosen for the whole tensor."""

from __future__ import annotations

import numpy as np
import pytest

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare, RowFormat
from dataflows.storage.row_sizes import POINTER_BYTES
from dataflows.storage.stored_tensor import StoredVectors, store_tensor, store_vectors

MEMORY, WIDTH = MemoryShare(data_bits=16), 8
SPARSE, DENSE_MACHINE = PEArray(skip_zeros=True), PEArray(skip_zeros=False)
# Three images of one row of eight: nothing, one nonzero, two nonzeros.
ROWS = np.array([[0] * 8, [0, 3, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 2]], dtype=np.float32)
BITMASK_BYTES = [POINTER_BYTES + WIDTH // 8 + nonzeros * MEMORY.data_bits // 8 for nonzeros in (0, 1, 2)]


def cut_rows(row_format: RowFormat) -> StoredVectors:
    return store_vectors(ROWS != 0, SPARSE, MEMORY, row_format)


def test_a_sparse_machine_takes_the_smallest_format_and_a_dense_one_stores_every_row_raw() -> None:
    assert store_tensor(ROWS, SPARSE, MEMORY).row_format is RowFormat.BITMASK
    assert store_tensor(ROWS, SPARSE, MEMORY).row_bytes.tolist() == BITMASK_BYTES
    assert store_tensor(ROWS, DENSE_MACHINE, MEMORY).row_bytes.tolist() == [WIDTH * MEMORY.data_bits // 8] * len(ROWS)


def test_rows_keep_the_shape_of_the_axes_before_them() -> None:
    stored = store_tensor(ROWS.reshape(1, 3, 1, WIDTH), SPARSE, MEMORY, RowFormat.BITMASK)
    assert stored.row_bytes.tolist() == [[[size] for size in BITMASK_BYTES]]


@pytest.mark.parametrize("row_format", RowFormat)
def test_a_piece_that_is_the_whole_row_has_the_bytes_of_the_row(row_format: RowFormat) -> None:
    stored = cut_rows(row_format)
    assert stored.size(np.array([0]), np.array([WIDTH]))[:, 0].tolist() == stored.row_bytes.tolist()


def test_pieces_have_pointers_and_bit_masks_of_their_own() -> None:
    stored = cut_rows(RowFormat.BITMASK)
    low, high = np.array([0, 2]), np.array([2, 8])
    assert stored.count(low, high).tolist() == [[0, 0], [1, 0], [1, 1]]
    # A mask of two bits and one of six take a byte each.
    empty, single = POINTER_BYTES + 1, POINTER_BYTES + 1 + MEMORY.data_bits // 8
    assert stored.size(low, high).tolist() == [[empty, empty], [single, empty], [single, single]]


def test_a_batch_repeats_the_images_that_stand_for_it() -> None:
    images = np.array([2, 2, 0])
    stored = cut_rows(RowFormat.BITMASK)
    assert stored.repeat(images).row_bytes.tolist() == [BITMASK_BYTES[image] for image in images]
    assert stored.repeat(images).running.tolist() == stored.running[images].tolist()
