"""Steps seen as those of another kind of layer, or laid out otherwise, as their mapping cuts them."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepValues
from workloads.operands import EXCHANGED, GradientFinish, exchange_roles
from workloads.shapes import LayerShape, LinearShape, MatmulShape, Step, TransposedConvShape

Kind = TypeVar("Kind", bound=np.generic)


def see_shape(shape: LayerShape, step: Step) -> tuple[LayerShape, Step]:
    """Give the shape and the step that a step is mapped as.

    Every token of a fully connected layer is an image to the machine, and every product of two activations one of a
    batch, its second factor in rows of what a dot product reads. A transposed convolution is the convolution from its
    output to its input, with the steps exchanged.
    """
    if isinstance(shape, TransposedConvShape):
        return shape.conv, EXCHANGED[step]
    if isinstance(shape, MatmulShape):
        size = (shape.products, shape.rows, shape.in_features, shape.out_features)
        whole = None if shape.whole_batch is None else shape.dealt_products
        return MatmulShape(*size, transpose_b=True, whole_batch=whole), step
    return (shape.by_row() if isinstance(shape, LinearShape) else shape), step


def see_step(problem: StepProblem) -> StepProblem:
    """Give the problem as its mapping sees it; what is written, masked and summed stays the layer's own."""
    shape, step = see_shape(problem.shape, problem.step)
    if shape is problem.shape:
        return problem
    own, operands = problem.shape, problem.operands
    if isinstance(own, TransposedConvShape):
        memory = problem.memory
        if memory is not None:
            memory = dataclasses.replace(memory, kept=memory.kept.exchange_roles())
        exchanged = exchange_roles(operands)
        return dataclasses.replace(problem, operands=exchanged, step=step, origin=problem, memory=memory)
    turns_a = isinstance(own, MatmulShape) and own.transpose_a
    turns_b = isinstance(own, MatmulShape) and not own.transpose_b
    seen = dataclasses.replace(
        operands,
        shape=shape,
        input=lay_out(operands.input, turns_a, shape.input_shape),
        weight=lay_out(operands.weight, turns_b, shape.weight_shape),
        grad_output=operands.grad_output.reshape(shape.output_shape),
        mask=None if operands.mask is None else lay_out(operands.mask, turns_a, shape.input_shape),
        finish=GradientFinish(),
        summed=(),
        weight_finish=GradientFinish(),
        weight_summed=(),
    )
    return dataclasses.replace(problem, operands=seen, step=step, origin=problem)


def name_indices(names: tuple[str, ...], problem: StepProblem) -> tuple[str, ...]:
    """Call the task indices of a step that is seen as another one's by what they count in its own layer."""
    own, words = problem.own, {}
    if isinstance(own.shape, MatmulShape):
        words = {"batch": "product", "image": "row", "filter": "column"}
    elif isinstance(own.shape, TransposedConvShape):
        words = {"filter": "channel"}
    elif isinstance(own.shape, LinearShape) and own.shape.tokens:
        words = {"image": "token"}
    return tuple(words.get(name, name) for name in names)


def lay_out(tensor: NDArray[Kind], is_turned: bool, shape: tuple[int, ...]) -> NDArray[Kind]:
    """Exchange the last two axes of what is turned, and give the tensor another shape, in C order."""
    turned = np.swapaxes(tensor, -1, -2) if is_turned else tensor
    return np.ascontiguousarray(turned).reshape(shape)


def show_values(values: StepValues, problem: StepProblem) -> StepValues:
    """Give the values of a step as the layer's own problem has them."""
    shape, step = problem.shape, problem.step
    size = {Step.FORWARD: shape.output_shape, Step.GTA: shape.input_shape, Step.GTW: shape.weight_shape}[step]
    output = values.output
    if isinstance(shape, MatmulShape) and shape.turns_result(step):
        output = np.swapaxes(output.reshape(*size[:-2], size[-1], size[-2]), -1, -2)
    return dataclasses.replace(values, output=np.ascontiguousarray(output).reshape(size))
