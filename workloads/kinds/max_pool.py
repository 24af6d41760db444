"""The maximum pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar, Literal

import numpy as np

from workloads.arrays import Float32Array
from workloads.kinds.execution import Backward, Gradients, Parameter, Parameters, Place
from workloads.kinds.layer import LayerBase, PassWork, Traits
from workloads.kinds.profile_rules import Draw, GradientRule, HandingPlace, OutputRule, ProfileRules
from workloads.kinds.shape_rules import expect_image
from workloads.kinds.window_fields import PaddingField, SizeField, resolve_padding, resolve_pair
from workloads.kinds.windows import WindowFields, infer_pooled
from workloads.reference.arrays import Array
from workloads.reference.pooling import max_pool_backward, max_pool_forward
from workloads.shapes import Shape


class MaxPool(WindowFields, LayerBase):
    """Maximum over windows; the first maximum of a window, in row order, gets the gradient."""

    traits: ClassVar[Traits] = Traits(
        hands_zeros_on=True, hands_ceiling_on=True, hands_gradient_on=False, densifies_gradient=False
    )
    profile: ClassVar[ProfileRules] = ProfileRules(output=OutputRule.DERIVED, gradient=GradientRule.FIGURE)

    type: Literal["max_pool"]
    kernel: SizeField
    stride: SizeField | None = None
    padding: PaddingField = 0
    dilation: SizeField = 1
    ceil_mode: bool = False

    @property
    def dilations(self) -> tuple[int, int]:
        """The distance of neighbouring taps: (height, width)."""
        return resolve_pair(self.dilation)

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Give the number of windows in place of height and width."""
        expect_image(self, shapes[0])
        return infer_pooled(self.window_on(shapes[0]), shapes[0])

    def forward_work(self, shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Write the maxima, and the indices of where they were: no gradient goes to an element that is zero."""
        rows = self.count_rows_read(shapes[0])
        return PassWork(window_rows=rows, carries_mask=True, index_bits=self._count_index_bits(output))

    def backward_work(self, shapes: tuple[Shape, ...], output: Shape, /) -> PassWork | None:
        """Hand each gradient to where its index says."""
        return PassWork(window_rows=self.count_rows_back(shapes[0]), index_bits=self._count_index_bits(output))

    def _count_index_bits(self, output: Shape) -> int:
        """Count the bits of the argmax indices: enough to tell a window's elements apart."""
        taps = prod(resolve_pair(self.kernel))
        return prod(output) * (taps - 1).bit_length()

    def list_parameters(self, _shape: Shape, /) -> Mapping[str, Parameter]:
        """Have none."""
        return {}

    def run(self, inputs: Sequence[Array], _parameters: Parameters, place: Place, /) -> tuple[Array, Backward]:
        """Take the maxima; each gradient goes to where its maximum was."""
        window, shape = self.window_on(inputs[0].shape), inputs[0].shape
        output, argmax = max_pool_forward(inputs[0], window)
        kept = place.keep(argmax)
        return output, lambda grad: Gradients([max_pool_backward(grad, kept, window, shape)], {})

    def derive_density(self, densities: Sequence[float], _sizes: Sequence[int], /) -> float | None:
        """Be dense where the input is; else only the tensor tells."""
        return 1.0 if densities[0] == 1 else None

    def derive_output(self, sources: Sequence[Float32Array], _draw: Draw, /) -> Float32Array:
        """Take the maxima."""
        return np.asarray(max_pool_forward(sources[0][None], self.window_on(sources[0].shape))[0][0], np.float32)

    def find_obstacle(self) -> str | None:
        """Find windows that share elements, or lie in the padding: their maxima cannot be drawn one by one."""
        kernel = resolve_pair(self.kernel)
        stride = resolve_pair(self.kernel if self.stride is None else self.stride)
        is_apart = stride[0] >= kernel[0] and stride[1] >= kernel[1] and self.dilations == (1, 1)
        # What `same` pads depends on the image, which is not known here.
        is_padded = self.padding == "same" or any(resolve_padding(self.padding, (1, 1), kernel, stride))
        if is_apart and not is_padded and not self.ceil_mode:
            return None
        return f"the windows of '{self.name}' overlap or are padded"

    def hand_gradient_back(self, gradient: Float32Array, place: HandingPlace, /) -> Float32Array:
        """Give each window's gradient to its maximum; to a tap drawn evenly where the windows' inputs are unknown."""
        window = self.window_on(place.input_shape)
        if place.make_input is None:
            taps = prod(window.kernel)
            argmax = place.draw("argmax").integers(0, taps, gradient.shape, dtype=np.int32)[None]
        else:
            argmax = max_pool_forward(place.make_input()[None], window)[1]
        return np.asarray(max_pool_backward(gradient[None], argmax, window, (1, *place.input_shape))[0], np.float32)
