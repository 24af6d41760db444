"""The laws of a dataflow, asked of any class that claims to be one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dataflows.contract.actions import resolve_counts
from dataflows.contract.array import PEArray
from dataflows.contract.errors import UnmappableLayerError
from dataflows.contract.memory import MemoryShare
from dataflows.contract.problem import StepProblem
from dataflows.contract.tasks import Dataflow, PricedDataflow, SampledDataflow, StepValues, TaskTable
from dataflows.contract.traffic_laws import check_traffic, list_unequal
from workloads.operands import Operands
from workloads.reference import run_forward, run_gta, run_gtw
from workloads.shapes import ConvShape, LayerShape, LinearShape, Step

SHAPES: tuple[LayerShape, ...] = (
    ConvShape(batch=2, in_channels=4, in_height=5, in_width=6, out_channels=6, kernel_height=3, kernel_width=2,
              stride=(2, 2), padding=(1, 1, 1, 1), groups=2),
    ConvShape(batch=3, in_channels=2, in_height=4, in_width=4, out_channels=3, kernel_height=1, kernel_width=1),
    LinearShape(batch=3, in_features=9, out_features=5),
    LinearShape(batch=2, in_features=6, out_features=5, tokens=(2,)),
)  # fmt: skip
ARRAYS = (
    PEArray(groups=2, multipliers_per_pe=2),
    PEArray(groups=3, pes_per_group=2, skip_zeros=False),
)
# No memory, the default share, one in which tensors must be cut, and one that holds next to nothing.
SHARES = (None, MemoryShare(), MemoryShare(capacity_bytes=400, operand_store_bytes=64), MemoryShare(capacity_bytes=8))
RUN_STEP = {Step.FORWARD: run_forward, Step.GTA: run_gta, Step.GTW: run_gtw}


def check_dataflow(dataflow: Dataflow, shapes: Sequence[LayerShape] = SHAPES, seed: int = 0) -> list[str]:
    """Ask a dataflow for every step of small random layers, and give a sentence for each law that it breaks.

    The laws: values are the reference's; work counted by `execute` is that of `lower`; tasks that are not executed
    make no values; counts, traffic and dispatch fit one another and the memory; a sample of all tiles is the whole;
    what does not fit is refused with `UnmappableLayerError`.
    Tensors are small integers, so that sums are exact in any order.

    Returns:
        No sentence for a dataflow that keeps all of them.
    """
    findings: list[str] = []
    mapped = 0
    for number, shape in enumerate(shapes):
        operands = draw_layer(shape, seed + number)
        for step in Step:
            for array in ARRAYS:
                for share in SHARES:
                    problem = StepProblem(operands, step, array, share)
                    place = f"{type(shape).__name__} {number}, step {step}, {describe_machine(problem)}: "
                    try:
                        findings += [place + words for words in check_step(dataflow, problem)]
                        mapped += 1
                    except UnmappableLayerError as error:
                        if operands.layer not in str(error):
                            findings.append(f"{place}the refusal does not name the layer: {error}")
                    except Exception as error:
                        findings.append(f"{place}raised {type(error).__name__}: {error}")
    if not mapped:
        findings.append("no step of any of the layers is mapped, so nothing was checked")
    return findings


def describe_machine(problem: StepProblem) -> str:
    """Say which of the machines a finding is of."""
    kind = "skipping" if problem.array.skip_zeros else "dense"
    return (
        f"{kind}, no memory" if problem.memory is None else f"{kind}, buffer of {problem.memory.capacity_bytes} bytes"
    )


def draw_layer(shape: LayerShape, seed: int) -> Operands:
    """Draw small integers, half of them zero, and a mask."""
    rng = np.random.default_rng([seed, 12])
    input, weight, grad_output = (
        (rng.integers(-3, 4, size) * (rng.random(size) < 0.5)).astype(np.float32)
        for size in (shape.input_shape, shape.weight_shape, shape.output_shape)
    )
    return Operands("checked", shape, input, weight, None, grad_output, input != 0, tuple(Step))


def check_step(dataflow: Dataflow, problem: StepProblem) -> Iterator[str]:
    """Give the laws that a dataflow breaks in one step.

    Raises:
        UnmappableLayerError: the dataflow refuses the step.
    """
    table = dataflow.lower(problem)
    yield from check_counts(dataflow, problem, table)
    if problem.memory is None:
        if table.traffic is not None:
            yield "there is traffic where memory takes no time"
    elif table.traffic is not None:
        masked = problem.step is Step.GTA and problem.operands.mask is not None
        yield from check_traffic(table, problem.array.pes_per_group, problem.memory, masked=masked)
        if isinstance(dataflow, SampledDataflow):
            yield from check_sampled(dataflow, problem, table)
    whole = dataflow.execute(problem, np.ones(len(table), dtype=np.bool_))
    yield from check_values(problem, table, whole)
    yield from check_flags(lambda flags: dataflow.execute(problem, flags), table, whole)


def check_counts(dataflow: Dataflow, problem: StepProblem, table: TaskTable) -> Iterator[str]:
    """Compare the counts of a table with one another and with its tasks."""
    counts, array = table.counts, problem.array
    if not 0 <= counts.effectual_macs <= counts.dense_macs <= counts.nominal_macs:
        yield (
            f"effectual, dense and nominal MACs are {counts.effectual_macs}, {counts.dense_macs} and "
            f"{counts.nominal_macs}; none may exceed the next"
        )
    if not array.skip_zeros and counts.multiplications != counts.dense_macs:
        yield f"a dense machine does {counts.multiplications} multiplications, but there are {counts.dense_macs}"
    if table.pe_cycles.shape[1] != array.pes_per_group:
        yield f"there are cycles of {table.pe_cycles.shape[1]} PEs, a group has {array.pes_per_group}"
    offered = int(table.pe_cycles.sum()) * array.multipliers_per_pe
    if offered < counts.multiplications:
        yield f"{counts.multiplications} multiplications do not fit the PEs' cycles, which hold {offered}"
    if isinstance(dataflow, PricedDataflow):
        try:
            resolve_counts(dataflow.actions, counts.multiplications, counts.actions)
        except ValueError as error:
            yield str(error)


def check_values(problem: StepProblem, table: TaskTable, whole: StepValues) -> Iterator[str]:
    """Compare the values of all tasks with the reference, and the work behind them with what was lowered."""
    expected = RUN_STEP[problem.step](problem.operands)
    output, mask = whole.output, problem.operands.mask
    if problem.step is Step.GTA and mask is not None and output.shape == mask.shape:
        output = np.where(mask, output, np.float32(0))
    if output.shape != expected.shape or output.dtype != np.float32:
        yield f"the output is {output.dtype} {output.shape}, the reference's float32 {expected.shape}"
    elif not np.array_equal(output, expected):
        wrong = int((output != expected).sum())
        yield f"{wrong} of {output.size} values are not the reference's"
    lowered, done = (table.counts.row_ops, table.counts.multiplications), (whole.row_ops, whole.multiplications)
    if lowered != done:
        yield f"row operations and multiplications are {lowered} in `lower`, {done} in `execute`"


def check_flags(execute: Callable[[np.ndarray], StepValues], table: TaskTable, whole: StepValues) -> Iterator[str]:
    """Ask whether tasks that are not executed leave their results NaN, and those that are make theirs alone."""
    none = execute(np.zeros(len(table), dtype=np.bool_))
    if not np.isnan(none.output).all() or none.row_ops or none.multiplications:
        yield "values or work of tasks that were not executed are there"
    flags = np.arange(len(table)) % 2 == 0
    parts = [execute(flags), execute(~flags)]
    for part in parts:
        if (part.output != whole.output)[~np.isnan(part.output)].any():
            yield "values change when other tasks are not executed"
    if not np.array_equal(np.isnan(parts[0].output) & np.isnan(parts[1].output), np.isnan(whole.output)):
        yield "a value is made by neither half of the tasks"
    for name in ("row_ops", "multiplications"):
        halves = [getattr(part, name) for part in parts]
        if sum(halves) != getattr(whole, name):
            yield f"{name} of two halves of the tasks are {halves[0]} and {halves[1]}, of all {getattr(whole, name)}"


def check_sampled(dataflow: SampledDataflow, problem: StepProblem, table: TaskTable) -> Iterator[str]:
    """Ask whether a sample of all tiles is the whole step, where the dataflow does not refuse to sample it."""
    batch = problem.shape.batch
    try:
        plan = dataflow.plan_tiles(problem, np.arange(batch, dtype=np.int64))
    except UnmappableLayerError as error:
        if problem.operands.layer not in str(error):
            yield f"the refusal of a sample does not name the layer: {error}"
        return
    packed = dataflow.pack_tiles(problem, plan, range(batch), np.arange(len(plan), dtype=np.int64))
    assert table.traffic is not None
    for name in list_unequal(packed, table.traffic):
        yield f"{name} of all tiles that are packed alone differs from that of the whole step"
    alone = dataclasses.replace(problem, memory=None)
    if dataflow.count(alone) != dataflow.lower(alone).counts:
        yield "what `count` counts is not what `lower` counts"
