"""Adam."""

from __future__ import annotations

import dataclasses
from typing import Literal

from workloads.kinds.execution import Parameters
from workloads.optimisers.moments import MomentDescent
from workloads.optimisers.optimiser import ElementwiseCost, TensorUpdate
from workloads.reference.arrays import Array


class Adam(MomentDescent):
    """Descent by moments in the form of torch.optim.Adam: weight decay is a part of the gradient that they gather."""

    method: Literal["adam"]

    def cost(self) -> ElementwiseCost:
        """Count a multiplication and an addition more where weights decay."""
        cost = super().cost()
        if not self.weight_decay:
            return cost
        more, added = cost.multiplications + 1, cost.additions + 1
        return dataclasses.replace(cost, multiplications=more, additions=added)

    def update_tensor(self, parameter: Array, gradient: Array, slots: Parameters, updates: int) -> TensorUpdate:
        """Update one parameter and its moments."""
        step = gradient + self.weight_decay * parameter if self.weight_decay else gradient
        return self.descend(parameter, step, slots, updates)
