"""Operands as a machine stores them: every tensor rounded, with the zeros that rounding makes."""

from __future__ import annotations

import dataclasses

import numpy as np

from workloads.arrays import BoolArray, Float32Array
from workloads.operands import GradientFinish, OperandRounding, Operands
from workloads.shapes import Step
from workloads.value_formats import ValueFormat, count_saturated, round_values


@dataclasses.dataclass(frozen=True, slots=True)
class RoundingCounts:
    """Of what a step reads, nonzeros and set elements of the mask that became zero, and elements beyond the format."""

    vanished: int
    saturated: int


def round_operands(operands: Operands, form: ValueFormat, loss_scale: float = 1.0) -> Operands:
    """Give the operands as they are stored in a format; float32 leaves them as they are.

    A mask is clear besides where an input that was not zero is rounded to zero: it is the stored input's. The bias is
    kept in the PPU, where sums are, and not rounded.

    Args:
        loss_scale: A power of two, by which gradients and the thresholds they are pruned with are multiplied.
    """
    if form is ValueFormat.FLOAT32:
        return operands
    scale = np.float32(loss_scale)

    def round_gradient(gradient: Float32Array) -> Float32Array:
        # What overflows float32 saturates in the narrower format too.
        with np.errstate(over="ignore"):
            return round_values(gradient * scale, form)

    weighs_activations = operands.shape.weighs_activations
    inputs, weight = round_values(operands.input, form), round_values(operands.weight, form)
    return dataclasses.replace(
        operands,
        input=inputs,
        weight=weight,
        grad_output=round_gradient(operands.grad_output),
        grad_output_for_gta=(
            None if operands.grad_output_for_gta is None else round_gradient(operands.grad_output_for_gta)
        ),
        mask=clear_vanished(operands.mask, operands.input, inputs),
        finish=scale_finish(operands.finish, loss_scale, operands.input, inputs),
        summed=tuple(map(round_gradient, operands.summed)),
        weight_finish=(
            scale_finish(operands.weight_finish, loss_scale, operands.weight, weight)
            if weighs_activations
            else operands.weight_finish
        ),
        weight_summed=tuple(map(round_gradient, operands.weight_summed)),
        rounding=OperandRounding(form, loss_scale, operands),
    )


def clear_vanished(mask: BoolArray | None, given: Float32Array, rounded: Float32Array) -> BoolArray | None:
    """Clear a mask where an element that was not zero is rounded to zero."""
    return None if mask is None else np.asarray(mask & ((rounded != 0) | (given == 0)))


def scale_finish(
    finish: GradientFinish, loss_scale: float, given: Float32Array, rounded: Float32Array
) -> GradientFinish:
    """Give what happens to a gradient that is so many times as large, under the mask of what is rounded."""
    mask = clear_vanished(finish.mask, given, rounded)
    return dataclasses.replace(finish, mask=mask, tau=finish.tau * loss_scale)


def count_rounding(operands: Operands, step: Step) -> RoundingCounts | None:
    """Count what rounding did to the tensors, and to the mask, that a step reads; None where nothing was rounded."""
    rounding = operands.rounding
    if rounding is None:
        return None
    vanished = saturated = 0
    pairs = zip(list_read(rounding.given, step), list_read(operands, step), strict=True)
    for (given, is_gradient), (rounded, _) in pairs:
        vanished += int(np.count_nonzero((given != 0) & (rounded == 0)))
        with np.errstate(over="ignore"):
            scaled = given * np.float32(rounding.loss_scale) if is_gradient else given
        saturated += count_saturated(scaled, rounding.form)
    before, after = rounding.given.written_mask, operands.written_mask
    if step is Step.GTA and before is not None and after is not None:
        vanished += int(np.count_nonzero(before & ~after))
    return RoundingCounts(vanished, saturated)


def list_read(operands: Operands, step: Step) -> tuple[tuple[Float32Array, bool], ...]:
    """List the stored tensors that a step reads, and whether each is a gradient; those that the PPU adds come last."""
    summed = tuple((gradient, True) for gradient in operands.find_summed(step))
    gradient, inputs, weight = (operands.grad_output, True), (operands.input, False), (operands.weight, False)
    if step is Step.FORWARD:
        return inputs, weight
    return (gradient, weight, *summed) if step is Step.GTA else (inputs, gradient, *summed)
