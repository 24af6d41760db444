"""The operands of one layer's training steps: what a machine executes and what the reference verifies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.shapes import LayerShape, Step

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Operands:
    """The tensors of one layer; float32, C-contiguous, finite.

    input: ``(N, C, H, W)`` or ``(N, C)``; weight: ``(M, C / G, R, S)`` or ``(M, C)``; bias: ``(M,)`` or None;
    grad_output: ``(N, M, P, Q)`` or ``(N, M)``; mask: bool, the input's shape, or None where no ReLU stands before.
    steps: the steps this layer has, in the order of their execution. relu_follows: the output goes through a ReLU
    alone, so that it is stored sparse.
    """

    layer: str
    shape: LayerShape
    input: FloatArray
    weight: FloatArray
    bias: FloatArray | None
    grad_output: FloatArray
    mask: NDArray[np.bool_] | None
    steps: tuple[Step, ...]
    relu_follows: bool = False
