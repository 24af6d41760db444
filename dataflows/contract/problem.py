"""What a dataflow is asked to map: one step of one layer on a machine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare
from workloads.operands import Operands
from workloads.reference.arrays import Array
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step


@dataclass(frozen=True, eq=False)
class StepProblem:
    """One step of one layer, the PE groups that execute it, and what it may use of the memory around them.

    memory: None where memory takes no time, so that no traffic is asked for.
    """

    operands: Operands
    step: Step
    array: PEArray
    memory: MemoryShare | None = None

    @property
    def shape(self) -> LayerShape:
        """The layer's geometry."""
        return self.operands.shape

    @property
    def conv_shape(self) -> ConvShape:
        """The geometry of what is known to be a convolution.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(self.shape, ConvShape):
            raise TypeError(f"layer {self.operands.layer!r} is no convolution, but has the shape {self.shape}")
        return self.shape

    @property
    def linear_shape(self) -> LinearShape:
        """The geometry of what is known to be a fully connected layer.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(self.shape, LinearShape):
            raise TypeError(f"layer {self.operands.layer!r} is not fully connected, but has the shape {self.shape}")
        return self.shape

    @property
    def driver(self) -> Array:
        """The tensor whose rows drive Forward or GTA: the input, or the gradient to the output."""
        return self.operands.input if self.step is Step.FORWARD else self.operands.grad_output

    @property
    def summed(self) -> tuple[Array, ...]:
        """The gradients that the PPU adds to the result; GTA alone has any."""
        return self.operands.summed if self.step is Step.GTA else ()

    @property
    def written_shape(self) -> tuple[int, ...]:
        """The shape of what Forward or GTA writes: the output's, or the input's."""
        return self.shape.output_shape if self.step is Step.FORWARD else self.shape.input_shape

    @property
    def share(self) -> MemoryShare:
        """The share of the memory, where there is one.

        Raises:
            ValueError: memory takes no time.
        """
        if self.memory is None:
            raise ValueError(f"layer {self.operands.layer!r}, step {self.step}: no memory is modelled, but asked for")
        return self.memory

    def without_memory(self) -> StepProblem:
        """Give the same step where memory takes no time."""
        return dataclasses.replace(self, memory=None)

    def skipping_zeros(self) -> StepProblem:
        """Give the same step on PE groups that skip zeros."""
        return dataclasses.replace(self, array=dataclasses.replace(self.array, skip_zeros=True))
