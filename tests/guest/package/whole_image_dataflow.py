"""A guest dataflow with its own shape of task: one image, worked by the first PE of a group as one matrix product.

The product's rows are weight rows (forward, gta) or grad_output rows (gtw), unrolled as im2col does. A PE multiplies
the pairs whose moving operand is not zero, at `multipliers_per_pe` a cycle, after one header for each task, and after
`setup_cycles` of its own. It looks at every pair to find the live ones. All tensors lie raw in the buffer, in one tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

from dataflows.contract.actions import Action, Composition, PartCount
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import Traffic
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import StepCounts, StepValues, TaskTable
from workloads.operands import Operands
from workloads.shapes import ConvShape, LinearShape, Step

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Products:
    """The multiplications of one task: places of two operands and of the result they add into, and which are live."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    result: NDArray[np.int64]
    live: NDArray[np.bool_]


def as_conv(shape: ConvShape | LinearShape) -> ConvShape:
    """Give a fully connected layer as the convolution of 1 x 1 maps that it is, one for each row of features."""
    if isinstance(shape, ConvShape):
        return shape
    return ConvShape(shape.rows, shape.in_features, 1, 1, shape.out_features, 1, 1)


def list_products(shape: ConvShape, image: int) -> tuple[NDArray[np.int64], ...]:
    """List the in-range multiplications of an image as flat places in input, weight and output."""
    ranges = (
        range(shape.out_channels), range(shape.out_height), range(shape.out_width),
        range(shape.group_in_channels), range(shape.kernel_height), range(shape.kernel_width),
    )  # fmt: skip
    m, p, q, c, r, s = (axis.ravel() for axis in np.meshgrid(*ranges, indexing="ij"))
    h = p * shape.stride_height + r * shape.dilation_height - shape.pad_top
    w = q * shape.stride_width + s * shape.dilation_width - shape.pad_left
    inside = (h >= 0) & (h < shape.in_height) & (w >= 0) & (w < shape.in_width)
    m, p, q, c, r, s, h, w = (axis[inside] for axis in (m, p, q, c, r, s, h, w))
    channel = m // shape.group_out_channels * shape.group_in_channels + c
    n = np.full(len(m), image)
    return (
        np.ravel_multi_index((n, channel, h, w), shape.input_shape),
        np.ravel_multi_index((m, c, r, s), shape.weight_shape),
        np.ravel_multi_index((n, m, p, q), shape.output_shape),
    )


def select_products(operands: Operands, step: Step, image: int, skips_zeros: bool) -> Products:
    """Choose the multiplications that a step needs for an image."""
    inputs, weights, outputs = list_products(as_conv(operands.shape), image)
    present = operands.input.ravel() != 0
    flows = operands.grad_output.ravel() != 0
    if step is Step.FORWARD:
        products = Products(inputs, weights, outputs, present[inputs])
    elif step is Step.GTA:
        wanted = np.ones(operands.input.size, np.bool_) if operands.mask is None else operands.mask.ravel()
        products = Products(outputs, weights, inputs, flows[outputs] & wanted[inputs])
    else:
        products = Products(outputs, inputs, weights, flows[outputs] & present[inputs])
    if skips_zeros:
        return products
    return Products(products.left, products.right, products.result, np.ones(len(inputs), np.bool_))


@dataclass(frozen=True)
class Choices:
    """The options; setup_cycles: cycles before the products of each task."""

    setup_cycles: int = 0


LOOK = Composition((PartCount("adder"),), "one comparison of an operand with zero, taken as an addition", assumed=True)


