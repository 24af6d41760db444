"""The shuffle of channels between groups."""

from __future__ import annotations

from typing import Literal

import numpy as np

from workloads.kinds.rearrangement import Move
from workloads.layers import PositiveInt
from workloads.reference.arrays import Array
from workloads.shapes import Shape


class ChannelShuffle(Move):
    """Channel g C / G + i goes to i G + g: the channels (the second axis) of the G groups take turns."""

    type: Literal["channel_shuffle"]
    groups: PositiveInt

    def infer_output(self, _names: tuple[str, ...], shapes: tuple[Shape, ...], /) -> Shape:
        """Keep the shape, whose channels the groups must divide."""
        if len(shapes[0]) < 2 or shapes[0][1] % self.groups:
            raise ValueError(f"groups must divide the channels of an input of shape {shapes[0]}, got {self.groups}")
        return shapes[0]

    def span_rows(self, _shape: Shape) -> int:
        """Take each row as it is; of (N, C) the one row has all channels."""
        return 1

    def span_rows_back(self, _output: Shape) -> int:
        """Take each row as it is."""
        return 1

    def rearrange(self, input: Array) -> Array:
        """Move the channels."""
        return self._turn(input, self.groups)

    def restore(self, output: Array, _shape: Shape) -> Array:
        """Move the channels back."""
        return self._turn(output, output.shape[1] // self.groups)

    @staticmethod
    def _turn(array: Array, rows: int) -> Array:
        turned = array.reshape(array.shape[0], rows, -1, *array.shape[2:]).swapaxes(1, 2)
        return np.ascontiguousarray(turned).reshape(array.shape)
