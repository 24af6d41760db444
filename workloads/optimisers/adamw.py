"""Adam with weight decay apart from the gradient."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pydantic import Field

from workloads.kinds.execution import Parameters
from workloads.optimisers.moments import MomentDescent
from workloads.optimisers.optimiser import ElementwiseCost, TensorUpdate
from workloads.reference.arrays import Array


class AdamW(MomentDescent):
    """Descent by moments in the form of torch.optim.AdamW: first w = w - learning_rate weight_decay w.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019.
    """

    method: Literal["adamw"]
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.01

    def cost(self) -> ElementwiseCost:
        """Count a multiplication more where weights decay: by 1 - learning_rate weight_decay."""
        cost = super().cost()
        return dataclasses.replace(cost, multiplications=cost.multiplications + bool(self.weight_decay))

    def update_tensor(self, parameter: Array, gradient: Array, slots: Parameters, updates: int) -> TensorUpdate:
        """Update one parameter and its moments."""
        decayed = parameter * (1 - self.learning_rate * self.weight_decay) if self.weight_decay else parameter
        return self.descend(decayed, gradient, slots, updates)
