"""The update of parameters at the end of an iteration: which are updated, and what an element of them costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import Any

from workloads.errors import InputError
from workloads.network import Network
from workloads.optimisers.optimiser import ElementwiseCost
from workloads.optimisers.table import OPTIMISERS
from workloads.shapes import Shape, Step

UPDATE, ACCUMULATE = "update", "accumulate"


class UpdateMethod(StrEnum):
    """How parameters are updated; `NONE` leaves the update out."""

    NONE = "none"
    SGD = "sgd"
    SGD_MOMENTUM = "sgd_momentum"
    ADAM = "adam"
    ADAMW = "adamw"


# The optimiser of each method; its learning rate changes no cost.
SETTINGS: Mapping[UpdateMethod, Mapping[str, Any]] = {
    UpdateMethod.SGD: {"method": "sgd"},
    UpdateMethod.SGD_MOMENTUM: {"method": "sgd", "momentum": 0.9},
    UpdateMethod.ADAM: {"method": "adam"},
    UpdateMethod.ADAMW: {"method": "adamw"},
}


@dataclass(frozen=True, slots=True)
class LayerUpdate:
    """The parameters of a layer that are updated: names and shapes."""

    node: str
    parameters: tuple[tuple[str, Shape], ...]

    @property
    def elements(self) -> int:
        """Of all parameters."""
        return sum(prod(shape) for _, shape in self.parameters)


def parse_update(update: str | UpdateMethod) -> UpdateMethod:
    """Give the method of this name.

    Raises:
        InputError: there is none.
    """
    if update not in tuple(UpdateMethod):
        raise InputError(f"unknown update '{update}'; the updates are {', '.join(UpdateMethod)}")
    return UpdateMethod(update)


def find_update_cost(method: UpdateMethod | None) -> ElementwiseCost | None:
    """Give what the update of an element costs; None where there is no update."""
    if method is None or method not in SETTINGS:
        return None
    settings = SETTINGS[method]
    return OPTIMISERS.load(settings["method"]).model_validate({**settings, "learning_rate": 1.0}).cost()


def list_updates(network: Network, list_steps: Callable[[str], tuple[Step, ...]]) -> tuple[LayerUpdate, ...]:
    """List the layers whose parameters are updated, in the network's order.

    Args:
        list_steps: The steps of a layer: one that is executed in steps, but without GTW, is not trained.
    """
    updates = []
    for node in network.nodes:
        if node.layer.traits.is_computed and Step.GTW not in list_steps(node.name):
            continue
        parameters = node.layer.list_parameters(node.input_shapes[0])
        if parameters:
            shapes = tuple((name, parameter.shape) for name, parameter in parameters.items())
            updates.append(LayerUpdate(node.name, shapes))
    return tuple(updates)


def size_parameter(shape: Shape, bits: int) -> int:
    """Give the bytes of a parameter, raw: each kernel of a convolution's weight, or row of another, is rounded up."""
    inner = 2 if len(shape) > 3 else 1
    return prod(shape[:-inner]) * -(-prod(shape[-inner:]) * bits // 8)
