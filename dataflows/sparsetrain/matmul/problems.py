"""The fully connected layers that a product of two activations consists of."""

from __future__ import annotations

import dataclasses

import numpy as np

from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues
from workloads.arrays import Float32Array
from workloads.operands import Operands
from workloads.shapes import LinearShape, MatmulShape


def get_shape(problem: StepProblem) -> MatmulShape:
    """Give the geometry of what is known to be a product of two activations.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(problem.shape, MatmulShape):
        raise TypeError(f"layer {problem.operands.layer!r} is no product, but has the shape {problem.shape}")
    return problem.shape


def take_product(problem: StepProblem, place: int) -> StepProblem:
    """Give the step of one product, as that of a fully connected layer of T images."""
    shape, operands = get_shape(problem), problem.operands
    linear = LinearShape(shape.rows, shape.in_features, shape.out_features, products=shape.dealt_products)
    mask = None if operands.mask is None else operands.mask[place]
    taken = Operands(
        operands.layer, linear, operands.input[place], operands.weight[place], None, operands.grad_output[place], mask,
        operands.steps,
    )  # fmt: skip
    return StepProblem(taken, problem.step, problem.array, arithmetic=problem.arithmetic)


def flatten_rows(problem: StepProblem) -> StepProblem:
    """Give a step in which all rows of all products are images of one layer, whose weights are the first product's.

    Rows and results are those of the products; what is written is still the product's own.
    """
    shape, operands = get_shape(problem), problem.operands
    rows = shape.products * shape.rows
    flat = LinearShape(rows, shape.in_features, shape.out_features, products=shape.dealt_products)
    laid_out = dataclasses.replace(
        operands,
        shape=flat,
        input=operands.input.reshape(flat.input_shape),
        weight=operands.weight[0],
        grad_output=operands.grad_output.reshape(flat.output_shape),
        mask=None if operands.mask is None else operands.mask.reshape(flat.input_shape),
    )
    return dataclasses.replace(problem, operands=laid_out, origin=problem.own)


def add_counts(counts: list[StepCounts]) -> StepCounts:
    """Add up the counts of all products."""
    sums = {
        field.name: sum(getattr(one, field.name) for one in counts)
        for field in dataclasses.fields(StepCounts)
        if field.name != "actions"
    }
    actions = {name: sum(one.actions[name] for one in counts) for name in counts[0].actions}
    return StepCounts(**sums, actions=actions)


def join_values(problem: StepProblem, values: list[StepValues]) -> StepValues:
    """Stack the values of all products, and scale them."""
    output: Float32Array = np.stack([one.output for one in values])
    factor = getattr(problem.own.shape, "scale", 1.0)
    if factor != 1:
        # What overflows is refused where it is compared.
        with np.errstate(over="ignore", invalid="ignore"):
            output = output * np.float32(factor)
    return StepValues(
        output, sum(one.row_ops for one in values), sum(one.multiplications for one in values)
    )  # fmt: skip
