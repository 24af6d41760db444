"""The product of two activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from workloads.kinds.computed import ComputedLayer
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import Traits
from workloads.layers import LayerName
from workloads.reference.arrays import Array
from workloads.reference.matmul import matmul_forward, matmul_gta, matmul_gtw
from workloads.shapes import MatmulShape, Shape


class Matmul(ComputedLayer):
    """Products of the matrices in the last two axes of two inputs, (..., T, C) times (..., C, M), and a scale.

    Both may be the same tensor, whose gradient is then the sum of a first share, which GTA writes, and GTW's.
    """

    traits: ClassVar[Traits] = Traits(
        is_computed=True, reads_several=True, keeps_input=True,
        hands_zeros_on=False, hands_gradient_on=False, densifies_gradient=False,
    )  # fmt: skip
    geometry: ClassVar = MatmulShape

    type: Literal["matmul"]
    inputs: Annotated[list[LayerName], Field(min_length=2, max_length=2)]
    transpose_a: bool = False
    transpose_b: bool = False
    scale: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    bias: Literal[False] = False

    def infer_geometry(self, shape: Shape, /) -> MatmulShape:
        """Give the geometry of the product of two tensors of this shape."""
        return self.infer_joint_geometry((shape, shape))

    def infer_joint_geometry(self, shapes: tuple[Shape, ...], /) -> MatmulShape:
        """Give the geometry of the product of tensors of these shapes."""
        a, b = shapes
        if len(a) < 3 or len(a) != len(b) or a[:-2] != b[:-2]:
            raise ValueError(
                "a matmul's inputs must be (batch, ..., rows, columns) with equal axes before the last two, but have "
                f"the shapes {a} and {b}"
            )
        rows, depth = a[:-3:-1] if self.transpose_a else a[-2:]
        height, columns = b[:-3:-1] if self.transpose_b else b[-2:]
        if depth != height:
            raise ValueError(
                f"a matmul's factors do not fit: {rows} x {depth}{' (transposed)' * self.transpose_a} times "
                f"{height} x {columns}{' (transposed)' * self.transpose_b}"
            )
        return MatmulShape(
            a[0], rows, depth, columns, a[1:-2], self.transpose_a, self.transpose_b, self.scale
        )  # fmt: skip

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none: both factors are activations."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Multiply; the backward keeps both factors."""
        a, b = inputs
        geometry = self.infer_joint_geometry((a.shape, b.shape))

        def backward(grad: Array, for_gta: Array | None = None, /) -> Gradients:
            grad_a = matmul_gta(grad if for_gta is None else for_gta, b, geometry) if place.needs_grad_input else None
            return Gradients([grad_a, matmul_gtw(a, grad, geometry)], {})

        return matmul_forward(a, b, geometry), backward
