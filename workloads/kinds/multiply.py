"""The product of branches, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from workloads.kinds.broadcast import BroadcastLayer
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import PassWork, Traits
from workloads.reference.arrays import Array
from workloads.reference.elementwise import reduce_to
from workloads.shapes import Shape


class Multiply(BroadcastLayer):
    """Product of two tensors; one of them may have the length 1 where the other has positions (squeeze and excite).

    A zero of either makes a zero of the product, but the gradient to the other does not vanish there unless it too is
    masked: a layer behind a product has no mask.
    """

    traits: ClassVar[Traits] = Traits(
        reads_several=True, keeps_input=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False
    )

    type: Literal["multiply"]

    def infer_output(self, names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the common shape of two inputs."""
        if len(shapes) > 2:
            raise ValueError(f"multiply reads two layers, got {len(shapes)}; multiply again")
        return super().infer_output(names, shapes)

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the gradient and both inputs, write both gradients."""
        return PassWork(reads_input=True)

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Multiply; the gradient to each is the output's times the other, summed over where it was spread."""
        first, second = inputs
        return first * second, lambda grad: Gradients(
            [reduce_to(grad * second, first.shape), reduce_to(grad * first, second.shape)], {}
        )
