"""Activations and their gradients equal torch's, on tensors of every rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch_layers import compare_with_torch

pytestmark = pytest.mark.peers

SHAPES = ((4, 6), (2, 5, 6), (2, 3, 4, 5))
FORMS: tuple[dict[str, Any], ...] = (
    {"type": "relu6"},
    {"type": "leaky_relu", "negative_slope": 0.2},
    {"type": "sigmoid"},
    {"type": "tanh"},
    {"type": "hard_sigmoid"},
    {"type": "hard_swish"},
    {"type": "silu"},
    {"type": "gelu"},
    {"type": "gelu", "approximate": "tanh"},
    {"type": "softmax"},
    {"type": "softmax", "axis": 1},
    {"type": "prelu"},
    {"type": "prelu", "per_channel": True},
)
# torch's constants of a hard sigmoid's gradient are rounded to float32, in float64 too.
ROUNDED_CONSTANTS = 4e-8


# Some roundings of each dtype; torch's vectorised functions are within a few units in the last place.
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 3e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_an_activation_equals_that_of_torch(
    form: dict[str, Any], shape: tuple[int, ...], dtype: Any, tolerance: float
) -> None:
    compare_with_torch(form, shape, dtype, max(tolerance, ROUNDED_CONSTANTS * (form["type"] == "hard_sigmoid")))
