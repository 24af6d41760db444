"""The updates of optimisers on torch tensors, in their place; one that has none here updates numpy arrays."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import torch

from workloads.optimisers.adam import Adam
from workloads.optimisers.adamw import AdamW
from workloads.optimisers.moments import FIRST_MOMENT, SECOND_MOMENT, MomentDescent
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


def update_sgd(optimiser: Sgd, parameter: Tensor, gradient: Tensor, slots: Slots, _updates: int) -> None:
    """Update as `Sgd` does."""
    if optimiser.weight_decay:
        gradient.add_(parameter, alpha=optimiser.weight_decay)
    if optimiser.momentum:
        gradient = slots[MOMENTUM].mul_(optimiser.momentum).add_(gradient) if slots else gradient.clone()
        slots[MOMENTUM] = gradient
    parameter.sub_(gradient, alpha=optimiser.learning_rate)


def update_adam(optimiser: Adam, parameter: Tensor, gradient: Tensor, slots: Slots, updates: int) -> None:
    """Update as `Adam` does."""
    if optimiser.weight_decay:
        gradient.add_(parameter, alpha=optimiser.weight_decay)
    descend(optimiser, parameter, gradient, slots, updates)


def update_adamw(optimiser: AdamW, parameter: Tensor, gradient: Tensor, slots: Slots, updates: int) -> None:
    """Update as `AdamW` does."""
    parameter.mul_(1 - optimiser.learning_rate * optimiser.weight_decay)
    descend(optimiser, parameter, gradient, slots, updates)


def descend(optimiser: MomentDescent, parameter: Tensor, gradient: Tensor, slots: Slots, updates: int) -> None:
    """Update the moments, and the parameter by them alone."""
    if not slots:
        slots.update({name: torch.zeros_like(gradient) for name in (FIRST_MOMENT, SECOND_MOMENT)})
    gathered, kept = optimiser.betas
    first = slots[FIRST_MOMENT].lerp_(gradient, 1 - gathered)
    second = slots[SECOND_MOMENT].mul_(kept).addcmul_(gradient, gradient, value=1 - kept)
    step = optimiser.learning_rate / (1 - gathered ** (updates + 1))
    scale = sqrt(1 - kept ** (updates + 1))
    parameter.addcdiv_(first, second.sqrt().div_(scale).add_(optimiser.epsilon), value=-step)


FORMS: dict[type[Optimiser], Callable[..., None]] = {Sgd: update_sgd, Adam: update_adam, AdamW: update_adamw}
