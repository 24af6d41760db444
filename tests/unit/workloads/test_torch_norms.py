"""Normalisations and their gradients equal torch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_layers import compare_with_torch

pytestmark = pytest.mark.peers

IMAGES, FEATURES, TOKENS = (3, 4, 5, 6), (5, 8), (2, 5, 8)
CASES: tuple[tuple[tuple[int, ...], dict[str, Any]], ...] = (
    (IMAGES, {"type": "batch_norm"}),
    (FEATURES, {"type": "batch_norm"}),
    (FEATURES, {"type": "layer_norm"}),
    (TOKENS, {"type": "layer_norm", "epsilon": 1e-6}),
    (IMAGES, {"type": "layer_norm", "axes": 3}),
    (IMAGES, {"type": "layer_norm", "axes": 2, "affine": False}),
    (IMAGES, {"type": "group_norm", "groups": 2}),
    (FEATURES, {"type": "group_norm", "groups": 4}),
    (TOKENS, {"type": "group_norm", "groups": 1, "affine": False}),
    (IMAGES, {"type": "instance_norm"}),
    (IMAGES, {"type": "instance_norm", "affine": True}),
    (IMAGES, {"type": "local_response_norm", "size": 3, "alpha": 0.5}),
    (IMAGES, {"type": "local_response_norm", "size": 2, "alpha": 1.5, "beta": 1.25, "k": 2.0}),
    (IMAGES, {"type": "local_response_norm", "size": 11, "alpha": 1.5}),
)


# Means and squares round: some units in the last place, grown by roots and by sums of some dozens of terms.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
@pytest.mark.parametrize(("shape", "form"), CASES, ids=str)
def test_a_normalisation_equals_that_of_torch(
    shape: tuple[int, ...], form: dict[str, Any], dtype: Any, tolerance: float
) -> None:
    compare_with_torch(form, shape, dtype, tolerance)
