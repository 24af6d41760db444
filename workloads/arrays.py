"""Names of the array types that pass between rooms, by what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
# Of the host's reference, which computes in float32 or float64.
FloatingArray = NDArray[np.floating[Any]]
