"""Define, slowly and literally, what a step computes and how long it takes on the ideal machine.

On the ideal machine memory, controller and post-processing take no time and one tile holds the layer. Nothing here is
shared with the simulator. Letters: those of `definition_layers`; B PEs of a PE group; L multipliers of a PE; k kernels
of a PE in a GTW task.

Choices where the definition of the machine leaves room:

D1. A task's index holds a strip only where rows are cut, and a run only where kernels are: (n, p[, strip], block),
    (n, h[, strip], block), (m, block[, run]), packed (block, place[, run]). Blocks are numbered on through the groups.
D2. Whether rows are cut depends on the step's own result row: one step of a layer may have strips, another none.
D3. Steps of a transposed convolution are those of its K, whose P and Q are given; only mask and names are its own.
D4. Of a fully connected layer's GTW the driver row is a PE's block of the input, read element by element; the gradient
    of the task's output is no row, and where it is 0 nothing is examined.
D5. Row operations are examined where a machine that leaves none out would execute them; a product that is none, since
    its mask is not set or its gradient is 0, is not among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from oracle.definition_layers import (
    Array,
    Conv,
    Layer,
    Linear,
    Machine,
    Product,
    Transposed,
    cut_kernel,
    cut_strips,
)
from oracle.definition_rows import Tensors, run_pe

TaskIndex = tuple[int, ...]
OPERAND_NAMES = {"forward": ("input", "weight"), "gta": ("grad_output", "weight"), "gtw": ("grad_output", "input")}
RESULT_NAMES = {"forward": "output", "gta": "input", "gtw": "weight"}


class Task(NamedTuple):
    """Name a task by its index, what its PEs are told of it, and the channels of each PE."""

    index: TaskIndex
    place: tuple[int | range, ...]
    block: list[range]


@dataclass(frozen=True)
class StepOracle:
    """Hold what a step computes and takes; cycles count from its start to the end of its last task.

    row_ops: those that are executed; examined_row_ops: those that are left out since they cannot multiply too.
    Where some are left out, each examined one is an index action beside those of the examined taps.
    """

    cycles: int
    task_cycles: list[int]
    pe_cycles: list[list[int]]
    task_indices: list[TaskIndex]
    group_busy: list[int]
    row_ops: int
    examined_row_ops: int
    examined_taps: int
    multiplications: int
    empty_issue_cycles: int
    output: Array


def run_step(
    layer: Layer,
    step: str,
    machine: Machine,
    input: Array | None,
    weight: Array | None,
    grad_output: Array | None,
    mask: Array | None = None,
) -> StepOracle:
    """Run one step of a layer; operands the step does not read may be None, and mask None sets every position.

    The output is O without bias (forward), dI behind its mask (gta) or dWt (gtw), int64 if all operands read are
    integers, else float64.

    Raises:
        ValueError: the step is unknown, an operand is missing or misshapen, or the accumulators do not suffice.
    """
    given = {"input": input, "weight": weight, "grad_output": grad_output, "mask": mask}
    tensors = gather_tensors(layer, step, given)
    tasks = list_tasks(layer, step, machine)
    walked = find_walk(layer, step)
    pe_rows = [[run_pe(layer, walked, machine, tensors, run, task.place) for run in task.block] for task in tasks]
    output = tensors.out
    if tensors.mask is not None:
        output[tensors.mask == 0] = 0  # what the dense machine's PPU does; the sparse machine never wrote there
    pe_cycles = [[sum(row.cycles for row in rows) for rows in task] for task in pe_rows]
    task_cycles = [max(cycles) for cycles in pe_cycles]
    group_busy = dispatch_tasks(task_cycles, machine.groups)
    all_rows = [row for task in pe_rows for rows in task for row in rows]
    return StepOracle(
        cycles=max(group_busy),
        task_cycles=task_cycles,
        pe_cycles=pe_cycles,
        task_indices=[task.index for task in tasks],
        group_busy=group_busy,
        row_ops=sum(row.is_executed for row in all_rows),
        examined_row_ops=len(all_rows),
        examined_taps=sum(row.examined_taps for row in all_rows),
        multiplications=sum(row.multiplications for row in all_rows),
        empty_issue_cycles=sum(row.empty_issue_cycles for row in all_rows),
        output=output,
    )


def find_walk(layer: Layer, step: str) -> str:
    """Return the step whose loops are run: of a transposed convolution the one of its K."""
    return {"forward": "gta", "gta": "forward"}.get(step, step) if isinstance(layer, Transposed) else step


def gather_tensors(layer: Layer, step: str, given: dict[str, Array | None]) -> Tensors:
    """Return a step's operands in the dtype of its sums, and a result of zeros; refuse missing or misshapen ones."""
    if step not in OPERAND_NAMES:
        raise ValueError(f"A step is one of {', '.join(OPERAND_NAMES)}, not {step!r}.")
    shapes = layer.shapes
    shapes |= {"mask": shapes["input"], "grad_output": shapes["output"]}
    mask = given["mask"] if step == "gta" else None
    names = OPERAND_NAMES[step]
    if step == "gtw" and isinstance(layer, Transposed):
        names = ("input", "grad_output")
    operands = []
    for name in names + (("mask",) if mask is not None else ()):
        tensor = given[name]
        if tensor is None or tensor.shape != shapes[name]:
            found = "nothing" if tensor is None else f"shape {tensor.shape}"
            raise ValueError(f"The {step} step of {layer} needs {name} of shape {shapes[name]}, it was given {found}.")
        operands.append(tensor)
    dtype = np.int64 if all(tensor.dtype.kind in "biu" for tensor in operands[:2]) else np.float64
    out = np.zeros(shapes[RESULT_NAMES[step]], dtype)
    return Tensors(operands[0].astype(dtype), operands[1].astype(dtype), mask, out)


