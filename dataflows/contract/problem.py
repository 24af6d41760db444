"""What a dataflow is asked to map: one step of one layer on a machine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.arithmetic import FLOAT32_SUMS, Arithmetic
from dataflows.contract.array import PEArray
from dataflows.contract.memory import MemoryShare
from workloads.arrays import BoolArray
from workloads.operands import Operands
from workloads.reference.arrays import Array
from workloads.shapes import ConvShape, LayerShape, LinearShape, MatmulShape, Step

Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True, eq=False)
class StepProblem:
    """One step of one layer, the PE groups that execute it, and what it may use of the memory around them.

    Attributes:
        memory: None where memory takes no time, so that no traffic is asked for.
        origin: The step as its layer has it, where this is the same work seen as that of another kind of layer; what is
            written, masked and summed is the layer's own.
        arithmetic: Of the PEs, for `execute`; a dataflow that adds in float32, in any order, need not know it.
    """

    operands: Operands
    step: Step
    array: PEArray
    memory: MemoryShare | None = None
    origin: StepProblem | None = None
    arithmetic: Arithmetic = FLOAT32_SUMS

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
    def driver_name(self) -> str:
        """The operand that drives Forward or GTA."""
        return "input" if self.step is Step.FORWARD else "grad_output"

    @property
    def own(self) -> StepProblem:
        """The step as its layer has it."""
        return self if self.origin is None else self.origin

    @property
    def writes_gradient(self) -> bool:
        """Whether the result is the gradient to an activation."""
        return self.own.operands.writes_gradient(self.own.step)

    @property
    def summed(self) -> tuple[Array, ...]:
        """The gradients that the PPU adds to the result, each of the shape that is written."""
        return tuple(self.arrange(gradient) for gradient in self.own.operands.find_summed(self.own.step))

    @property
    def mask(self) -> BoolArray | None:
        """The mask that the PEs know of what is written, of its shape; None where there is none, or the PPU has it."""
        mask = self.own.operands.mask if self.own.step is Step.GTA else None
        return None if mask is None else self.arrange(mask)

    @property
    def has_mask(self) -> bool:
        """Whether the PEs or the PPU read a mask of what is written."""
        return self.writes_gradient and self.own.operands.find_finish(self.own.step).mask is not None

    @property
    def written_shape(self) -> tuple[int, ...]:
        """The shape of the step's result: the output's, the input's, or the weight's."""
        shape = self.shape
        return {Step.FORWARD: shape.output_shape, Step.GTA: shape.input_shape, Step.GTW: shape.weight_shape}[self.step]

    def arrange(self, tensor: NDArray[Kind]) -> NDArray[Kind]:
        """Bring a tensor of the shape of the layer's own result to the shape that is written here.

        The gradient to a factor of a product lies in rows of its reduction's index.
        """
        own = self.own
        if isinstance(own.shape, MatmulShape) and own.shape.turns_result(own.step):
            tensor = np.swapaxes(tensor, -1, -2)
        return tensor.reshape(self.written_shape)

    @property
    def share(self) -> MemoryShare:
        """The share of the memory, where there is one.

        Raises:
            ValueError: memory takes no time.
        """
        if self.memory is None:
            raise ValueError(f"layer {self.operands.layer!r}, step {self.step}: no memory is modelled, but asked for")
        return self.memory

    def lies_raw(self, operand: str) -> bool:
        """Tell whether an operand stays in the buffer raw, so that its rows are fetched raw."""
        return operand in self.share.kept.raw

    def without_memory(self) -> StepProblem:
        """Give the same step where memory takes no time."""
        return dataclasses.replace(self, memory=None)

    def skipping_zeros(self) -> StepProblem:
        """Give the same step on PE groups that skip zeros."""
        array = dataclasses.replace(self.array, skip_zeros=True)
        origin = None if self.origin is None else self.origin.skipping_zeros()
        return dataclasses.replace(self, array=array, origin=origin)
