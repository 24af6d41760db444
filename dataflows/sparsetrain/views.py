"""Steps seen as those of another kind of layer, whose mapping then cuts them."""

from __future__ import annotations

import dataclasses

from dataflows.contract.problem import StepProblem
from workloads.operands import GradientFinish
from workloads.shapes import LayerShape, LinearShape, Step


def see_shape(shape: LayerShape, step: Step) -> tuple[LayerShape, Step]:
    """Give the shape and the step that a step is mapped as.

    Every token of a fully connected layer is an image to the machine.
    """
    return (shape.by_row() if isinstance(shape, LinearShape) else shape), step


def see_step(problem: StepProblem) -> StepProblem:
    """Give the problem as its mapping sees it; what is written, masked and summed stays the layer's own."""
    shape, step = see_shape(problem.shape, problem.step)
    if shape is problem.shape:
        return problem
    operands = problem.operands
    mask = None if operands.mask is None else operands.mask.reshape(shape.input_shape)
    seen = dataclasses.replace(
        operands,
        shape=shape,
        input=operands.input.reshape(shape.input_shape),
        grad_output=operands.grad_output.reshape(shape.output_shape),
        mask=mask,
        finish=GradientFinish(),
        summed=(),
    )
    return dataclasses.replace(problem, operands=seen, step=step, origin=problem)


def find_result_shape(shape: LayerShape, step: Step) -> tuple[int, ...]:
    """Give the shape of a step's result."""
    return {Step.FORWARD: shape.output_shape, Step.GTA: shape.input_shape, Step.GTW: shape.weight_shape}[step]
