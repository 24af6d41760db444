"""The difference of branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from workloads.kinds.broadcast import BroadcastLayer
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import SAME_ELEMENT, PassWork, Traits
from workloads.reference.arrays import Array
from workloads.reference.elementwise import align_arrays, reduce_to
from workloads.shapes import Shape


class Subtract(BroadcastLayer):
    """The first of two tensors less the second, either of them spread over the other's positions."""

    traits: ClassVar[Traits] = Traits(
        reads_several=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False
    )

    type: Literal["subtract"]

    def infer_output(self, names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the common shape of two inputs."""
        if len(shapes) > 2:
            raise ValueError(f"subtract reads two layers, got {len(shapes)}; subtract again")
        return super().infer_output(names, shapes)

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the gradient, write it for the first and negated for the second."""
        return PassWork(window_rows=SAME_ELEMENT)

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Subtract; each gradient is summed over where its input was spread."""
        first, second = (input.shape for input in inputs)
        left, right = align_arrays(inputs)
        return left - right, lambda grad: Gradients([reduce_to(grad, first), -reduce_to(grad, second)], {})