def count_bytes(elements: int, bits: int) -> int:
    """Count the bytes of elements that are stored raw."""
    return -(-elements * bits // 8)


def cut_bursts(size_bytes: int, cycles: int, half: int | None) -> tuple[list[int], list[int]]:
    """Cut a task's operands into bursts that fit half an operand store; give bytes and cycles of each."""
    parts = 1 if half is None else max(1, -(-size_bytes // half))
    ends = [[total * part // parts for part in range(parts + 1)] for total in (size_bytes, cycles)]
    sizes, times = ([end - start for start, end in pairwise(edges)] for edges in ends)
    return sizes, times


def move_tasks(problem: StepProblem, pe_cycles: NDArray[np.int64]) -> Traffic:
    """Give the traffic of a step in one tile: each task reads all that it multiplies.

    Raises:
        UnmappableLayerError: the tensors exceed the buffer.
    """
    shape, share, tasks = problem.shape, problem.share, len(pe_cycles)
    tensors = {
        Step.FORWARD: (shape.input_shape, shape.weight_shape, shape.output_shape),
        Step.GTA: (shape.output_shape, shape.weight_shape, shape.input_shape),
        Step.GTW: (shape.output_shape, shape.input_shape, shape.weight_shape),
    }[problem.step]
    moving, second, results = (prod(tensor) for tensor in tensors)
    bits = share.acc_bits if problem.step is Step.GTW else share.data_bits
    load, written = count_bytes(moving + second, share.data_bits), tasks * count_bytes(results // tasks, bits)
    if share.capacity_bytes is not None and load + written > share.capacity_bytes:
        raise UnmappableLayerError(
            f"layer '{problem.operands.layer}', step {problem.step}: the tensors need {load + written} bytes, "
            f"buffer.capacity_bytes = {share.capacity_bytes}"
        )
    words = moving // tasks + second
    cuts = [
        cut_bursts(count_bytes(words, share.data_bits), cycles, share.half_store_bytes)
        for cycles in pe_cycles[:, 0].tolist()
    ]
    burst_cycles = np.zeros((sum(len(sizes) for sizes, _ in cuts), pe_cycles.shape[1]), dtype=np.int64)
    burst_cycles[:, 0] = [cycles for _, times in cuts for cycles in times]

    def fill(value: int, length: int = tasks) -> NDArray[np.int64]:
        return np.full(length, value, dtype=np.int64)

    return Traffic(
        tile_first=np.array([0, tasks], dtype=np.int64),
        tile_load_bytes=fill(load, 1),
        tile_write_back_bytes=fill(written, 1),
        burst_first=np.cumsum([0, *(len(sizes) for sizes, _ in cuts)], dtype=np.int64),
        burst_bytes=np.array([size for sizes, _ in cuts for size in sizes], dtype=np.int64),
        burst_cycles=burst_cycles,
        pes=fill(1),
        ppu_read_bytes=fill(0),
        ppu_elements=fill(results // tasks),
        ppu_write_bytes=fill(written // tasks),
        store_writes=fill(words),
        footprint_bytes=load + written,
        tiling="whole step",
    )


class WholeImage:
    """One task for each image; gtw is one task for the whole batch, since its sums run over the images."""

    Options = Choices
    actions = (Action("pairs_examined", "pairs", "Pairs of operands that are looked at to find the live ones.", LOOK),)

    def __init__(self, options: Choices | None = None) -> None:
        """Take the options of the architecture."""
        self.options = options or Choices()

    def lower(self, problem: StepProblem) -> TaskTable:
        """Cut a step into tasks, in one tile where there is memory."""
        operands, step, array = problem.operands, problem.step, problem.array
        batch = as_conv(operands.shape).batch
        done = [int(select_products(operands, step, n, array.skip_zeros).live.sum()) for n in range(batch)]
        effectual = sum(int(select_products(operands, step, n, True).live.sum()) for n in range(batch))
        dense = sum(len(list_products(as_conv(operands.shape), n)[0]) for n in range(batch))
        tasks = [sum(done)] if step is Step.GTW else done
        overhead = array.row_overhead_cycles + self.options.setup_cycles
        pe_cycles = np.zeros((len(tasks), array.pes_per_group), dtype=np.int64)
        pe_cycles[:, 0] = [overhead - (-count // array.multipliers_per_pe) for count in tasks]
        counts = StepCounts(
            row_ops=len(tasks),
            multiplications=sum(done),
            effectual_macs=effectual,
            dense_macs=dense,
            nominal_macs=operands.shape.nominal_macs,
            header_cycles=len(tasks) * overhead,
            empty_issue_cycles=0,
            actions={"pairs_examined": dense},
        )
        traffic = None if problem.memory is None else move_tasks(problem, pe_cycles)
        return TaskTable(pe_cycles, ("image",), np.arange(len(tasks), dtype=np.int64)[:, None], counts, traffic)

    def execute(self, problem: StepProblem, executed: NDArray[np.bool_]) -> StepValues:
        """Multiply and add, product by product, what the executed tasks hold."""
        operands, step = problem.operands, problem.step
        left, right, size = {
            Step.FORWARD: (operands.input, operands.weight, operands.shape.output_shape),
            Step.GTA: (operands.grad_output, operands.weight, operands.shape.input_shape),
            Step.GTW: (operands.grad_output, operands.input, operands.shape.weight_shape),
        }[step]
        output = np.full(size, np.nan, dtype=np.float32)
        multiplications = 0
        if step is Step.GTW and executed.all():
            output[:] = 0
        for image in range(as_conv(operands.shape).batch):
            if not executed[0 if step is Step.GTW else image]:
                continue
            if step is not Step.GTW:
                output.reshape(as_conv(operands.shape).batch, -1)[image] = 0
            products = select_products(operands, step, image, problem.array.skip_zeros)
            live = products.live
            terms = left.ravel()[products.left[live]] * right.ravel()[products.right[live]]
            np.add.at(output.reshape(-1), products.result[live], terms)
            multiplications += len(terms)
        return StepValues(output, int(executed.sum()), multiplications)
