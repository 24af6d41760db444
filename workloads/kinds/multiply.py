"""The product of branches, element by element."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import ClassVar, Literal

import numpy as np

from workloads.kinds.broadcast import BroadcastLayer
from workloads.kinds.execution import Backward, Gradients, Parameters, Place
from workloads.kinds.layer import SAME_ELEMENT, PassWork, Traits
from workloads.reference.arrays import Array
from workloads.reference.elementwise import align_arrays, reduce_to
from workloads.shapes import Shape


class Multiply(BroadcastLayer):
    """Product of two or more tensors, of which some may be spread over the others' positions (squeeze and excite).

    A zero of one makes a zero of the product, but the gradient to the others does not vanish there unless they too are
    masked: a layer behind a product has no mask.
    """

    traits: ClassVar[Traits] = Traits(
        reads_several=True, keeps_input=True, hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False
    )

    type: Literal["multiply"]

    def backward_work(self, _shapes: tuple[Shape, ...], _output: Shape, /) -> PassWork | None:
        """Read the gradient and all inputs, write all gradients."""
        return PassWork(window_rows=SAME_ELEMENT, reads_input=True)

    def run(self, inputs: Sequence[Array], _parameters: Parameters, _place: Place, /) -> tuple[Array, Backward]:
        """Multiply; the gradient to each is the output's times the others, summed over where it was spread."""
        aligned = align_arrays(inputs)

        def backward(grad: Array) -> Gradients:
            grads = []
            for place, input in enumerate(inputs):
                others = aligned[:place] + aligned[place + 1 :]
                grads.append(reduce_to(grad * reduce(np.multiply, others), input.shape))
            return Gradients(grads, {})

        return reduce(np.multiply, aligned), backward
