"""The arithmetic in which row operations are executed: part by part of a cut reduction, and with integers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from dataflows.contract.arithmetic import FLOAT32_SUMS
from dataflows.contract.entries import cut_runs
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepValues
from dataflows.rows.taps import pair_rows
from workloads.arrays import Float32Array
from workloads.shapes import ConvShape, Step

# Executes the row operations of a convolution; the flag says that driver zeros are read, as the dense machine does.
Execute = Callable[[StepProblem, bool], StepValues]


def compute(problem: StepProblem, execute: Execute) -> StepValues:
    """Execute a step in the arithmetic that it asks for; row operations and multiplications are those of the whole."""
    arithmetic, keeps_zeros = problem.arithmetic, not problem.array.skip_zeros
    if arithmetic.integer_unit is not None:
        return compute_integers(problem, arithmetic.integer_unit, execute)
    whole = execute(problem, keeps_zeros)
    output: Float32Array | None = None
    for part in cut_reduction(problem):
        # Zeros change no sum, so that only the counts, which are the whole's, need them.
        sums = execute(part, False).output
        output = sums if output is None else output + sums
    return whole if output is None else dataclasses.replace(whole, output=output)


def compute_integers(problem: StepProblem, unit: float, execute: Execute) -> StepValues:
    """Sum products in units of the accumulator: whole numbers in float64, which holds them all.

    A finished sum leaves the accumulator as the nearest float32.
    """
    operands = problem.operands
    if problem.step is Step.GTW:
        first, second = operands.grad_output, operands.input
        scaled = {"grad_output": first.astype(np.float64), "input": second.astype(np.float64) / unit}
    else:
        name = "input" if problem.step is Step.FORWARD else "grad_output"
        driver = getattr(operands, name)
        scaled = {name: driver.astype(np.float64), "weight": operands.weight.astype(np.float64) / unit}
    words = dataclasses.replace(problem, operands=dataclasses.replace(operands, **scaled))  # type: ignore[arg-type]
    values = execute(words, not problem.array.skip_zeros)
    return dataclasses.replace(values, output=(values.output * unit).astype(np.float32))


def cut_reduction(problem: StepProblem) -> Iterator[StepProblem]:
    """Give the parts of a cut reduction in order, each as a step whose operands hold no more; none where it is whole.

    The runs are those of input channels in Forward, of output channels in GTA, each within its group, and of images and
    input rows in GTW.
    """
    shape, runs = problem.conv_shape, problem.arithmetic.reduction_runs
    if problem.step is Step.GTW:
        limits = [shape.batch, shape.in_height][: len(runs)]
    else:
        limits = [shape.group_in_channels if problem.step is Step.FORWARD else shape.group_out_channels][: len(runs)]
    parts = list(itertools.product(*(cut_runs(limit, run) for limit, run in zip(limits, runs, strict=True))))
    if len(parts) > 1:
        for part in parts:
            yield take_part(dataclasses.replace(problem, arithmetic=FLOAT32_SUMS), part)


def take_part(problem: StepProblem, part: tuple[range, ...]) -> StepProblem:
    """Give the part of a step with these runs of the reduction's indices."""
    if problem.step is Step.GTW:
        return take_images(problem, *part)
    return (take_inputs if problem.step is Step.FORWARD else take_outputs)(problem, part[0])


def take_inputs(problem: StepProblem, run: range) -> StepProblem:
    """Give Forward of some input channels of each group."""
    shape, operands = problem.conv_shape, problem.operands
    part = dataclasses.replace(shape, in_channels=shape.groups * len(run))
    grouped = operands.input.reshape(shape.batch, shape.groups, shape.group_in_channels, *shape.input_shape[2:])
    taken = dataclasses.replace(
        operands,
        shape=part,
        input=np.ascontiguousarray(grouped[:, :, run.start : run.stop]).reshape(part.input_shape),
        weight=np.ascontiguousarray(operands.weight[:, run.start : run.stop]),
    )
    return dataclasses.replace(problem, operands=taken)


def take_outputs(problem: StepProblem, run: range) -> StepProblem:
    """Give GTA of some output channels of each group."""
    shape, operands = problem.conv_shape, problem.operands
    part = dataclasses.replace(shape, out_channels=shape.groups * len(run))
    grouped = operands.grad_output.reshape(shape.batch, shape.groups, shape.group_out_channels, *shape.output_shape[2:])
    weight = operands.weight.reshape(shape.groups, shape.group_out_channels, *shape.weight_shape[1:])
    taken = dataclasses.replace(
        operands,
        shape=part,
        grad_output=np.ascontiguousarray(grouped[:, :, run.start : run.stop]).reshape(part.output_shape),
        weight=np.ascontiguousarray(weight[:, run.start : run.stop]).reshape(part.weight_shape),
    )
    return dataclasses.replace(problem, operands=taken)


def take_images(problem: StepProblem, images: range, rows: range | None = None) -> StepProblem:
    """Give GTW of some images and input rows: elsewhere the input is zero, as is the gradient that meets none of it."""
    shape, operands = problem.conv_shape, problem.operands
    part = shape.with_batch(len(images))
    inputs, gradient = operands.input[images.start : images.stop], operands.grad_output[images.start : images.stop]
    if rows is not None and len(rows) < shape.in_height:
        inputs, gradient = keep_rows(inputs, list(rows)), keep_rows(gradient, list_met_rows(shape, rows))
    return dataclasses.replace(
        problem, operands=dataclasses.replace(operands, shape=part, input=inputs, grad_output=gradient)
    )


def list_met_rows(shape: ConvShape, rows: range) -> list[int]:
    """List the output rows that meet some input rows in any kernel row."""
    met = pair_rows(shape)[rows.start : rows.stop]
    return sorted({int(row) for row in met.reshape(-1) if row >= 0})


def keep_rows(tensor: Float32Array, rows: list[int]) -> Float32Array:
    """Give images ``(N, C, H, W)`` of which all rows but these are zero."""
    kept = np.zeros_like(tensor)
    kept[:, :, rows] = tensor[:, :, rows]
    return kept
