"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from workloads.kinds.execution import Parameters
from workloads.optimisers.optimiser import ElementwiseCost, Optimiser, TensorUpdate
from workloads.reference.arrays import Array

MOMENTUM = "momentum"


class Sgd(Optimiser):
    """Gradient descent with momentum and weight decay, in the form of torch.optim.SGD without dampening.

    g = gradient + weight_decay w, v = momentum v + g, w = w - learning_rate v; v is zero before the first update, and
    is not kept where momentum is 0.
    """

    method: Literal["sgd"]
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0

    def name_slots(self) -> tuple[str, ...]:
        """Name the momentum, where there is one."""
        return (MOMENTUM,) if self.momentum else ()

    def cost(self) -> ElementwiseCost:
        """Count a multiplication and an addition for each term that is there."""
        kept, terms = len(self.name_slots()), 1 + bool(self.momentum) + bool(self.weight_decay)
        return ElementwiseCost(reads=2 + kept, writes=1 + kept, multiplications=terms, additions=terms)

    def update_tensor(self, parameter: Array, gradient: Array, slots: Parameters, updates: int) -> TensorUpdate:  # noqa: ARG002
        """Update one parameter, and its momentum where it has one."""
        step = gradient
        if self.weight_decay:
            step = self.weight_decay * parameter
            step += gradient
        if self.momentum and slots:
            kept = self.momentum * slots[MOMENTUM]
            kept += step
            step = kept
        elif self.momentum and step is gradient:
            step = gradient.copy()
        moved = self.learning_rate * step
        return TensorUpdate(np.subtract(parameter, moved, out=moved), {MOMENTUM: step} if self.momentum else {})
