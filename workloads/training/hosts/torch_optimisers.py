"""The updates of optimisers on torch tensors, in their place; one that has none here updates numpy arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from workloads.optimisers.optimiser import Optimiser
from workloads.optimisers.sgd import MOMENTUM, Sgd
from workloads.training.hosts.torch_kinds import Tensor, to_array, to_tensor

Slots = dict[str, Tensor]


def update_tensor(optimiser: Optimiser, parameter: Tensor, gradient: Tensor, slots: Slots, updates: int) -> None:
    """Update a parameter and its slots in their place; the gradient is used up.

    Args:
        slots: Empty before the first update, and filled by it.
        updates: How many were made before.
    """
    form: Any = FORMS.get(type(optimiser), update_in_numpy)
    with torch.no_grad():
        form(optimiser, parameter, gradient, slots, updates)


def update_in_numpy(optimiser: Optimiser, parameter: Tensor, gradient: Tensor, slots: Slots, updates: int) -> None:
    """Update by the optimiser's own numpy form."""
    kept = {name: to_array(values) for name, values in slots.items()}
    done = optimiser.update_tensor(to_array(parameter), to_array(gradient), kept, updates)
    parameter.copy_(to_tensor(done.parameter))
    slots.update({name: to_tensor(values, parameter.device).clone() for name, values in done.slots.items()})


def descend(optimiser: Sgd, parameter: Tensor, gradient: Tensor, slots: Slots, _updates: int) -> None:
    """Update as `Sgd` does."""
    if optimiser.weight_decay:
        gradient.add_(parameter, alpha=optimiser.weight_decay)
    if optimiser.momentum:
        gradient = slots[MOMENTUM].mul_(optimiser.momentum).add_(gradient) if slots else gradient.clone()
        slots[MOMENTUM] = gradient
    parameter.sub_(gradient, alpha=optimiser.learning_rate)


FORMS: dict[type[Optimiser], Callable[..., None]] = {Sgd: descend}