def count_kernels_per_pe(layer: Layer, machine: Machine) -> int:
    """Return k: as many kernels of a GTW task as fit a PE, but few enough to leave work for all groups."""
    if isinstance(layer, Linear | Product):
        fitting = machine.accumulators
        kernels = layer.M * layer.C * (layer.Z if isinstance(layer, Product) else 1)
    else:
        conv = layer if isinstance(layer, Conv) else layer.K
        fitting = machine.accumulators // (conv.R * conv.S)
        kernels = conv.M * (conv.C // conv.G)
    balanced = kernels // (machine.pes_per_group * machine.groups * machine.min_tasks_per_group)
    return max(1, min(fitting, balanced))


def deal_blocks(channels: range, pes: int, run: int) -> list[list[range]]:
    """Cut channels into blocks of pes * run and deal each in runs, PE 0 first; PEs of a short block may get none."""
    starts = range(0, len(channels), pes * run)
    return [[channels[start + i * run : start + (i + 1) * run] for i in range(pes)] for start in starts]


def is_packed(conv: Conv, share: int, machine: Machine) -> bool:
    """Say whether blocks hold several groups of a convolution, each with this share of the outputs."""
    return machine.pack_groups and conv.G > 1 and 2 * share <= machine.pes_per_group


def deal_groups(conv: Conv, share: int, machine: Machine, run: int) -> list[list[range]]:
    """Deal the outputs of all groups, so many to each: blocks within a group, or of several whole groups."""
    pes = machine.pes_per_group
    if is_packed(conv, share, machine):
        held = pes // share * share
        cuts = [range(start, min(start + held, conv.G * share)) for start in range(0, conv.G * share, held)]
        return [block for cut in cuts for block in deal_blocks(cut, pes, 1)]
    return [block for g in range(conv.G) for block in deal_blocks(range(g * share, (g + 1) * share), pes, run)]


def list_tasks(layer: Layer, step: str, machine: Machine) -> list[Task]:
    """Return the tasks in order of dispatch."""
    if isinstance(layer, Linear | Product):
        return list_linear_tasks(layer, step, machine)
    conv, walked = (layer if isinstance(layer, Conv) else layer.K), find_walk(layer, step)
    if walked == "gtw":
        return list_gtw_tasks(conv, machine)
    share = (conv.M if walked == "forward" else conv.C) // conv.G
    width, height = (conv.Q, conv.P) if walked == "forward" else (conv.W, conv.H)
    strips = cut_strips(width, machine.accumulators)
    blocks = deal_groups(conv, share, machine, run=1)
    return [
        Task((n, row, *([at] if len(strips) > 1 else []), number), (n, row, strip), block)
        for n in range(conv.N)
        for row in range(height)
        for at, strip in enumerate(strips)
        for number, block in enumerate(blocks)
    ]


def list_gtw_tasks(conv: Conv, machine: Machine) -> list[Task]:
    """Return the tasks of a convolution's GTW: filters outside, or where groups are packed blocks outside."""
    runs = cut_kernel(conv, machine.accumulators)
    share, filters = conv.C // conv.G, conv.M // conv.G
    kernels = count_kernels_per_pe(conv, machine)
    blocks = list(enumerate(deal_groups(conv, share, machine, kernels)))
    if is_packed(conv, share, machine):
        heads = [((number, place), place, block) for number, block in blocks for place in range(filters)]
    else:
        heads = [
            ((m, number), m % filters, block)
            for m in range(conv.M)
            for number, block in blocks
            if block[0].start // share == m // filters
        ]
    return [
        Task((*index, *([at] if len(runs) > 1 else [])), (place, run), block)
        for index, place, block in heads
        for at, run in enumerate(runs)
    ]


def list_linear_tasks(layer: Linear | Product, step: str, machine: Machine) -> list[Task]:
    """Return the tasks of a fully connected layer, of a product place by place in the batch."""
    images = layer.T if isinstance(layer, Product) else layer.N
    run = count_kernels_per_pe(layer, machine) if step == "gtw" else 1
    blocks = deal_blocks(range(layer.M if step == "forward" else layer.C), machine.pes_per_group, run)
    places: list[TaskIndex] = [(at,) for at in range(layer.M if step == "gtw" else images)]
    if isinstance(layer, Product):
        places = [(z, *place) for z in range(layer.Z) for place in places]
    return [Task((*place, number), place, block) for place in places for number, block in enumerate(blocks)]


def dispatch_tasks(task_cycles: list[int], groups: int) -> list[int]:
    """Give each task in order to the group free earliest, lowest index on a tie; return when each group ends."""
    free_at = [0] * groups
    for cycles in task_cycles:
        free_at[free_at.index(min(free_at))] += cycles
    return free_at
