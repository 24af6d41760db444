"""Descent by running means of a gradient and of its square, which Adam and AdamW share."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from workloads.kinds.execution import Parameters
from workloads.optimisers.optimiser import ElementwiseCost, Optimiser, TensorUpdate
from workloads.reference.arrays import Array
from workloads.settings import PositiveFloat

FIRST_MOMENT, SECOND_MOMENT = "first_moment", "second_moment"


class MomentDescent(Optimiser):
    """w = w - learning_rate m' / (sqrt(v') + epsilon), where m' and v' are corrected for their start at zero.

    m = m + (1 - betas[0]) (g - m), v = betas[1] v + (1 - betas[1]) g g, and behind t updates
    m' = m / (1 - betas[0]^t), v' = v / (1 - betas[1]^t): Kingma and Ba, Adam, ICLR 2015, in the form of torch.
    """

    learning_rate: PositiveFloat
    betas: Annotated[list[Annotated[float, Field(ge=0.0, lt=1.0)]], Field(min_length=2, max_length=2)] = Field(
        default_factory=lambda: [0.9, 0.999]
    )
    epsilon: PositiveFloat = 1e-8
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0

    def name_slots(self) -> tuple[str, ...]:
        """Name the running means of the gradient and of its square."""
        return FIRST_MOMENT, SECOND_MOMENT

    def cost(self) -> ElementwiseCost:
        """Count the operations on an element; what all elements have in common, such as corrections, is made once."""
        return ElementwiseCost(reads=4, writes=3, multiplications=6, additions=5, divisions=1, square_roots=1)

    def descend(self, parameter: Array, gradient: Array, slots: Parameters, updates: int) -> TensorUpdate:
        """Update the moments, and the parameter by them alone."""
        gathered, kept = self.betas
        first = slots[FIRST_MOMENT] if slots else np.zeros_like(gradient)
        second = slots[SECOND_MOMENT] if slots else np.zeros_like(gradient)
        first = first + (1 - gathered) * (gradient - first)
        second = kept * second + (1 - kept) * gradient * gradient
        step = self.learning_rate / (1 - gathered ** (updates + 1))
        scale = float(np.sqrt(1 - kept ** (updates + 1)))
        done = parameter - step * (first / (np.sqrt(second) / scale + self.epsilon))
        return TensorUpdate(done, {FIRST_MOMENT: first, SECOND_MOMENT: second})
