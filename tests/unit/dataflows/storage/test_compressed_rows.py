"""Compressed rows hold what is needed to rebuild the tensor."""

from __future__ import annotations

import numpy as np
import pytest
from random_layers import draw_tensor

from dataflows.storage.compressed_rows import compress_rows


@pytest.mark.parametrize("keeps_zeros", [False, True])
@pytest.mark.parametrize("density", [0.0, 0.4, 1.0])
def test_rows_can_be_rebuilt_from_their_elements(density: float, keeps_zeros: bool) -> None:
    tensor = draw_tensor(np.random.default_rng([62, int(10 * density)]), (2, 3, 4, 5), density)
    rows = compress_rows(tensor, keeps_zeros=keeps_zeros)
    rebuilt = np.zeros((2 * 3 * 4, 5), dtype=np.float32)
    for row in range(len(rebuilt)):
        elements = slice(rows.first[row], rows.first[row + 1])
        assert np.all(np.diff(rows.position[elements]) > 0)
        rebuilt[row, rows.position[elements]] = rows.value[elements]
    np.testing.assert_array_equal(rebuilt.reshape(tensor.shape), tensor)
    assert len(rows.value) == (tensor.size if keeps_zeros else np.count_nonzero(tensor))
    assert [str(array.dtype) for array in (rows.first, rows.position, rows.value)] == ["int64", "int32", "float32"]


def test_a_negative_zero_is_a_zero_and_a_denormal_is_not() -> None:
    rows = compress_rows(np.array([[-0.0, 1e-45, 0.0]], dtype=np.float32))
    assert rows.position.tolist() == [1]
