"""The fully connected layer."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.computed import ComputedLayer, StepFunctions
from workloads.kinds.shape_rules import expect_features
from workloads.layers import PositiveInt
from workloads.reference.fully_connected import linear_forward, linear_gta, linear_gtw
from workloads.shapes import LinearShape, Shape


class Linear(ComputedLayer):
    """Fully connected layer on features, or on the last axis of tokens (N, ..., C), with the same weights for each."""

    geometry: ClassVar = LinearShape

    type: Literal["linear"]
    out_features: PositiveInt
    bias: bool = True

    def infer_geometry(self, shape: Shape, /) -> LinearShape:
        """Give the geometry on features of this shape."""
        expect_features(self, shape)
        batch, *tokens, in_features = shape
        return LinearShape(batch, in_features, self.out_features, tuple(tokens))

    def bind_steps(self, shape: Shape, /) -> StepFunctions:
        """Give the three steps on an input of this shape."""
        geometry = self.infer_geometry(shape)
        return StepFunctions(
            forward=lambda input, weight: linear_forward(input, weight, geometry),
            gta=lambda grad_output, weight: linear_gta(grad_output, weight, geometry),
            gtw=lambda input, grad_output: linear_gtw(input, grad_output, geometry),
        )
