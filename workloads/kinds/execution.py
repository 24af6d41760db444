"""How a layer is carried out on the host: its parameters, its surroundings, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from workloads.reference.arrays import Array, Keep, keep_in_memory
from workloads.shapes import Shape

Parameters = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a layer: its shape, and the value it starts from; None: drawn by Kaiming's rule."""

    shape: Shape
    start: float | None = None


@dataclass(frozen=True, eq=False)
class Gradients:
    """What a layer hands back: a gradient for each of its inputs (None: nobody needs it) and for its parameters."""

    inputs: Sequence[Array | None]
    parameters: Parameters


Backward = Callable[[Array], Gradients]


class PairBackward(Protocol):
    """The backward of a layer that the accelerator executes in steps."""

    def __call__(self, grad: Array, for_gta: Array | None = None, /) -> Gradients:
        """Hand the gradient to the output back.

        Args:
            for_gta: The gradient that GTA alone reads in its place; None where it reads the same.
        """
        ...


Note = Callable[[str, Array], None]


def forget(_name: str, _values: Array) -> None:
    """Keep nothing of what is noted."""


@dataclass(frozen=True)
class Place:
    """What a layer has to know of its surroundings.

    Attributes:
        output_is_kept: A reader keeps this layer's output for its own backward pass.
        seed: Key of the layer's random draws.
        iteration: Key of the layer's random draws.
        keep: Gives what to keep of an array for the backward pass.
        statistics: The running statistics of the layer, by name, where the network is evaluated: nothing is drawn then,
            and an image's result does not depend on the others. None where it is trained.
        note: Takes a statistic of the batch, by the name of the running one that follows it.
    """

    needs_grad_input: bool
    output_is_kept: bool
    seed: int
    iteration: int
    keep: Keep = keep_in_memory
    statistics: Parameters | None = None
    note: Note = forget


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss: its value, not weighted, and the gradient to the scores.

    Attributes:
        hits: Share of the targets that the scores meet; None where none can be met.
        saturated_images: How many have no gradient but that of a wrong class, since each softmax of theirs rounds to 1
            in float32.
    """

    value: float
    grad_scores: Array
    hits: float | None = None
    saturated_images: int = 0
