"""The fully connected layer."""

from __future__ import annotations

from typing import ClassVar, Literal

from workloads.kinds.computed import ComputedLayer
from workloads.kinds.shape_rules import expect_flat
from workloads.layers import PositiveInt
from workloads.shapes import LinearShape, Shape


class Linear(ComputedLayer):
    """Fully connected layer on flattened features."""

    geometry: ClassVar = LinearShape

    type: Literal["linear"]
    out_features: PositiveInt
    bias: bool = True

    def infer_geometry(self, shape: Shape, /) -> LinearShape:
        """Give the geometry on features of this shape."""
        expect_flat(self, shape)
        return LinearShape(batch=shape[0], in_features=shape[1], out_features=self.out_features)
