"""The operands of one layer's training steps: what a machine executes and what the reference verifies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workloads.arrays import Float32Array
from workloads.pruners.row_groups import RowGroups
from workloads.pruning import PruningKey
from workloads.shapes import LayerShape, Step, TransposedConvShape
from workloads.value_formats import ValueFormat


@dataclass(frozen=True, eq=False)
class GradientFinish:
    """What the PPU does to the gradient to the input, summed, before it writes it, in this order.

    Attributes:
        mask: bool, the input's shape: read to zero results of PEs that know no mask.
        tau: Threshold of pruning, 0 prunes nothing.
        key: Place of its draws.
        groups: Of which neighbours in a row which stay, in the place of a threshold.
    """

    mask: NDArray[np.bool_] | None = None
    tau: float = 0.0
    key: PruningKey | None = None
    groups: RowGroups | None = None

    def __post_init__(self) -> None:
        if self.tau and self.key is None:
            raise ValueError(f"pruning at the threshold {self.tau} needs the key of its draws")
        if self.tau and self.groups is not None:
            raise ValueError(f"a gradient is pruned at the threshold {self.tau} or {self.groups}, not both")

    @property
    def prunes(self) -> bool:
        """Whether elements are compared to be pruned."""
        return self.tau > 0 or self.groups is not None

    def without_pruning(self) -> GradientFinish:
        """Give what else happens."""
        return replace(self, tau=0.0, key=None, groups=None)


@dataclass(frozen=True, eq=False)
class OperandRounding:
    """How operands were rounded as they are stored, and what they were before.

    Attributes:
        loss_scale: What gradients were multiplied by before they were rounded; results that are gradients are as large.
    """

    form: ValueFormat
    loss_scale: float
    given: Operands


@dataclass(frozen=True, eq=False)
class Operands:
    """The tensors of one layer; float32, C-contiguous, finite.

    Attributes:
        input: ``(N, C, H, W)`` or ``(N, ..., C)``.
        weight: ``(M, C / G, R, S)`` or ``(M, C)``.
        bias: ``(M,)`` or None.
        grad_output: ``(N, M, P, Q)`` or ``(N, ..., M)``.
        mask: bool, the input's shape, or None where no ReLU is before.
        steps: The steps this layer has, in the order of their execution.
        relu_follows: The output goes through a ReLU alone, so that it is stored sparse.
        finish: What happens to grad_input after the PEs, besides the mask.
        summed: Stored gradients to the input, of its shape, that other readers' work has written before this layer's
            GTA and that the PPU reads and adds to its result (`Network.summed_gradients` names them).
        weight_finish: The same of the gradient to the second factor of a product of two activations, which is the
            weight there; its mask is that of a ReLU before it.
        weight_summed: The same of the gradient to the second factor of a product of two activations, which is the
            weight there; its mask is that of a ReLU before it.
        rounding: How the tensors were rounded, where a machine stores them in another format than float32.
        grad_output_for_gta: A pruned copy of grad_output, which GTA reads in its place (`at`); None without one.
    """

    layer: str
    shape: LayerShape
    input: Float32Array
    weight: Float32Array
    bias: Float32Array | None
    grad_output: Float32Array
    mask: NDArray[np.bool_] | None
    steps: tuple[Step, ...]
    relu_follows: bool = False
    finish: GradientFinish = GradientFinish()
    summed: tuple[Float32Array, ...] = ()
    weight_finish: GradientFinish = GradientFinish()
    weight_summed: tuple[Float32Array, ...] = ()
    rounding: OperandRounding | None = None
    grad_output_for_gta: Float32Array | None = None

    def at(self, step: Step) -> Operands:
        """Give the operands as a step reads them: of GTA a pruned copy is the gradient to the output."""
        if step is not Step.GTA or self.grad_output_for_gta is None:
            return self
        rounding = self.rounding
        if rounding is not None:
            rounding = replace(rounding, given=rounding.given.at(step))
        return replace(self, grad_output=self.grad_output_for_gta, rounding=rounding)

    def __repr__(self) -> str:
        has = ", ".join(
            f"{name} {array.shape}"
            for name, array in (("input", self.input), ("weight", self.weight), ("grad_output", self.grad_output))
        )
        return f"<Operands of {self.layer}: {has}; {', '.join(self.steps)}>"

    @property
    def form(self) -> ValueFormat:
        """The format of the stored values."""
        return ValueFormat.FLOAT32 if self.rounding is None else self.rounding.form

    @property
    def loss_scale(self) -> float:
        """What gradients were multiplied by before they were rounded."""
        return 1 if self.rounding is None else self.rounding.loss_scale

    @property
    def written_mask(self) -> NDArray[np.bool_] | None:
        """The mask of the gradient to the input as it is written, whether PEs or PPU apply it; None without one."""
        return self.mask if self.finish.mask is None else self.finish.mask

    def writes_gradient(self, step: Step) -> bool:
        """Tell whether a step's result is the gradient to an activation."""
        return step is Step.GTA or (step is Step.GTW and self.shape.weighs_activations)

    def writes_data(self, step: Step) -> bool:
        """Tell whether a step's result is stored as other data is; the gradient to a weight stays as it was summed."""
        return step is Step.FORWARD or self.writes_gradient(step)

    def find_finish(self, step: Step) -> GradientFinish:
        """Give what happens to a step's gradient to an activation behind the PEs, the mask that PEs apply included."""
        if step is Step.GTW:
            return self.weight_finish
        return replace(self.finish, mask=self.written_mask)

    def find_summed(self, step: Step) -> tuple[Float32Array, ...]:
        """Give the stored gradients that the PPU adds to a step's result; none where it is no activation's gradient."""
        if not self.writes_gradient(step):
            return ()
        return self.weight_summed if step is Step.GTW else self.summed


def add_pruning(
    operands: Operands, tau: float, key: PruningKey, *, is_factor: bool, groups: RowGroups | None = None
) -> Operands:
    """Have the PPU prune the gradient to the input, or to the second factor of a product."""
    if is_factor:
        return replace(operands, weight_finish=replace(operands.weight_finish, tau=tau, key=key, groups=groups))
    return replace(operands, finish=replace(operands.finish, tau=tau, key=key, groups=groups))


# The step of the convolution from a transposed one's output to its input that a step of that one is.
EXCHANGED = {Step.FORWARD: Step.GTA, Step.GTA: Step.FORWARD, Step.GTW: Step.GTW}


def exchange_roles(operands: Operands) -> Operands:
    """Give the operands of a transposed convolution as those of the convolution from its output to its input.

    Its input drives what the gradient to the output drives there, and the other way round. Bias, mask and what happens
    behind the PEs are left out: they are the layer's own.
    """
    shape = operands.shape
    if not isinstance(shape, TransposedConvShape):
        raise TypeError(f"layer {operands.layer!r} is no transposed convolution, but has the shape {shape}")
    return Operands(
        operands.layer, shape.conv, operands.grad_output, operands.weight, None, operands.input, None, operands.steps
    )
